"""Between Arrow and pandas, with types that the rest of the package knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tabwright import coerce

if TYPE_CHECKING:
    import pandas as pd


def frame_from_arrow(table: Any) -> pd.DataFrame:
    """The frame of an Arrow table: stored pandas indexes left out, decimals as float64, times of day as strings."""
    import pyarrow as pa

    names = table.column_names  # a new list at each access
    kept = [k for k, name in enumerate(names) if not name.startswith("__index_level_")]
    columns = [_plain(table.column(k)) for k in kept]
    # by position, since an Arrow table may have several columns of one name
    plain = pa.table(columns, names=[str(k) for k in kept])
    frame = cast("pd.DataFrame", plain.to_pandas(date_as_object=False, ignore_metadata=True, use_threads=False))
    frame.columns = [names[k] for k in kept]
    return frame


def array_of(values: pd.Series[Any], name: str) -> Any:
    """A frame's column as an Arrow array; cells of several types as text.

    Raises
    ------
    ColumnError
        For cells that hold lists and the like beside others.
    """
    import pyarrow as pa

    try:
        return pa.array(values, from_pandas=True)
    except (TypeError, ValueError, OverflowError):  # as a sheet, JSON or SQLite has them
        texts = coerce.strings(values.tolist(), name)
        return pa.array(texts, pa.string(), mask=texts == "")


def _plain(column: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_decimal(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.float64())
    if pa.types.is_time(column.type):  # a time of day without a date has no canonical number
        texts = [None if v is None else str(v) for v in column.to_pylist()]  # as a row of Python's own says it
        return pa.array(texts, pa.string())
    return column
