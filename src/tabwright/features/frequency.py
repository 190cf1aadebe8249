"""How often each category occurs in the training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabwright.data.table import Table
from tabwright.features.base import Encoder, Inputs, TargetInfo, categorical_columns, code_matrix
from tabwright.features.ordinal import column_offsets, lookup_onnx
from tabwright.types import Floats, Ints


@dataclass(frozen=True)
class FittedFrequency:
    """``lookup[offset of the column + code]``, a share of the rows; unseen values are 0."""

    columns: tuple[int, ...]  # positions in schema.strings
    names: tuple[str, ...]
    offset: Ints
    lookup: Floats

    def apply(self, table: Table) -> Floats:
        return np.asarray(self.lookup[code_matrix(table, self.columns) + self.offset])

    def to_onnx(self, inputs: Inputs) -> str:
        return lookup_onnx(inputs, self.columns, self.offset, self.lookup)


def fit(table: Table, _target: TargetInfo | None = None, *, min_values: int = 3) -> FittedFrequency | None:
    """Categorical columns with at least ``min_values`` values."""
    columns = categorical_columns(table.schema, low=min_values)
    if not columns:
        return None
    offset, total = column_offsets(table, columns)
    lookup = np.zeros(total)
    for j, start in zip(columns, offset, strict=True):
        size = len(table.schema.strings[j].values) + 2
        lookup[start : start + size] = np.bincount(table.codes(j), minlength=size) / table.n_rows
    names = tuple(f"{table.schema.strings[j].name}.frequency" for j in columns)
    return FittedFrequency(columns, names, offset, lookup)


FREQUENCY = Encoder("frequency", fit, "count encoding; e.g. Pargent et al. 2022, doi:10.1007/s00180-022-01207-6")
