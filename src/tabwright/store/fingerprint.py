"""What a run was trained on, as digests: so that other data is told from the same, and told how it differs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabwright.data.table import StringColumn, Table
from tabwright.types import Array


@dataclass(frozen=True)
class Fingerprint:
    """Rows, and SHA-256 of the target and of each column in canonical form, by the column's name.

    The digests do not depend on the file's format, nor on how categories are numbered in it.
    """

    rows: int
    target: str
    columns: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "target": self.target, "columns": dict(self.columns)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Fingerprint:
        return cls(values["rows"], values["target"], values["columns"])

    def differences(self, other: Fingerprint) -> list[str]:
        """How the other data differ from these, a phrase each; empty if they are the same."""
        if self.rows != other.rows:
            return [f"it has {other.rows:,} rows with a target and not {self.rows:,}"]
        changed = [repr(name) for name, digest in self.columns.items() if other.columns.get(name) != digest]
        found = []
        if self.target != other.target:
            found.append("the target has other values")
        if changed:
            more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
            found.append(f"column{'s' * (len(changed) > 1)} {', '.join(changed[:5])}{more} "
                         f"{'have' if len(changed) > 1 else 'has'} other values")  # fmt: skip
        return found


def fingerprint(table: Table, y: Array) -> Fingerprint:
    """Of a table and its target, ``y`` (n_rows,) as the search takes it."""
    columns = {c.name: _sha256(table.numbers[:, j]) for j, c in enumerate(table.schema.numeric)}
    for column, strings in zip(table.schema.strings, table.strings, strict=True):
        columns[column.name] = _of_strings(strings)
    return Fingerprint(table.n_rows, _sha256(y), columns)


def fingerprint_1(table: Table, y: Array) -> str:
    """The single digest of format 1."""
    total = hashlib.sha256(np.ascontiguousarray(table.numbers).tobytes())
    for column in table.strings:
        total.update("\0".join(map(str, column.levels)).encode())
        total.update(np.ascontiguousarray(column.index).tobytes())
    total.update(np.ascontiguousarray(y).tobytes())
    return total.hexdigest()


def _sha256(values: Array) -> str:
    values = np.ascontiguousarray(values)
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.nan, values + 0.0)  # one NaN, one zero
    return hashlib.sha256(values.tobytes()).hexdigest()


def _of_strings(column: StringColumn) -> str:
    """Levels are numbered in the order in which they first occur, so their stored order does not matter."""
    used, first, index = np.unique(column.index, return_index=True, return_inverse=True)
    order = np.argsort(first)
    number = np.empty(len(used), np.int32)
    number[order] = np.arange(len(used), dtype=np.int32)
    total = hashlib.sha256("\0".join(map(str, column.levels[used[order]])).encode())
    total.update(number[index].tobytes())
    return total.hexdigest()
