"""From what users pass as a column to canonical values; NumPy and the standard library only.

Canonical numbers are float64 with NaN for missing (infinities are missing too); canonical strings are ``str``
with ``""`` for missing. Each distinct value of a column is converted once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from tabwright.errors import ColumnError
from tabwright.timestamps import to_seconds
from tabwright.types import Array, Floats, Strings

MISSING_NUMBERS = (
    "", "na", "n/a", "n.a.", "nan", "nat", "null", "none", "nil", "?", "-", "--", ".", "#n/a", "#na", "<na>",
)  # fmt: skip
"""Spellings of a missing number, boolean or date, in any case."""
MISSING_STRINGS = ("", "NA", "N/A", "NaN", "nan", "NaT", "null", "NULL", "None", "<NA>", "#N/A")
"""Spellings of a missing category or text, exactly so: ``-`` or ``?`` may well be a category."""
TRUE_WORDS, FALSE_WORDS = ("true", "yes", "y", "t", "1", "1.0"), ("false", "no", "n", "f", "0", "0.0")
NUMBER_STYLES = {
    "1,234.5": re.compile(r"[+-]?(?:[1-9]\d{0,2}(?:,\d{3})+|\d+)?(?:\.\d*)?(?:[eE][+-]?\d+)?"),
    "1.234,5": re.compile(r"[+-]?(?:[1-9]\d{0,2}(?:\.\d{3})+|\d+)?(?:,\d*)?(?:[eE][+-]?\d+)?"),
    "1 234,5": re.compile(r"[+-]?(?:\d{1,3}(?:[ \u00a0\u202f]\d{3})+|\d+)?(?:[.,]\d*)?"),
    "1'234.5": re.compile(r"[+-]?(?:\d{1,3}(?:['’]\d{3})+|\d+)?(?:\.\d*)?"),
}
"""Ways to write grouped digits, by example; a column without one is read as Python reads numbers."""
_SEPARATORS = {"1,234.5": (",", "."), "1.234,5": (".", ","), "1 234,5": (" \u00a0\u202f", ","), "1'234.5": ("'’", ".")}
AFFIXES = "$€£¥₹%"

_LONGEST = max(map(len, MISSING_NUMBERS))
_MISSING_NUMBERS, _MISSING_STRINGS = frozenset(MISSING_NUMBERS), frozenset(MISSING_STRINGS)
Parse = Callable[[str], float]


def is_missing(value: Any) -> bool:
    """Whether a cell is None, NaN, NaT or pandas' NA."""
    if value is None:
        return True
    try:
        return bool(value != value)  # noqa: PLR0124  (only NaN and NaT differ from themselves)
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"


def as_array(values: Any) -> Array:
    """A 1-D NumPy array of any column: list, NumPy, pandas, polars, Arrow; masked numbers become NaN."""
    dtype = getattr(values, "dtype", None)
    if getattr(dtype, "tz", None) is not None and hasattr(values, "to_numpy"):
        return np.asarray(values.to_numpy(dtype="datetime64[us]"))
    if hasattr(dtype, "na_value") and getattr(dtype, "kind", "O") in "iufb":
        return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
    if isinstance(values, (list, tuple)):
        return _from_list(values)
    if isinstance(values, np.ma.MaskedArray):  # what lies under the mask is no value
        hidden: Any = values.astype(np.float64) if values.dtype.kind in "iufb" else values.astype(object)
        values = hidden.filled(np.nan if hidden.dtype.kind == "f" else None)
    array = np.asarray(values)
    if array.ndim == 0:
        array = array.reshape(1)
    return array


def _from_list(values: Sequence[Any]) -> Array:
    types = set(map(type, values))
    try:
        if types == {bool}:
            return np.array(values)
        if types == {int}:
            return np.array(values, dtype=np.int64)
        if types and types <= {int, float, type(None)}:
            return np.array(values, dtype=np.float64)  # None becomes NaN
    except OverflowError:
        pass
    array = np.empty(len(values), dtype=object)
    array[:] = values  # one object per row, lists included
    return array


