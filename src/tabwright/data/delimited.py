"""Delimited text: encoding, delimiter, quote and decimal sign are found by looking."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from tabwright.coerce import MISSING_STRINGS
from tabwright.data.arrow import frame_from_arrow
from tabwright.errors import DataError, OptionError

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = (",", ";", "\t", "|")
NULLS = tuple(word for word in MISSING_STRINGS if word != "None")
"""Words read as empty cells; "None" may be a class, and inference knows it where it stands among numbers."""
SAMPLE_CHARS = 200_000
_COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+")
_POINT_NUMBER = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?")
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True)
class ReadOptions:
    """What to take as given instead of finding it by looking."""

    delimiter: str | None = None
    decimal: str | None = None  # "." or ","
    encoding: str | None = None
    sheet: str | int = 0
    header: bool = True  # whether a delimited text's first line, or a sheet's first row, names the columns
    null_values: tuple[str, ...] = ()  # words that stand for an empty cell, besides the usual ones

    def __post_init__(self) -> None:
        for name in ("delimiter", "decimal"):
            given = getattr(self, name)
            if given is not None and len(given) != 1:
                raise OptionError(name, f"is {given!r}", "give one character, or leave it out to have it found")


@dataclass(frozen=True)
class Dialect:
    """How a delimited text is written."""

    delimiter: str
    quote: str = '"'
    decimal: str = "."


def read_csv(data: bytes, name: str, options: ReadOptions | None = None) -> pd.DataFrame:
    """A frame from the bytes of a delimited text file; what ``options`` don't give is found by looking.

    Raises
    ------
    DataError
        If it is no text, has no rows, or its rows have different numbers of fields.
    """
    options = options or ReadOptions()
    text = decode(data, name, options.encoding)
    sample = text[:SAMPLE_CHARS]
    if len(text) > SAMPLE_CHARS:
        sample = sample[: sample.rfind("\n") + 1] or sample
    if not sample.strip():
        raise DataError(f"the file {name!r} is empty", "pass a file with a header and rows")
    dialect = sniff(sample, options.delimiter, options.decimal)
    raw = text.encode()
    frame = _by_arrow(raw, dialect, options)
    if frame is None:
        frame = _by_pandas(raw, name, dialect, options)
    header = [str(n) for n in frame.columns]
    if options.header and len(frame) and all(_is_number(n) for n in header):
        note = f"The first line of {name!r} holds only numbers, read as column names: add a header if it has none."
        frame.attrs["tabwright_notes"] = (note,)
    return frame


def decode(data: bytes, name: str, encoding: str | None = None, *, whole: bool = True) -> str:
    """The file's text, or that of its head, under ``encoding`` or the one that :func:`encoding_of` finds."""
    try:
        return codecs.getincrementaldecoder(encoding or encoding_of(data, name))().decode(data, whole)
    except (UnicodeDecodeError, LookupError) as error:
        fix = "name its encoding, or save it as UTF-8"
        raise DataError(f"the file {name!r} can't be decoded: {error}", fix) from None


def encoding_of(data: bytes, name: str) -> str:
    """By byte order mark, else UTF-8, UTF-16 by its zero bytes, else Windows-1252 or Latin-1."""
    for mark, codec in _BOMS:
        if data.startswith(mark):
            return codec
    head = data[:4000]
    if b"\x00" in head:
        zeros = [head[k::2].count(0) for k in (0, 1)]
        if max(zeros) < 0.4 * len(head) / 2 or min(zeros) > 0.1 * len(head) / 2:
            raise DataError(f"the file {name!r} is not text", "pass a table: CSV, Parquet, Excel or JSON")
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    for codec in ("utf-8", "cp1252"):
        try:
            data.decode(codec)
        except UnicodeDecodeError:
            continue
        return codec
    return "latin-1"


def sniff(sample: str, delimiter: str | None = None, decimal: str | None = None) -> Dialect:
    """The dialect under which the sample's lines split most evenly."""
    quote = _quote(sample)
    if delimiter is None:
        scores = {d: _evenness(sample, d, quote) for d in DELIMITERS}
        best = max(scores, key=lambda d: scores[d])
        delimiter = best if scores[best] > (0.0, 0) else ","
    if decimal is None:
        decimal = "," if delimiter != "," and _decimal_comma(sample, delimiter, quote) else "."
    return Dialect(delimiter, quote, decimal)


def _quote(sample: str) -> str:
    """The double quote unless fields stand between single quotes instead."""
    double = len(re.findall(r'(?:^|[,;\t|])"', sample, re.MULTILINE))
    single = len(re.findall(r"(?:^|[,;\t|])'[^'\n]*'(?=[,;\t|\r\n]|$)", sample, re.MULTILINE))
    return "'" if single > 0 and double == 0 else '"'


def _rows(sample: str, delimiter: str, quote: str, limit: int = 200) -> list[list[str]]:
    rows = []
    try:
        for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, quotechar=quote):
            if row:
                rows.append(row)
            if len(rows) == limit:
                break
    except csv.Error:
        pass
    return rows


