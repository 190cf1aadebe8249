"""Rows in whatever form a user holds them: frames, dicts, records, arrays, single rows; by column name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tabwright import coerce
from tabwright.errors import DataError
from tabwright.names import clean_names
from tabwright.schema import Column, Schema, require_columns
from tabwright.timestamps import COMPACT
from tabwright.types import Array, Floats, Ints, Kind, Strings

ROWS_KEY = "tabwright_rows"
"""In a graph's metadata: how many rows to score at once at most."""
MAX_CHARS = 2_000_000
"""Of the texts scored at once, each counted as long as the longest: so many does the graph make room for."""
_MISSING = frozenset(coerce.MISSING_STRINGS)


def single_row(X: Any, schema: Schema) -> dict[str, Any] | None:
    """One row of a pandas frame, an array or a list as a dict, without a pass over columns; None for all else."""
    if isinstance(X, list):
        if len(X) != 1:
            return None
        if isinstance(X[0], dict):
            return {str(name): value for name, value in X[0].items()}
        return _named(list(X[0]), schema) if isinstance(X[0], (list, tuple)) else None
    shape: Any = getattr(X, "shape", ())
    if len(shape) != 2 or shape[0] != 1:
        return None
    if isinstance(X, np.ndarray):
        return _named(X[0].tolist(), schema) if X.dtype in (np.float64, np.int64, object) else None
    if not hasattr(X, "iloc"):
        return None
    wanted = {c.name for c in schema.columns}
    names = X.columns.tolist()
    if not (X.columns.is_unique and all(type(name) is str and name in wanted for name in names)):
        names = clean_names(names)[0]
    return dict(zip(names, X.to_numpy(dtype=object)[0].tolist(), strict=True))


class RowEncoder:
    """Single rows in canonical form: what :func:`tabwright.schema.encode` gives, without arrays for every column."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._numeric = tuple((c.name, c.kind is not Kind.DATETIME, c) for c in schema.numeric)
        self._strings = tuple((c.name, c) for c in schema.strings)

    def __call__(self, row: Mapping[Any, Any]) -> tuple[Floats, Strings]:
        """Numbers, float64 (1, P), and strings, object (1, Q), of a row by column name; DataError for missing ones."""
        try:
            numbers = np.array([[
                # a plain finite number needs no conversion; x - x is 0 for all but infinities and NaN
                value if type(value := row[name]) is float and plain and value - value == 0.0
                else _number(value, column) for name, plain, column in self._numeric
            ]])  # fmt: skip
            strings = np.array([[_string(row[name], column) for name, column in self._strings]], dtype=object)
        except KeyError:
            require_columns(row, self._schema)
            raise
        return numbers, strings


def _number(value: Any, column: Column) -> float:
    kind = type(value)
    if value is None or (kind is float and value - value != 0.0):  # missing, NaN or infinite
        return np.nan
    if kind is int and -(2**53) <= value <= 2**53 and column.datetime_format not in COMPACT:
        return float(value)
    if kind is bool and column.kind is not Kind.DATETIME:
        return float(value)
    return float(column.numbers([value])[0])


def _string(value: Any, column: Column) -> str:
    if type(value) is str and value.isascii():
        text = value.strip()
        return "" if text in _MISSING else text
    return str(coerce.strings([value], column.name)[0])


def _named(values: list[Any], schema: Schema) -> dict[str, Any]:
    return dict(zip(positional(len(values), schema), values, strict=True))


def columns_of(X: Any, schema: Schema) -> Mapping[str, Any]:
    """The columns of any table, by name; arrays without names are read in the schema's order.

    Raises
    ------
    DataError
        If X is no table, or an array of another width.
    """
    if isinstance(X, Mapping):
        return {str(name): column for name, column in X.items()}
    if hasattr(X, "collect") and hasattr(X, "collect_schema"):  # polars, not worked out yet
        X = X.collect()
    if hasattr(X, "column_names"):  # Arrow
        kept = [k for k, name in enumerate(X.column_names) if not name.startswith("__index_level_")]
        names = clean_names(X.column_names[k] for k in kept)[0]
        return {name: X.column(k) for k, name in zip(kept, names, strict=True)}
    if hasattr(X, "columns") and hasattr(X, "__getitem__"):  # pandas, polars and their like
        wanted = {c.name for c in schema.used}
        if hasattr(X, "iloc"):  # names may be of any type and repeat: they are made distinct as in training
            names = clean_names(X.columns)[0]
            return {name: X.iloc[:, k] for k, name in enumerate(names) if name in wanted}
        return {name: X[name] for name in X.columns if name in wanted}
    if isinstance(X, np.ndarray):
        return _array_columns(X, schema)
    if isinstance(X, (list, tuple)) and len(X):
        if all(isinstance(row, Mapping) for row in X):
            return _record_columns(X, schema)
        if all(isinstance(row, (list, tuple, np.ndarray)) for row in X):
            widths = sorted({len(row) for row in X})
            if len(widths) == 1:
                names = positional(widths[0], schema)
                return {name: [row[k] for row in X] for k, name in enumerate(names)}
            raise DataError(f"the rows have between {widths[0]} and {widths[-1]} values", "pass rows of one length")
    raise DataError(
        f"a {type(X).__name__} of this form is not a table",
        "pass a DataFrame, a dict of columns, a list of dicts, a 2-D array, or one dict as one row",
    )


def _array_columns(X: Array, schema: Schema) -> dict[str, Any]:
    if isinstance(X, np.matrix):  # whose columns are no vectors
        X = np.asarray(X)
    if X.dtype.names:
        return {name: X[name] for name in X.dtype.names}
    if X.ndim != 2:
        raise DataError(f"the array has {X.ndim} dimensions and a table has 2", "pass X.reshape(1, -1) for one row")
    return {name: X[:, k] for k, name in enumerate(positional(X.shape[1], schema))}


def positional(width: int, schema: Schema) -> list[str]:
    """Names of unnamed columns: all those of the training table, or only those that the model uses; DataError else."""
    every, used = [c.name for c in schema.columns], [c.name for c in schema.used]
    for names in (every, used):
        if width == len(names):
            return names
    wanted = str(len(every)) if len(every) == len(used) else f"{len(every)} (or {len(used)}, those it uses)"
    raise DataError(f"the rows have {width} values and the model was trained on {wanted} columns", "pass named columns")


def _record_columns(records: Sequence[Mapping[Any, Any]], schema: Schema) -> dict[str, Any]:
    names = {str(name) for record in records for name in record}
    return {c.name: [record.get(c.name) for record in records] for c in schema.used if c.name in names}


def rows_at_once(session: Any, most: int) -> int:
    """Rows that a session's graph is to score at once: ``most``, or fewer where its intermediate results are wide."""
    told = session.get_modelmeta().custom_metadata_map.get(ROWS_KEY)
    return most if told is None else min(most, int(told))


