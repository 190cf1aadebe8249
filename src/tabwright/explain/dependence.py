"""How the prediction moves with one column: partial dependence, single rows' curves, accumulated local effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tabwright.explain.subject import Subject
from tabwright.shapley import Rows, scored
from tabwright.types import Array, Floats

GRID, MAX_ROWS, MAX_LEVELS = 20, 300, 20


@dataclass(frozen=True)
class Dependence:
    """One column's effect on one output.

    Parameters
    ----------
    column : str
    table : DataFrame
        value (as the user writes it), mean (partial dependence), low, high (10 % and 90 % of the rows' curves), in
        the prediction's unit; ale (accumulated local effect, centred at 0; numbers and dates only).
    ice : float64, shape (n_rows, n_values)
        Each row's own curve.
    """

    column: str
    table: pd.DataFrame
    ice: Floats


def dependence(
    subject: Subject, rows: Rows, j: int, output: int, *, grid: int = GRID, seed: int = 0
) -> Dependence:
    """Dependence on column ``j`` of a sample of at most 300 rows; numbers at quantiles, categories at the commonest.

    References
    ----------
    Friedman 2001, doi:10.1214/aos/1013203451; Goldstein et al. 2015, doi:10.1080/10618600.2014.907095; Apley & Zhu
    2020, doi:10.1111/rssb.12377.
    """
    rng = np.random.default_rng(seed)
    cells = subject.cells(rows, j)
    values = _values(cells, grid)
    some = rows.take(np.sort(rng.permutation(len(rows))[:MAX_ROWS]))
    ice = np.column_stack([_at(subject, some, j, v, output) for v in values])
    column = subject.columns[j]
    shown: Any = [subject.shown(column, v) for v in values]
    table = pd.DataFrame({
        "value": pd.Series(shown, dtype=object) if cells.dtype.kind == "O" else shown, "mean": ice.mean(axis=0),
        "low": np.quantile(ice, 0.1, axis=0), "high": np.quantile(ice, 0.9, axis=0),
        "ale": _accumulated(subject, rows, j, np.asarray(values, float), output, rng)
        if cells.dtype.kind == "f" else np.full(len(values), np.nan),
    })  # fmt: skip
    return Dependence(column.name, table, ice)


def _values(cells: Array, grid: int) -> list[Any]:
    if cells.dtype.kind == "O":
        levels, counts = np.unique(cells.astype(str), return_counts=True)
        return [str(v) for v in levels[np.argsort(-counts, kind="stable")][: min(grid, MAX_LEVELS)]]
    present = cells[~np.isnan(cells)]
    if not len(present):
        return [np.nan]
    distinct = np.unique(present)
    if len(distinct) <= grid:
        return [float(v) for v in distinct]
    shares = np.linspace(0.01, 0.99, grid)
    return [float(v) for v in np.unique(np.quantile(present, shares, method="inverted_cdf"))]


def with_value(rows: Rows, j: int, value: Any) -> Rows:
    """The rows with one value (or one per row) in column ``j``."""
    numbers, strings = np.array(rows.numbers), np.array(rows.strings)
    width = numbers.shape[1]
    if j < width:
        numbers[:, j] = value
    else:
        strings[:, j - width] = value
    return Rows(numbers, strings)


def _at(subject: Subject, rows: Rows, j: int, value: Any, output: int) -> Floats:
    return scored(subject.score, with_value(rows, j, value))[:, output]


def _accumulated(subject: Subject, rows: Rows, j: int, edges: Floats, output: int, rng: np.random.Generator) -> Floats:
    """Effects summed over the bins between the grid's values, each measured on the rows that lie in the bin."""
    if len(edges) < 2:
        return np.zeros(len(edges))
    cells = subject.cells(rows, j)
    inside = np.flatnonzero((cells >= edges[0]) & (cells <= edges[-1]))
    inside = np.sort(rng.permutation(inside)[: 10 * MAX_ROWS])
    if not len(inside):
        return np.zeros(len(edges))
    bins = np.clip(np.searchsorted(edges, cells[inside], side="left") - 1, 0, len(edges) - 2)
    some = rows.take(inside)
    rise = _at(subject, some, j, edges[bins + 1], output) - _at(subject, some, j, edges[bins], output)
    counts = np.bincount(bins, minlength=len(edges) - 1)
    mean = np.bincount(bins, weights=rise, minlength=len(edges) - 1) / np.maximum(counts, 1)
    effect = np.concatenate([[0.0], np.cumsum(mean)])
    return np.asarray(effect - np.average((effect[1:] + effect[:-1]) / 2, weights=counts))
