"""Tables in blocks, for files larger than memory: CSV and Parquet are streamed, other files are read and cut."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabwright.data.delimited import SAMPLE_CHARS, Dialect, encoding_of, sniff
from tabwright.data.readers import read_table
from tabwright.errors import DataError
from tabwright.names import clean_names
from tabwright.schema import Column, Schema, require_columns
from tabwright.types import Kind

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 8 << 20
BLOCK_ROWS = 50_000
_DELIMITED = (".csv", ".tsv", ".txt", ".tab")


class Blocks:
    """The rows of a file as Arrow tables with the model's columns, always cut at the same places.

    Parameters
    ----------
    path : Path
    schema : Schema
        Whose used columns are read.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self.path, self._schema = path, schema
        self.size_bytes = path.stat().st_size if path.is_file() else 0

    def __iter__(self) -> Iterator[tuple[pa.Table, float]]:
        """Each block with the share of the file that has been read, 0 to 1.

        Raises
        ------
        DataError
            If it is no table, or lacks columns.
        """
        names = [suffix.lower() for suffix in self.path.suffixes]
        plain = names[-2] if len(names) > 1 and names[-1] == ".gz" else names[-1] if names else ""
        try:
            if plain in _DELIMITED and self.path.is_file():
                yield from self._delimited()
            elif plain in (".parquet", ".pq") and self.path.is_file():
                yield from self._parquet()
            else:
                yield from self._whole()
        except OSError as error:
            raise DataError(f"{str(self.path)!r} can't be read: {error}", "check that the file is whole") from error

    def _parquet(self) -> Iterator[tuple[pa.Table, float]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(self.path)
        except pa.ArrowInvalid as error:
            raise DataError(f"{self.path.name!r} can't be read as Parquet: {error}", "check that the file is whole"
                            ) from None
        with file:
            stored = file.schema_arrow.names
            clean = clean_names(stored)[0]
            require_columns(clean, self._schema)
            wanted = {c.name for c in self._schema.used}
            chosen = {old: new for old, new in zip(stored, clean, strict=True) if new in wanted}
            total, seen = max(file.metadata.num_rows, 1), 0
            for batch in file.iter_batches(BLOCK_ROWS, columns=list(chosen)):
                seen += batch.num_rows
                table = pa.Table.from_batches([batch])
                yield table.rename_columns([chosen[name] for name in table.column_names]), seen / total

    def _whole(self) -> Iterator[tuple[pa.Table, float]]:
        import pyarrow as pa

        frame = read_table(self.path)
        require_columns(frame.columns, self._schema)
        frame = frame[[c.name for c in self._schema.used]]
        for start in range(0, len(frame), BLOCK_ROWS):
            part = frame.iloc[start : start + BLOCK_ROWS]
            yield pa.Table.from_pandas(part, preserve_index=False), min(1.0, (start + len(part)) / len(frame))

    def _delimited(self) -> Iterator[tuple[pa.Table, float]]:
        import pyarrow as pa
        from pyarrow import csv as pacsv

        with pa.input_stream(str(self.path), compression="detect") as opened:
            head = opened.read(4 << 20)
        encoding, dialect, names = self._look(head)
        wanted = {c.name: c for c in self._schema.used}
        require_columns(names, self._schema)
        read = pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=names, skip_rows=1,
                                 encoding=encoding)  # fmt: skip
        parse = pacsv.ParseOptions(delimiter=dialect.delimiter, quote_char=dialect.quote, newlines_in_values=True)
        # as text, since the types of one block say nothing of the next
        convert = pacsv.ConvertOptions(column_types=dict.fromkeys(wanted, pa.string()), include_columns=list(wanted))
        try:
            raw = self.path.open("rb")
            with raw, pa.PythonFile(raw, "r") as counted:
                packed = self.path.suffix.lower() == ".gz"
                source = pa.CompressedInputStream(counted, "gzip") if packed else counted
                for batch in pacsv.open_csv(source, read, parse, convert):
                    table = pa.Table.from_batches([batch])
                    yield _typed(table, wanted, dialect.decimal), min(1.0, raw.tell() / max(self.size_bytes, 1))
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            reason = str(error).split("\n")[0]
            raise DataError(
                f"{self.path.name!r} is not an even table of text: {reason}",
                "give every line the same number of fields, quoting those that hold the delimiter",
            ) from None

    def _look(self, head: bytes) -> tuple[str, Dialect, list[str]]:
        """Encoding, dialect and column names, from the file's first bytes."""
        whole = head[: head.rfind(b"\n") + 1] or head if len(head) == 4 << 20 else head
        encoding = encoding_of(whole, self.path.name)
        text = whole.decode(encoding)[:SAMPLE_CHARS]
        if not text.strip():
            raise DataError(f"the file {self.path.name!r} is empty", "pass a file with a header and rows")
        tabs = any(suffix.lower() in (".tsv", ".tab") for suffix in self.path.suffixes)
        dialect = sniff(text, "\t" if tabs else None)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=dialect.delimiter, quotechar=dialect.quote)
        return encoding, dialect, clean_names(next(reader))[0]


def _typed(table: pa.Table, columns: dict[str, Column], decimal: str) -> pa.Table:
    """Numbers as numbers where all of a block are; the rest stays text, which the schema reads or refuses."""
    for position, name in enumerate(table.column_names):
        column = columns[name]
        numeric = column.kind in (Kind.NUMERIC, Kind.INTEGER) and column.number_style is None
        if (numeric and not column.number_affixes) or column.dtype.lower().startswith(("int", "float", "uint")):
            table = table.set_column(position, name, _as_numbers(table.column(position), decimal))
    return table


def _as_numbers(texts: Any, decimal: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = pc.utf8_trim_whitespace(texts)
    plain = pc.if_else(pc.equal(plain, ""), pa.scalar(None, pa.string()), plain)
    if decimal != ".":
        plain = pc.replace_substring(plain, decimal, ".")
    try:
        return pc.cast(plain, pa.float64())
    except pa.ArrowInvalid:
        return plain
