"""Columns as groups: a categorical column's codes, the few whole numbers of a numeric one, or ranges of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import TensorProto

from tabwright.data.table import Table
from tabwright.features.base import Inputs
from tabwright.onnx.graph import ML
from tabwright.types import Floats, Ints, Kind

MAX_NUMBERS = 200  # distinct whole numbers in a column that can still be groups
N_RANGES = 8  # of about as many rows each, that a numeric column of many values is cut into
MISSING = -(2.0**53)
NONE = np.empty(0)


@dataclass(frozen=True)
class Key:
    """One column's groups: code 0 for missing, 1 to K for the known values, K + 1 for any other.

    Of ranges, code k + 1 has k of the ``edges`` at or below it.
    """

    column: int  # position in schema.strings, or in schema.numeric where there are ``numbers`` or ``edges``
    size: int  # K + 2
    numbers: Ints  # (K,), ascending; empty for a categorical column and for ranges
    edges: Floats = field(default_factory=NONE.copy)  # (K,), ascending, in the column's unit; empty but for ranges

    @property
    def shape(self) -> tuple[int, int, int]:
        """What tells keys of one table apart."""
        return self.column, len(self.numbers), len(self.edges)

    def codes(self, table: Table) -> Ints:
        """int64 (n_rows,)."""
        if len(self.edges):
            x = table.numbers[:, self.column]
            return np.where(np.isnan(x), 0, np.searchsorted(self.edges, x, side="right") + 1)
        if not len(self.numbers):
            return table.codes(self.column).astype(np.int64)
        whole = _whole(table.numbers[:, self.column])
        place = np.searchsorted(self.numbers, whole).clip(max=len(self.numbers) - 1)
        codes = np.where(self.numbers[place] == whole, place + 1, self.size - 1)
        return np.asarray(np.where(whole == int(MISSING), 0, codes))

    def to_onnx(self, inputs: Inputs) -> str:
        """The same, int64 (rows, 1)."""
        if not len(self.numbers) and not len(self.edges):
            return inputs.codes((self.column,))
        graph = inputs.graph
        x = inputs.number_columns((self.column,))
        if len(self.edges):
            above = graph.node("GreaterOrEqual", x, graph.const(self.edges[None, :]))
            above = graph.node("Cast", above, to=TensorProto.INT64)
            count = graph.node("ReduceSum", above, graph.const(np.array([1], np.int64)), keepdims=1)
            known = graph.node("Add", count, graph.const(np.array([[1]], np.int64)))
            return graph.node("Where", graph.node("IsNaN", x), graph.const(np.array([[0]], np.int64)), known)
        x = graph.node("Where", graph.node("IsNaN", x), graph.const(MISSING), x)
        x = graph.node("Cast", graph.node("Clip", x, graph.const(MISSING), graph.const(-MISSING)), to=TensorProto.INT64)
        keys = [int(MISSING), *self.numbers.tolist()]
        return graph.node("LabelEncoder", x, domain=ML, keys_int64s=keys, values_int64s=list(range(len(keys))),
                          default_int64=self.size - 1)  # fmt: skip


def _whole(x: Floats) -> Ints:
    """Numbers cut to whole ones, missing as :data:`MISSING`."""
    return np.asarray(np.clip(np.where(np.isnan(x), MISSING, x), MISSING, -MISSING).astype(np.int64))


def _text_key(table: Table, j: int) -> Key | None:
    column = table.schema.strings[j]
    return Key(j, len(column.values) + 2, np.empty(0, np.int64)) if column.kind is Kind.CATEGORICAL else None


def _number_key(table: Table, j: int, *, ranges: bool) -> Key | None:
    x = table.numbers[:, j]
    known = x[~np.isnan(x)]
    whole = None if table.schema.numeric[j].kind is Kind.DATETIME else _whole_numbers(np.unique(known))
    if whole is not None:
        return Key(j, len(whole) + 2, whole)
    return _ranges(j, known) if ranges else None


def _whole_numbers(values: Floats) -> Ints | None:
    if 0 < len(values) <= MAX_NUMBERS and (np.abs(values) < -MISSING).all() and (values % 1 == 0).all():
        return values.astype(np.int64)
    return None


def _ranges(column: int, known: Floats) -> Key | None:
    if not len(known):
        return None
    edges = np.unique(np.quantile(known, np.linspace(0, 1, N_RANGES + 1)[1:-1], method="higher"))
    return Key(column, len(edges) + 2, np.empty(0, np.int64), edges)


def find_keys(table: Table, names: Sequence[str], *, ranges: bool = False) -> dict[str, Key]:
    """The groups of those of the columns that can be taken as groups.

    With ``ranges``, a numeric column of too many values is cut at its quantiles.
    """
    texts = {c.name: j for j, c in enumerate(table.schema.strings)}
    numbers = {c.name: j for j, c in enumerate(table.schema.numeric)}
    found = {}
    for name in dict.fromkeys(names):
        key = None
        if name in texts:
            key = _text_key(table, texts[name])
        elif name in numbers:
            key = _number_key(table, numbers[name], ranges=ranges)
        if key is not None:
            found[name] = key
    return found


def group_keys(table: Table) -> Iterator[tuple[str, Key]]:
    """Columns that can be taken as groups and have at least three, by name."""
    texts = ((c.name, _text_key(table, j)) for j, c in enumerate(table.schema.strings))
    numbers = ((c.name, _number_key(table, j, ranges=False)) for j, c in enumerate(table.schema.numeric))
    for name, key in itertools.chain(texts, numbers):
        if key is not None and key.size >= 5:
            yield name, key


def first_groups(table: Table, n: int) -> list[str]:
    """Names of the first ``n`` of :func:`group_keys`."""
    return [name for name, _ in itertools.islice(group_keys(table), n)]


def columns_of(keys: tuple[Key, ...], table: Table) -> Ints:
    """Codes of several keys side by side, int64 (n_rows, len(keys)); each key's codes are found once."""
    codes = {key.shape: key.codes(table) for key in keys}
    return np.stack([codes[key.shape] for key in keys], axis=1)


def columns_to_onnx(keys: tuple[Key, ...], inputs: Inputs) -> str:
    """The same, int64 (rows, len(keys))."""
    parts = [k.to_onnx(inputs) for k in keys]
    return parts[0] if len(parts) == 1 else inputs.graph.node("Concat", *parts, axis=1)
