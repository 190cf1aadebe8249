"""Shapley values of any scoring function in the raw columns of a table; NumPy only, so that scoring can use it.

Absent columns take the values of a background row (interventional values), so a contribution belongs to a column as
the user knows it, however many features were made of it, and whatever models stand behind the function.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tabwright.types import Array, Floats, Ints, Strings

MAX_EVALUATIONS = 100_000
MAX_EXACT_COLUMNS = 12
CHUNK = 20_000
"""Rows scored at once."""


@dataclass(frozen=True)
class Rows:
    """Canonical rows: numbers float64 (n_rows, P), strings object (n_rows, Q); columns are counted through both."""

    numbers: Floats
    strings: Strings

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def n_columns(self) -> int:
        return int(self.numbers.shape[1] + self.strings.shape[1])

    def take(self, rows: Array | slice) -> Rows:
        return Rows(self.numbers[rows], self.strings[rows])

    def mix(self, source: Ints) -> Rows:
        """New rows: cell (i, j) is that of row ``source[i, j]`` in column j; source int (n, n_columns)."""
        width = self.numbers.shape[1]
        return Rows(
            np.take_along_axis(self.numbers, source[:, :width], axis=0),
            np.take_along_axis(self.strings, source[:, width:], axis=0),
        )

    def join(self, other: Rows) -> Rows:
        return Rows(np.concatenate([self.numbers, other.numbers]), np.concatenate([self.strings, other.strings]))


Score = Callable[[Rows], Floats]
"""Canonical rows to predictions, float64 (n_rows, n_outputs)."""


@dataclass(frozen=True)
class Shapley:
    """Contributions of columns to predictions.

    Parameters
    ----------
    base : float64, shape (n_outputs,)
        Mean prediction of the background; ``base + values.sum(axis=1)`` is the prediction.
    values : float64, shape (n_rows, n_columns, n_outputs)
        In the prediction's unit.
    error : float64, shape (n_rows, n_columns, n_outputs)
        Standard error of sampled values; 0 where they are exact.
    exact : bool
    """

    base: Floats
    values: Floats
    error: Floats
    exact: bool


def shapley(
    score: Score, rows: Rows, background: Rows, *, max_evaluations: int = MAX_EVALUATIONS, seed: int = 0
) -> Shapley:
    """Interventional Shapley values of every column, for each row.

    Exact (all coalitions against each background row) where that takes at most ``max_evaluations`` and there are at
    most 12 columns. Otherwise sampled: a random order of the columns and its reverse against each background row;
    both add up to the prediction exactly, whatever the number of samples.

    Parameters
    ----------
    score : callable
    rows, background : Rows
        What is explained, and the rows that absent columns are filled from.
    max_evaluations : int
        Rows to score at most, roughly; never less than two orders for each explained row.
    seed : int

    References
    ----------
    Štrumbelj & Kononenko 2014, doi:10.1007/s10115-013-0679-x; Mitchell et al. 2022, jmlr.org/papers/v23/21-0439.
    """
    n, m = len(rows), rows.n_columns
    pool = rows.join(background)
    values = scored(score, pool)
    at_rows, at_background = values[:n], values[n:]
    if m == 1:
        found = at_rows[:, None, :] - at_background.mean(axis=0)
        return Shapley(at_background.mean(axis=0), found, np.zeros_like(found), True)
    if m <= MAX_EXACT_COLUMNS and n * len(background) * (2**m - 2) <= max_evaluations:
        found = _exact(score, pool, n, at_rows, at_background)
        return Shapley(at_background.mean(axis=0), found, np.zeros_like(found), True)
    per_order = n * 2 * (m - 1)
    size = int(np.clip(max_evaluations // max(per_order, 1), 1, len(background)))
    at_background = at_background[:size]
    found, error = _sampled(score, pool, n, at_rows, at_background, np.random.default_rng(seed))
    return Shapley(at_background.mean(axis=0), found, error, False)


def scored(score: Score, rows: Rows) -> Floats:
    """Predictions of many rows, a chunk at a time."""
    parts = [score(rows.take(slice(k, k + CHUNK))) for k in range(0, max(len(rows), 1), CHUNK)]
    return np.concatenate(parts)


def _exact(score: Score, pool: Rows, n: int, at_rows: Floats, at_background: Floats) -> Floats:
    m, size = pool.n_columns, len(at_background)
    subsets = [frozenset(s) for k in range(m + 1) for s in combinations(range(m), k)]
    position = {s: k for k, s in enumerate(subsets)}
    present = np.array([[j in s for j in range(m)] for s in subsets])
    out = np.zeros((n, m, at_rows.shape[1]))
    weight = [math.factorial(k) * math.factorial(m - k - 1) / math.factorial(m) for k in range(m)]
    for i in range(n):
        source = np.where(present[None, 1:-1, :], i, n + np.arange(size)[:, None, None]).reshape(-1, m)
        inner = scored(score, pool.mix(source)).reshape(size, len(subsets) - 2, -1).mean(axis=0)
        worth = np.concatenate([at_background.mean(axis=0)[None], inner, at_rows[i][None]])
        for s in subsets:
            for j in set(range(m)) - s:
                out[i, j] += weight[len(s)] * (worth[position[s | {j}]] - worth[position[s]])
    return out


def _sampled(
    score: Score, pool: Rows, n: int, at_rows: Floats, at_background: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    m, size, k = pool.n_columns, len(at_background), at_rows.shape[1]
    found, error = np.zeros((n, m, k)), np.zeros((n, m, k))
    block = max(1, 2 * CHUNK // (2 * size * (m - 1)))
    for start in range(0, n, block):
        members = np.arange(start, min(start + block, n))
        orders = rng.permuted(np.tile(np.arange(m), (len(members), size, 1)), axis=2)
        orders = np.stack([orders, orders[:, :, ::-1]], axis=2)  # (rows, background, 2, m): an order and its reverse
        rank = np.argsort(orders, axis=3)
        steps = np.arange(1, m)[:, None]
        source = np.where(
            rank[:, :, :, None, :] < steps, members[:, None, None, None, None],
            n + np.arange(size)[None, :, None, None, None],
        )  # fmt: skip
        inner = scored(score, pool.mix(source.reshape(-1, m))).reshape(len(members), size, 2, m - 1, k)
        first = np.broadcast_to(at_background[None, :, None, None, :], (len(members), size, 2, 1, k))
        last = np.broadcast_to(at_rows[members][:, None, None, None, :], first.shape)
        gains = np.diff(np.concatenate([first, inner, last], axis=3), axis=3)  # by position in the order
        by_column = np.take_along_axis(gains, rank[..., None], axis=3).mean(axis=2)  # (rows, background, m, k)
        found[members] = by_column.mean(axis=1)
        if size > 1:
            error[members] = by_column.std(axis=1, ddof=1) / math.sqrt(size)
    return found, error
