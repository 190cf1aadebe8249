"""F1 score."""

from __future__ import annotations

import numpy as np

from tabwright.metrics.base import CLASSIFICATION, Metric, Needs
from tabwright.types import Array, Floats


def f1(y: Array, labels: Floats, weight: Floats | None = None) -> float:
    """Of the second class if there are two, else the mean over the classes that occur (macro)."""
    w = np.ones(len(y)) if weight is None else weight
    labels = labels.astype(np.int64)
    n = int(max(y.max(), labels.max())) + 1
    hits = np.bincount(y, weights=w * (labels == y), minlength=n)
    total = np.bincount(y, weights=w, minlength=n) + np.bincount(labels, weights=w, minlength=n)
    each = np.divide(2.0 * hits, total, out=np.zeros(n), where=total > 0)
    return float(each[1]) if n <= 2 and len(each) == 2 else float(each[total > 0].mean())


F1 = Metric("f1", "F1 score", CLASSIFICATION, Needs.LABELS, True, f1, "1")
