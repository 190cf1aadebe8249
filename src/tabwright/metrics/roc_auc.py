"""Area under the ROC curve."""

from __future__ import annotations

import numpy as np

from tabwright.metrics.base import BINARY, Metric, Needs
from tabwright.types import Array, Floats


def roc_auc(y: Array, proba: Floats, weight: Floats | None = None) -> float:
    """P(a random positive is ranked above a random negative), ties one half; 0.5 with one class only.

    References
    ----------
    Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747.
    """
    score = proba[:, 1]
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    w = np.ones(len(y)) if weight is None else weight[order]
    positive = w * (y[order] == 1)
    negative = w - positive
    total_positive, total_negative = positive.sum(), negative.sum()
    if total_positive == 0 or total_negative == 0:
        return 0.5
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    tied_positive, tied_negative = np.add.reduceat(positive, starts), np.add.reduceat(negative, starts)
    below = np.cumsum(tied_negative) - tied_negative
    return float((tied_positive * (below + tied_negative / 2.0)).sum() / (total_positive * total_negative))


ROC_AUC = Metric("roc_auc", "Area under the ROC curve", BINARY, Needs.PROBA, True, roc_auc, "1", ("auc",))
