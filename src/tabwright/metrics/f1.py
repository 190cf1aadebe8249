"""F1 score."""

from __future__ import annotations

import numpy as np

from tabwright.metrics.base import Metric, Needs
from tabwright.types import Array, Bools, Floats, Task


def f1(y: Array, labels: Floats, weight: Floats | None = None) -> float:
    """Of the second of two classes; 0 where it neither occurs nor is predicted."""
    each, occurs = _of_classes(y, labels, weight)
    return float(each[1]) if len(each) > 1 and occurs[1] else 0.0


def macro_f1(y: Array, labels: Floats, weight: Floats | None = None) -> float:
    """The mean over the classes that occur or are predicted."""
    each, occurs = _of_classes(y, labels, weight)
    return float(each[occurs].mean())


def _of_classes(y: Array, labels: Floats, weight: Floats | None) -> tuple[Floats, Bools]:
    """F1 of each class, and whether it occurs."""
    w = np.ones(len(y)) if weight is None else weight
    labels = labels.astype(np.int64)
    n = int(max(y.max(), labels.max())) + 1
    hits = np.bincount(y, weights=w * (labels == y), minlength=n)
    total = np.bincount(y, weights=w, minlength=n) + np.bincount(labels, weights=w, minlength=n)
    return np.divide(2.0 * hits, total, out=np.zeros(n), where=total > 0), total > 0


F1 = Metric("f1", "F1 score", frozenset({Task.BINARY}), Needs.LABELS, True, f1, "1")
MACRO_F1 = Metric("f1", "F1 score", frozenset({Task.MULTICLASS}), Needs.LABELS, True, macro_f1, "1")
