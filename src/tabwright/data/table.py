"""The canonical training table: what every feature encoder reads, and what worker processes map from disk."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tabwright.coerce import canonical_string, distinct_keys, not_scalar
from tabwright.errors import DataError
from tabwright.schema import Schema, require_columns
from tabwright.types import Array, Floats, Ints, Strings

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class StringColumn:
    """A column of canonical strings, each distinct one stored once.

    Parameters
    ----------
    levels : object array of str, shape (n_levels,)
        Distinct; ``""`` is among them if any value is missing.
    index : int32, shape (n_rows,)
        Position of each row's string in ``levels``.
    """

    levels: Strings
    index: Ints

    def take(self, rows: Any) -> StringColumn:
        """The column of those rows; levels that none of them uses are dropped where they are the most."""
        index = self.index[rows]
        if 2 * len(index) >= len(self.levels):
            return StringColumn(self.levels, index)
        used, position = np.unique(index, return_inverse=True)
        return StringColumn(self.levels[used], position.astype(np.int32))

    def values(self) -> Strings:
        """The strings row by row, object array (n_rows,)."""
        strings: Strings = self.levels[self.index]
        return strings

    def counts(self) -> Ints:
        """Rows per level, int64 (n_levels,)."""
        return np.bincount(self.index, minlength=len(self.levels))


@dataclass(frozen=True)
class Table:
    """Rows in canonical form.

    Parameters
    ----------
    schema : Schema
    numbers : float64, shape (n_rows, P)
        Columns as in ``schema.numeric``, NaN for missing.
    strings : tuple of StringColumn
        As in ``schema.strings``.
    """

    schema: Schema
    numbers: Floats
    strings: tuple[StringColumn, ...]
    _codes: dict[int, Ints] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def n_rows(self) -> int:
        return len(self.numbers)

    def take(self, rows: Any) -> Table:
        """The table of those rows (positions or mask), in that order."""
        return Table(self.schema, self.numbers[rows], tuple(column.take(rows) for column in self.strings))

    def codes(self, j: int) -> Ints:
        """Category codes of string column ``j``, int32 (n_rows,).

        0 for missing, 1 to K the position in the column's vocabulary plus one, K + 1 for any other string.
        """
        if j not in self._codes:
            vocabulary = self.schema.strings[j].values
            code = {"": 0} | {value: k for k, value in enumerate(vocabulary, 1)}
            unseen = len(vocabulary) + 1
            self._codes[j] = np.array([code.get(level, unseen) for level in self.strings[j].levels], np.int32)
        codes: Ints = self._codes[j][self.strings[j].index]
        return codes

    def string_matrix(self) -> Strings:
        """All string columns row by row, object array of str (n_rows, Q), as an exported graph takes them."""
        out: Strings = np.empty((self.n_rows, len(self.strings)), dtype=object)
        for j, column in enumerate(self.strings):
            out[:, j] = column.values()
        return out

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, schema: Schema) -> Table:
        """A frame's rows under a schema; errors as in :func:`tabwright.schema.encode`."""
        require_columns(set(frame.columns), schema)
        numbers = np.empty((len(frame), len(schema.numeric)))
        for j, column in enumerate(schema.numeric):
            numbers[:, j] = column.numbers(frame[column.name])
        strings = tuple(string_column(frame[column.name], column.name) for column in schema.strings)
        return cls(schema, numbers, strings)

    @classmethod
    def from_matrices(cls, schema: Schema, numbers: Floats, strings: Strings) -> Table:
        """Canonical rows, as :func:`tabwright.schema.encode` gives them and an exported graph takes them."""
        columns = []
        for values in strings.T:
            position = {level: k for k, level in enumerate(dict.fromkeys(values.tolist()))}
            columns.append(StringColumn(as_strings(list(position)), np.array([position[v] for v in values], np.int32)))
        return cls(schema, numbers, tuple(columns))

    def save(self, directory: str | Path) -> None:
        """Write it as plain NumPy arrays and JSON, for :meth:`load` in any process."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "numbers.npy", np.ascontiguousarray(self.numbers))
        for j, column in enumerate(self.strings):
            np.save(folder / f"index_{j}.npy", column.index)
            (folder / f"levels_{j}.json").write_text(json.dumps(column.levels.tolist()), encoding="ascii")
        # last, so that a directory with it is complete
        (folder / "schema.json").write_text(json.dumps(self.schema.to_json()), encoding="ascii")

    @classmethod
    def load(cls, directory: str | Path, *, mmap: bool = True) -> Table:
        """The table of :meth:`save`; with ``mmap`` the processes of a machine share one copy, read only.

        Raises
        ------
        DataError
            If the directory holds no complete table.
        """
        folder = Path(directory)
        mode: Any = "r" if mmap else None
        try:
            schema = Schema.from_json((folder / "schema.json").read_text(encoding="ascii"))
            numbers = np.load(folder / "numbers.npy", mmap_mode=mode, allow_pickle=False)
            strings = []
            for j in range(len(schema.strings)):
                index = np.load(folder / f"index_{j}.npy", mmap_mode=mode, allow_pickle=False)
                levels = json.loads((folder / f"levels_{j}.json").read_text(encoding="ascii"))
                strings.append(StringColumn(as_strings(levels), index))
        except (OSError, ValueError) as error:
            raise DataError(f"{str(folder)!r} holds no complete table: {error}", "start the run anew") from None
        return cls(schema, numbers, tuple(strings))


def as_strings(values: list[str]) -> Strings:
    """A list of str as an object array, shape (len(values),)."""
    out: Strings = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def string_column(series: pd.Series[Any], name: str) -> StringColumn:
    """A frame's column as canonical strings; ColumnError for cells that hold lists and the like."""
    raw, positions = _factorize(series, name)
    try:
        canonical = [canonical_string(value) for value in raw]
    except TypeError:
        raise not_scalar(list(series), name) from None
    if (positions < 0).any():
        positions = np.where(positions < 0, len(raw), positions)
        canonical.append("")
    levels = {level: k for k, level in enumerate(dict.fromkeys(canonical))}
    lookup = np.array([levels[level] for level in canonical], dtype=np.int32)
    return StringColumn(as_strings(list(levels)), lookup[positions] if len(lookup) else np.zeros(0, np.int32))


def _factorize(series: pd.Series[Any], name: str) -> tuple[list[Any], Array]:
    """Distinct raw values, and each row's position among them (-1 for missing)."""
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype):
        return list(series.cat.categories), np.asarray(series.cat.codes, dtype=np.int64)
    try:
        if series.dtype == object:
            keys = distinct_keys(items := series.tolist())
            if keys is not items:
                first = dict(zip(keys, items, strict=True))
                order = {key: k for k, key in enumerate(first)}
                return list(first.values()), np.fromiter((order[key] for key in keys), np.int64, len(keys))
        positions, distinct = pd.factorize(series)
    except TypeError:
        raise not_scalar(series.tolist(), name) from None
    if isinstance(series.dtype, pd.StringDtype):
        return np.asarray(distinct, dtype=object).tolist(), np.asarray(positions)  # iterating over Arrow is slow
    return list(distinct), np.asarray(positions)
