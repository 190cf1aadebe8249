"""Candidates that the end of the run has caught with some of their folds: whether they may count by these."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tabwright.ensemble.greedy import select
from tabwright.metrics import as_needed
from tabwright.search.state import Entry, State
from tabwright.types import Floats

# What averaging one model a fold takes off the loss, as a share of it, is this times (1 - 1 / folds): what a smaller
# number of folds loses must be made up for.
AVERAGING = 0.02
MOST_CELLS = 3_000_000  # of all predictions, beyond which trying takes too long at the end of a run

Weights = tuple[tuple[str, float], ...]


def fewer_folds(state: State, late: Sequence[Entry], seconds: float) -> tuple[int, Weights]:
    """How many folds should count so that late candidates better the leader, and who leads then.

    Parameters
    ----------
    state : State
        With a leader of candidates that have all folds.
    late : sequence of Entry
        Candidates that lack some.
    seconds : float
        For each choice of an ensemble.

    Returns
    -------
    n_folds : int
        All that there are where fewer would not be better.
    weights : tuple of (str, float)
        Of the ensemble that is best by so many.
    """
    problem, n_folds = state.problem, state.problem.n_folds
    done = [e for e in state.finished() if e.prediction is not None and not e.discarded and not e.candidate.bases]
    if any(state.entries[m].candidate.bases for m, _ in state.leader.weights):
        return n_folds, state.leader.weights  # stackers have learned from what all folds predict
    width = 1 if state.leader.prediction is None else state.leader.prediction.shape[1]
    best, weights, worth = n_folds, state.leader.weights, 0.0
    tried: set[str] = set()
    for m in range(n_folds - 1, n_folds // 2, -1):
        able = [e for e in late if all(k in e.scores for k in range(m))]
        names = {e.candidate.model_id for e in able}
        rows = sum(map(len, problem.valid[:m]))
        if names <= tried or (len(done) + len(able)) * rows * width > MOST_CELLS:
            continue  # with fewer folds only what more candidates have can be better
        tried |= names
        found, gained, scale = _gained(state, done, able, m, rows, seconds)
        lost = AVERAGING * (1.0 / m - 1.0 / n_folds) * scale
        if gained - lost > worth:
            best, weights, worth = m, found, gained - lost
    return best, weights


def _gained(
    state: State, done: Sequence[Entry], able: Sequence[Entry], m: int, rows: int, seconds: float
) -> tuple[Weights, float, float]:
    """The best ensemble by the first ``m`` folds, what late candidates add to it, and what a hurdle is measured by."""
    metric, y, weight = state.climbed, state.y[:rows], None if state.weight is None else state.weight[:rows]
    predictions = [e.prediction[:rows] for e in done if e.prediction is not None]
    predictions += [state.of_folds(e, range(m)) for e in able]
    ids = [e.candidate.model_id for e in (*done, *able)]

    def loss(prediction: Floats) -> float:
        return metric.loss(y, as_needed(metric, prediction), weight)

    def best(among: Sequence[Floats]) -> tuple[Floats, float]:
        shares = select(among, y, metric, weight, seconds=seconds)
        return shares, loss(np.sum([w * p for w, p in zip(shares, among, strict=True) if w > 0], axis=0))

    shares, after = best(predictions)
    # chosen by fewer rows, an ensemble of the others looks better on them, too
    before = min(loss(state.mean(state.leader.weights)[:rows]), best(predictions[: len(done)])[1])
    gain = loss(np.tile(np.array(state.problem.constant()), (rows, 1))) - before
    perfect = -1.0 if metric.greater_is_better else 0.0
    scale = min(before - perfect, gain) if before > perfect else gain
    found = tuple((name, float(w)) for name, w in zip(ids, shares, strict=True) if w > 0)
    helps = any(w > 0 for w in shares[len(done) :])
    return found, before - after if helps else 0.0, scale
