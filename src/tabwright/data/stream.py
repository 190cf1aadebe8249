"""Tables in blocks, for what is larger than memory: files, folders and globs, here or in a cloud's store.

CSV and Parquet are streamed, whatever else :func:`tabwright.data.readers.read_table` reads is read and cut. A block is
an Arrow table; blocks of delimited text hold text alone, since the types of one say nothing of the next.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tabwright.data.arrow import array_of
from tabwright.data.delimited import SAMPLE_CHARS, Dialect, ReadOptions, decode, encoding_of, has_row_names, sniff
from tabwright.data.places import Place, find
from tabwright.data.readers import read_table
from tabwright.data.text_cells import typed
from tabwright.errors import DataError
from tabwright.names import clean_names
from tabwright.schema import Schema, require_columns

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 8 << 20
BLOCK_ROWS = 50_000
HEAD_BYTES = 4 << 20
DELIMITED = (".csv", ".tsv", ".txt", ".tab")
PARQUET = (".parquet", ".pq")


class Stream:
    """A table as blocks of rows, always cut at the same places.

    Parameters
    ----------
    source : str
        A file, a folder of files, a glob (``data/2024-*.csv``), or such an address (``s3://bucket/folder``); all files
        of one form with the same columns. Folders named ``column=value`` are columns.
    options : ReadOptions, optional

    Raises
    ------
    DataError
        If there are no such files.
    """

    def __init__(self, source: str, options: ReadOptions | None = None) -> None:
        self.source, self._options = source, options or ReadOptions()
        self.places = find(source, (*DELIMITED, *PARQUET))
        self.size_bytes = sum(place.size for place in self.places)
        self._counted: dict[str, int] = {}  # rows of files that have been read to their end

    @cached_property
    def names(self) -> list[str]:
        """Column names, clean and in order."""
        first = self.places[0]
        if first.form in PARQUET:
            return clean_names([*_parquet_names(first), *first.keys])[0]
        if first.form in DELIMITED:
            return [*self._look(first).names, *first.keys]
        return list(self._whole(first).columns)

    @cached_property
    def n_rows(self) -> int:
        """Rows, as Parquet files tell them; of other files as their size suggests."""
        if all(place.form in PARQUET for place in self.places):
            return sum(_parquet(place).metadata.num_rows for place in self.places)
        first = self.places[0]
        if first.form not in DELIMITED:
            return sum(len(self._whole(place)) for place in self.places)
        with first.raw() as raw, first.unpacked(raw) as opened:
            head = opened.read(HEAD_BYTES)
            read = raw.tell() if len(head) == HEAD_BYTES else first.size
        return int(self.size_bytes * head.count(b"\n") / max(1, read))

    @property
    def is_text(self) -> bool:
        """Whether blocks hold text alone."""
        return self.places[0].form in DELIMITED

    @cached_property
    def decimal(self) -> str:
        """The decimal sign of numbers in text."""
        return self._look(self.places[0]).dialect.decimal if self.is_text else "."

    def pieces(self, seed: int | None = None) -> list[int] | None:
        """Rows of each file or row group, in the order of reading; None where these are still to be counted.

        Parquet tells them; those of other files are known once all have been read.
        """
        found = [self._n_rows(unit) for unit in self._ordered(seed)]
        return None if None in found else [n for n in found if n is not None]

    def _n_rows(self, unit: _Unit) -> int | None:
        return unit.n_rows if unit.place.form in PARQUET else self._counted.get(unit.place.path)

    def blocks(
        self, columns: Sequence[str], seed: int | None = None, piece: int | None = None
    ) -> Iterator[tuple[pa.Table, float]]:
        """Blocks of some columns, each with the share of the whole that has been read, 0 to 1.

        With ``seed``, files and the row groups of Parquet files come in an order drawn by it, so that the first blocks
        are a fair part of all. With ``piece``, only that of :meth:`pieces` is read.

        Raises
        ------
        DataError
            If a file is no table, or lacks a column.
        """
        units = self._ordered(seed)
        if piece is not None:
            units = [units[piece]]
        total, before = max(1, sum(unit.size for unit in units)), 0
        for unit in units:
            place, n_rows = unit.place, 0
            try:
                for table, share in self._read(unit, columns):
                    n_rows += table.num_rows
                    yield table, min(1.0, (before + share * unit.size) / total)
            except OSError as error:
                raise DataError(f"{place.path!r} can't be read: {error}", "check that the file is whole") from error
            before += unit.size
            self._counted[place.path] = n_rows

    def _ordered(self, seed: int | None) -> list[_Unit]:
        units = self._units
        if seed is None:
            return units
        return [units[k] for k in np.random.default_rng(seed).permutation(len(units))]

    @cached_property
    def _units(self) -> list[_Unit]:
        units = []
        for place in self.places:
            groups = _parquet(place).metadata if place.form in PARQUET else None
            if groups is None or groups.num_row_groups == 0:
                units.append(_Unit(place, None, max(1, place.size)))
            else:
                found = [groups.row_group(k) for k in range(groups.num_row_groups)]
                units += [_Unit(place, k, max(1, g.total_byte_size), g.num_rows) for k, g in enumerate(found)]
        return units

    def _read(self, unit: _Unit, columns: Sequence[str]) -> Iterator[tuple[pa.Table, float]]:
        place = unit.place
        inside = [name for name in columns if name not in place.keys]
        if place.form in PARQUET:
            found = self._parquet(unit, inside)
        elif place.form in DELIMITED:
            found = self._delimited(place, inside)
        else:
            found = self._cut(place, inside)
        for table, share in found:
            yield _with_keys(table, place.keys, columns), share

    def _parquet(self, unit: _Unit, columns: Sequence[str]) -> Iterator[tuple[pa.Table, float]]:
        import pyarrow as pa

        with _parquet(unit.place) as file:
            stored = file.schema_arrow.names
            clean = clean_names(stored)[0]
            _require(unit.place, clean, columns)
            chosen = {new: old for old, new in zip(stored, clean, strict=True)}
            groups = None if unit.group is None else [unit.group]
            total = file.metadata.num_rows if unit.group is None else file.metadata.row_group(unit.group).num_rows
            seen = 0
            for batch in file.iter_batches(BLOCK_ROWS, groups, [chosen[name] for name in columns]):
                seen += batch.num_rows
                table = pa.Table.from_batches([batch])
                back = {old: new for new, old in chosen.items()}
                yield table.rename_columns([back[name] for name in table.column_names]), seen / max(1, total)

    def _whole(self, place: Place) -> Any:
        if place.remote:
            raise DataError(f"{place.path!r} is neither CSV nor Parquet", "copy the file here first")
        return read_table(place.path, self._options)

    def _cut(self, place: Place, columns: Sequence[str]) -> Iterator[tuple[pa.Table, float]]:
        import pyarrow as pa

        frame = self._whole(place)
        _require(place, list(frame.columns), columns)
        for start in range(0, len(frame), BLOCK_ROWS):
            part = frame.iloc[start : start + BLOCK_ROWS]
            arrays = [array_of(part[name], name) for name in columns]
            yield pa.table(arrays, names=list(columns)), min(1.0, (start + len(part)) / len(frame))

    def _delimited(self, place: Place, columns: Sequence[str]) -> Iterator[tuple[pa.Table, float]]:
        import pyarrow as pa

        head = self._look(place)
        _require(place, head.names, columns)
        try:
            yield from self._decoded(place, columns, head)
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            name, reason = Path(place.path).name, str(error).split("\n")[0]
            if isinstance(error, UnicodeDecodeError) or _NO_UTF8 in reason:
                fix = "name its encoding, or save it as UTF-8"
                raise DataError(f"the file {name!r} can't be decoded: {reason}", fix) from None
            raise DataError(
                f"{name!r} is not an even table of text: {reason}",
                "give every line the same number of fields, quoting those that hold the delimiter",
            ) from None

    def _decoded(self, place: Place, columns: Sequence[str], head: _Head) -> Iterator[tuple[pa.Table, float]]:
        """The file's blocks; where its first accent comes late and is none of UTF-8, the rest as Windows-1252."""
        import pyarrow as pa

        before = 0
        try:
            for table, share in self._parsed(place, columns, head):
                yield table, share
                before += table.num_rows
        except pa.ArrowInvalid as error:
            if not head.may_be_other or _NO_UTF8 not in str(error):
                raise
            failed = error
        else:
            return
        for table, share in self._parsed(place, columns, replace(head, encoding="cp1252")):
            known = table.slice(0, before)
            if not _is_ascii(known):
                raise failed  # there were accents of UTF-8 before it
            before -= known.num_rows
            if known.num_rows < table.num_rows:
                yield table.slice(known.num_rows), share

    def _parsed(self, place: Place, columns: Sequence[str], head: _Head) -> Iterator[tuple[pa.Table, float]]:
        import pyarrow as pa
        from pyarrow import csv as pacsv

        read = pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=head.names,
                                 skip_rows=head.skip_lines, encoding=head.encoding)  # fmt: skip
        parse = pacsv.ParseOptions(delimiter=head.dialect.delimiter, quote_char=head.dialect.quote,
                                   newlines_in_values=True)  # fmt: skip
        convert = pacsv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()), include_columns=list(columns),
                                       null_values=list(self._options.null_values), strings_can_be_null=True)
        with place.raw() as raw:
            for batch in pacsv.open_csv(place.unpacked(raw), read, parse, convert):
                yield pa.Table.from_batches([batch]), min(1.0, raw.tell() / max(place.size, 1))

    def _look(self, place: Place) -> _Head:
        with place.raw() as raw, place.unpacked(raw) as opened:
            head = opened.read(HEAD_BYTES)
        whole = head[: head.rfind(b"\n") + 1] or head if len(head) == HEAD_BYTES else head
        name = Path(place.path).name
        encoding = self._options.encoding or encoding_of(whole, name)
        text = decode(head, name, encoding, whole=len(head) < HEAD_BYTES)
        if not text.strip():
            raise DataError(f"the file {name!r} is empty", "pass a file with a header and rows")
        delimiter = self._options.delimiter or ("\t" if place.form in (".tsv", ".tab") else None)
        dialect = sniff(text[:SAMPLE_CHARS], delimiter, self._options.decimal)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=dialect.delimiter, quotechar=dialect.quote)
        try:
            first = next(row for row in reader if row)
        except csv.Error as error:  # such as a quote without an end
            raise DataError(f"the file {name!r} is not an even table ({error})",
                            "check its first line, or pass delimiter") from None  # fmt: skip
        if not self._options.header:
            header = [f"column_{k + 1}" for k in range(len(first))]
        else:
            header = ["", *first] if has_row_names(text[: 4 * SAMPLE_CHARS], name, dialect) else first
        may_be_other = self._options.encoding is None and head.isascii()
        skip_lines = reader.line_num if self._options.header else 0
        return _Head(encoding, dialect, clean_names(header)[0], skip_lines, may_be_other)


