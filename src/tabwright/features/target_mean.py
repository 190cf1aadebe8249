"""Mean target by category, smoothed towards the prior, out of fold for the training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabwright.data.table import Table
from tabwright.features.base import Encoder, Inputs, TargetInfo, categorical_columns, code_matrix
from tabwright.features.ordinal import column_offsets
from tabwright.types import Floats, Ints

MAX_CLASSES = 12  # more indicator columns than this are not worth their width
INNER_FOLDS = 5
SMOOTHING = 10.0  # rows that the prior counts for


@dataclass(frozen=True)
class FittedTargetMean:
    """``lookup[offset of the column + code]``, one column per target column; unseen values get the prior."""

    columns: tuple[int, ...]  # positions in schema.strings
    names: tuple[str, ...]  # n_columns x n_targets, column-major by input column
    offset: Ints  # (n_columns,)
    lookup: Floats  # (total, n_targets)

    def apply(self, table: Table) -> Floats:
        return np.asarray(self.lookup[code_matrix(table, self.columns) + self.offset].reshape(table.n_rows, -1))

    def to_onnx(self, inputs: Inputs) -> str:
        graph = inputs.graph
        codes = inputs.codes(self.columns)
        if len(self.columns) > 1:
            codes = graph.node("Add", codes, graph.const(self.offset.astype(np.int64)[None, :]))
        if self.lookup.shape[1] == 1:
            return graph.node("Gather", graph.const(self.lookup[:, 0]), codes)
        cube = graph.node("Gather", graph.const(self.lookup), codes, axis=0)
        width = len(self.columns) * self.lookup.shape[1]
        return graph.node("Reshape", cube, graph.const(np.array([-1, width], np.int64)))


def smoothed_means(codes: Ints, size: int, Y: Floats, weight: Floats, smoothing: float) -> Floats:
    """Smoothed means by code, (size, n_targets), relative to the weighted mean of all rows given."""
    prior = (weight @ Y) / weight.sum()
    count = np.bincount(codes, weights=weight, minlength=size)
    sums = np.stack([np.bincount(codes, weights=weight * y, minlength=size) for y in Y.T], axis=1)
    return np.asarray((sums + smoothing * prior) / (count[:, None] + smoothing))


def out_of_fold_means(codes: Ints, size: int, Y: Floats, weight: Floats, smoothing: float, inner: Ints) -> Floats:
    """Each row's smoothed mean from the inner folds that it is not in, (n_rows, n_targets)."""
    block = np.empty_like(Y)
    for fold in range(INNER_FOLDS):
        out = inner == fold
        block[out] = smoothed_means(codes[~out], size, Y[~out], weight[~out], smoothing)[codes[out]]
    return block


def fit(
    table: Table, target: TargetInfo, *, min_values: int = 3, smoothing: float = SMOOTHING
) -> tuple[FittedTargetMean, Floats] | None:
    """Categorical columns with at least ``min_values`` values.

    Returns
    -------
    (FittedTargetMean, float64 (n_rows, n_outputs)) or None
        The second is the training rows, each encoded from the inner folds that it is not in.

    References
    ----------
    Micci-Barreca 2001, doi:10.1145/507533.507538; Pargent et al. 2022, doi:10.1007/s00180-022-01207-6.
    """
    columns = categorical_columns(table.schema, low=min_values)
    if not columns or target.n_columns > MAX_CLASSES:
        return None
    Y = target.as_columns()
    weight = np.ones(table.n_rows) if target.weight is None else target.weight
    offset, total = column_offsets(table, columns)
    lookup = np.empty((total, Y.shape[1]))
    inner = target.inner_folds(INNER_FOLDS)
    blocks = []
    for j, start in zip(columns, offset, strict=True):
        size = len(table.schema.strings[j].values) + 2
        codes = table.codes(j).astype(np.int64)
        lookup[start : start + size] = smoothed_means(codes, size, Y, weight, smoothing)
        blocks.append(out_of_fold_means(codes, size, Y, weight, smoothing, inner))
    labels = [""] if Y.shape[1] == 1 else [f"[{k}]" for k in range(Y.shape[1])]
    names = tuple(f"{table.schema.strings[j].name}.target_mean{label}" for j in columns for label in labels)
    return FittedTargetMean(columns, names, offset, lookup), np.concatenate(blocks, axis=1)


TARGET_MEAN = Encoder("target_mean", fit, "doi:10.1145/507533.507538", supervised=True)
