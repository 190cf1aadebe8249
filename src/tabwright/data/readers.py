"""Tables from files, addresses and objects, as pandas frames with clean column names."""

from __future__ import annotations

import difflib
import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlparse

import numpy as np

from tabwright.data.arrow import frame_from_arrow
from tabwright.data.delimited import NULLS, ReadOptions, read_csv
from tabwright.data.places import is_address
from tabwright.errors import DataError
from tabwright.names import clean_names

if TYPE_CHECKING:
    import pandas as pd

NOTES = "tabwright_notes"
"""Key in ``DataFrame.attrs`` under which ``read_table`` leaves sentences on what it had to change."""
T = TypeVar("T")
_PACKED = (".gz", ".zip", ".zst", ".bz2", ".xz")


def read_table(source: Any, options: ReadOptions | None = None) -> pd.DataFrame:
    """A table from a file, an address or an object.

    Parameters
    ----------
    source : str, Path or table
        A CSV, TSV, JSON, JSON lines, Parquet, Feather or Excel file (also packed: .gz, .zip, .zst, .bz2, .xz), or
        its http(s) address; a folder or a glob of CSV or Parquet files, here or at s3://, gs://, abfs://; or a
        pandas, polars or Arrow table, a 2-D or structured NumPy array, a list of lists or of dicts, or a dict of
        columns.
    options : ReadOptions, optional

    Returns
    -------
    pandas.DataFrame
        Rows numbered from 0, distinct non-empty string names. ``frame.attrs["tabwright_notes"]`` tells what was
        changed.

    Raises
    ------
    DataError
        If there is no such file, or it holds no table.
    """
    options = options or ReadOptions()
    if isinstance(source, (str, Path)):
        frame, what = _read_source(str(source), options), f"the file {str(source)!r}"
    else:
        frame, what = _from_object(source), f"the {type(source).__name__}"
    names, notes = clean_names(frame.columns)
    if not names:
        raise DataError(f"{what} has no columns", "pass a table with named columns and rows")
    if len(frame) == 0:
        raise DataError(f"{what} has column names but no rows", "pass a table with rows")
    frame = frame.reset_index(drop=True)
    frame.columns = names
    if options.null_values:
        frame = emptied(frame, options.null_values)
    frame.attrs = {NOTES: (*frame.attrs.get(NOTES, ()), *notes)}
    return frame


def emptied(frame: pd.DataFrame, words: tuple[str, ...]) -> pd.DataFrame:
    """The frame with these words made missing in columns of text."""
    import pandas as pd

    if not words:
        return frame
    changed = {}
    for name in frame.columns:
        column = frame[name]
        if (column.dtype == object or isinstance(column.dtype, pd.StringDtype)) and (found := column.isin(words)).any():
            changed[name] = column.mask(found)
    return frame.assign(**changed)


def _read_source(source: str, options: ReadOptions) -> pd.DataFrame:
    scheme = urlparse(source).scheme
    if scheme in ("http", "https"):
        name, data = PurePosixPath(urlparse(source).path).name, _download(source)
    elif in_many(source):
        from tabwright.data.sampling import read_all  # which reads files of other forms by this module

        return read_all(source, options)
    else:
        path = Path(urlparse(source).path if scheme == "file" else source).expanduser()
        check_exists(path)
        if path.suffix.lower() in (".parquet", ".pq"):
            return _guard(lambda: _parquet(str(path)), path.name, "Parquet")
        name, data = path.name, path.read_bytes()
    if not data:
        raise DataError(f"the file {source!r} is empty", "pass a file with a header and rows")
    name, data = _unpack(name, data)
    return _parse(name, data, options)


def in_many(source: str) -> bool:
    """Whether a source is a folder, a glob or the address of a store, and not one file here."""
    if is_address(source) and not source.startswith("file://"):
        return not source.startswith(("http://", "https://"))
    path = Path(source).expanduser()
    return path.is_dir() or (not path.exists() and any(c in source for c in "*?["))


def check_exists(path: Path) -> None:
    """DataError where a file can't be read, or there is none: then it names files of like names."""
    if path.is_file():
        if not os.access(path, os.R_OK):
            raise DataError(f"the file {str(path)!r} can't be read", "make it readable")
        return
    folder = path.parent
    names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, names, 3, 0.6)
    near = near or sorted(n for n in names if n.startswith(path.stem))[:3]
    hint = f"is {' or '.join(repr(str(folder / n)) for n in near)} meant?" if near else "check the path"
    if not folder.is_dir():
        hint = f"check the path: the directory {str(folder)!r} does not exist either"
    raise DataError(f"there is no file {str(path)!r}", hint.rstrip("?"))


