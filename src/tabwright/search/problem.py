"""What is to be solved: target, metric, weights and folds, as the search sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabwright.coerce import own_unit
from tabwright.metrics import tuned_score
from tabwright.metrics.base import Metric
from tabwright.types import Array, Floats, Ints, Task


@dataclass(frozen=True)
class Problem:
    """One learning problem. ``y`` is standardised in regression, int64 class codes otherwise."""

    task: Task
    metric: Metric
    n_classes: int
    y: Array
    mean: float
    scale: float
    weight: Floats | None
    valid: tuple[Ints, ...]  # validation rows of each fold
    train: tuple[Ints, ...]
    group: Ints | None = None  # codes of groups of rows that are kept together
    in_time: bool = False  # whether each fold learns from what lies before its validation rows
    is_open: bool = False  # whether the search decides, once it has measured one, how many of the folds count

    @property
    def n_folds(self) -> int:
        return len(self.valid)

    @property
    def delivered(self) -> tuple[int, ...]:
        """Folds whose models make up what is delivered: all, or in an order of time the last.

        Those before it know less, and what has changed since least of all.
        """
        return (self.n_folds - 1,) if self.in_time else tuple(range(self.n_folds))

    def user_y(self, rows: Ints) -> Array:
        """Target of some rows in its own unit, or class codes."""
        y: Array = self.y[rows]
        return own_unit(y, self.mean, self.scale) if self.task is Task.REGRESSION else y

    def user_prediction(self, prediction: Floats) -> Floats:
        """Canonical predictions in the target's unit."""
        return self.mean + self.scale * prediction if self.task is Task.REGRESSION else prediction

    def evaluation_rows(self) -> Ints:
        """Rows with an out-of-fold prediction, fold after fold."""
        return np.concatenate(self.valid)

    def outcomes(self) -> tuple[Array, Floats | None]:
        """Target (in its own unit, or class codes) and weights of :meth:`evaluation_rows`."""
        rows = self.evaluation_rows()
        return self.user_y(rows), None if self.weight is None else self.weight[rows]

    def constant(self) -> tuple[float, ...]:
        """The trivial prediction in canonical form: weighted mean or quantile, P(second class), or class shares."""
        if self.task is Task.REGRESSION:
            level = self.metric.nearest if self.metric.quantile is None else self.metric.quantile
            middle = np.average(self.y, weights=self.weight) if level is None else (
                np.quantile(self.y, level, weights=self.weight, method="inverted_cdf"))  # fmt: skip
            return (self.mean + self.scale * float(middle),)
        shares = np.bincount(self.y, weights=self.weight, minlength=self.n_classes)
        shares = shares / shares.sum()
        return (float(shares[1]),) if self.n_classes == 2 else tuple(float(s) for s in shares)

    def trivial_loss(self) -> float:
        """Loss of the constant prediction on the evaluation rows."""
        y, weight = self.outcomes()
        value = tuned_score(self.metric, y, np.tile(np.array(self.constant()), (len(y), 1)), weight)
        return -value if self.metric.greater_is_better else value
