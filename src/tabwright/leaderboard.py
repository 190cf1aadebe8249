"""The leaderboard: every candidate and the leader, with the score's interval and what was measured."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from tabwright.metrics import best_threshold, score, tuned_score
from tabwright.metrics.base import Metric
from tabwright.search.problem import Problem
from tabwright.search.state import State
from tabwright.types import Array, Floats

COLUMNS = (
    "rank", "model_id", "family", "score", "score_ci_low", "score_ci_high", "fit_seconds", "cpu_seconds",
    "peak_memory_mib", "latency_p50_us", "latency_p99_us", "size_mib", "rows_per_second", "on_pareto_front",
    "stack_level", "status",
)  # fmt: skip
INTERVALS = 10  # of the best rows, and the leader, have an interval
BOOTSTRAP_ROUNDS = 200
BOOTSTRAP_ROWS = 20_000


def score_interval(
    metric: Metric, y: Array, prediction: Floats, weight: Floats | None, seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap interval of a score over rows.

    On more than 20,000 rows a sample of that size is drawn and the interval narrowed by the square root of the
    ratio, as the standard error is.

    References
    ----------
    Efron & Tibshirani 1993, "An introduction to the bootstrap".
    """
    rng = np.random.default_rng(seed)
    threshold = best_threshold(metric, y, prediction, weight)
    n = len(y)
    size = min(n, BOOTSTRAP_ROWS)
    values = []
    for _ in range(BOOTSTRAP_ROUNDS if n <= 5000 else 60):
        rows = rng.integers(0, n, size)
        values.append(score(metric, y[rows], prediction[rows], None if weight is None else weight[rows], threshold))
    centre = score(metric, y, prediction, weight, threshold)
    low, high = np.nanquantile(np.array(values) - np.nanmean(values), [0.025, 0.975]) * math.sqrt(size / n)
    return float(centre + low), float(centre + high)


def table(state: State, profiles: dict[str, dict[str, float]], averaging_gain: float = 0.0) -> pd.DataFrame:
    """One row per candidate and one for the ensemble, in the order of the scores shown; see :data:`COLUMNS`.

    Candidates are scored out of fold, each row by one fold's model. The leader's score and interval are those of what
    is delivered: better by ``averaging_gain`` (see :mod:`tabwright.ensemble.averaging`), and worse by what its having
    been chosen on the rows that it is scored on has flattered it.
    """
    problem = state.problem
    y, weight = problem.outcomes()
    out: list[dict[str, Any]] = []
    if len(state.leader.weights) > 1:
        members = [state.entries[m] for m, _ in state.leader.weights]
        level = 2 + any(e.candidate.bases for e in members)
        out.append(_row("ensemble", "ensemble", state.leader.score, "ok", level) | {
            "fit_seconds": sum(e.seconds for e in members), "cpu_seconds": sum(e.cpu_seconds for e in members),
            "peak_memory_mib": max(e.peak_memory_mib for e in members), "_prediction": state.leader.prediction,
        })  # fmt: skip
    for entry in state.entries.values():
        level = 2 if entry.candidate.bases else 1
        row = _row(entry.candidate.model_id, entry.candidate.family, entry.score, entry.status, level)
        out.append(
            row
            | {
                "fit_seconds": entry.seconds,
                "cpu_seconds": entry.cpu_seconds,
                "peak_memory_mib": entry.peak_memory_mib,
                "_prediction": entry.prediction,
            }
        )
    constant = np.tile(np.array(problem.constant()), (len(y), 1))
    out.append(
        _row("constant", "constant", tuned_score(problem.metric, y, constant, weight), "ok", 0)
        | {"_prediction": constant}
    )
    for row in out:
        if row["model_id"] == state.leader.name:  # calibrated, as it is delivered, where a single candidate leads
            row |= {"score": state.leader.score, "_prediction": state.leader.prediction}
        row.update(profiles.get(row["model_id"], {}))
    out = _ranked(out, problem)
    leading = next((row for row in out if row["model_id"] == state.leader.name), None)
    for row in out:
        if row["_prediction"] is not None and (row["rank"] <= INTERVALS or row is leading):
            row["score_ci_low"], row["score_ci_high"] = score_interval(problem.metric, y, row["_prediction"], weight)
    if leading is not None:
        bias = (state.selection_bias() - averaging_gain) * (-1.0 if problem.metric.greater_is_better else 1.0)
        for name in ("score", "score_ci_low", "score_ci_high"):
            leading[name] += bias
    out = _ranked(out, problem, state.leader.name)
    _mark_front(out, problem)
    return pd.DataFrame(out)[list(COLUMNS)].reset_index(drop=True)


def _row(model_id: str, family: str, value: float, status: str, level: int) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS, math.nan) | {
        "model_id": model_id, "family": family, "score": value, "status": status, "stack_level": level,
        "on_pareto_front": False,
    }  # fmt: skip


def _ranked(rows: list[dict[str, Any]], problem: Problem, leader: str = "") -> list[dict[str, Any]]:
    sign = -1.0 if problem.metric.greater_is_better else 1.0

    def place(row: dict[str, Any]) -> tuple[Any, ...]:  # the chosen leader stands first among equals
        return math.isnan(row["score"]), sign * row["score"], row["model_id"] != leader, -row["stack_level"]

    ordered = sorted(rows, key=place)
    for k, row in enumerate(ordered):
        row["rank"] = k + 1
    return ordered


def _mark_front(rows: list[dict[str, Any]], problem: Problem) -> None:
    """Mark the rows that no other beats in both score and measured latency."""
    sign = -1.0 if problem.metric.greater_is_better else 1.0
    measured = [r for r in rows if not math.isnan(r["latency_p50_us"]) and not math.isnan(r["score"])]
    for row in measured:
        row["on_pareto_front"] = not any(
            sign * o["score"] <= sign * row["score"] and o["latency_p50_us"] <= row["latency_p50_us"]
            and (o["score"], o["latency_p50_us"]) != (row["score"], row["latency_p50_us"])
            for o in measured
        )  # fmt: skip
