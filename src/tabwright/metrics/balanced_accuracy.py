"""Balanced accuracy."""

from __future__ import annotations

import numpy as np

from tabwright.metrics.base import CLASSIFICATION, Metric, Needs
from tabwright.types import Array, Floats


def balanced_accuracy(y: Array, labels: Floats, weight: Floats | None = None) -> float:
    """Mean recall over the classes that occur; 1 minus H2O's mean per-class error."""
    w = np.ones(len(y)) if weight is None else weight
    total = np.bincount(y, weights=w)
    hits = np.bincount(y, weights=w * (labels == y), minlength=len(total))
    return float((hits[total > 0] / total[total > 0]).mean())


BALANCED_ACCURACY = Metric("balanced_accuracy", "Balanced accuracy", CLASSIFICATION, Needs.LABELS, True,
                           balanced_accuracy, "1")