def in_parts(
    run: Callable[[dict[str, Array]], list[Array]], feeds: Mapping[str, Array], max_rows: int, texts: Strings | None
) -> list[Array]:
    """What a graph gives for all rows, from parts of them that bound the memory of its intermediate results.

    Rows with texts of like lengths are scored together, so that one long text slows few others.

    Parameters
    ----------
    run : callable
        From a part of ``feeds`` to outputs with as many rows.
    feeds : mapping of str to array, shape (n_rows, ...)
        The graph's inputs.
    max_rows : int
        Of a part.
    texts : object array of str, shape (n_rows, n_texts), or None
        Which the graph takes apart into words.
    """
    n_rows = len(next(iter(feeds.values())))
    lengths = np.zeros(n_rows, np.int64) if texts is None or n_rows == 1 else _lengths(texts)
    if n_rows <= max_rows and n_rows * int(lengths.max(initial=0)) <= MAX_CHARS:
        return run(dict(feeds))
    order, start, found = np.argsort(lengths, kind="stable"), 0, []
    while start < n_rows:
        chosen = order[start : start + max_rows]
        fitting = np.count_nonzero(lengths[chosen] * np.arange(1, len(chosen) + 1) <= MAX_CHARS)
        chosen = chosen[: max(1, fitting)]
        found.append(run({name: array[chosen] for name, array in feeds.items()}))
        start += len(chosen)
    back = np.argsort(order)
    return [np.concatenate(pieces)[back] for pieces in zip(*found, strict=True)]


def _lengths(texts: Strings) -> Ints:
    """Characters of each row's longest text, int64 (n_rows,)."""
    longest = np.zeros(len(texts), np.int64)
    for column in texts.T.tolist():
        np.maximum(longest, np.fromiter(map(len, column), np.int64, len(column)), out=longest)
    return longest
