"""What averaging the models of several folds gains, which out-of-fold predictions can't show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tabwright.metrics import tuned_score
from tabwright.metrics.base import Metric
from tabwright.models.base import Link, apply_link
from tabwright.objectives.design import ALL_ROWS, Design, Share
from tabwright.types import Array, Floats, Task

DRAWS = 12


class Averaging:
    """Compares designs on unlabelled rows.

    Out of fold, each row is predicted by one fold's model, so a mean of them is never judged. For squared and log
    loss the gain of a mean over its members needs no labels: it is the members' spread about it (the ambiguity
    decomposition), which is the loss that members have where labels follow the mean. So labels are drawn that do, and
    members and mean are scored by them, whatever the metric.

    Parameters
    ----------
    task : Task
    metric : Metric
    user : callable
        Canonical predictions to the target's unit.
    residuals : float64, shape (n,), optional
        Of the leader out of fold, in regression: labels are drawn with them.
    seed : int

    References
    ----------
    Krogh and Vedelsby 1995, "Neural network ensembles, cross validation, and active learning", NeurIPS 7.
    """

    def __init__(
        self, task: Task, metric: Metric, user: Callable[[Floats], Floats], residuals: Floats | None = None,
        seed: int = 0,
    ) -> None:  # fmt: skip
        self._task, self._metric, self._user, self._residuals, self._seed = task, metric, user, residuals, seed
        self._raw: dict[str, list[Floats]] = {}
        self._links: dict[str, Link] = {}
        self._references: dict[tuple[tuple[str, float], ...], tuple[list[Array], float]] = {}

    def add(self, model_id: str, link: Link, raw: list[Floats]) -> None:
        """A candidate: the raw scores of each fold's model, float64 (n_rows, n_outputs), on rows new to all."""
        self._raw[model_id], self._links[model_id] = raw, link

    def __contains__(self, model_id: object) -> bool:
        return model_id in self._raw

    def predict(self, design: Design) -> Floats:
        """A design's predictions on the rows, in the target's unit."""
        total = np.zeros(())
        for share in design.shares:
            folds = self._raw[share.model_id]
            raw = np.mean([folds[0 if k == ALL_ROWS else k] for k in share.folds], axis=0)
            total = total + share.weight * apply_link(raw, self._links[share.model_id], self._task)
        return self._user(np.asarray(total))

    def distance(self, design: Design) -> float:
        """Mean squared difference to the same shares with all their folds."""
        n_folds = min(len(self._raw[s.model_id]) for s in design.shares)
        whole = self.predict(Design.whole(design.weights, range(n_folds)))
        return float(np.mean((self.predict(design) - whole) ** 2))

    def gain(self, design: Design) -> float:
        """How much better a design scores than with one fold's model for each share, in the metric's unit, >= 0.

        A model of all rows counts as two of folds.
        """
        design = Design(tuple(replace(s, folds=self._worth(s)) for s in design.shares))
        if all(len(s.folds) == 1 for s in design.shares):
            return 0.0
        labels, alone = self._reference(design)
        sign = 1.0 if self._metric.greater_is_better else -1.0
        return max(0.0, sign * (self._mean_score(labels, self.predict(design)) - alone))

    def _worth(self, share: Share) -> tuple[int, ...]:
        return share.folds if share.folds != (ALL_ROWS,) else tuple(range(min(2, len(self._raw[share.model_id]))))

    def _reference(self, design: Design) -> tuple[list[Array], float]:
        """Labels that follow the mean of all folds, and what single folds score on average by them."""
        if design.weights not in self._references:
            n_folds = min(len(self._raw[s.model_id]) for s in design.shares)
            labels = self._labels(self.predict(Design.whole(design.weights, range(n_folds))))
            single = [self._mean_score(labels, self.predict(Design.single(design.weights, k))) for k in range(n_folds)]
            self._references[design.weights] = labels, float(np.mean(single))
        return self._references[design.weights]

    def _labels(self, prediction: Floats) -> list[Array]:
        rng = np.random.default_rng(self._seed)
        n = len(prediction)
        out: list[Array] = []
        for _ in range(DRAWS):
            if self._task is Task.REGRESSION:
                errors = np.zeros(1) if self._residuals is None else self._residuals
                out.append(prediction[:, 0] + errors[rng.integers(0, len(errors), n)])
            elif self._task is Task.BINARY:
                out.append((rng.random(n) < prediction[:, 0]).astype(np.int64))
            else:
                cumulated = prediction.cumsum(axis=1)
                drawn = (rng.random((n, 1)) * cumulated[:, -1:] > cumulated).sum(axis=1)
                out.append(np.minimum(drawn, prediction.shape[1] - 1))
        return out

    def _mean_score(self, labels: list[Array], prediction: Floats) -> float:
        values = [tuned_score(self._metric, y, prediction, None) for y in labels]
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
