"""Logarithmic loss."""

from __future__ import annotations

import numpy as np

from tabwright.metrics.base import CLASSIFICATION, EPS, Metric, Needs
from tabwright.types import Array, Floats


def log_loss(y: Array, proba: Floats, weight: Floats | None = None) -> float:
    """Mean -log p(true class), nats per row."""
    p_true = proba[np.arange(len(y)), y]
    return float(np.average(-np.log(np.clip(p_true, EPS, 1.0)), weights=weight))


LOG_LOSS = Metric(
    "log_loss", "Logarithmic loss", CLASSIFICATION, Needs.PROBA, False, log_loss, "nats/row", ("logloss",)
)
