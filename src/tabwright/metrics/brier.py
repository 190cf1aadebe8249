"""Brier score."""

from __future__ import annotations

import numpy as np

from tabwright.metrics.base import CLASSIFICATION, Metric, Needs
from tabwright.types import Array, Floats


def brier(y: Array, proba: Floats, weight: Floats | None = None) -> float:
    """Mean squared distance between probabilities and outcome; for two classes of the second class alone.

    References
    ----------
    Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
    """
    k = proba.shape[1]
    squares = (proba[:, 1] - y) ** 2 if k == 2 else ((proba - np.eye(k)[y]) ** 2).sum(axis=1)
    return float(np.average(squares, weights=weight))


BRIER = Metric("brier", "Brier score", CLASSIFICATION, Needs.PROBA, False, brier, "1", ("mse_proba",))