def distinct_keys(items: list[Any]) -> list[Hashable]:
    """Keys that tell apart what equality does not (1, 1.0 and True); TypeError for lists, dicts and the like."""
    types = set(map(type, items)) - {str, type(None)}
    if len(types) <= 1:
        return items
    return list(zip(map(type, items), items, strict=True))


def convert(items: list[Any], function: Callable[[Any], Any]) -> list[Any]:
    """``function`` of each item, called once per distinct one."""
    keys = distinct_keys(items)
    table = {key: function(item) for key, item in dict(zip(keys, items, strict=True)).items()}
    return [table[key] for key in keys]


def numbers(values: Any, name: str, parse: Parse, what: str = "numbers") -> Floats:
    """A column as canonical numbers.

    Parameters
    ----------
    values : array-like, shape (n_rows,)
    name : str
        The column's name, for the error.
    parse : callable
        From text to a number (NaN for missing), or ValueError.

    Returns
    -------
    float64, shape (n_rows,); durations in seconds.

    Raises
    ------
    ColumnError
        For values that are not numbers, with their count, the first of them and its row.
    """
    array = as_array(values)
    kind = array.dtype.kind
    out: Floats
    if kind in "fiub":
        out = array.astype(np.float64)
    elif kind == "m":
        out = _from_microseconds(array.astype("timedelta64[us]"))
    else:
        out = _from_objects(array, name, lambda v: _number(v, parse), what)
    infinite = np.isinf(out)
    if infinite.any():
        out[infinite] = np.nan
    return out


def seconds(values: Any, name: str, parse: Parse, digits: int = 0) -> Floats:
    """A column of dates as seconds since 1970 UTC, as :func:`numbers`.

    Plain numbers are taken to be that already; with ``digits``, only those that are not so many digits of a date.
    """
    array = as_array(values)
    if array.dtype.kind == "M":
        return _from_microseconds(array.astype("datetime64[us]"))
    if array.dtype.kind in "fiu" and not digits:
        return numbers(array, name, parse)
    return _from_objects(array, name, lambda v: _moment(v, parse, digits), "dates")


def _from_microseconds(array: Array) -> Floats:
    out: Floats = array.astype(np.int64) / 1e6
    out[np.isnat(array)] = np.nan
    return out


def _from_objects(array: Array, name: str, read: Callable[[Any], float], what: str) -> Floats:
    items = list(array) if array.dtype.kind == "M" else array.tolist()

    def read_or_none(value: Any) -> float | None:
        try:
            return read(value)
        except (TypeError, ValueError):
            return None

    try:
        found = convert(items, read_or_none)
    except TypeError:  # unhashable cells
        found = [read_or_none(item) for item in items]
    if None in found:
        rows = [i for i, value in enumerate(found) if value is None]
        raise _not_readable(items[rows[0]], rows, len(items), name, what)
    return np.array(found, dtype=np.float64)


def _not_readable(first: Any, rows: list[int], n_rows: int, name: str, what: str) -> ColumnError:
    shown = repr(first) if len(repr(first)) <= 60 else repr(first)[:57] + "..."
    return ColumnError(
        name, f"has {len(rows)} of {n_rows} values that are not {what}, first {shown} in row {rows[0]}",
        "correct or empty them, or declare another kind for the column, such as 'categorical', when training",
        rows[0],
    )


def _number(value: Any, parse: Parse) -> float:
    if isinstance(value, str):
        return parse(value)
    if is_missing(value):
        return np.nan
    if isinstance(value, (Real, Decimal, np.number, np.bool_)):
        try:
            return float(value)
        except OverflowError:
            return np.inf
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError


def _moment(value: Any, parse: Parse, digits: int) -> float:
    if isinstance(value, str):
        return parse(value)
    if is_missing(value):
        return np.nan
    if isinstance(value, date):
        return to_seconds(value)
    if isinstance(value, np.datetime64):
        return float(_from_microseconds(value.astype("datetime64[us]").reshape(1))[0])
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _plain_moment(value, parse, digits) if digits else float(value)
    raise TypeError


def _plain_moment(value: float, parse: Parse, digits: int) -> float:
    text = canonical_string(value)
    try:
        return parse(text)
    except ValueError:
        if len(text) == digits:  # of no day: it is no number of seconds for that
            raise
    return float(value)


