"""auto-sklearn's classifier."""

from __future__ import annotations

from tabwright.compat.autosklearn.base import AutoSklearnEstimator


class AutoSklearnClassifier(AutoSklearnEstimator):
    """auto-sklearn's classifier, searched by tabwright."""

    _classification = True
