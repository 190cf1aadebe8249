"""Meta-features: cheap facts about a task, by which like ones are found. They say nothing of the data's content."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tabwright.data.table import Table
from tabwright.types import Array, Kind, Task

SAMPLE_ROWS = 20_000
SCALES = {
    "log_rows": 1.0, "log_columns": 0.7, "share_numeric": 0.5, "share_text": 0.3, "share_dates": 0.3,
    "log_cardinality": 1.0, "share_missing": 0.3, "skew": 1.0, "log_classes": 0.5, "imbalance": 1.0,
}  # fmt: skip
"""A difference of so much counts as 1 in the distance between tasks."""


def meta_features(table: Table, y: Array, task: Task, n_classes: int) -> dict[str, float]:
    """Facts about a task, each a finite number; see :data:`SCALES` for the names.

    Parameters
    ----------
    table : Table
    y : shape (n_rows,)
        Standardised target, or class codes.
    task : Task
    n_classes : int

    References
    ----------
    Feurer et al. 2015, "Efficient and robust automated machine learning", NeurIPS 28 (their simple meta-features).
    """
    rows = np.sort(np.random.default_rng(0).permutation(table.n_rows)[:SAMPLE_ROWS])
    numbers, used = table.numbers[rows], table.schema.used
    n = max(1, len(used))
    missing = [float(np.isnan(numbers).mean())] if numbers.size else []
    missing += [float((column.values() == "").mean()) for column in (c.take(rows) for c in table.strings)]
    levels = [len(column.levels) for column in table.strings]
    return {
        "log_rows": float(np.log10(max(1, table.n_rows))),
        "log_columns": float(np.log10(n)),
        "share_numeric": sum(c.kind in (Kind.NUMERIC, Kind.INTEGER, Kind.BOOLEAN) for c in used) / n,
        "share_text": sum(c.kind is Kind.TEXT for c in used) / n,
        "share_dates": sum(c.kind is Kind.DATETIME for c in used) / n,
        "log_cardinality": float(np.log10(max([1, *levels]))),
        "share_missing": float(np.mean(missing)) if missing else 0.0,
        "skew": _skew(numbers),
        "log_classes": float(np.log10(max(1, n_classes))),
        "imbalance": _imbalance(y, task, n_classes),
    }


def distance(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    """Root mean square of the differences, each relative to its scale; facts that one lacks are left out."""
    both = [name for name in SCALES if name in a and name in b]
    if not both:
        return float("inf")
    return float(np.sqrt(np.mean([((a[name] - b[name]) / SCALES[name]) ** 2 for name in both])))


def _skew(numbers: Array) -> float:
    """Typical skewness of the numeric columns, on a log scale."""
    skews = []
    for j in range(numbers.shape[1]):
        column = numbers[:, j]
        column = column[np.isfinite(column)]
        if len(column) > 2 and column.std() > 0:
            with np.errstate(all="ignore"):
                skews.append(abs(float(np.mean(((column - column.mean()) / column.std()) ** 3))))
    known = [s for s in skews if np.isfinite(s)]
    return float(np.log1p(np.median(known))) if known else 0.0


def _imbalance(y: Array, task: Task, n_classes: int) -> float:
    """log10 of the share of the rarest class against an even share; skewness of a numeric target."""
    if task is Task.REGRESSION:
        return _skew(np.asarray(y, np.float64)[:, None])
    counts = np.bincount(y, minlength=n_classes)
    return float(-np.log10(max(1, counts.min()) * n_classes / max(1, len(y))))
