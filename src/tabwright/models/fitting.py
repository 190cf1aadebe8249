"""What the families' ``fit`` functions share: usable rows, rounds, stopping, and lazily rebuilt library objects."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields
from typing import Any

import numpy as np

from tabwright.errors import FitError, OutOfTimeError
from tabwright.models.base import FitContext, Sample
from tabwright.onnx.forest import Forest, combine
from tabwright.space import Space
from tabwright.types import Floats, Params, Task

ROUNDS = "n_estimators"
"""Parameter of every iterative family: the most rounds (trees per output, or epochs) to train.

It need not be given with a validation sample, where training stops by itself; a refit without one passes the
``n_iterations`` that the folds' models found.
"""
MAX_ROUNDS = 4000
ASK_SHARE = 0.2  # of the time for a fit, after which what scoring takes is measured
FREE_SHARE = 0.1  # of the time for a fit, that is left for scoring after it anyway
ROUNDS_WITHOUT_VALID = 300


class Rebuilt:
    """Base of fitted things that rebuild a library's object on first use and keep it out of their pickles."""

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: self.__dict__[f.name] for f in fields(self)}  # type: ignore[arg-type]


def with_defaults(space: Space, params: Params) -> Params:
    """The parameters of ``space``, at their defaults where ``params`` does not say; other entries are left out."""
    return {name: params.get(name, dimension.default) for name, dimension in space.items()}


def blas_threads(n_threads: int) -> AbstractContextManager[Any]:
    """A context in which matrix products use at most ``n_threads`` threads."""
    import threadpoolctl  # type: ignore[import-untyped]

    limits: AbstractContextManager[Any] = threadpoolctl.threadpool_limits(limits=n_threads)
    return limits


def usable(sample: Sample, context: FitContext) -> Sample:
    """The rows of positive weight, or ``FitError`` if there are none or the deadline has passed."""
    if context.seconds_left() <= 0:
        raise OutOfTimeError("no time is left before fitting starts")
    if sample.weight is not None and not (sample.weight > 0).all():
        keep = sample.weight > 0
        sample = Sample(np.ascontiguousarray(sample.X[keep]), sample.y[keep], sample.weight[keep])
    if len(sample.y) == 0:
        raise FitError("no training row has a positive weight")
    return sample


def usable_valid(valid: Sample | None) -> Sample | None:
    """The validation sample, or None if it has no row of positive weight."""
    if valid is None or len(valid.y) == 0 or (valid.weight is not None and not (valid.weight > 0).any()):
        return None
    return valid


def max_rounds(params: Params, valid: Sample | None, *, alone: int = ROUNDS_WITHOUT_VALID) -> int:
    """How many rounds to train at most; ``alone`` stands for a parameter left out without a validation sample."""
    return int(params.get(ROUNDS, MAX_ROUNDS if valid is not None else alone))


def patience(learning_rate: float) -> int:
    """Rounds without progress after which boosting stops: the slower it learns, the more."""
    return int(np.clip(3.0 / learning_rate, 20, 150))


def class_rate(learning_rate: float, n_outputs: int) -> float:
    """The learning rate that boosting takes: higher the more classes there are, up to three times and to 0.3.

    A round costs one tree per class, and many classes need as many rounds again to part them: measured on 26
    classes, a third of the time for a loss 5 % higher.
    """
    if n_outputs < 3:
        return learning_rate
    return min(0.3, learning_rate * min(3.0, 1.0 + math.log2(n_outputs / 2) / 2))


class Stopper:
    """Says after each round whether to stop, and which round was best.

    Patience is counted from the last gain of at least 0.01 % of the score, so that a long tail of gains without
    meaning does not eat the time; the best round is the best nevertheless. Training also stops when another
    round as long as the longest of the last ones would end after the deadline.

    ``scoring`` gives the seconds that writing the model as it is and predicting the validation rows would take. It is
    asked once, when a part of the time is over; what that will be of the final model is kept free.
    """

    def __init__(
        self, context: FitContext, rounds_of_patience: int, scoring: Callable[[], float] | None = None
    ) -> None:
        self._context, self._patience, self._scoring = context, rounds_of_patience, scoring
        self._last = time.monotonic()
        self._ask_at = self._last + ASK_SHARE * context.seconds_left()
        self._free = FREE_SHARE * context.seconds_left()
        self._scoring_per_round = 0.0
        self._longest = 0.0
        self._mark, self._mark_round = math.inf, 0
        self._best = math.inf
        self.rounds = self.best_round = 0

    def stop(self, score: float | None) -> bool:
        """Count one round with validation ``score`` (lower is better), None without a validation sample."""
        now = time.monotonic()
        took = now - self._last
        # the first round's time holds the library's preparation of the data too
        self._longest = took / 3 if self.rounds == 0 else max(took, 0.9 * self._longest)
        self._last = now
        self.rounds += 1
        if self._scoring is not None and now >= self._ask_at:
            self._scoring_per_round, self._scoring = self._scoring() / self.rounds, None
            self._last = time.monotonic()
        after = max(0.0, self._scoring_per_round * self.rounds - self._free)
        out_of_time = self._context.seconds_left() <= self._longest + after
        if score is None:
            self.best_round = self.rounds
            return out_of_time
        if not math.isfinite(score):
            return True
        if score < self._best:
            self._best, self.best_round = score, self.rounds
        if score < self._mark - 1e-4 * abs(self._mark) or self._mark == math.inf:
            self._mark, self._mark_round = score, self.rounds
        return out_of_time or self.rounds - self._mark_round >= self._patience


def forest_of(trees: Sequence[Forest], n_outputs: int, base: Floats) -> Forest:
    """One forest of single trees, which may be none."""
    if not trees:
        none = np.empty(0, np.int64)
        return Forest(n_outputs, base, none, none, np.empty(0), none, none, np.empty(0, bool), none, np.empty(0))
    merged = combine(trees, [1.0] * len(trees))
    return Forest(
        n_outputs, base, merged.roots, merged.feature, merged.threshold, merged.left, merged.right,
        merged.missing_left, merged.leaf_output, merged.leaf_value, merged.members,
    )


def prior(y: Any, n_classes: int, weight: Floats | None) -> Floats:
    """Weighted share of each class with one row more per class, shape (n_classes,): never 0."""
    counts = np.bincount(y, weights=weight, minlength=n_classes) + 1.0
    return np.asarray(counts / counts.sum())


def pinball_loss(raw: Floats, y: Any, weight: Floats | None, quantile: float) -> float:
    """Mean pinball loss of raw scores (n_rows, 1)."""
    error = y - raw[:, 0].astype(np.float64, copy=False)
    return float(np.average(np.maximum(quantile * error, (quantile - 1.0) * error), weights=weight))


def log_loss(raw: Floats, y: Any, weight: Floats | None, task: Task) -> float:
    """Mean loss of raw scores (logits; values in regression, whose loss is the mean squared error)."""
    raw = raw.astype(np.float64, copy=False)
    if task is Task.REGRESSION:
        losses = (raw[:, 0] - y) ** 2
    elif task is Task.BINARY:
        losses = np.logaddexp(0.0, np.where(y == 1, -raw[:, 0], raw[:, 0]))
    else:
        top = raw.max(axis=1)
        losses = top + np.log(np.exp(raw - top[:, None]).sum(axis=1)) - raw[np.arange(len(y)), y]
    return float(np.average(losses, weights=weight))
