"""Live metrics from predictions with known outcomes, and whether they are worse than validation promised."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tabwright.types import Array, Floats, Task

CALIBRATION_BINS = 10
MIN_OUTCOMES = 50
_SIGMAS = 3.0


def live_metrics(task: Task, label: Array, score: Floats, outcome: Floats) -> dict[str, float]:
    """Metrics of predictions with outcomes.

    Parameters
    ----------
    task : Task
    label : int64, shape (n,)
        Position of the predicted class.
    score : float64, shape (n,)
        The value; P(second class); or the predicted class's probability.
    outcome : float64, shape (n,)
        The true value, or the true class's position.

    Returns
    -------
    dict
        Regression: rmse, mae, bias. Binary: log_loss, brier, accuracy, calibration_error, and where both classes
        occur roc_auc and average_precision, the latter of the second class as in training and of the rarer one.
        Multiclass: accuracy, calibration_error of the predicted class.
    """
    if task is Task.REGRESSION:
        error = score - outcome
        return {"rmse": float(np.sqrt((error**2).mean())), "mae": float(np.abs(error).mean()),
                "bias": float(error.mean())}  # fmt: skip
    right = label == outcome
    found = {"accuracy": float(right.mean())}
    if task is Task.MULTICLASS:
        return found | {"calibration_error": calibration_error(score, right)}
    truth = outcome == 1
    epsilon = np.finfo(np.float64).eps
    clipped = np.clip(score, epsilon, 1 - epsilon)
    found["log_loss"] = float(-np.log(np.where(truth, clipped, 1 - clipped)).mean())
    found["brier"] = float(((score - truth) ** 2).mean())
    found["calibration_error"] = calibration_error(score, truth)
    if 0 < truth.sum() < len(truth):
        found["roc_auc"] = roc_auc(score, truth)
        found["average_precision"] = average_precision(score, truth)
        rare = (score, truth) if truth.mean() <= 0.5 else (1 - score, ~truth)
        found["average_precision_rare_class"] = average_precision(*rare)
    return found


def roc_auc(score: Floats, truth: Array) -> float:
    """Area under the ROC curve: the Mann-Whitney statistic, ties counting half."""
    _, position, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[position]
    positives = int(truth.sum())
    return float((rank[truth].sum() - positives * (positives + 1) / 2) / (positives * (len(truth) - positives)))


def average_precision(score: Floats, truth: Array) -> float:
    """Mean precision over the recall steps, one step per distinct score."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(truth[order])
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    precision = hits[ends] / (ends + 1)
    return float((np.diff(hits[ends], prepend=0) * precision).sum() / hits[-1])


def calibration_table(score: Floats, happened: Array) -> list[tuple[float, float, int]]:
    """Mean score, share that happened, and rows of each tenth of the score's range that has rows."""
    bins = np.minimum((score * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return [
        (float(score[bins == k].mean()), float(np.asarray(happened)[bins == k].mean()), int((bins == k).sum()))
        for k in np.unique(bins)
    ]


def calibration_error(score: Floats, happened: Array) -> float:
    """Expected calibration error, from 0 to 1 (Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602)."""
    return sum(abs(p - share) * n for p, share, n in calibration_table(score, happened)) / len(score)


def standard_error(name: str, score: Floats, label: Array, outcome: Floats) -> float:
    """Standard error of a live metric; of the RMSE by that of the mean square (delta method).

    References
    ----------
    Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747 (for the area under the ROC curve).
    """
    n = len(score)
    if name == "rmse":
        square = (score - outcome) ** 2
        return float(square.std() / math.sqrt(n) / max(2 * math.sqrt(square.mean()), 1e-300))
    if name == "accuracy":
        share = float((label == outcome).mean())
        return math.sqrt(max(share * (1 - share), 1 / n) / n)
    truth = outcome == 1
    auc, ones = roc_auc(score, truth), int(truth.sum())
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (ones - 1) * (q1 - auc**2) + (n - ones - 1) * (q2 - auc**2)
    return math.sqrt(max(spread, 0.0) / (ones * (n - ones)))


_WATCHED = {Task.REGRESSION: "rmse", Task.BINARY: "roc_auc", Task.MULTICLASS: "accuracy"}


def watched(task: Task) -> str:
    """The metric whose decline raises an alarm."""
    return _WATCHED[task]


def worse_than(validation: Mapping[str, Any], task: Task, live: Mapping[str, float], rows: Sequence[Array]) -> bool:
    """Whether the live metric is worse than the validation one by three standard errors; ``rows``: label, score,
    outcome.
    """
    name = watched(task)
    promised = validation.get(name)
    label, score, outcome = rows
    if promised is None or name not in live or len(score) < MIN_OUTCOMES:
        return False
    difference = live[name] - promised if name == "rmse" else promised - live[name]
    return bool(difference > _SIGMAS * standard_error(name, score, label, outcome))