def _download(url: str) -> bytes:
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=60) as reply:  # noqa: S310  (the scheme was checked)
            return bytes(reply.read())
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise DataError(f"{url} can't be read: {error}", "check the address and the connection") from None


def _unpack(name: str, data: bytes) -> tuple[str, bytes]:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in _PACKED:
        return name, data
    inner = name[: -len(suffix)]
    if suffix == ".zip":
        return _unzip(name, data)
    import pyarrow as pa

    codec = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}[suffix]
    if codec == "xz":
        import lzma

        return inner, _guard(lambda: lzma.decompress(data), name, codec)
    return inner, _guard(lambda: pa.CompressedInputStream(pa.BufferReader(data), codec).read(), name, codec)


def _unzip(name: str, data: bytes) -> tuple[str, bytes]:
    archive = _guard(lambda: zipfile.ZipFile(io.BytesIO(data)), name, "zip")
    files = [i for i in archive.infolist() if not i.is_dir() and not i.filename.startswith("__MACOSX")]
    if len(files) != 1:
        raise DataError(f"{name!r} holds {len(files)} files", "pack exactly one table into it, or unpack it")
    return PurePosixPath(files[0].filename).name, archive.read(files[0])


def _parse(name: str, data: bytes, options: ReadOptions) -> pd.DataFrame:
    suffix = PurePosixPath(name).suffix.lower()
    parsers: dict[str, Callable[[], pd.DataFrame]] = {
        **dict.fromkeys((".csv", ".tsv", ".txt", ".tab", ".dat", ".data"), lambda: _csv(name, data, suffix, options)),
        **dict.fromkeys((".jsonl", ".ndjson"), lambda: _json_lines(data)),
        ".json": lambda: _json(data),
        **dict.fromkeys((".parquet", ".pq"), lambda: _parquet(io.BytesIO(data))),
        **dict.fromkeys((".feather", ".arrow", ".ipc"), lambda: _feather(data)),
        **dict.fromkeys((".xlsx", ".xlsm"), lambda: _excel(data, options)),
    }
    if suffix not in parsers:
        raise DataError(
            f"the file {name!r} has the unknown suffix {suffix!r}", f"use one of {', '.join(parsers)}, packed or not"
        )
    return _guard(parsers[suffix], name, suffix)


def _guard(read: Callable[[], T], name: str, form: str) -> T:
    """What ``read`` returns; whatever a format's library throws at a broken file becomes a DataError."""
    try:
        return read()
    except DataError:
        raise
    except MemoryError as error:  # a broken file may claim to hold any number of cells
        problem = f"{name!r} needs more memory than there is, or is damaged"
        raise DataError(problem, "check that the file is whole, or give it as CSV or Parquet, which are read in blocks"
                        ) from error  # fmt: skip
    except Exception as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        problem = f"{name!r} can't be read as {form}: {reason}"
        raise DataError(problem, "check that the file is whole, and its suffix right") from error


def _csv(name: str, data: bytes, suffix: str, options: ReadOptions) -> pd.DataFrame:
    delimiter = options.delimiter or ("\t" if suffix in (".tsv", ".tab") else None)
    return read_csv(data, name, replace(options, delimiter=delimiter))


def _json_lines(data: bytes) -> pd.DataFrame:
    lines = data.decode("utf-8-sig").split("\n")  # other separators of lines may stand in texts
    records = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"line {number} is not JSON: {error.msg}", "write one object per line") from None
        if not isinstance(record, dict):
            raise DataError(f"line {number} is not a JSON object", "write one object per line")
        records.append(record)
    return _from_records(records)


