"""The Pareto front as a table and as a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from tabwright.metrics.base import Metric
from tabwright.objectives.custom import is_custom
from tabwright.objectives.design import Design
from tabwright.search.frontier import Point

COLUMNS = (
    "design", "model_id", "score", "latency_p50_us", "latency_p99_us", "size_mib", "rows_per_second", "memory_mib",
    "train_cpu_s", "n_models", "measured", "leader",
)  # fmt: skip
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 420, 76, 24, 40, 56
STYLE = """
svg { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #243b53; }
svg .back { fill: #fff; } svg .grid { stroke: #e4e9f0; } svg .axis { fill: #627d98; font-size: 11px; }
svg .line { fill: none; stroke: #2f6fb3; stroke-width: 1.5; } svg .point { fill: #2f6fb3; }
svg .leader { fill: #d64545; } svg .title { font-weight: 600; font-size: 13px; }
"""


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
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Pareto front" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<style>{STYLE}</style><rect class="back" width="{WIDTH}" height="{HEIGHT}"/>'
        f"{''.join(_body(front.sort_values('latency_p50_us'), metric))}</svg>"
    )


def _body(front: pd.DataFrame, metric: Metric) -> Iterator[str]:
    latency, score = (front[name].to_numpy(np.float64) for name in ("latency_p50_us", "score"))
    low, high = math.log10(latency.min() / 1.2), math.log10(latency.max() * 1.2)
    bottom, top = float(score.min()), float(score.max())
    spare = 0.08 * (top - bottom) or 0.05 * abs(top) or 1.0
    bottom, top = bottom - spare, top + spare
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(value: float) -> float:
        return LEFT + (math.log10(value) - low) / (high - low) * across

    def y(value: float) -> float:
        return TOP + (top - value) / (top - bottom) * down

    better = "higher" if metric.greater_is_better else "lower"
    yield f'<text class="title" x="{LEFT}" y="22">{escape(metric.name)} ({better} is better) against latency</text>'
    for k in range(6):
        value = bottom + (top - bottom) * k / 5
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        yield f'<text class="axis" x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>'
    for decade in range(math.floor(low), math.ceil(high) + 1):
        for unit in (1, 2, 5):
            tick = unit * 10.0**decade
            if low <= math.log10(tick) <= high:
                yield f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
                yield (f'<text class="axis" x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
                       f"{tick:g}</text>")  # fmt: skip
    yield (f'<text class="axis" x="{LEFT + across / 2}" y="{HEIGHT - 12}" text-anchor="middle">one row, median, µs '
           "(exported file, one thread)</text>")  # fmt: skip
    path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(latency, score, strict=True))
    yield f'<polyline class="line" points="{path}"/>'
    rows: Any = front.itertuples()
    for row in rows:
        kind = "leader" if row.leader else "point"
        told = f"{row.design}: {row.score:.5g}, {row.latency_p50_us:.0f} µs, {row.size_mib:.2f} MiB"
        yield (f'<circle class="{kind}" cx="{x(row.latency_p50_us):.1f}" cy="{y(row.score):.1f}" '
               f'r="{6 if row.leader else 4}"><title>{escape(told)}</title></circle>')  # fmt: skip
