"""Coefficient of determination."""

from __future__ import annotations

import numpy as np

from tabwright.metrics.base import REGRESSION, Metric, Needs
from tabwright.types import Array, Floats


def r2(y: Array, prediction: Floats, weight: Floats | None = None) -> float:
    """1 - residual variance over variance; 0 for a constant target."""
    total = np.average((y - np.average(y, weights=weight)) ** 2, weights=weight)
    residual = np.average((prediction - y) ** 2, weights=weight)
    return float(1.0 - residual / total) if total > 0 else 0.0


R2 = Metric("r2", "Coefficient of determination", REGRESSION, Needs.VALUES, True, r2, "1")
