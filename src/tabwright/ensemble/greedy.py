"""Greedy ensemble selection over out-of-fold predictions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from tabwright.calibration import of_truth
from tabwright.metrics import as_needed
from tabwright.metrics.base import EPS, Metric
from tabwright.metrics.log_loss import LOG_LOSS
from tabwright.subsample import subsample
from tabwright.types import Array, Floats, Ints

FREELOADING = 0.05
# Ranks of few rows of a rare class are a noisy guide, and blind to how far apart predictions lie. Weights that are the
# mean of those chosen by the metric and by log loss, among models that gain some of what the best one gains in log
# loss, gained 0.003 of AUC on seven tables with 250 to 600 rows to choose by, and lost nothing with 2,400.
RANKING, SOUND = ("roc_auc", "average_precision"), 0.4
Fits = Callable[[Array], bool]
Loss = Callable[[Floats], float]
MAX_ROWS = 40_000  # more rows than this make the choice slower, not better


def select(
    predictions: Sequence[Floats], y: Array, metric: Metric, weight: Floats | None = None, *,
    max_rounds: int = 40, patience: int = 6, seconds: float = 5.0, fits: Fits | None = None,
) -> Floats:  # fmt: skip
    """Weights of the members of an ensemble.

    Starts from the best single model and adds, with replacement, whichever model lowers the loss of the mean
    most; the best round is kept. For metrics of ranks the weights are the mean of these and of those for log loss,
    unless a single model is better, and models whose log loss is far from the best's are left out.

    Parameters
    ----------
    predictions : sequence of float64, shape (n_rows, n_outputs)
        Out-of-fold predictions in canonical form, in the target's unit.
    y : shape (n_rows,)
        Target values in their unit, or class codes.
    metric : Metric
    weight : float64, shape (n_rows,), optional
    max_rounds, patience : int
        Rounds at most, and without improvement.
    seconds : float
        Time after which no further round is begun.
    fits : callable, optional
        Whether an ensemble of these members (bool, shape (n_models,)) may be chosen; all may by default.

    Returns
    -------
    float64, shape (n_models,)
        >= 0, summing to 1; all 0 if no member fits alone.

    References
    ----------
    Caruana et al. 2004, doi:10.1145/1015330.1015432.
    """
    if len(y) > MAX_ROWS:
        rows, weight = subsample(y, MAX_ROWS, weight)
        predictions, y = [p[rows] for p in predictions], y[rows]

    def loss(prediction: Floats) -> float:
        value = metric.loss(y, as_needed(metric, prediction), weight)
        return value if np.isfinite(value) else float("inf")

    def log_loss(own: Floats) -> float:
        return float(np.average(-np.log(np.clip(own, EPS, 1.0)), weights=weight))

    if metric.name == LOG_LOSS.name:  # a mean's probability of the true class is the mean of theirs
        own = [of_truth(p, y) for p in predictions]
        weights, best, alone = _climb(own, log_loss, max_rounds, patience, seconds, fits)
        return _without_freeloaders(weights, own, log_loss, best, alone)
    if metric.name not in RANKING or fits is not None:
        weights, best, alone = _climb(predictions, loss, max_rounds, patience, seconds, fits)
        return _without_freeloaders(weights, predictions, loss, best, alone)
    own = [of_truth(p, y) for p in predictions]
    share = float(np.average(y, weights=weight))
    trivial = log_loss(np.where(y == 1, share, 1.0 - share))
    sound: Ints = np.flatnonzero(_sound([log_loss(p) for p in own], trivial))
    predictions_of = [predictions[k] for k in sound]
    weights, best, alone = _climb(predictions_of, loss, max_rounds, patience, seconds, None)
    if not weights.any():
        return np.zeros(len(predictions))
    steady = (weights + _climb([own[k] for k in sound], log_loss, max_rounds, patience, seconds, None)[0]) / 2
    value = loss(np.sum([w * p for w, p in zip(steady, predictions_of, strict=True) if w > 0], axis=0))
    if value <= alone:
        weights, best = steady, value
    out = np.zeros(len(predictions))
    out[sound] = _without_freeloaders(weights, predictions_of, loss, best, alone)
    return out


def _sound(losses: Sequence[float], trivial: float) -> Array:
    """Which predictions with these log losses are fairly calibrated, beside the best of them and the constant."""
    gains = trivial - np.array(losses)
    return np.asarray((gains >= SOUND * gains.max()) | (gains.max() <= 0))


def _climb(
    predictions: Sequence[Floats], loss: Loss, max_rounds: int, patience: int, seconds: float, fits: Fits | None
) -> tuple[Floats, float, float]:
    """Weights by one loss, theirs, and the best single model's; weights of 0 if no member fits alone."""
    started = time.monotonic()

    def allowed(members: Array, more: int) -> bool:
        return fits is None or bool(members[more]) or fits(members | (np.arange(len(members)) == more))

    counts = np.zeros(len(predictions))
    single = [loss(p) if allowed(counts > 0, i) else float("inf") for i, p in enumerate(predictions)]
    if not np.isfinite(single).any():
        return counts, float("inf"), float("inf")
    first = int(np.argmin(single))
    counts[first] = 1
    total = predictions[first].copy()
    best_counts, best = counts.copy(), single[first]
    # a model much worse than the best seldom helps, and every model tried costs a pass over the rows
    order = np.argsort(single)[:25]
    waited = 0
    for size in range(2, max_rounds + 2):
        trial = [loss((total + predictions[i]) / size) if allowed(counts > 0, i) else float("inf") for i in order]
        pick = int(order[int(np.argmin(trial))])
        counts[pick] += 1
        total += predictions[pick]
        if min(trial) < best - 1e-12 * max(1.0, abs(best)):
            best, best_counts, waited = min(trial), counts.copy(), 0
        else:
            waited += 1
        if waited >= patience or len(order) == 1 or time.monotonic() - started > seconds:
            break
    return best_counts / best_counts.sum(), best, single[first]


def _without_freeloaders(
    weights: Floats, predictions: Sequence[Floats], loss: Loss, best: float, alone: float
) -> Floats:
    """The weights without members that contribute next to nothing, lightest first: each costs time in production.

    All that are dropped together give up at most ``FREELOADING`` of what the ensemble gains over its best member.
    """
    allowed = best + FREELOADING * (alone - best)
    for k in np.argsort(weights):
        if 0 < weights[k] < 0.5:
            fewer = weights.copy()
            fewer[k] = 0.0
            fewer /= fewer.sum()
            blend = np.sum([w * p for w, p in zip(fewer, predictions, strict=True) if w > 0], axis=0)
            if loss(blend) <= allowed:
                weights = fewer
    return weights
