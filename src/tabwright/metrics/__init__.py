"""One file per metric, one line here."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from tabwright import plugins
from tabwright.errors import OptionError
from tabwright.metrics.accuracy import ACCURACY
from tabwright.metrics.average_precision import AVERAGE_PRECISION
from tabwright.metrics.balanced_accuracy import BALANCED_ACCURACY
from tabwright.metrics.base import Metric, Needs, Score
from tabwright.metrics.brier import BRIER
from tabwright.metrics.f1 import F1, MACRO_F1
from tabwright.metrics.log_loss import LOG_LOSS
from tabwright.metrics.mae import MAE
from tabwright.metrics.pinball import PREFIX, names_quantile, pinball_metric
from tabwright.metrics.r2 import R2
from tabwright.metrics.rmse import RMSE
from tabwright.metrics.rmsle import RMSLE
from tabwright.metrics.roc_auc import ROC_AUC
from tabwright.subsample import subsample
from tabwright.types import Array, Floats, Task

METRICS: tuple[Metric, ...] = (
    RMSE, MAE, R2, RMSLE, ROC_AUC, LOG_LOSS, AVERAGE_PRECISION, ACCURACY, BALANCED_ACCURACY, F1, MACRO_F1, BRIER,
)  # fmt: skip
THRESHOLD_ROWS = 100_000  # more make the choice of a threshold slower, not better
DEFAULTS = {Task.REGRESSION: RMSE, Task.BINARY: ROC_AUC, Task.MULTICLASS: LOG_LOSS}


def find_metric(name: str, task: Task) -> Metric:
    """The metric called ``name`` (any case, aliases too), ``"pinball:Q"`` for a quantile Q; ``"auto"`` is the default.

    Raises
    ------
    OptionError
        If there is none of that name, or it does not fit the task.
    """
    wanted = name.lower()
    if wanted == "auto":
        return DEFAULTS[task]
    found = pinball_metric(wanted) if names_quantile(wanted) else _users_metric(name)
    if found is not None:
        if task in found.tasks:
            return found
        raise OptionError("sort_metric", f"is {name!r}, which does not score {task} tasks", "take another")
    fitting = [m.name for m in METRICS if task in m.tasks]
    if task is Task.REGRESSION:
        fitting.append(f"{PREFIX}Q")
    called = [m for m in METRICS if wanted == m.name or wanted in m.aliases]
    for metric in called:
        if task in metric.tasks:
            return metric
    if called:
        raise OptionError("sort_metric", f"is {name!r}, which does not score {task} tasks",
                          f"take one of {', '.join(fitting)}")
    raise OptionError("sort_metric", f"is {name!r}, which is no known metric", f"take one of {', '.join(fitting)}")


def _users_metric(name: str) -> Metric | None:
    """A metric from outside this package: at ``package.module:NAME``, or of an installed package."""
    built_in = any(name.lower() in (m.name, *m.aliases) for m in METRICS)
    found = plugins.imported(name, "sort_metric") if plugins.is_reference(name) else (
        None if built_in else plugins.installed(plugins.METRICS, name))  # fmt: skip
    if found is None:
        return None
    if not isinstance(found, Metric):
        raise OptionError("sort_metric", f"{name!r} is no tabwright.metrics.base.Metric", "name one that is")
    return replace(found, name=name, score=partial(_told_of, name, found.score))


def _told_of(name: str, score: Score, y: Array, prediction: Floats, weight: Floats | None) -> float:
    """What a user's function gives; its faults end in a sentence that names it."""
    try:
        return float(score(y, prediction, weight))
    except Exception as error:
        problem = f"is {name!r}, which fails with {type(error).__name__}: {error}"
        fix = "mend its score: it takes y, prediction and weight, and returns one number"
        raise OptionError("sort_metric", problem, fix) from error


def score(metric: Metric, y: Array, prediction: Floats, weight: Floats | None = None, threshold: float = 0.5) -> float:
    """Score predictions in the canonical form of ``models.base.apply_link``.

    ``prediction`` is (n_rows, 1) values or P(second class), or (n_rows, n_classes) probabilities.
    """
    return metric.score(y, as_needed(metric, prediction, threshold), weight)


def best_threshold(metric: Metric, y: Array, prediction: Floats, weight: Floats | None = None) -> float:
    """P(second class) from which the label is the second class, such that a metric of labels is best; else 0.5.

    One of some quantiles of the predictions, and 0.5 unless another is better.
    """
    if metric.needs is not Needs.LABELS or prediction.shape[1] != 1:
        return 0.5
    if len(y) > THRESHOLD_ROWS:
        rows, weight = subsample(y, THRESHOLD_ROWS, weight)
        y, prediction = y[rows], prediction[rows]
    rare = np.geomspace(min(0.004, 1.0 / len(y)), 0.004, 20)  # of a rare class only a few rows are to be named
    shares = np.concatenate([rare, np.linspace(0.005, 0.995, 99), 1.0 - rare])
    # of six digits: a threshold that is itself a prediction would divide back ends that differ in the last bit
    tried = [0.5, *(float(f"{t:.6g}") for t in np.unique(np.quantile(prediction, shares)))]
    losses = [metric.loss(y, as_needed(metric, prediction, t), weight) for t in tried]
    return float(tried[int(np.argmin(losses))])


def tuned_score(metric: Metric, y: Array, prediction: Floats, weight: Floats | None = None) -> float:
    """:func:`score` at :func:`best_threshold`: what a model can reach, whatever the shares of the classes."""
    return score(metric, y, prediction, weight, best_threshold(metric, y, prediction, weight))


def as_needed(metric: Metric, prediction: Floats, threshold: float = 0.5) -> Floats:
    """The canonical prediction in the form that ``metric`` reads."""
    if metric.needs is Needs.VALUES:
        return prediction[:, 0]
    proba = full_proba(prediction)
    if metric.needs is Needs.PROBA:
        return proba
    return (proba[:, 1] >= threshold).astype(np.int64) if proba.shape[1] == 2 else proba.argmax(axis=1)


def full_proba(prediction: Floats) -> Floats:
    """(n_rows, n_classes) from (n_rows, 1) P(second class); others as they are."""
    if prediction.shape[1] == 1:
        return np.concatenate([1.0 - prediction, prediction], axis=1)
    return prediction


def evaluate(
    task: Task, y: Array, prediction: Floats, threshold: float = 0.5, *, weight: Floats | None = None,
    also: Metric | None = None,
) -> dict[str, float]:  # fmt: skip
    """Every metric of the task, by name, and ``also`` one that may be none of ours."""
    metrics = {m.name: m for m in METRICS if task in m.tasks} | ({also.name: also} if also is not None else {})
    return {name: score(m, y, prediction, weight, threshold) for name, m in metrics.items()}
