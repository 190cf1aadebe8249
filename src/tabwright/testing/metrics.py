"""The contract of a metric, as a pytest class."""

from __future__ import annotations

import numpy as np

from tabwright.metrics import score
from tabwright.metrics.base import Metric
from tabwright.types import Array, Floats, Task


def sample(task: Task, rows: int = 200, seed: int = 0) -> tuple[Array, Floats, Floats]:
    """Target, perfect predictions and random predictions in canonical form."""
    rng = np.random.default_rng(seed)
    if task is Task.REGRESSION:
        y = rng.lognormal(size=rows)
        return y, y[:, None].copy(), rng.lognormal(size=(rows, 1))
    k = 2 if task is Task.BINARY else 4
    codes = rng.integers(0, k, rows)
    codes[:k] = np.arange(k)
    if task is Task.BINARY:
        return codes, codes[:, None].astype(float), rng.random((rows, 1))
    return codes, np.eye(k)[codes], rng.dirichlet(np.ones(k), rows)


class MetricContract:
    """Holds for every metric and each of its tasks."""

    def test_perfect_is_better_than_random(self, metric: Metric) -> None:
        for task in metric.tasks:
            y, perfect, random = sample(task)
            assert metric.better(score(metric, y, perfect), score(metric, y, random))
            assert metric.loss(y, _as(metric, perfect)) < metric.loss(y, _as(metric, random))

    def test_weight_two_is_a_row_twice(self, metric: Metric) -> None:
        for task in metric.tasks:
            y, _, prediction = sample(task)
            weight = np.where(np.arange(len(y)) < 50, 2.0, 1.0)
            twice = np.r_[np.arange(len(y)), np.arange(50)]
            np.testing.assert_allclose(
                score(metric, y, prediction, weight), score(metric, y[twice], prediction[twice]), rtol=1e-10
            )

    def test_order_of_rows_does_not_matter(self, metric: Metric) -> None:
        for task in metric.tasks:
            y, _, prediction = sample(task)
            order = np.random.default_rng(1).permutation(len(y))
            np.testing.assert_allclose(
                score(metric, y, prediction), score(metric, y[order], prediction[order]), rtol=1e-10
            )


def _as(metric: Metric, prediction: Floats) -> Floats:
    from tabwright.metrics import as_needed

    return as_needed(metric, prediction)
