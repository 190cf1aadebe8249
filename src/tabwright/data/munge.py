"""Made-up rows like those of a table: what a model says of them tells how it would behave on new ones."""

from __future__ import annotations

import numpy as np

from tabwright.data.table import StringColumn, Table
from tabwright.types import Floats, Ints

SWAP = 0.4  # chance of each value to come from the neighbour instead
POOL = 5000  # rows among which neighbours are looked for at once
LEVEL_DIMENSIONS = 2  # a string level is a random point of so many dimensions, so that unequal levels are apart


def munge(table: Table, n: int, seed: int = 0) -> Table:
    """Rows between rows: each is a row of the table in which some values are those of its nearest neighbour.

    So every value occurs in the data, and so do, mostly, their combinations.

    Parameters
    ----------
    table : Table
    n : int
        Rows to make.
    seed : int

    References
    ----------
    Bucila, Caruana and Niculescu-Mizil 2006, doi:10.1145/1150402.1150464 (MUNGE).
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(table.n_rows)
    n_pools = max(1, min(table.n_rows // POOL, -(-n // POOL)))
    pools = [np.sort(rows) for rows in np.array_split(order[: n_pools * POOL], n_pools)]
    first, second = [], []
    for k, rows in enumerate(pools):
        size = n // n_pools + (k < n % n_pools)
        drawn = rng.integers(0, len(rows), size)
        first.append(rows[drawn])
        second.append(rows[_neighbours(table.take(rows), drawn, rng)])
    return _mixed(table, np.concatenate(first), np.concatenate(second), rng)


def _neighbours(pool: Table, drawn: Ints, rng: np.random.Generator) -> Ints:
    """Position in the pool of the nearest other row of each row drawn."""
    from sklearn.neighbors import NearestNeighbors

    if pool.n_rows < 3:
        return drawn
    points = _points(pool, rng)
    found = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(points).kneighbors(points[drawn], None, False)
    nearest: Ints = np.where(found[:, 0] == drawn, found[:, 1], found[:, 0])
    return nearest


def _mixed(table: Table, first: Ints, second: Ints, rng: np.random.Generator) -> Table:
    """Rows with each value from one of two rows of the table."""

    def rows() -> Ints:
        return np.asarray(np.where(rng.random(len(first)) < SWAP, second, first))

    numbers = np.empty((len(first), table.numbers.shape[1]))
    for j in range(numbers.shape[1]):
        numbers[:, j] = table.numbers[rows(), j]
    strings = tuple(StringColumn(column.levels, column.index[rows()]) for column in table.strings)
    return Table(table.schema, numbers, strings)


def _points(table: Table, rng: np.random.Generator) -> Floats:
    """Rows as points whose distances compare all columns alike, float32 (n_rows, n_dimensions)."""
    blocks = []
    for j in range(table.numbers.shape[1]):
        column = table.numbers[:, j]
        middle = 0.0 if np.isnan(column).all() else float(np.nanmedian(column))
        values = np.nan_to_num(column, nan=middle)
        order = np.searchsorted(np.sort(values), values, side="left") / max(1, table.n_rows)
        blocks.append(order[:, None] * 3.0)  # a spread of about 1
    for text in table.strings:
        levels = rng.normal(size=(len(text.levels), LEVEL_DIMENSIONS)) / np.sqrt(LEVEL_DIMENSIONS)
        blocks.append(levels[text.index])
    return np.concatenate(blocks, axis=1).astype(np.float32)
