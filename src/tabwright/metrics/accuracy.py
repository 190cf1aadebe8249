"""Accuracy."""

from __future__ import annotations

import numpy as np

from tabwright.metrics.base import CLASSIFICATION, Metric, Needs
from tabwright.types import Array, Floats


def accuracy(y: Array, labels: Floats, weight: Floats | None = None) -> float:
    """Share of rows whose class is right."""
    return float(np.average(labels == y, weights=weight))


ACCURACY = Metric("accuracy", "Accuracy", CLASSIFICATION, Needs.LABELS, True, accuracy, "1", ("acc",))
