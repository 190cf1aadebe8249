"""Schema inference: what each column of a frame holds, with the reason in words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tabwright import coerce
from tabwright.data.strings_kind import Levels, as_category, as_date, as_number, as_text, infer_strings
from tabwright.data.table import string_column
from tabwright.errors import ColumnError, DataError, OptionError
from tabwright.schema import Column, Schema
from tabwright.timestamps import COMPACT
from tabwright.types import Array, Floats, Kind, Task

if TYPE_CHECKING:
    import pandas as pd

_ID_NAME = re.compile(
    r"(?:^|[^a-z])(?:id|ids|uuid|guid|pk)(?:[^a-z]|$)"
    r"|(?:row|record|user|customer|client|passenger|order|case|transaction|sample|patient|employee|member)id$"
)
_ROW_NAME = re.compile(
    r"(?:^|[^a-z])(?:index|idx|row|rows|rownum|rownumber|recno|seq|sequence|instant)(?:[^a-z]|$)|^column_1$"
)
_LAST_SECOND = 253_402_300_799  # of the year 9999
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def infer_schema(
    frame: pd.DataFrame,
    target: str | None,
    task: Task | None = None,
    overrides: Mapping[str, Kind | str] | None = None,
) -> Schema:
    """The schema of a frame's feature columns.

    Parameters
    ----------
    frame : pandas.DataFrame
        With distinct string names, as ``read_table`` returns it.
    target : str or None
        Left out of the features.
    task : Task, optional
    overrides : mapping of str to Kind or its name, optional
        Kinds that the user declares. ``identifier`` or ``constant`` leaves a column out.

    Raises
    ------
    OptionError
        For an override of an unknown column or to an unknown kind.
    DataError
        If the target is not a column, or no column is left to learn from.
    ColumnError
        For cells that hold lists and the like, and for overrides that the values contradict.
    """
    if target is not None and target not in frame.columns:
        raise DataError(f"the table has no target column {target!r}", _nearest(target, frame))
    kinds = _check_overrides(overrides or {}, frame, target)
    columns = tuple(
        infer_column(frame[name], str(name), kinds.get(str(name))) for name in frame.columns if name != target
    )
    if not any(c.used for c in columns):
        reasons = "; ".join(f"{c.name!r}: {c.reason}" for c in columns[:5])
        what = f" ({reasons})" if reasons else ""
        raise DataError(f"no column is left to learn from{what}", "add columns that differ from row to row")
    return Schema(columns, target, task)


def _nearest(name: str, frame: pd.DataFrame) -> str:
    names = [str(c) for c in frame.columns]
    near = difflib.get_close_matches(name, names, 3, 0.6) or [n for n in names if n.lower() == name.lower()]
    if near:
        return f"is {' or '.join(map(repr, near))} meant?".rstrip("?")
    shown = ", ".join(map(repr, names[:15])) + (", ..." if len(names) > 15 else "")
    return f"name one of {shown}"


def _check_overrides(
    overrides: Mapping[str, Kind | str], frame: pd.DataFrame, target: str | None
) -> dict[str, Kind]:
    checked = {}
    for name, kind in overrides.items():
        if name not in frame.columns:
            raise OptionError("kinds", f"names {name!r}, which is not a column", _nearest(name, frame))
        if name == target:
            raise OptionError("kinds", f"names the target {name!r}", "leave it out: the task decides its kind")
        try:
            checked[name] = Kind(str(kind).lower())
        except ValueError:
            problem = f"gives column {name!r} the unknown kind {kind!r}"
            raise OptionError("kinds", problem, f"use one of {', '.join(Kind)}") from None
    return checked


def infer_column(series: pd.Series[Any], name: str, declared: Kind | None = None) -> Column:
    """One column's record; ``declared`` is the user's word on its kind."""
    dtype = str(series.dtype)
    missing = float(series.isna().mean()) if len(series) else 0.0
    column = Column(name, declared or Kind.CATEGORICAL, "", dtype, missing_share=round(missing, 6))
    if declared in (Kind.IDENTIFIER, Kind.CONSTANT):
        return replace(column, used=False, reason="declared by the user")
    if missing == 1.0:
        return replace(column, kind=Kind.CONSTANT, used=False, reason="empty in every row")
    if declared is not None:
        return _declared(series, column, declared)
    series = _plain_objects(series)
    kind = getattr(series.dtype, "kind", "O")
    if kind == "b":
        return _numbers(column, series, Kind.BOOLEAN)
    if kind in "iuf" and not _is_category(series):
        return _numbers(column, series, None)
    if kind == "m":
        return _numbers(column, series, Kind.NUMERIC)
    if kind == "M":
        return _dates(column, series)
    if kind == "c":
        raise ColumnError(name, "holds complex numbers", "split it into real and imaginary parts")
    return _strings(column, series)


def _is_category(series: pd.Series[Any]) -> bool:
    import pandas as pd

    return isinstance(series.dtype, pd.CategoricalDtype)


def _plain_objects(series: pd.Series[Any]) -> pd.Series[Any]:
    """Objects that are all numbers, truth values or dates in the dtype for them."""
    if series.dtype != object:
        return series
    from datetime import date
    from decimal import Decimal

    import pandas as pd

    present = series[series.notna()]
    types = set(map(type, present))
    if types <= {bool, np.bool_}:
        return series.astype("boolean")
    if all(issubclass(t, date) for t in types):
        return pd.Series(coerce.seconds(series.tolist(), str(series.name), coerce.read_number) * 1e6).astype(
            "datetime64[us]"
        )
    if all(issubclass(t, (int, float, Decimal, np.number)) and t is not bool for t in types):
        return pd.Series(coerce.numbers(series.tolist(), str(series.name), coerce.read_number))
    return series


def _numbers(column: Column, series: pd.Series[Any], kind: Kind | None) -> Column:
    values = coerce.numbers(series, column.name, coerce.read_number)
    finite = values[np.isfinite(values)]
    infinite = int(np.isinf(np.asarray(series)).sum()) if series.dtype == np.float64 else 0
    told = f"; {infinite:,} infinite values count as missing" if infinite else ""
    column = replace(column, missing_share=round(1.0 - len(finite) / max(len(values), 1), 6))
    if len(finite) == 0:
        return replace(column, kind=Kind.CONSTANT, used=False, reason="empty in every row" + told)
    low, high = float(finite.min()), float(finite.max())
    column = replace(column, minimum=low, maximum=high, example=float(finite[0]))
    if low == high and len(finite) == len(values):
        return replace(column, kind=Kind.CONSTANT, used=False, reason=f"{_short(low)} in every row")
    if kind is not None:
        return replace(column, kind=kind, reason=f"{column.dtype} values" + told)
    if not _all_whole(finite):
        return replace(column, kind=Kind.NUMERIC, reason=f"numbers from {_short(low)} to {_short(high)}" + told)
    if _names_rows(column.name, values):
        reason = "a different number in every row, and named like an identifier"
        return replace(column, kind=Kind.IDENTIFIER, used=False, reason=reason)
    written = "" if series.dtype.kind in "iu" else " (stored as decimals)"
    reason = f"whole numbers from {_short(low)} to {_short(high)}{written}{told}"
    return replace(column, kind=Kind.INTEGER, reason=reason)


def _short(value: float) -> str:
    if value != round(value) or abs(value) >= 1e15:
        return f"{value:.6g}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.0f}"  # years read better without a comma


def _all_whole(finite: Floats) -> bool:
    head = finite[:1000]
    return bool((head == np.round(head)).all() and (finite == np.round(finite)).all())


def _names_rows(name: str, values: Array) -> bool:
    """Whether whole numbers are row identifiers.

    They are where the name says "id" and all differ, in order or without wide gaps; or where the name says "row" or
    "index" and they count the rows one by one.
    """
    words = _CAMEL.sub(" ", name).lower()
    named_id, named_row = _ID_NAME.search(words), _ROW_NAME.search(words)
    if len(values) < 20 or not (named_id or named_row) or np.isnan(values).any():
        return False
    steps = np.diff(values)
    if not named_id:
        return bool((steps == 1).all())
    if (steps > 0).all() or (steps < 0).all():
        return True
    spread = values.max() - values.min() + 1
    return bool(spread <= 2 * len(values)) and len(np.unique(values)) == len(values)


def _dates(column: Column, series: pd.Series[Any]) -> Column:
    seconds = coerce.seconds(series, column.name, coerce.read_number)
    finite = seconds[np.isfinite(seconds)]
    example = str(series.dropna().iloc[0])
    column = replace(column, minimum=float(finite.min()), maximum=float(finite.max()), example=example)
    if finite.min() == finite.max() and len(finite) == len(seconds):
        return replace(column, kind=Kind.CONSTANT, used=False, reason="the same date in every row")
    return replace(column, kind=Kind.DATETIME, reason=f"dates from {_day(finite.min())} to {_day(finite.max())}")


def _day(seconds: float) -> str:
    return str(np.datetime64(int(seconds), "s"))[:10]


def _strings(column: Column, series: pd.Series[Any]) -> Column:
    levels = Levels.of(string_column(series, column.name))
    column = replace(column, missing_share=round(1.0 - levels.n_present / max(levels.n_rows, 1), 6))
    if len(levels.texts) == 0:
        return replace(column, kind=Kind.CONSTANT, used=False, reason="empty in every row")
    if len(levels.texts) == 1 and levels.n_present == levels.n_rows:
        only = levels.texts[0]
        return replace(column, kind=Kind.CONSTANT, used=False, example=only, reason=f"{only[:60]!r} in every row")
    if _is_category(series):
        return as_category(column, levels, "of pandas' category type")
    return infer_strings(column, levels)


def _declared(series: pd.Series[Any], column: Column, kind: Kind) -> Column:
    """The column as the user declares it; ColumnError where its values can't be that."""
    by_user = f"declared {kind.value}"
    if kind in (Kind.CATEGORICAL, Kind.TEXT):
        levels = Levels.of(string_column(series, column.name))
        column = replace(column, missing_share=round(1.0 - levels.n_present / max(levels.n_rows, 1), 6))
        return as_category(column, levels, by_user) if kind is Kind.CATEGORICAL else as_text(column, levels, by_user)
    plain = _plain_objects(series)
    if getattr(plain.dtype, "kind", "O") == "O" or _is_category(plain):
        levels = Levels.of(string_column(series, column.name))
        if kind is Kind.DATETIME:
            column = as_date(column, levels, forced=True) or column
        elif kind is not Kind.BOOLEAN:
            column = as_number(column, levels) or column
    elif kind is Kind.DATETIME and plain.dtype.kind in "iuf":
        column = _digits_of_dates(column, Levels.of(string_column(plain, column.name))) or column
        _check_seconds(column, plain)
    column = replace(column, kind=kind, reason=by_user)
    if kind is Kind.BOOLEAN:
        column = replace(column, minimum=0.0, maximum=1.0)
    values = column.numbers(series)
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return replace(column, used=False, kind=Kind.CONSTANT, reason=f"{by_user}, and empty in every row")
    example = column.example if column.datetime_format in COMPACT else float(finite[0])
    return replace(column, minimum=float(finite.min()), maximum=float(finite.max()), example=example)


def _check_seconds(column: Column, series: pd.Series[Any]) -> None:
    """ColumnError where numbers that are read as seconds are most likely milliseconds or finer."""
    middle = float(series.abs().median())
    if column.datetime_format is None and middle > _LAST_SECOND:
        raise ColumnError(
            column.name,
            f"is declared as dates, but its numbers (typically {middle:.3g}) are too large for seconds since 1970",
            "convert it first: pandas.to_datetime(column, unit='ms'), or 'us' or 'ns'",
        )


def _digits_of_dates(column: Column, levels: Levels) -> Column | None:
    """The column as dates, where its numbers are digits of these (20240131) and not seconds."""
    found = as_date(column, levels, forced=True)
    digits = COMPACT.get(found.datetime_format or "") if found else None
    if found is None or any(len(t) != digits for t in levels.texts if t not in found.missing_values):
        return None
    return found
