"""Categories as whole-number codes, for families that split them as sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabwright.data.table import Table
from tabwright.features.base import Encoder, Inputs, TargetInfo, categorical_columns, code_matrix
from tabwright.types import Floats, Ints


@dataclass(frozen=True)
class FittedOrdinal:
    """``lookup[offset of the column + code]``: rare values share the last code of their column."""

    columns: tuple[int, ...]  # positions in schema.strings
    names: tuple[str, ...]
    cardinality: tuple[int, ...]  # codes run from 0 (missing) to cardinality - 1 (rare and unseen)
    offset: Ints  # (n_columns,)
    lookup: Floats  # (sum of vocabulary sizes + 2 each,)

    def apply(self, table: Table) -> Floats:
        return np.asarray(self.lookup[code_matrix(table, self.columns) + self.offset])

    def to_onnx(self, inputs: Inputs) -> str:
        return lookup_onnx(inputs, self.columns, self.offset, self.lookup)


def lookup_onnx(inputs: Inputs, columns: tuple[int, ...], offset: Ints, lookup: Floats) -> str:
    """``lookup[codes + offset]`` for all columns in one Gather, float64 (rows, n_columns)."""
    graph = inputs.graph
    codes = inputs.codes(columns)
    if len(columns) > 1:
        codes = graph.node("Add", codes, graph.const(offset.astype(np.int64)[None, :]))
    return graph.node("Gather", graph.const(lookup), codes)


def column_offsets(table: Table, columns: tuple[int, ...]) -> tuple[Ints, int]:
    """Where each column's block starts in a common lookup, and the lookup's length."""
    sizes = np.array([len(table.schema.strings[j].values) + 2 for j in columns])
    return np.cumsum(sizes) - sizes, int(sizes.sum())


def fit(
    table: Table, _target: TargetInfo | None = None, *, min_count: int = 5, max_values: int = 254
) -> FittedOrdinal | None:
    """All categorical columns; values seen fewer than ``min_count`` times or past ``max_values`` are grouped."""
    columns = categorical_columns(table.schema)
    if not columns:
        return None
    offset, total = column_offsets(table, columns)
    lookup, cardinality = np.empty(total), []
    for j, start in zip(columns, offset, strict=True):
        size = len(table.schema.strings[j].values) + 2
        counts = np.bincount(table.codes(j), minlength=size)
        kept = [k for k in range(1, size - 1) if counts[k] >= min_count][:max_values]
        block = np.full(size, float(len(kept) + 1))
        block[0] = 0.0
        block[kept] = np.arange(1, len(kept) + 1)
        lookup[start : start + size] = block
        cardinality.append(len(kept) + 2)
    names = tuple(table.schema.strings[j].name for j in columns)
    return FittedOrdinal(columns, names, tuple(cardinality), offset, lookup)


ORDINAL = Encoder("ordinal", fit, "codes by frequency, rare values grouped")
