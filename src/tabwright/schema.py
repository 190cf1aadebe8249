"""What a table's columns are, and the canonical form of its rows; shared by training and the scoring runtime.

Canonical rows are exactly what an exported graph takes: ``numbers``, float64 (n_rows, P), NaN for missing,
booleans as 0 and 1, dates as seconds since 1970 UTC; and ``strings``, object array of str (n_rows, Q), ``""``
for missing, surrounding blanks stripped.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tabwright import coerce
from tabwright.coerce import Parse
from tabwright.errors import DataError, ModelFileError
from tabwright.timestamps import COMPACT, ISO, parser
from tabwright.types import NUMBER_KINDS, STRING_KINDS, Array, Floats, Kind, Strings, Task

SCHEMA_VERSION = 1
MAX_VALUES = 50_000
"""Most values in a categorical column's vocabulary; rarer ones count as unseen."""


@dataclass(frozen=True)
class Column:
    """One feature column.

    Parameters
    ----------
    name : str
    kind : Kind
    reason : str
        Why it is of this kind, in words for the user.
    dtype : str
        What the training frame held.
    used : bool
        Whether models see it.
    values : tuple of str
        Categorical: the vocabulary, most frequent first. Boolean from words: the words for 0 and 1.
    datetime_format : str, optional
        ``"iso"`` or strptime's format of dates that are strings.
    number_style, number_affixes : str
        How numbers that are strings are written: see ``coerce.NUMBER_STYLES``, and signs to leave out.
    missing_values : tuple of str
        Words that stand for a missing value in this column, besides the usual ones.
    minimum, maximum : float, optional
        Range in training, canonical unit; None without numbers.
    missing_share : float
        Share of training rows without a value.
    example : str, float or None
        A canonical value from the training table.
    """

    name: str
    kind: Kind
    reason: str = ""
    dtype: str = ""
    used: bool = True
    values: tuple[str, ...] = ()
    datetime_format: str | None = None
    number_style: str | None = None
    number_affixes: str = ""
    missing_values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    missing_share: float = 0.0
    example: str | float | None = None

    def parse(self) -> Parse:
        """The function from text to this column's canonical number (NaN for missing, ValueError for other text)."""
        if self.kind is Kind.DATETIME:
            return coerce.text_parser(parser(self.datetime_format or ISO), self.missing_values)
        if self.kind is Kind.BOOLEAN:
            return coerce.text_parser(coerce.read_boolean, self.missing_values)
        return coerce.text_parser(coerce.number_reader(self.number_style, self.number_affixes), self.missing_values)

    def numbers(self, values: Any) -> Floats:
        """A column's values as canonical numbers, float64 (n_rows,); ColumnError for what is not one."""
        if self.kind is Kind.DATETIME:
            return coerce.seconds(values, self.name, self.parse(), COMPACT.get(self.datetime_format or ISO, 0))
        what = "true or false" if self.kind is Kind.BOOLEAN else "numbers"
        return coerce.numbers(values, self.name, self.parse(), what)


