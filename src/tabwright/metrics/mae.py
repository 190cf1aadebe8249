"""Mean absolute error."""

from __future__ import annotations

import numpy as np

from tabwright.metrics.base import REGRESSION, Metric, Needs
from tabwright.types import Array, Floats


def mae(y: Array, prediction: Floats, weight: Floats | None = None) -> float:
    """Mean absolute error, in the target's unit."""
    return float(np.average(np.abs(prediction - y), weights=weight))


MAE = Metric("mae", "Mean absolute error", REGRESSION, Needs.VALUES, False, mae, "target", ("mean_absolute_error",),
             nearest=0.5)  # fmt: skip
