"""Root mean squared error."""

from __future__ import annotations

import numpy as np

from tabwright.metrics.base import REGRESSION, Metric, Needs
from tabwright.types import Array, Floats


def rmse(y: Array, prediction: Floats, weight: Floats | None = None) -> float:
    """Root of the mean squared error, in the target's unit."""
    return float(np.sqrt(np.average((prediction - y) ** 2, weights=weight)))


RMSE = Metric("rmse", "Root mean squared error", REGRESSION, Needs.VALUES, False, rmse, "target",
              ("root_mean_squared_error",))