@dataclass(frozen=True)
class Schema:
    """All feature columns in the training table's order (the target is not among them), and what is predicted."""

    columns: tuple[Column, ...]
    target: str | None = None
    task: Task | None = None
    classes: tuple[Any, ...] | None = None
    class_dtype: str | None = None
    version: int = SCHEMA_VERSION

    @cached_property
    def numeric(self) -> tuple[Column, ...]:
        """Used columns that are numbers in canonical form, in order."""
        return tuple(c for c in self.columns if c.used and c.kind in NUMBER_KINDS)

    @cached_property
    def strings(self) -> tuple[Column, ...]:
        """Used categorical and text columns, in order."""
        return tuple(c for c in self.columns if c.used and c.kind in STRING_KINDS)

    @property
    def used(self) -> tuple[Column, ...]:
        """Used columns, in order."""
        return tuple(c for c in self.columns if c.used)

    def column(self, name: str) -> Column:
        """The column of that name; KeyError where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; what equals its default is left out of a column."""
        columns = []
        for column in self.columns:
            record: dict[str, Any] = {"name": column.name, "kind": column.kind.value}
            for field in dataclasses.fields(column)[2:]:
                value = getattr(column, field.name)
                if value != field.default:
                    record[field.name] = list(value) if isinstance(value, tuple) else value
            columns.append(record)
        return {
            "version": self.version, "target": self.target, "task": self.task.value if self.task else None,
            "classes": None if self.classes is None else list(self.classes), "class_dtype": self.class_dtype,
            "columns": columns,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | str) -> Schema:
        """The schema of :meth:`to_json`'s value or its text.

        Raises
        ------
        ModelFileError
            If a later version of the program wrote it.
        """
        record = json.loads(data) if isinstance(data, str) else data
        if record["version"] > SCHEMA_VERSION:
            raise ModelFileError(
                f"the schema has format {record['version']} and this program reads up to {SCHEMA_VERSION}",
                "install a newer tabwright",
            )
        known = {f.name for f in dataclasses.fields(Column)}
        columns = []
        for item in record["columns"]:
            facts: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in item.items() if k in known}
            columns.append(Column(**(facts | {"kind": Kind(item["kind"])})))
        task = Task(record["task"]) if record["task"] else None
        classes = None if record["classes"] is None else tuple(record["classes"])
        return cls(tuple(columns), record["target"], task, classes, record["class_dtype"], record["version"])


def require_columns(names: Any, schema: Schema) -> None:
    """DataError that names all used columns which are not among ``names``."""
    missing = [c.name for c in schema.used if c.name not in names]
    if not missing:
        return
    import difflib

    near = {m: difflib.get_close_matches(m, [str(n) for n in names], 1, 0.8) for m in missing[:20]}
    hints = [f"{found[0]!r} for {m!r}" for m, found in near.items() if found]
    listed = ", ".join(repr(m) for m in missing[:20]) + (f" and {len(missing) - 20} more" if len(missing) > 20 else "")
    plural = "s" if len(missing) > 1 else ""
    unnamed = len(missing) == len(schema.used) and all(m.removeprefix("column_").isdigit() for m in missing)
    added = f"add the column{plural}, empty where unknown"
    fix = "pass an array, as in training, or name the columns so" if unnamed else added
    raise DataError(
        f"the table lacks {len(missing)} column{plural} that the model was trained on: {listed}",
        fix + (f" (is {', '.join(hints)} meant?)" if hints else ""),
    )


def encode(columns: Mapping[str, Any], schema: Schema) -> tuple[Floats, Strings]:
    """Rows in canonical form.

    Parameters
    ----------
    columns : mapping of str to array-like, shape (n_rows,)
        At least the schema's used columns; others are ignored, order is free. Lists, NumPy, pandas, polars
        and Arrow columns are taken.
    schema : Schema

    Returns
    -------
    numbers : float64, shape (n_rows, P)
    strings : object array of str, shape (n_rows, Q)

    Raises
    ------
    DataError
        Naming every missing column, or columns of different lengths.
    ColumnError
        For a value that a number, boolean or date column can't hold.
    """
    require_columns(columns, schema)
    # Column by column into contiguous memory, then one transposed copy: far faster than strided writes.
    number_parts = [c.numbers(columns[c.name]) for c in schema.numeric]
    string_parts = [coerce.strings(columns[c.name], c.name) for c in schema.strings]
    lengths = {len(part) for part in (*number_parts, *string_parts)}
    if len(lengths) > 1:
        raise DataError(f"the columns have different numbers of rows: {sorted(lengths)}", "pass columns of one length")
    n_rows = lengths.pop() if lengths else _length(columns)
    numbers: Floats = np.empty((n_rows, len(number_parts)))
    strings: Array = np.empty((n_rows, len(string_parts)), dtype=object)
    for j, part in enumerate(number_parts):
        numbers[:, j] = part
    for j, texts in enumerate(string_parts):
        strings[:, j] = texts
    return numbers, strings


def _length(columns: Mapping[str, Any]) -> int:
    return next((len(coerce.as_array(v)) for v in columns.values()), 0)
