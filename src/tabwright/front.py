"""The Pareto front as a table and as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd

from tabwright.charts.frame import STYLE, Plane, ends
from tabwright.charts.frame import svg as chart
from tabwright.metrics.base import Metric
from tabwright.objectives.custom import is_custom
from tabwright.objectives.design import Design
from tabwright.search.frontier import Point

COLUMNS = (
    "design", "model_id", "score", "latency_p50_us", "latency_p99_us", "size_mib", "rows_per_second", "memory_mib",
    "train_cpu_s", "n_models", "measured", "leader",
)  # fmt: skip


def table(points: Sequence[Point], leader: Design) -> pd.DataFrame:
    """One row per point, best score first; see :data:`COLUMNS`. Scores are estimates of what is delivered."""
    rows = []
    for p in points:
        costs = p.costs
        rows.append({
            "design": str(p.design), "model_id": _model_id(p.design), "score": p.score,
            "latency_p50_us": costs["latency_us"], "latency_p99_us": costs["latency_p99_us"],
            "size_mib": costs["size_mib"], "memory_mib": costs["memory_mib"], "train_cpu_s": costs["train_cpu_s"],
            "rows_per_second": math.nan if p.profile is None else p.profile.rows_per_second,
            "n_models": p.design.n_models, "measured": p.measured, "leader": p.design == leader,
        } | {name: value for name, value in costs.items() if is_custom(name)})  # fmt: skip
    own = [name for name in (points[0].costs if points else ()) if is_custom(name)]
    return pd.DataFrame(rows, columns=[*COLUMNS, *own])


def _model_id(design: Design) -> str:
    if not design.shares:
        return "constant"
    return design.shares[0].model_id if len(design.shares) == 1 else "ensemble"


def svg(front: pd.DataFrame, metric: Metric) -> str:
    """The front as a picture: latency of one row on a log scale, score, each point's parts as its tooltip."""
    rows = front.sort_values("latency_p50_us")
    latency, score = (rows[name].to_numpy(np.float64) for name in ("latency_p50_us", "score"))
    across = np.log10(latency)
    plane = Plane(ends(across.tolist(), 0.06), ends(score.tolist(), 0.08))
    better = "higher" if metric.greater_is_better else "lower"
    body = plane.axes("median time for one row, µs", f"{metric.name} ({better} is better)", _decades(*plane.x_ends))
    path = "L".join(f"{plane.x(a):.1f},{plane.y(b):.1f}" for a, b in zip(across, score, strict=True))
    body.append(f'<path class="line" stroke="var(--c0)" d="M{path}"/>')
    for row, a in zip(rows.to_dict("records"), across, strict=True):
        told = f"{row['design']}: {row['score']:.5g}, {row['latency_p50_us']:.0f} µs, {row['size_mib']:.2f} MiB"
        body.append(f'<circle class="{"leader" if row["leader"] else "point"}" '
                    f'fill="var({"--c1" if row["leader"] else "--c0"})" cx="{plane.x(a):.1f}" '
                    f'cy="{plane.y(row["score"]):.1f}" r="{6 if row["leader"] else 4}"><title>{escape(told)}</title>'
                    "</circle>")  # fmt: skip
    style = f"<style>{STYLE} svg {{ background: var(--panel); }}</style>"
    inside = chart(plane.width, plane.height, body, "Pareto front")
    return inside.replace(">", f' class="tw">{style.replace(".tw svg", "svg.tw")}', 1)


def _decades(low: float, high: float) -> list[tuple[float, str]]:
    """Ticks at 1, 2 and 5 times powers of ten between two common logarithms, or three others where these are few."""
    values = [m * 10.0**k for k in range(math.floor(low), math.ceil(high) + 1) for m in (1, 2, 5)]
    found = [(math.log10(v), f"{v:g}") for v in values if low <= math.log10(v) <= high]
    if len(found) > 1:
        return found
    return [(low + k * (high - low) / 4, f"{10 ** (low + k * (high - low) / 4):.3g}") for k in (1, 2, 3)]
