"""Tables put together: by key columns, under each other, and beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tabwright.errors import ColumnError, DataError, OptionError
from tabwright.names import clean_names

if TYPE_CHECKING:
    import pandas as pd

INNER, LEFT = "inner", "left"
ROWS, COLUMNS = "rows", "columns"
MAX_ROWS = 5_000_000
NAMES = ("the first table", "the second table")
NUMBERS, TEXT = "numbers", "text"
ALIKE = "read both the same way (words that mean empty, decimal sign), or write one as the other"


def join_tables(
    left: pd.DataFrame, right: pd.DataFrame, on: str | Sequence[str], *, right_on: str | Sequence[str] | None = None,
    how: str = INNER, max_rows: int = MAX_ROWS, names: tuple[str, str] = NAMES,
) -> pd.DataFrame:  # fmt: skip
    """Give each row of a table the columns of the rows of another that have the same key.

    An empty key is the key of no row. A column of the second table whose name the first has too gets ``.2`` to it.

    Parameters
    ----------
    left, right : DataFrame
    on : str or sequence of str
        Key columns of the first table.
    right_on : str or sequence of str, optional
        The same of the second, in the same order, where they are called otherwise; they are left out of the result.
    how : {"inner", "left"}
        Whether rows of the first table without a match are left out, or kept with empty cells.
    max_rows : int
        More rows are refused, where the first table has not as many itself.
    names : (str, str)
        How errors call the tables.

    Returns
    -------
    DataFrame
        Rows in the first table's order, numbered from 0.

    Raises
    ------
    OptionError
        For another ``how``, no key, or unequal numbers of keys.
    ColumnError
        For a key that a table lacks, or that holds numbers in one and text in the other.
    DataError
        If no row has a match in an inner join, or keys repeat in both tables and so make more than ``max_rows`` rows.
    """
    if how not in (INNER, LEFT):
        raise OptionError("how", f"is {how!r}", f"give {INNER!r} or {LEFT!r}")
    ours = [on] if isinstance(on, str) else list(on)
    theirs = ours if right_on is None else [right_on] if isinstance(right_on, str) else list(right_on)
    _check_keys(left, right, ours, theirs, names)
    pairs = [_alike(left[a], right[b], names) for a, b in zip(ours, theirs, strict=True)]
    keys = [f"\0{k}" for k in range(len(pairs))]  # no column is called so
    second = right.drop(columns=theirs)
    second = second.set_axis(clean_names([*left.columns, *second.columns])[0][left.shape[1] :], axis=1)
    first = left.assign(**{k: a for k, (a, _) in zip(keys, pairs, strict=True)})
    second = second.assign(**{k: b for k, (_, b) in zip(keys, pairs, strict=True)}).dropna(subset=keys)
    _check_size(first[keys], second[keys], how, max_rows, (ours, names))
    made = first.merge(second, how="inner" if how == INNER else "left", on=keys).drop(columns=keys)
    made.attrs = {}
    return made


def append_tables(
    tables: Sequence[pd.DataFrame], by: str = ROWS, *, fill: bool = False, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """Put tables under each other, or beside each other.

    Parameters
    ----------
    tables : sequence of DataFrame
        Two or more.
    by : {"rows", "columns"}
        Under each other: columns of the same name go together, in the first table's order. Beside each other: rows of
        the same position do; a name that was there before gets ``.2`` to it.
    fill : bool
        By rows: leave the cells of columns that only some tables have empty, instead of refusing them.
    names : sequence of str, optional
        How errors call the tables.

    Returns
    -------
    DataFrame
        Rows numbered from 0.

    Raises
    ------
    OptionError
        For another ``by``, or fewer than two tables.
    ColumnError
        By rows, for a column that a table lacks, or that holds numbers in one and text in another.
    DataError
        By columns, for tables of unequal length.
    """
    import pandas as pd

    if by not in (ROWS, COLUMNS):
        raise OptionError("by", f"is {by!r}", f"give {ROWS!r} or {COLUMNS!r}")
    if len(tables) < 2:
        raise OptionError("tables", f"holds {len(tables)}", "give two or more")
    called = list(names) if names is not None else [f"table {k}" for k in range(1, len(tables) + 1)]
    if by == ROWS:
        order = dict.fromkeys(c for table in tables for c in table.columns)
        made = pd.concat(_stackable(tables, called, fill=fill), ignore_index=True)[[*order]]
    else:
        for table, name in zip(tables, called, strict=True):
            if len(table) != len(tables[0]):
                raise DataError(f"{called[0]} has {len(tables[0]):,} rows and {name} {len(table):,}, so rows of the "
                                "same position don't belong together", "join them by a key column instead")  # fmt: skip
        made = pd.concat([table.reset_index(drop=True) for table in tables], axis=1)
        made.columns = pd.Index(clean_names(made.columns)[0])
    made.attrs = {}
    return made


def _check_keys(
    left: pd.DataFrame, right: pd.DataFrame, ours: list[str], theirs: list[str], names: tuple[str, str]
) -> None:
    if not ours:
        raise OptionError("on", "names no column", "name one that tells which rows belong together")
    if len(ours) != len(theirs):
        raise OptionError("right_on", f"names {len(theirs)} columns and on {len(ours)}",
                          "name as many, in the same order")  # fmt: skip
    for frame, keys, name in ((left, ours, names[0]), (right, theirs, names[1])):
        for key in keys:
            if key not in frame.columns:
                option = "right_on" if frame is right else "on"
                shown = ", ".join(map(repr, list(frame.columns)[:8])) + (", …" if frame.shape[1] > 8 else "")
                raise ColumnError(key, f"is not in {name}", f"name one of its columns with {option}: {shown}")


def _alike(a: pd.Series, b: pd.Series, names: tuple[str, str]) -> tuple[pd.Series, pd.Series]:
    """Two columns in a form in which equal values are equal."""
    a, b = _values(a), _values(b)
    held = _holds(a), _holds(b)
    if held[0] != held[1] and a.notna().any() and b.notna().any():
        there = names[1] if a.name == b.name else f"{b.name!r} of {names[1]}"
        raise ColumnError(str(a.name), f"holds {held[0]} in {names[0]}, and {there} holds {held[1]}", ALIKE)
    if held == (TEXT, TEXT):
        return _text(a), _text(b)
    if held == (NUMBERS, NUMBERS) and a.dtype != b.dtype:
        try:  # whole numbers with empty cells are read as floats
            return a.astype("Int64"), b.astype("Int64")
        except (TypeError, ValueError, OverflowError):
            return a.astype("Float64"), b.astype("Float64")
    return a, b


def _text(column: pd.Series) -> pd.Series:
    return column.map(str, na_action="ignore") if column.dtype == object else column


def _values(column: pd.Series) -> pd.Series:
    """A categorical column as what its categories are."""
    import pandas as pd

    return column.astype(column.cat.categories.dtype) if isinstance(column.dtype, pd.CategoricalDtype) else column


def _holds(column: pd.Series) -> str:
    import pandas as pd
    from pandas.api import types

    if types.is_bool_dtype(column.dtype):
        return "booleans"
    if types.is_numeric_dtype(column.dtype):
        return NUMBERS
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return "times of a zone"
    return "dates" if types.is_datetime64_any_dtype(column.dtype) else TEXT


def _check_size(
    first: pd.DataFrame, second: pd.DataFrame, how: str, max_rows: int, told: tuple[list[str], tuple[str, str]]
) -> None:
    """Count the rows of the result before it is made."""
    counts = second.groupby(list(second.columns), as_index=False, sort=False).size()
    each = first.merge(counts, how="left", on=list(first.columns))["size"]
    keys, names = ", ".join(map(repr, told[0])), told[1]
    total = int(each.fillna(0 if how == INNER else 1).sum())
    if total == 0:
        raise DataError(f"no row of {names[0]} has the same {keys} as one of {names[1]}",
                        "compare their values, or keep rows without a match (how='left')")  # fmt: skip
    if total > max(max_rows, len(first)):
        raise DataError(
            f"the result would have {total:,} rows, of {len(first):,} and {len(second):,}, for {keys} repeats in both "
            f"tables, up to {int(each.max()):,} times in {names[1]}",
            f"join by further columns that tell its rows apart, or allow so many (max_rows={total})",
        )  # fmt: skip


def _stackable(tables: Sequence[pd.DataFrame], names: Sequence[str], *, fill: bool) -> list[pd.DataFrame]:
    """The tables with each column of one kind, so that they can be put under each other."""
    made = [table.copy(deep=False) for table in tables]
    for column in dict.fromkeys(c for table in tables for c in table.columns):
        having = [k for k, table in enumerate(tables) if column in table.columns]
        if len(having) < len(tables) and not fill:
            lacking = next(k for k in range(len(tables)) if k not in having)
            raise ColumnError(column, f"is in {names[having[0]]} and not in {names[lacking]}",
                              "rename it there, or leave its cells empty with fill")  # fmt: skip
        filled = {k: _values(tables[k][column]) for k in having if tables[k][column].notna().any()}
        kinds = {k: _holds(values) for k, values in filled.items()}
        if not filled:
            continue
        first = next(iter(filled))
        for k, kind in kinds.items():
            if kind != kinds[first]:
                raise ColumnError(column, f"holds {kinds[first]} in {names[first]}, and {kind} in {names[k]}", ALIKE)
            made[k][column] = filled[k]
        for k in having:
            if k not in filled:  # empty, and so of no kind: filled with its kind's empty cells
                made[k] = made[k].drop(columns=column)
    return made
