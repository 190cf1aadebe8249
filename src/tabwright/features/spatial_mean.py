"""Mean target around a place: shifted grids of finer and finer cells, each shrunk towards the cell around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from tabwright.data.table import Table
from tabwright.features.base import Encoder, Inputs, TargetInfo
from tabwright.features.coordinates import find_pairs
from tabwright.onnx.graph import ML
from tabwright.types import Array, Floats, Ints

LEVELS = 8  # each halves the side of the cells
SHIFTS = 8  # a power of two: their mean is then exact in whatever order it is summed
COARSEST = 4  # cells along the longer side of the table's area, at least
MIN_ROWS = 2  # that a cell must hold
SMOOTHING = 2.0  # rows that the cell around counts for
INNER_FOLDS = 10
MAX_TARGETS = 3
LIMIT = 2.0**20  # cells in either direction from the origin
BLOCK_ROWS = 10_000  # whose cells in all grids are looked up at once
EXACT = 2.0**40  # means are rounded to multiples of 1 / EXACT
# The golden ratio in two dimensions spreads any number of shifts evenly (Roberts 2018, "R2 sequence").
SHIFT = np.array([0.7548776662466927, 0.5698402909980532])


@dataclass(frozen=True)
class FittedSpatialMean:
    """Sorted ``keys`` of the known cells and their means; ``side`` is the coarsest cell's, a power of two.

    ``lookup[rank]`` are the means, ``lookup[0]`` the prior. Keys sort by level first, so that of all known cells
    that hold a place, the finest has the highest rank.
    """

    columns: tuple[int, int]  # latitude, longitude: positions in schema.numeric
    names: tuple[str, ...]  # LEVELS x n_targets, a level's targets side by side
    side: float  # degrees
    keys: Ints  # (n_cells,), ascending
    lookup: Floats  # (n_cells + 1, n_targets)

    def apply(self, table: Table) -> Floats:
        x = _in_sides(table.numbers[:, list(self.columns)], self.side)
        found: Floats = np.empty((table.n_rows, LEVELS * self.lookup.shape[1]))
        for start in range(0, table.n_rows, BLOCK_ROWS):
            keys = _keys(x[start : start + BLOCK_ROWS], slice(None))
            place = np.searchsorted(self.keys, keys).clip(max=max(len(self.keys) - 1, 0))
            rank = np.where(self.keys[place] == keys, place + 1, 0) if len(self.keys) else np.zeros_like(place)
            rank = np.maximum.accumulate(rank.reshape(-1, LEVELS, SHIFTS), axis=1)
            found[start : start + BLOCK_ROWS] = self.lookup[rank].mean(axis=2).reshape(len(keys), -1)
        return found

    def to_onnx(self, inputs: Inputs) -> str:
        graph = inputs.graph
        x = inputs.number_columns(self.columns)
        x = graph.node("Where", graph.node("IsNaN", x), graph.const(FAR), x)
        x = graph.node("Div", x, graph.const(self.side))
        cell = []
        for axis, shift in enumerate(_SHIFTS):
            t = graph.node("Gather", x, graph.const(np.array([axis], np.int64)), axis=1)
            t = graph.node("Mul", graph.node("Add", t, graph.const(shift[None, :])), graph.const(_SCALE[None, :]))
            t = graph.node("Clip", graph.node("Floor", t), graph.const(-LIMIT), graph.const(LIMIT))
            cell.append(t)
        key = graph.node("Add", graph.node("Mul", cell[0], graph.const(2 * LIMIT + 1)), cell[1])
        key = graph.node("Add", graph.node("Cast", key, to=TensorProto.INT64), graph.const(_GRID[None, :]))
        rank = graph.node(
            "LabelEncoder", key, domain=ML, default_int64=0,
            keys_int64s=self.keys.tolist() or [-1], values_int64s=list(range(1, len(self.keys) + 1)) or [0],
        )  # fmt: skip
        # the highest rank among this level and the coarser ones: a running maximum, as one product and one maximum
        rank = graph.node("Reshape", rank, graph.const(np.array([-1, 1, LEVELS, SHIFTS], np.int64)))
        rank = graph.node("Mul", rank, graph.const(np.tril(np.ones((LEVELS, LEVELS), np.int64))[None, :, :, None]))
        rank = graph.node("ReduceMax", rank, graph.const(np.array([2], np.int64)), keepdims=0)
        means = graph.node("Gather", graph.const(self.lookup), rank, axis=0)
        means = graph.node("ReduceMean", means, graph.const(np.array([2], np.int64)), keepdims=0)
        return graph.node("Reshape", means, graph.const(np.array([-1, len(self.names)], np.int64)))


FAR = 1e300  # where a missing coordinate is taken to be: outside every cell that training rows can fall into
_SCALE = np.repeat(2.0 ** np.arange(LEVELS), SHIFTS)
_SHIFTS = (np.arange(1, SHIFTS + 1) * SHIFT[:, None] % 1.0)[:, np.tile(np.arange(SHIFTS), LEVELS)]
_GRID = np.arange(LEVELS * SHIFTS, dtype=np.int64) * 2**44 + 2**43


def _in_sides(points: Floats, side: float) -> Floats:
    """Places in units of the coarsest cell's side."""
    return np.where(np.isnan(points), FAR, points) / side


