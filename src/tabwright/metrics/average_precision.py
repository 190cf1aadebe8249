"""Average precision."""

from __future__ import annotations

import numpy as np

from tabwright.metrics.base import BINARY, Metric, Needs
from tabwright.types import Array, Floats


def average_precision(y: Array, proba: Floats, weight: Floats | None = None) -> float:
    """Mean precision over recall steps (area under the precision-recall curve, not interpolated)."""
    score = proba[:, 1]
    order = np.argsort(-score, kind="stable")
    w = np.ones(len(y)) if weight is None else weight[order]
    positive = w * (y[order] == 1)
    ends = np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])
    hits, seen = np.cumsum(positive)[ends], np.cumsum(w)[ends]
    if hits[-1] == 0:
        return 0.0
    return float((np.diff(np.r_[0.0, hits]) * hits / seen).sum() / hits[-1])


AVERAGE_PRECISION = Metric("average_precision", "Average precision", BINARY, Needs.PROBA, True, average_precision, "1",
                           ("aucpr", "pr_auc"))
