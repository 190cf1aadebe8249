"""Curves of a model's predictions against the truth, as plain arrays for pages and charts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabwright.types import Array, Floats, Ints

POINTS = 200


@dataclass(frozen=True)
class Curve:
    """Points of a curve and the area under it (NaN where that means nothing)."""

    x: Floats
    y: Floats
    area: float = float("nan")


def roc(truth: Array, score: Floats, weight: Floats | None = None) -> Curve:
    """False against true positive rate; truth bool (n_rows,), score float (n_rows,), weight (n_rows,) or None."""
    from sklearn.metrics import roc_auc_score, roc_curve

    x, y, _ = roc_curve(truth, score, sample_weight=weight)
    return Curve(*_thin(x, y), float(roc_auc_score(truth, score, sample_weight=weight)))


def precision_recall(truth: Array, score: Floats, weight: Floats | None = None) -> Curve:
    """Recall against precision; the area is the average precision."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    precision, recall, _ = precision_recall_curve(truth, score, sample_weight=weight)
    area = float(average_precision_score(truth, score, sample_weight=weight))
    return Curve(*_thin(recall[::-1], precision[::-1]), area)


def calibration(truth: Array, score: Floats, weight: Floats | None = None, *, bins: int = 10) -> tuple[Curve, Ints]:
    """Mean predicted probability against the share of positives, in bins of equal counts; and rows per bin."""
    order = np.argsort(score, kind="stable")
    w = np.ones(len(order)) if weight is None else weight
    parts = [p for p in np.array_split(order, min(bins, len(order))) if len(p) and w[p].sum() > 0]
    x, y = (np.array([np.average(v[p], weights=w[p]) for p in parts]) for v in (score, truth))
    return Curve(x, y), np.array([len(p) for p in parts])


def confusion(y: Ints, said: Ints, n_classes: int) -> Ints:
    """Rows by true class and predicted class, int64 (n_classes, n_classes)."""
    return np.bincount(y * n_classes + said, minlength=n_classes**2).reshape(n_classes, n_classes)


def _thin(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    if len(x) <= POINTS:
        return x, y
    kept = np.unique(np.linspace(0, len(x) - 1, POINTS).round().astype(int))
    return x[kept], y[kept]
