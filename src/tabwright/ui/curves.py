"""The points of the curves on a model's page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tabwright.metrics import full_proba
from tabwright.types import Array, Floats
from tabwright.ui.runs import Outcomes

POINTS = 200
SCATTER = 1500
Curve = list[tuple[float, float]]


def roc(found: Outcomes, positive: int = 1) -> Curve:
    """(false positive rate, true positive rate), ascending."""
    from sklearn.metrics import roc_curve

    fpr, tpr, _ = roc_curve(found.y == positive, _p(found, positive), sample_weight=found.weight)
    return _thin(fpr, tpr)


def precision_recall(found: Outcomes, positive: int = 1) -> Curve:
    """(recall, precision), ascending in recall."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(found.y == positive, _p(found, positive), sample_weight=found.weight)
    return _thin(recall[::-1], precision[::-1])


@dataclass(frozen=True)
class Gains:
    """Rows from the most to the least probable.

    Parameters
    ----------
    gains : list of (share of rows, share of the class found)
    lift : list of (share of rows, how many times more of the class than in as many rows at random)
    """

    gains: Curve
    lift: Curve


def gains(found: Outcomes, positive: int = 1) -> Gains:
    """Cumulative gains and lift."""
    order = np.argsort(-_p(found, positive), kind="stable")
    hits = (found.y == positive)[order].astype(np.float64)
    weight = np.ones(len(hits)) if found.weight is None else found.weight[order]
    rows = np.cumsum(weight) / weight.sum()
    share = np.cumsum(hits * weight) / max(float((hits * weight).sum()), 1e-12)
    start = np.searchsorted(rows, 0.005)  # the lift of the first few rows is noise
    return Gains([(0.0, 0.0), *_thin(rows, share)], _thin(rows[start:], (share / rows)[start:]))


def calibration(found: Outcomes, positive: int = 1, bins: int = 10) -> list[tuple[float, float, int]]:
    """(mean predicted probability, observed share, rows) of bins of equal counts."""
    p, hit = _p(found, positive), found.y == positive
    weight = np.ones(len(p)) if found.weight is None else found.weight
    parts = np.array_split(np.argsort(p, kind="stable"), min(bins, len(p)))
    return [
        (float(np.average(p[part], weights=w)), float(np.average(hit[part], weights=w)), len(part))
        for part in parts if len(part) and (w := weight[part]).sum() > 0
    ]  # fmt: skip


def confusion(found: Outcomes, threshold: float = 0.5) -> Array:
    """Rows by (true class, predicted class), int64 (n_classes, n_classes)."""
    proba = full_proba(found.prediction)
    predicted = (proba[:, 1] >= threshold).astype(np.int64) if proba.shape[1] == 2 else proba.argmax(axis=1)
    k = proba.shape[1]
    return np.bincount(found.y * k + predicted, minlength=k * k).reshape(k, k)


def at_threshold(found: Outcomes, threshold: float) -> dict[str, float]:
    """Figures of two classes at a threshold of P(second class)."""
    (tn, fp), (fn, tp) = confusion(found, threshold).astype(float).tolist()
    precision, recall = _ratio(tp, tp + fp), _ratio(tp, tp + fn)
    specificity = _ratio(tn, tn + fp)
    correlation = _ratio(tp * tn - fp * fn, ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5)
    return {
        "accuracy": _ratio(tp + tn, tp + tn + fp + fn), "balanced accuracy": (recall + specificity) / 2,
        "precision": precision, "recall": recall, "specificity": specificity,
        "F1": _ratio(2 * tp, 2 * tp + fp + fn), "MCC": correlation,
    }  # fmt: skip


def predicted_against_true(found: Outcomes) -> Curve:
    """(true, predicted) of a sample of rows."""
    rows = _sample(len(found.y))
    return [(float(t), float(p)) for t, p in zip(found.y[rows], found.prediction[rows, 0], strict=True)]


def residuals(found: Outcomes) -> Curve:
    """(predicted, true minus predicted) of a sample of rows."""
    return [(p, t - p) for t, p in predicted_against_true(found)]


def residual_histogram(found: Outcomes, bins: int = 30) -> tuple[list[float], list[int]]:
    """Middles of bins of true minus predicted (the outer 1 % in the outer bins), and rows in each."""
    errors = found.y - found.prediction[:, 0]
    low, high = np.quantile(errors, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)
    counts = np.histogram(np.clip(errors, edges[0], edges[-1]), edges)[0]
    return ((edges[:-1] + edges[1:]) / 2).tolist(), counts.tolist()


def metrics(found: Outcomes, threshold: float = 0.5) -> dict[str, float]:
    """Every metric of the task."""
    from tabwright.metrics import evaluate

    return evaluate(found.task, found.y, found.prediction, threshold, weight=found.weight)


def _p(found: Outcomes, positive: int) -> Floats:
    return full_proba(found.prediction)[:, positive]


def _ratio(a: float, b: float) -> float:
    return a / b if b else 0.0


def _sample(n: int) -> Any:
    return np.arange(n) if n <= SCATTER else np.sort(np.random.default_rng(0).choice(n, SCATTER, replace=False))


def _thin(x: Floats, y: Floats) -> Curve:
    keep = np.arange(len(x)) if len(x) <= POINTS else np.unique(np.linspace(0, len(x) - 1, POINTS).astype(int))
    return [(round(float(a), 5), round(float(b), 5)) for a, b in zip(x[keep], y[keep], strict=True)]
