"""The figures of one model: traffic, latency, drift and live metrics by window."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tabwright.serve import quality
from tabwright.serve.drift import Drift, compare
from tabwright.serve.registry import Served
from tabwright.serve.slots import LATENCY_EDGES_S, SLOTS_PER_WINDOW, Slots
from tabwright.serve.store import Store
from tabwright.types import Array, Task

MAX_POINTS = 48
"""Live metrics are drawn for so many windows back at most."""


@dataclass(frozen=True)
class Alert:
    """Something that can be wrong; its text is its key in the store and stands in the log."""

    kind: str  # column_drift, prediction_drift or quality
    model: str
    version: str
    tag: str
    column: str = ""
    metric: str = ""

    def __str__(self) -> str:
        what = f" column={self.column}" if self.column else f" metric={self.metric}" if self.metric else ""
        return f"{self.kind} model={self.model} version={self.version} checksum={self.tag}{what}"


def tag_of(alert: str) -> str:
    """The model's tag in an alert's text."""
    return alert.partition(" checksum=")[2].split(" ")[0]


@dataclass(frozen=True)
class Figures:
    """What the metrics and the page tell of one model version."""

    name: str
    version: str
    tag: str
    task: str
    window_s: int
    traffic: list[dict[str, Any]]  # per slot, oldest first
    latency: dict[str, float]  # of the window, seconds
    columns: dict[str, Drift]
    prediction: Drift | None
    live: dict[str, float]
    promised: dict[str, float]
    outcomes: int
    history: list[dict[str, Any]]  # live metrics per slot
    calibration: list[tuple[float, float, int]]
    is_worse: bool
    watched: str
    known_columns: tuple[str, ...]
    bins: dict[str, Any] = field(default_factory=dict)  # reference and window shares of what drifted most

    def alerts(self) -> dict[Alert, bool]:
        """Every alert there can be, and whether it is on; without enough rows it is off."""
        who = (self.name, self.version, self.tag)
        found = {
            Alert("column_drift", *who, column=name): name in self.columns and self.columns[name].alarm
            for name in self.known_columns
        }
        found[Alert("prediction_drift", *who)] = self.prediction is not None and self.prediction.alarm
        found[Alert("quality", *who, metric=self.watched)] = self.is_worse
        return found

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def figures_of(served: Served, store: Store, slots: Slots) -> Figures:
    """Work out the figures from what all processes stored."""
    since, counts = slots.since(), store.counts(served.tag, slots.oldest())
    window: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    per_slot: dict[int, dict[str, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
    for slot, series, bin_, n in counts:
        if slot >= since:
            window[series][bin_] += n
        if series in ("latency", "status", "rows"):
            per_slot[slot][series][bin_] = n
    columns = {}
    for name, reference in served.histograms.items():
        found = compare(np.array(reference.counts), _array(window["column:" + name], reference.n_bins))
        if found is not None:
            columns[name] = found
    histogram = served.prediction_histogram
    prediction = None if histogram is None else compare(
        np.array(histogram.counts), _array(window["prediction"], histogram.n_bins))  # fmt: skip
    label, score, outcome, at = _outcomes(served, store, int(time.time()) - slots.window_s * MAX_POINTS // 12)
    inside = at >= time.time() - slots.window_s
    rows = (label[inside], score[inside], outcome[inside])
    live = quality.live_metrics(served.task, *rows) if inside.any() else {}
    validation = served.model.metrics.get("validation", {})
    name = quality.watched(served.task)
    return Figures(
        served.name, served.version, served.tag, str(served.task), slots.window_s, _traffic(per_slot, slots),
        latency_quantiles(window["latency"]), columns, prediction, live,
        {k: v for k, v in validation.items() if isinstance(v, float)}, int(inside.sum()),
        _history(served.task, (label, score, outcome), at, slots),
        _calibration(served.task, *rows), quality.worse_than(validation, served.task, live, rows), name,
        tuple(served.histograms), _shapes(served, window, columns),
    )  # fmt: skip


def _array(counts: Mapping[int, int], n_bins: int) -> Array:
    out = np.zeros(n_bins, np.int64)
    for bin_, n in counts.items():
        if bin_ < n_bins:
            out[bin_] = n
    return out


def _outcomes(served: Served, store: Store, since: int) -> tuple[Array, Array, Array, Array]:
    rows = store.feedback(served.tag, since)
    at, label, score, outcome = (np.array(values) for values in zip(*rows, strict=True)) if rows else (np.empty(0),) * 4
    return label.astype(np.int64), score.astype(np.float64), outcome.astype(np.float64), at.astype(np.int64)


def _traffic(per_slot: Mapping[int, Mapping[str, Mapping[int, int]]], slots: Slots) -> list[dict[str, Any]]:
    points = []
    for slot in sorted(per_slot):
        series = per_slot[slot]
        status = series.get("status", {})
        points.append({
            "at": slot * slots.slot_s, "requests": sum(status.values()),
            "errors": sum(n for code, n in status.items() if code >= 400), "rows": sum(series.get("rows", {}).values()),
            **latency_quantiles(series.get("latency", {})),
        })  # fmt: skip
    return points


def latency_quantiles(counts: Mapping[int, int]) -> dict[str, float]:
    """p50, p99 and p999 in seconds from counts of :data:`LATENCY_EDGES_S`: the upper end of the bin each falls in."""
    if not counts:
        return {}
    total = np.cumsum(_array(counts, len(LATENCY_EDGES_S) + 1))
    ends = np.append(LATENCY_EDGES_S, np.inf)
    return {
        name: float(min(ends[np.searchsorted(total, share * total[-1])], LATENCY_EDGES_S[-1]))
        for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
    }


def _history(task: Task, rows: tuple[Array, Array, Array], at: Array, slots: Slots) -> list[dict[str, Any]]:
    slot = (at / slots.slot_s).astype(np.int64)
    points = []
    for k in np.unique(slot)[-MAX_POINTS:]:
        # each point is a whole window that ends with its slot: single slots would be noise
        chosen = (slot <= k) & (slot > k - SLOTS_PER_WINDOW)
        if chosen.sum() >= quality.MIN_OUTCOMES:
            live = quality.live_metrics(task, *(r[chosen] for r in rows))
            points.append({"at": float(k * slots.slot_s), "n": int(chosen.sum()), **live})
    return points


def _calibration(task: Task, label: Array, score: Array, outcome: Array) -> list[tuple[float, float, int]]:
    if task is Task.REGRESSION or not len(score):
        return []
    return quality.calibration_table(score, outcome == 1 if task is Task.BINARY else label == outcome)


def _shapes(served: Served, window: Mapping[str, Mapping[int, int]], columns: Mapping[str, Drift]) -> dict[str, Any]:
    shapes = {}
    for name in sorted(columns, key=lambda c: -columns[c].psi)[:4]:
        histogram = served.histograms[name]
        now = _array(window["column:" + name], histogram.n_bins)
        before = np.array(histogram.counts)
        names = [*histogram.values, "other", "missing"] if histogram.values else _ranges(histogram.edges)
        shapes[name] = {"bins": names, "reference": (before / max(before.sum(), 1)).round(5).tolist(),
                        "window": (now / max(now.sum(), 1)).round(5).tolist()}  # fmt: skip
    return shapes


def _ranges(edges: tuple[float, ...]) -> list[str]:
    if not edges:
        return ["any", "missing"]
    return [*(f"≤ {e:.5g}" for e in edges), f"> {edges[-1]:.5g}", "missing"]