def _keys(x: Floats, grids: slice) -> Ints:
    """Cell of each place of :func:`_in_sides` in some of the grids, int64 (n_rows, n_grids), level after level."""
    cell = [
        np.clip(np.floor((x[:, [k]] + _SHIFTS[k][None, grids]) * _SCALE[None, grids]), -LIMIT, LIMIT) for k in (0, 1)
    ]
    return np.asarray((cell[0] * (2 * LIMIT + 1) + cell[1]).astype(np.int64) + _GRID[None, grids])


def fit(table: Table, target: TargetInfo) -> tuple[FittedSpatialMean, Floats] | None:
    """The table's first pair of latitude and longitude, if it has one.

    Returns
    -------
    (FittedSpatialMean, float64 (n_rows, n_outputs)) or None
        The second is the training rows, each encoded from the inner folds that it is not in.

    References
    ----------
    Albus 1975, doi:10.1115/1.3426922 (overlapping grids); Micci-Barreca 2001, doi:10.1145/507533.507538
    (shrinking towards a coarser mean).
    """
    pairs = find_pairs(table.schema, table.numbers)
    if not pairs or target.n_columns > MAX_TARGETS:
        return None
    Y = target.as_columns()
    points = table.numbers[:, list(pairs[0])]
    extent = float(np.nanmax(np.nanmax(points, axis=0) - np.nanmin(points, axis=0)))
    if not extent > 0:
        return None
    side = 2.0 ** np.floor(np.log2(extent / COARSEST))
    weight = np.ones(table.n_rows) if target.weight is None else target.weight
    inner = target.inner_folds(INNER_FOLDS)
    known = ~np.isnan(points).any(axis=1)
    x = _in_sides(points, side)
    prior = _round((weight @ Y) / weight.sum())
    found: list[Array] = [np.empty(0, np.int64)]
    means = [prior[None, :]]
    encoded = np.zeros((table.n_rows, LEVELS, Y.shape[1]))
    for shift in range(SHIFTS):
        around = np.broadcast_to(prior, (table.n_rows, INNER_FOLDS + 1, len(prior)))
        for level in range(LEVELS):
            grid = level * SHIFTS + shift
            keys = _keys(x, slice(grid, grid + 1))[:, 0]  # of all grids at once, they would be 64 columns
            cells, first, code = np.unique(keys, return_index=True, return_inverse=True)
            own, enough = _means(code[known], inner[known], Y[known], weight[known], around[first])
            around = own[code]
            around[~known] = prior
            encoded[:, level] += around[np.arange(table.n_rows), inner]
            found.append(cells[enough])
            means.append(own[enough, INNER_FOLDS])
    cell_keys = np.concatenate(found)
    order = np.argsort(cell_keys)
    lookup = np.concatenate([means[0], np.concatenate(means[1:])[order]])
    label = "/".join(table.schema.numeric[j].name for j in pairs[0])
    outputs = [""] if Y.shape[1] == 1 else [f"[{k}]" for k in range(Y.shape[1])]
    names = tuple(f"{label}.mean_within_{side / 2**level:g}{o}" for level in range(LEVELS) for o in outputs)
    fitted = FittedSpatialMean(pairs[0], names, side, cell_keys[order], lookup)
    return fitted, encoded.reshape(table.n_rows, -1) / SHIFTS


def _means(code: Ints, inner: Ints, Y: Floats, weight: Floats, around: Floats) -> tuple[Floats, Array]:
    """Means by cell without each inner fold and (last) with all rows, and which cells hold rows enough.

    ``around`` (n_cells, INNER_FOLDS + 1, n_targets) are the means of the cells around. A cell without rows enough
    takes over what is around it.
    """
    shape = (len(around), INNER_FOLDS)
    flat = code * INNER_FOLDS + inner

    def without_each(values: Floats | None) -> Floats:
        parts = np.bincount(flat, weights=values, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
        total = parts.sum(axis=1, keepdims=True)
        return np.concatenate([total - parts, total], axis=1)

    rows, mass = without_each(None), without_each(weight)
    sums = np.stack([without_each(weight * y) for y in Y.T], axis=2)
    own = (sums + SMOOTHING * around) / (mass[:, :, None] + SMOOTHING)
    own = np.where(rows[:, :, None] >= MIN_ROWS, _round(own), around)
    return own, rows[:, INNER_FOLDS] >= MIN_ROWS


def _round(means: Floats) -> Floats:
    return np.asarray(np.round(means * EXACT) / EXACT)


SPATIAL_MEAN = Encoder("spatial_mean", fit, "doi:10.1115/1.3426922; doi:10.1145/507533.507538", supervised=True)