def text_parser(read: Parse, also_missing: Sequence[str] = ()) -> Parse:
    """``read`` behind the stripping of blanks and the spellings of missing values."""
    extra = frozenset(also_missing)

    def parse(text: str) -> float:
        text = text.strip()
        if (len(text) <= _LONGEST and text.lower() in _MISSING_NUMBERS) or text in extra:
            return np.nan
        return read(text)

    return parse


def read_number(text: str) -> float:
    """A number as Python reads it, without underscores; ValueError for other text."""
    if "_" in text:
        raise ValueError(text)
    return float(text)


def number_reader(style: str | None, affixes: str = "") -> Parse:
    """The reader of a column's way to write numbers: grouped digits, currency and percent signs."""
    if style is None and not affixes:
        return read_number
    drop = str.maketrans("", "", affixes)
    if style is None:
        return lambda text: read_number(text.translate(drop).strip())
    pattern = NUMBER_STYLES[style]
    groups, point = _SEPARATORS[style]
    tidy = str.maketrans({point: ".", **dict.fromkeys(groups, "")})

    def read(text: str) -> float:
        text = text.translate(drop).strip()
        if pattern.fullmatch(text) is None:
            raise ValueError(text)
        return float(text.translate(tidy))

    return read


def read_boolean(text: str) -> float:
    """1 for true, yes, y, t, 1; 0 for false, no, n, f, 0, in any case; ValueError for other text."""
    word = text.lower()
    if word in TRUE_WORDS:
        return 1.0
    if word in FALSE_WORDS:
        return 0.0
    raise ValueError(text)


def own_unit(y: Floats, mean: float, scale: float) -> Floats:
    """Standardised values in their own unit; what was 0 is 0 again, and not what rounding has left of it."""
    own = mean + scale * y
    return np.asarray(np.where(np.abs(own) <= 4.0 * np.finfo(np.float64).eps * (abs(mean) + scale), 0.0, own))


def canonical_string(value: Any) -> str:
    """The one spelling of a category or text; TypeError for lists, dicts and other containers."""
    if isinstance(value, str):
        text = value.strip()
        if text in _MISSING_STRINGS:
            return ""
        return text if text.isascii() else text.encode("utf-8", "replace").decode()  # lone surrogates are no text
    if is_missing(value):
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "True" if value else "False"
    if isinstance(value, (float, np.floating)):
        if np.isinf(value):
            return ""
        return str(int(value)) if float(value).is_integer() and abs(float(value)) < 2**53 else str(value)
    if isinstance(value, bytes):
        return canonical_string(value.decode("utf-8", "replace"))
    if isinstance(value, np.datetime64):
        return str(value.astype("datetime64[us]").item())
    if isinstance(value, (list, dict, set, tuple, np.ndarray)):
        raise TypeError
    return str(value).strip()


def strings(values: Any, name: str) -> Strings:
    """A column as canonical strings, object array of str (n_rows,); ColumnError for cells that are containers."""
    if isinstance(values, (list, tuple)):
        items = list(values)
    else:
        dtype = getattr(values, "dtype", None)
        masked = hasattr(dtype, "na_value") and getattr(dtype, "kind", "O") in "iub"
        # doubles with NaN for masked would spell truth values as numbers, and not hold all of 64 bits
        array = np.asarray(values, dtype=object) if masked else as_array(values)
        # float32 has a shorter spelling than the double of its value; dates in nanoseconds would become integers
        items = list(array) if array.dtype == np.float32 or array.dtype.kind == "M" else array.tolist()
    out = np.empty(len(items), dtype=object)
    try:
        out[:] = convert(items, canonical_string)
    except TypeError:
        raise not_scalar(items, name) from None
    return out


def not_scalar(items: Sequence[Any], name: str) -> ColumnError:
    """The error for a column whose cells hold lists, dicts and the like."""
    row = next((i for i, v in enumerate(items) if isinstance(v, (list, dict, set, tuple, np.ndarray))), 0)
    return ColumnError(
        name, f"holds a {type(items[row]).__name__} in row {row}, not one value per row",
        f"spread it over several columns, or drop it: frame.drop(columns=[{name!r}])", row,
    )
