"""Networks: training in as many epochs as fit before the deadline, again alike from a record; scoring in blocks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from tabwright.models.base import FitContext, Sample
from tabwright.types import Floats

SCHEDULE = "schedule"  # parameter: an earlier training's schedule, to repeat it
COOLING_EPOCHS = 10  # that a training may still take which was sent on from its best point
SCORE_ROWS = 4096
Schedule = tuple[tuple[float, float], ...]  # per epoch: the share of the course behind it, and its own


class Best(NamedTuple):
    """What the best epoch left."""

    snapshot: Any
    done: float = 0.0  # the share of the course behind it
    epoch: int = 0  # its number; 0 stands for the start
    loss: float = math.inf
    stale: int = 0  # epochs since, or since training went back to it


class Learner(Protocol):
    """A network in training. Its course, say of the learning rate, runs from 0 to 1."""

    @property
    def steps_per_epoch(self) -> int: ...

    def epoch(self, done: float, per_step: float, deadline: float) -> bool:
        """One pass; ``done`` is the share of the course behind it, ``per_step`` the share of one step.

        Returns whether it reached the end of the pass before ``deadline``.
        """

    def loss(self, valid: Sample) -> float: ...

    def is_finite(self) -> bool: ...

    def snapshot(self) -> Any: ...

    def onward(self, done: float, best: Best) -> float:
        """Where on its course training goes on: ``done``, 1 to end it, or a share beyond, once back at the best."""


def run_epochs(
    learner: Learner, valid: Sample | None, epochs: int, context: FitContext, given: Schedule | None
) -> tuple[Any, int, Schedule]:
    """The snapshot of the best epoch, its number (0 if there was none), and the schedule.

    The course is spread over the epochs that fit in; a ``given`` schedule repeats an earlier training whatever the
    clock says.
    """
    best, done = Best(learner.snapshot()), 0.0
    longest, epoch, planned = 0.0, 0, epochs
    schedule: list[tuple[float, float]] = []
    while done < 1.0 - 1e-9:
        start = time.monotonic()
        per_epoch = (1.0 - done) / max(1, planned - epoch)
        if given is not None:
            if epoch >= len(given):
                break
            done, per_epoch = given[epoch]
        schedule.append((done, per_epoch))
        # a pass that the deadline cuts counts too, so that slow first passes yield something
        whole = learner.epoch(done, per_epoch / learner.steps_per_epoch, context.deadline - longest * 0.1)
        epoch, done = epoch + 1, done + per_epoch
        loss = 0.0 if valid is None else learner.loss(valid)
        longest = max(longest, time.monotonic() - start)
        if math.isnan(loss) or not learner.is_finite():
            break
        if loss < best.loss or valid is None:
            best = Best(learner.snapshot(), done, epoch, loss)
        else:
            best = best._replace(stale=best.stale + 1)
        if given is None:
            fitting = int(0.95 * context.seconds_left() / longest) if math.isfinite(context.deadline) else epochs
            planned = min(planned, epoch + max(fitting, 0))
        onward = learner.onward(done, best)
        if not whole or (given is None and planned <= epoch) or onward >= 1.0:
            break
        if onward > done:
            best = best._replace(stale=0)
            done, planned = onward, min(planned, epoch + COOLING_EPOCHS)
    return best.snapshot, best.epoch, tuple(schedule)


def within(X: Floats, bound: np.float32) -> Floats:
    """``X`` clipped to plus and minus the bound; itself where it lies within, since it may be large."""
    inside = X.size > 0 and X.min() >= -bound and X.max() <= bound
    return X if inside else np.clip(X, -bound, bound)


def in_blocks(score: Callable[[Floats], Floats], X: Floats, n_outputs: int) -> Floats:
    """Scores of all rows, float64 (n_rows, n_outputs), of few at a time: what lies between stays in the cache."""
    parts = [score(X[i : i + SCORE_ROWS]).astype(np.float64) for i in range(0, len(X), SCORE_ROWS)]
    return np.concatenate(parts) if parts else np.empty((0, n_outputs))