@dataclass(frozen=True)
class _Head:
    """What a delimited file's first bytes tell."""

    encoding: str
    dialect: Dialect
    names: list[str]
    skip_lines: int  # before the first row
    may_be_other: bool  # whether the encoding was chosen for want of any accent


_NO_UTF8 = "invalid UTF8"  # in Arrow's words


def _is_ascii(table: pa.Table) -> bool:
    import pyarrow.compute as pc

    return all(pc.all(pc.string_is_ascii(column)).as_py() is not False for column in table.columns)


NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"  # what Hive and Spark call the folder of rows without a value


@dataclass(frozen=True)
class _Unit:
    """What is read in one go: a file, or a row group of one."""

    place: Place
    group: int | None
    size: int
    n_rows: int = 0  # of a row group


def _parquet(place: Place) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(place.raw())
    except (pa.ArrowInvalid, OSError) as error:
        problem = f"{Path(place.path).name!r} can't be read as Parquet: {error}"
        raise DataError(problem, "check that the file is whole") from None


def _parquet_names(place: Place) -> list[str]:
    with _parquet(place) as file:
        return [name for name in file.schema_arrow.names if not name.startswith("__index_level_")]


def _require(place: Place, there: Sequence[str], wanted: Sequence[str]) -> None:
    lacking = [name for name in wanted if name not in there]
    if lacking:
        listed = ", ".join(map(repr, lacking[:5]))
        raise DataError(f"{place.path!r} lacks the columns {listed}", "pass files that all have the same columns")


