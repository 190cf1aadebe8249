"""Rows of a query as a folder of Parquet files, read once and kept for as long as a run needs them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabwright import coerce
from tabwright.data.arrow import array_of
from tabwright.errors import ColumnError, DataError
from tabwright.names import clean_names

if TYPE_CHECKING:
    import pandas as pd


def spool(frames: Iterable[pd.DataFrame], folder: Path) -> int:
    """Write each block to a file of its own, with the types that it has; the number of rows.

    A block's types say nothing of the next: what is read from the folder is brought into one form by the schema.

    Raises
    ------
    DataError
        If there is no row, or the folder can't be written.
    """
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    n_rows = 0
    try:
        for k, frame in enumerate(frames):
            if len(frame):
                pq.write_table(_arrow(frame), folder / f"part-{k:06d}.parquet", compression="zstd")
            n_rows += len(frame)
    except OSError as error:
        raise DataError(f"the rows can't be kept in {folder}: {error}", "name a run folder with more room") from error
    if not n_rows:
        raise DataError("the query selects no rows", "give one that does")
    return n_rows


def _arrow(frame: pd.DataFrame) -> Any:
    import pyarrow as pa

    columns, names = [], clean_names(frame.columns)[0]
    for k, name in enumerate(names):
        values = frame.iloc[:, k]  # by position: a join answers with several columns of one name
        try:
            columns.append(array_of(values, name))
        except ColumnError:  # lists beside others, as JSON columns have them: not refused before the column is used
            columns.append(pa.array([None if coerce.is_missing(v) else str(v) for v in values], pa.string()))
    return pa.table(columns, names=names)
