"""Shapley values against their definition."""

import math
from itertools import permutations

import numpy as np
import pytest

from tabwright.shapley import Rows, shapley


def rows(n, seed):
    rng = np.random.default_rng(seed)
    strings = np.array(rng.choice(["a", "b", "c"], (n, 2)), dtype=object)
    return Rows(rng.normal(size=(n, 3)), strings)


def score(r):
    effect = {"a": 0.0, "b": 1.0, "c": -2.0}
    words = np.vectorize(effect.get)(r.strings).astype(float)
    first = r.numbers[:, 0] * r.numbers[:, 1] + words[:, 0] * r.numbers[:, 2]
    return np.column_stack([first, np.tanh(first) + words[:, 1]])


def by_definition(x, background):
    """The mean over all orders of columns and all background rows of what each column adds."""
    m = x.n_columns
    out = np.zeros((m, 2))
    orders = list(permutations(range(m)))
    pool = x.join(background)
    for order in orders:
        source = np.tile(1 + np.arange(len(background))[:, None], (1, m))
        before = score(pool.mix(source)).mean(axis=0)
        for j in order:
            source[:, j] = 0
            after = score(pool.mix(source)).mean(axis=0)
            out[j] += (after - before) / len(orders)
            before = after
    return out


def test_exact_values_are_those_of_the_definition():
    x, background = rows(2, 0), rows(4, 1)
    found = shapley(score, x, background)
    assert found.exact and not found.error.any()
    for i in range(2):
        np.testing.assert_allclose(found.values[i], by_definition(x.take(slice(i, i + 1)), background), atol=1e-12)
    np.testing.assert_allclose(found.base, score(background).mean(axis=0))


@pytest.mark.parametrize("budget", [1, 300, 5000])
def test_sampled_values_add_up_and_come_near_the_exact_ones(budget):
    x, background = rows(5, 2), rows(64, 3)
    found = shapley(score, x, background, max_evaluations=budget, seed=4)
    exact = shapley(score, x, background, max_evaluations=10**9)
    assert not found.exact and exact.exact
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), score(x), atol=1e-12)
    if budget == 1:
        assert (found.error == 0).all()  # a single background row tells no spread
    if budget == 5000:
        np.testing.assert_allclose(found.base, exact.base)
        assert (np.abs(found.values - exact.values) <= 5 * found.error + 1e-9).all()


def test_one_column_gets_everything():
    x, background = rows(3, 5), rows(6, 6)
    only = Rows(x.numbers[:, :1], x.strings[:, :0])
    found = shapley(lambda r: r.numbers**2, only, Rows(background.numbers[:, :1], background.strings[:, :0]))
    np.testing.assert_allclose(found.values[:, 0, 0], only.numbers[:, 0] ** 2 - (background.numbers[:, 0] ** 2).mean())


def test_a_column_that_is_not_read_gets_nothing():
    x, background = rows(3, 7), rows(8, 8)
    for budget in (500, 10**9):
        found = shapley(lambda r: r.numbers[:, :1] * 2, x, background, max_evaluations=budget)
        np.testing.assert_allclose(found.values[:, 1:], 0.0, atol=1e-14)
        assert math.isclose(found.values[0, 0, 0], 2 * (x.numbers[0, 0] - background.numbers[:, 0].mean()))