def _evenness(sample: str, delimiter: str, quote: str) -> tuple[float, int]:
    """Share of rows with the header's number of fields, and that number; (0, 0) where nothing is split."""
    widths = [len(row) for row in _rows(sample, delimiter, quote)]
    if not widths or widths[0] < 2:
        return (0.0, 0)
    share = Counter(widths)[widths[0]] / len(widths)
    return (round(share, 2), widths[0])


def _decimal_comma(sample: str, delimiter: str, quote: str) -> bool:
    fields = [f.strip() for row in _rows(sample, delimiter, quote)[1:] for f in row]
    # 1,000 may be a thousand
    comma = sum(_COMMA_NUMBER.fullmatch(f) is not None and not _GROUPED.fullmatch(f) for f in fields)
    return comma > 0 and not any(_POINT_NUMBER.fullmatch(f) for f in fields)


def _by_arrow(raw: bytes, dialect: Dialect, options: ReadOptions) -> pd.DataFrame | None:
    """The fast reader; None for what it refuses (ragged rows, mixed types past the first block)."""
    import pyarrow as pa
    from pyarrow import csv as pacsv

    convert = pacsv.ConvertOptions(
        null_values=[*NULLS, *options.null_values], strings_can_be_null=True, decimal_point=dialect.decimal,
        true_values=["true", "True", "TRUE"], false_values=["false", "False", "FALSE"],
    )  # fmt: skip
    parse = pacsv.ParseOptions(delimiter=dialect.delimiter, quote_char=dialect.quote, newlines_in_values=True)
    read = pacsv.ReadOptions(
        use_threads=False, block_size=1 << 24, autogenerate_column_names=not options.header
    )  # fmt: skip
    try:
        table = pacsv.read_csv(pa.BufferReader(raw), read_options=read, parse_options=parse, convert_options=convert)
    except (pa.ArrowInvalid, pa.ArrowKeyError):
        return None
    times = [field.name for field in table.schema if pa.types.is_time(field.type)]
    if times and len(set(table.column_names)) == table.num_columns:  # as they are spelt: 9:30 is no 09:30:00
        convert.column_types = dict.fromkeys(times, pa.string())
        table = pacsv.read_csv(pa.BufferReader(raw), read_options=read, parse_options=parse, convert_options=convert)
    if not options.header:
        table = table.rename_columns(_numbered(table.num_columns))
    return frame_from_arrow(table)


def _numbered(n_columns: int) -> list[str]:
    return [f"column_{j + 1}" for j in range(n_columns)]


def _by_pandas(raw: bytes, name: str, dialect: Dialect, options: ReadOptions) -> pd.DataFrame:
    import pandas as pd

    how: dict[str, Any] = {
        "sep": dialect.delimiter, "quotechar": dialect.quote, "decimal": dialect.decimal, "encoding": "utf-8",
        "na_values": [*NULLS, *options.null_values], "keep_default_na": False, "index_col": False,
    }  # fmt: skip
    raw = raw.lstrip(b"\r\n")
    names_rows = options.header and has_row_names(raw[: 4 * SAMPLE_CHARS].decode("utf-8", "ignore"), name, dialect)
    try:
        head = pd.read_csv(io.BytesIO(raw), **how, header=None, nrows=1, dtype=str)
        header = ["" if isinstance(v, float) else str(v) for v in head.iloc[0]]
        if not options.header:
            header = _numbered(len(header))
        header = ["", *header] if names_rows else header
        frame = pd.read_csv(
            io.BytesIO(raw), **how, low_memory=False, header=None, skiprows=int(options.header),
            names=list(range(len(header))),
        )
    except pd.errors.EmptyDataError:
        raise DataError(f"the file {name!r} has no rows", "pass a file with a header and rows") from None
    except pd.errors.ParserError as error:
        reason = str(error).replace("Error tokenizing data. C error: ", "").strip()
        raise DataError(
            f"the file {name!r} is not an even table: {reason}",
            "give every line the same number of fields, quoting those that hold the delimiter",
        ) from None
    frame.columns = header
    return cast("pd.DataFrame", frame)


def has_row_names(sample: str, name: str, dialect: Dialect) -> bool:
    """Whether every row has one field more than the header: their names, as R writes them.

    Raises
    ------
    DataError
        If the first row alone is wider than the header: a reader would cut it.
    """
    rows = _rows(sample, dialect.delimiter, dialect.quote)
    if len(rows) < 2 or len(rows[1]) <= len(rows[0]):
        return False
    widths = {len(row) for row in rows[1:-1]} or {len(rows[1])}
    if widths != {len(rows[0]) + 1}:
        raise DataError(f"the first row of {name!r} has {len(rows[1])} fields, and the header {len(rows[0])}",
                        "give every line the same number of fields, quoting those that hold the delimiter")  # fmt: skip
    return True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