def _json(data: bytes) -> pd.DataFrame:
    text = data.decode("utf-8-sig")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        if text.lstrip().startswith("{") and "\n" in text.strip():
            return _json_lines(data)  # JSON lines under the wrong suffix
        raise
    if isinstance(value, dict) and len(value) > 0 and not all(isinstance(v, (list, dict)) for v in value.values()):
        value = [value]
    if isinstance(value, dict):
        tables = [v for v in value.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
        value = tables[0] if len(tables) == 1 else value  # {"data": [{...}, ...]}
    return _from_object(value)


def _parquet(source: Any) -> pd.DataFrame:
    import pyarrow.parquet as pq

    return frame_from_arrow(pq.read_table(source, use_threads=False))


def _feather(data: bytes) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import feather

    try:
        return frame_from_arrow(feather.read_table(pa.BufferReader(data), use_threads=False))
    except pa.ArrowInvalid:
        return frame_from_arrow(pa.ipc.open_stream(data).read_all())


def _excel(data: bytes, options: ReadOptions) -> pd.DataFrame:
    import pandas as pd

    header = 0 if options.header else None
    frame = pd.read_excel(io.BytesIO(data), sheet_name=options.sheet, engine="openpyxl", header=header,
                          keep_default_na=False, na_values=[*NULLS, *options.null_values])  # fmt: skip
    if not options.header:
        frame.columns = [f"column_{j + 1}" for j in range(frame.shape[1])]
    return frame.dropna(how="all").dropna(how="all", axis=1) if len(frame) else frame


def _from_object(source: Any) -> pd.DataFrame:
    import pandas as pd

    if hasattr(source, "tocsr"):
        raise DataError(f"the {type(source).__name__} is sparse, and sparse input is not supported", "pass X.toarray()")
    if isinstance(source, pd.DataFrame):
        return source.copy(deep=False)
    if isinstance(source, pd.Series):
        return source.to_frame()
    if isinstance(source, np.ndarray):
        return _from_numpy(source)
    if isinstance(source, Mapping):
        return _from_mapping(source)
    if isinstance(source, (list, tuple)):
        if source and all(isinstance(row, Mapping) for row in source):
            return _from_records(list(source))
        if source and all(isinstance(row, (list, tuple, np.ndarray)) for row in source):
            return _from_rows(source)
        raise DataError("the list holds neither rows (lists) nor records (dicts)", "pass one list or dict per row")
    if hasattr(source, "column_names") and hasattr(source, "schema"):
        import pyarrow as pa

        return frame_from_arrow(pa.table(source))
    return _from_dataframe(source)


def _from_dataframe(source: Any) -> pd.DataFrame:
    """A table of any library that narwhals knows, or what NumPy can read."""
    import narwhals as nw

    try:
        native = nw.from_native(source)
    except TypeError:
        if hasattr(source, "__array__"):
            return _from_numpy(np.asarray(source))
        raise DataError(
            f"a {type(source).__name__} is not a table",
            "pass a file's path, a pandas, polars or Arrow table, a 2-D array, or a dict of columns",
        ) from None
    eager = native.collect() if isinstance(native, nw.LazyFrame) else native
    if ended := [name for name in eager.columns if "\0" in name]:  # where Arrow's names end
        raise DataError(f"the column name {ended[0]!r} holds a null character", "rename the column")
    return frame_from_arrow(eager.to_arrow())


def _from_numpy(array: np.ndarray[Any, Any]) -> pd.DataFrame:
    import pandas as pd

    if array.dtype.names:
        return pd.DataFrame({name: array[name] for name in array.dtype.names})
    if array.ndim != 2:
        raise DataError(
            f"the array has {array.ndim} dimensions and a table has 2", "Reshape your data to (n_rows, n_columns)"
        )
    frame = pd.DataFrame(array, columns=[f"column_{j + 1}" for j in range(array.shape[1])])
    return frame.infer_objects() if array.dtype == object else frame


def _from_mapping(columns: Mapping[Any, Any]) -> pd.DataFrame:
    import pandas as pd

    sizes = {name: len(v) for name, v in columns.items() if hasattr(v, "__len__") and not isinstance(v, (str, bytes))}
    if not sizes:
        return pd.DataFrame([dict(columns)])
    if len(set(sizes.values())) > 1 or len(sizes) < len(columns):
        shown = ", ".join(f"{name!r}: {sizes.get(name, 1)}" for name in list(columns)[:6])
        raise DataError(f"the columns have different numbers of rows ({shown})", "pass columns of one length")
    return pd.DataFrame({name: list(v) if isinstance(v, tuple) else v for name, v in columns.items()})


def _from_records(records: list[Any]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame.from_records(records)


def _from_rows(rows: Any) -> pd.DataFrame:
    import pandas as pd

    widths = sorted({len(row) for row in rows})
    if len(widths) > 1:
        raise DataError(f"the rows have between {widths[0]} and {widths[-1]} values", "pass rows of one length")
    return pd.DataFrame([list(row) for row in rows], columns=[f"column_{j + 1}" for j in range(widths[0])])
