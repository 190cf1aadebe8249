"""Numeric columns as they are, shifted where float32 could not tell their values apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabwright.data.table import Table
from tabwright.features.base import Encoder, Inputs, TargetInfo
from tabwright.types import FLOAT32_MAX, Floats, Kind


@dataclass(frozen=True)
class FittedNumbers:
    """``x - offset`` of the chosen columns."""

    columns: tuple[int, ...]  # positions in schema.numeric
    names: tuple[str, ...]
    offset: Floats  # (n_columns,), each column's unit

    def apply(self, table: Table) -> Floats:
        X: Floats = table.numbers[:, list(self.columns)] - self.offset
        return X

    def to_onnx(self, inputs: Inputs) -> str:
        graph = inputs.graph
        x = inputs.number_columns(self.columns)
        return graph.node("Sub", x, graph.const(self.offset[None, :])) if self.offset.any() else x


def fit(table: Table, _target: TargetInfo | None = None) -> FittedNumbers | None:
    """Every numeric column; those whose distinct values collapse in float32 are shifted by their minimum."""
    schema = table.schema
    columns = tuple(range(len(schema.numeric)))
    if not columns:
        return None
    offset = np.zeros(len(columns))
    for j in columns:
        x = table.numbers[:, j]
        x = x[~np.isnan(x)]
        if len(x) == 0:
            continue
        if schema.numeric[j].kind is Kind.DATETIME or _collapses(x):
            offset[j] = x.min()
    return FittedNumbers(columns, tuple(c.name for c in schema.numeric), offset)


def _collapses(x: Floats) -> bool:
    """Whether float32 merges values that float64 tells apart (epoch seconds, large ids, cents of large sums)."""
    low, high = float(x.min()), float(x.max())
    largest = max(abs(low), abs(high))
    if largest == 0 or high - low > largest / 4 or largest > FLOAT32_MAX:
        return False  # a shift would gain less than two bits
    with np.errstate(over="ignore"):
        return len(np.unique(x.astype(np.float32))) < len(np.unique(x))


NUMBERS = Encoder("numbers", fit, "identity")