def _with_keys(table: pa.Table, keys: Mapping[str, str], columns: Sequence[str]) -> pa.Table:
    """The table with its folder's keys as columns of text, in the order asked for."""
    import pyarrow as pa

    for name in columns:
        if name in keys:
            value = None if keys[name] == NO_PARTITION else keys[name]
            table = table.append_column(name, pa.array([value] * table.num_rows, pa.string()))
    return table.select(list(columns))


class Blocks:
    """The rows of a table as Arrow tables with a schema's columns, numbers of text already read.

    Parameters
    ----------
    source : str, Path or Stream
    schema : Schema
        Whose used columns are read.
    extra : sequence of str
        Further columns, as they are, or of text as numbers where all of a block are.
    seed, piece : int, optional
        See :meth:`Stream.blocks`.
    """

    def __init__(
        self, source: str | Path | Stream, schema: Schema, extra: Sequence[str] = (), seed: int | None = None,
        piece: int | None = None,
    ) -> None:  # fmt: skip
        self.stream = source if isinstance(source, Stream) else Stream(str(source))
        self._schema, self._extra, self._seed, self._piece = schema, tuple(extra), seed, piece

    def __iter__(self) -> Iterator[tuple[pa.Table, float]]:
        """Each block with the share that has been read, 0 to 1.

        Raises
        ------
        DataError
            If it is no table, or lacks columns.
        """
        require_columns(self.stream.names, self._schema)
        wanted = {c.name: c for c in self._schema.used}
        order = [name for name in self.stream.names if name in wanted]  # as they stand, whatever the schema's order
        for table, share in self.stream.blocks([*order, *self._extra], self._seed, self._piece):
            yield (typed(table, wanted, self.stream.decimal) if self.stream.is_text else table), share


def text_options(options: ReadOptions, decimal: str) -> ReadOptions:
    """How text that a stream's blocks were written to is read back."""
    return replace(options, delimiter=",", decimal=decimal, encoding="utf-8", header=True)
