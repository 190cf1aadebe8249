"""auto-sklearn's regressor."""

from __future__ import annotations

from tabwright.compat.autosklearn.base import AutoSklearnEstimator


class AutoSklearnRegressor(AutoSklearnEstimator):
    """auto-sklearn's regressor, searched by tabwright."""
