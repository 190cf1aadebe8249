"""What choosing the leader on the rows that it is judged by has flattered its score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tabwright.ensemble.greedy import select
from tabwright.metrics import as_needed, best_threshold, score
from tabwright.metrics.base import Metric
from tabwright.subsample import subsample
from tabwright.types import Array, Floats

ROUNDS = 20
MAX_COMPARED = 40_000  # rows on which two ensembles are compared
MAX_ROWS, MAX_MODELS = 4000, 8


def selection_bias(
    predictions: Sequence[Floats], weights: Floats, y: Array, metric: Metric, climbed: Metric,
    weight: Floats | None = None, seed: int = 0,
) -> float:  # fmt: skip
    """How much better the chosen ensemble scores than one chosen on other rows would, in the metric's unit.

    Ensembles are chosen anew on bootstrap samples and compared with the leader on the rows left out. A bias of this
    sort falls with the number of rows, so what a sample of a large table shows is scaled by its share of the rows.

    Parameters
    ----------
    predictions : sequence of float64, shape (n_rows, n_outputs)
        Out-of-fold predictions of all candidates, best first, in the target's unit.
    weights : float64, shape (n_models,)
        The leader's.
    y : shape (n_rows,)
    metric, climbed : Metric
        What is shown, and what ensembles are chosen by.
    weight : float64, shape (n_rows,), optional
    seed : int

    Returns
    -------
    float
        To be taken off a score that is to be greater, and added to a loss; never negative.

    References
    ----------
    Tsamardinos, Greasidou and Borboudakis 2018, doi:10.1007/s10994-018-5714-4.
    """
    rng = np.random.default_rng(seed)
    n = len(y)
    size = min(n, MAX_ROWS)
    leader = np.sum([w * p for w, p in zip(weights, predictions, strict=True) if w > 0], axis=0)
    threshold = best_threshold(metric, y, leader, weight)
    rivals = list(predictions[:MAX_MODELS])
    sign = 1.0 if metric.greater_is_better else -1.0
    biases = []
    for _ in range(ROUNDS):
        sample = rng.choice(n, size, replace=False) if size < n else np.arange(n)
        inside = sample[rng.integers(0, size, size)]
        outside = np.setdiff1d(sample, inside)
        weight_in = None if weight is None else weight[inside]
        weight_out = None if weight is None else weight[outside]
        chosen = select([p[inside] for p in rivals], y[inside], climbed, weight_in, max_rounds=15, patience=3)
        blend = np.sum([w * p for w, p in zip(chosen, rivals, strict=True) if w > 0], axis=0)
        own_threshold = best_threshold(metric, y[inside], blend[inside], weight_in)
        shown = score(metric, y[outside], leader[outside], weight_out, threshold)
        other = score(metric, y[outside], blend[outside], weight_out, own_threshold)
        biases.append(sign * (shown - other))
    bias = float(np.nanmean(biases)) * size / n if np.isfinite(biases).any() else 0.0
    return max(0.0, bias)


def clearly_better(
    metric: Metric, y: Array, new: Floats, old: Floats, weight: Floats | None = None, seed: int = 0
) -> bool:
    """Whether predictions score better than others on nine in ten bootstrap samples of the rows.

    Parameters
    ----------
    metric : Metric
    y : shape (n_rows,)
    new, old : float64, shape (n_rows, n_outputs)
        Out-of-fold predictions in the target's unit.
    weight : float64, shape (n_rows,), optional
    seed : int
    """
    rng = np.random.default_rng(seed)
    wins = 0
    looked_at, weight = subsample(y, MAX_COMPARED, weight, seed)
    for _ in range(ROUNDS):
        drawn = rng.integers(0, len(looked_at), len(looked_at))
        rows, own = looked_at[drawn], None if weight is None else weight[drawn]
        losses = [metric.loss(y[rows], as_needed(metric, p[rows]), own) for p in (new, old)]
        wins += losses[0] < losses[1]
    return wins >= 0.9 * ROUNDS
