"""Root mean squared logarithmic error."""

from __future__ import annotations

import numpy as np

from tabwright.metrics.base import REGRESSION, Metric, Needs
from tabwright.types import Array, Floats


def rmsle(y: Array, prediction: Floats, weight: Floats | None = None) -> float:
    """RMSE of log(1 + value); predictions below 0 count as 0; NaN if a true value is below 0."""
    if (y < 0).any():
        return float("nan")
    error = np.log1p(np.maximum(prediction, 0.0)) - np.log1p(y)
    return float(np.sqrt(np.average(error**2, weights=weight)))


RMSLE = Metric("rmsle", "Root mean squared logarithmic error", REGRESSION, Needs.VALUES, False, rmsle, "log target")
