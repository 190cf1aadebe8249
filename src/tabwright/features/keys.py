"""Columns as groups: the codes of a categorical column, or of a numeric one that holds few whole numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from tabwright.data.table import Table
from tabwright.features.base import Inputs
from tabwright.onnx.graph import ML
from tabwright.types import Floats, Ints, Kind

MAX_NUMBERS = 200  # distinct whole numbers in a column that can still be groups
MISSING = -(2.0**53)


@dataclass(frozen=True)
class Key:
    """One column's groups: code 0 for missing, 1 to K for the known values, K + 1 for any other."""

    column: int  # position in schema.strings, or in schema.numeric where there are ``numbers``
    size: int  # K + 2
    numbers: Ints  # (K,), ascending; empty for a categorical column

    def codes(self, table: Table) -> Ints:
        """int64 (n_rows,)."""
        if not len(self.numbers):
            return table.codes(self.column).astype(np.int64)
        whole = _whole(table.numbers[:, self.column])
        place = np.searchsorted(self.numbers, whole).clip(max=len(self.numbers) - 1)
        codes = np.where(self.numbers[place] == whole, place + 1, self.size - 1)
        return np.asarray(np.where(whole == int(MISSING), 0, codes))

    def to_onnx(self, inputs: Inputs) -> str:
        """The same, int64 (rows, 1)."""
        if not len(self.numbers):
            return inputs.codes((self.column,))
        graph = inputs.graph
        x = inputs.number_columns((self.column,))
        x = graph.node("Where", graph.node("IsNaN", x), graph.const(MISSING), x)
        x = graph.node("Cast", graph.node("Clip", x, graph.const(MISSING), graph.const(-MISSING)), to=TensorProto.INT64)
        keys = [int(MISSING), *self.numbers.tolist()]
        return graph.node("LabelEncoder", x, domain=ML, keys_int64s=keys, values_int64s=list(range(len(keys))),
                          default_int64=self.size - 1)  # fmt: skip


def _whole(x: Floats) -> Ints:
    """Numbers cut to whole ones, missing as :data:`MISSING`."""
    return np.asarray(np.clip(np.where(np.isnan(x), MISSING, x), MISSING, -MISSING).astype(np.int64))


def find_key(table: Table, name: str) -> Key | None:
    """The groups of the column of this name; None if it can't be taken as groups."""
    for j, column in enumerate(table.schema.strings):
        if column.name == name and column.kind is Kind.CATEGORICAL:
            return Key(j, len(column.values) + 2, np.empty(0, np.int64))
    for j, column in enumerate(table.schema.numeric):
        if column.name == name and column.kind is not Kind.DATETIME:
            x = table.numbers[:, j]
            values = np.unique(x[~np.isnan(x)])
            if 0 < len(values) <= MAX_NUMBERS and (np.abs(values) < -MISSING).all() and (values % 1 == 0).all():
                return Key(j, len(values) + 2, values.astype(np.int64))
    return None


def find_keys(table: Table, names: list[str]) -> dict[str, Key]:
    """The groups of those of the columns that can be taken as groups."""
    found = {name: find_key(table, name) for name in dict.fromkeys(names)}
    return {name: key for name, key in found.items() if key is not None}


def key_names(table: Table) -> list[str]:
    """Columns that can be taken as groups and have at least three."""
    names = [c.name for c in (*table.schema.strings, *table.schema.numeric)]
    return [name for name, key in find_keys(table, names).items() if key.size >= 5]


def columns_of(keys: tuple[Key, ...], table: Table) -> Ints:
    """Codes of several keys side by side, int64 (n_rows, len(keys)); each key's codes are found once."""
    codes = {(k.column, len(k.numbers) > 0): k.codes(table) for k in keys}
    return np.stack([codes[k.column, len(k.numbers) > 0] for k in keys], axis=1)


def columns_to_onnx(keys: tuple[Key, ...], inputs: Inputs) -> str:
    """The same, int64 (rows, len(keys))."""
    parts = [k.to_onnx(inputs) for k in keys]
    return parts[0] if len(parts) == 1 else inputs.graph.node("Concat", *parts, axis=1)
