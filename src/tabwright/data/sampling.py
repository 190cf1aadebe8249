"""A uniform sample of a table that is read once, in blocks."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tabwright.data.arrow import frame_from_arrow
from tabwright.data.delimited import ReadOptions, read_csv
from tabwright.data.readers import read_table
from tabwright.data.stream import Stream, text_options
from tabwright.errors import DataError
from tabwright.types import Array, Ints

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Drawn:
    """A sample.

    Parameters
    ----------
    frame : DataFrame, shape (n, n_columns)
    positions : int64, shape (n,)
        Of its rows in the order in which the stream was read, ascending.
    n_rows : int
        Rows that were read.
    share : float
        Of the whole that was read: below 1 where the time for it was over.
    """

    frame: pd.DataFrame
    positions: Ints
    n_rows: int
    share: float


def draw(
    stream: Stream, columns: Sequence[str], n: int, seed: int, deadline: float, options: ReadOptions | None = None
) -> Drawn:  # fmt: skip
    """``n`` rows, each as likely as any other, in one pass and in memory for some ``2 n`` rows.

    Every row gets a random key and the ``n`` lowest are kept, so that their number need not be known before.

    Parameters
    ----------
    stream : Stream
    columns : sequence of str
    n : int
        All rows are kept where there are no more.
    seed : int
        Of the order of reading, too.
    deadline : float
        Monotonic time, in seconds, at which reading stops.
    options : ReadOptions, optional
        How cells of text are to be understood.

    References
    ----------
    Efraimidis and Spirakis 2006, "Weighted random sampling with a reservoir", doi:10.1016/j.ipl.2005.11.003
    (with equal weights).
    """
    rng = np.random.default_rng(seed)
    tables: list[Any] = []
    keys: Array = np.empty(0)
    positions: Ints = np.empty(0, np.int64)
    highest, n_rows, share = 1.0, 0, 0.0
    for table, read in stream.blocks(columns, seed):
        drawn = rng.random(table.num_rows)
        chosen = np.flatnonzero(drawn < highest)
        if len(chosen):
            tables.append(table.take(chosen))
            keys = np.concatenate([keys, drawn[chosen]])
            positions = np.concatenate([positions, n_rows + chosen])
        n_rows, share = n_rows + table.num_rows, read
        if len(keys) > 2 * n:
            lowest = np.argpartition(keys, n - 1)[:n]
            tables, keys, positions = [_join(tables).take(lowest)], keys[lowest], positions[lowest]
            highest = float(keys.max())
        if time.monotonic() > deadline:
            break
    if not n_rows:
        raise DataError(f"{stream.source!r} has column names but no rows", "pass a table with rows")
    if len(keys) > n:
        lowest = np.argpartition(keys, n - 1)[:n]
        tables, positions = [_join(tables).take(lowest)], positions[lowest]
    order = np.argsort(positions)
    frame = _frame(stream, _join(tables).take(order), options or ReadOptions())
    return Drawn(frame, positions[order], n_rows, share)


def read_all(source: str, options: ReadOptions | None = None) -> pd.DataFrame:
    """All rows of a folder, a glob or an address, in the order of the files."""
    stream = Stream(source, options)
    tables = [table for table, _ in stream.blocks(stream.names)]
    if not any(table.num_rows for table in tables):
        raise DataError(f"{source!r} has column names but no rows", "pass a table with rows")
    return _frame(stream, _join(tables), options or ReadOptions())


def _join(tables: list[Any]) -> Any:
    """One table of blocks whose types may differ."""
    import pyarrow as pa

    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # a column of numbers here and of text there
        return pa.concat_tables([_as_text(table) for table in tables])


def _as_text(table: Any) -> Any:
    import pyarrow as pa

    return table.cast(pa.schema([(name, pa.string()) for name in table.column_names]))


def _frame(stream: Stream, table: Any, options: ReadOptions) -> pd.DataFrame:
    """The sample's rows with the types that reading them as a file of their own gives."""
    if not stream.is_text:
        return read_table(frame_from_arrow(table), options)
    from pyarrow import csv as pacsv

    sink = io.BytesIO()
    pacsv.write_csv(table, sink)
    return read_table(read_csv(sink.getvalue(), stream.source, text_options(options, stream.decimal)), options)
