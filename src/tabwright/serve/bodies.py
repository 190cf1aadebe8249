"""From a request's body to canonical rows: JSON, CSV, Arrow and Parquet, by the model's schema."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from tabwright.coerce import not_scalar
from tabwright.errors import ColumnError, DataError, MissingExtraError
from tabwright.names import clean_names
from tabwright.rows import positional
from tabwright.runtime import Model
from tabwright.schema import require_columns
from tabwright.serve.refusal import RefusalError
from tabwright.serve.registry import Served
from tabwright.types import Array

Feeds = dict[str, Array]
JSON, CSV = "application/json", "text/csv"
JSON_LINES = ("application/jsonlines", "application/x-ndjson", "application/jsonl")
ARROW_STREAM, ARROW_FILE = "application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file"
PARQUET = ("application/vnd.apache.parquet", "application/x-parquet")
_COLUMNAR = (ARROW_STREAM, ARROW_FILE, *PARQUET)


def media_type(content_type: str) -> str:
    """The media type alone, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def parse_json(body: bytes, nan_in: tuple[str, ...] = ()) -> Any:
    """The value of a JSON body; refused with 400 where it is none, with 422 where a cell is NaN or infinite.

    Objects with one of the keys ``nan_in`` may hold NaN: MLflow's own client writes missing values so.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if b"NaN" in body or b"Infinity" in body:
            with contextlib.suppress(ValueError, RecursionError):
                value = json.loads(body)
                if isinstance(value, Mapping) and any(key in value for key in nan_in):
                    return value
                _refuse_nan(value)
        fix = "send JSON, or name the form in Content-Type"
        raise RefusalError(400, f"the body is not JSON ({error})", fix) from None


def _refuse_nan(value: Any) -> None:
    """Find the cell that is NaN, and say which it is."""
    if isinstance(value, Mapping) and isinstance(value.get("data"), list) and isinstance(value.get("columns"), list):
        rows = value["data"]
        value = [dict(zip(map(str, value["columns"]), r, strict=False)) for r in rows if isinstance(r, list)]
    row, column = _first_nan(value, None, None)
    where = f"column {column!r}" if column is not None else "a cell"
    where += f" holds NaN or an infinity in row {row}" if row is not None else " holds NaN or an infinity"
    raise RefusalError(422, f"{where}, which JSON has no word for", "send null for a missing value", column=column,
                       row=row)  # fmt: skip


def _first_nan(value: Any, row: int | None, column: str | None) -> tuple[int | None, str | None]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            found = _first_nan(item, row, name)
            if found != (None, None):
                return found
    elif isinstance(value, list):
        for k, item in enumerate(value):
            is_cell_of_row = row is not None and not isinstance(item, (list, dict))
            found = _first_nan(item, row if is_cell_of_row else k, column)
            if found != (None, None):
                return found
    elif isinstance(value, float) and not math.isfinite(value):
        return row if row is not None else 0, column
    return None, None


def is_json(kind: str) -> bool:
    """Whether a media type is JSON, or what curl says where nothing is said."""
    return kind in ("", JSON, "application/x-www-form-urlencoded") or kind.endswith("+json")


def read_body(body: bytes, content_type: str, served: Served, max_rows: int) -> Feeds:
    """Canonical rows of a body that is a table by itself; JSON is read as :func:`read_value` does."""
    kind = media_type(content_type)
    if is_json(kind):
        return read_value(parse_json(body), served, max_rows)
    if kind in JSON_LINES:
        return read_value([parse_json(line) for line in body.splitlines() if line.strip()], served, max_rows)
    if kind == CSV:
        return _read_csv(body, served, max_rows)
    if kind in _COLUMNAR:
        return served.model.encode_columns(_read_columnar(body, kind, served.model, max_rows))
    accepted = ", ".join((JSON, *JSON_LINES[:1], CSV, ARROW_STREAM, ARROW_FILE, PARQUET[0]))
    raise RefusalError(415, f"the form {kind[:100]!r} can't be read", f"send one of {accepted}")


def read_value(value: Any, served: Served, max_rows: int) -> Feeds:
    """Canonical rows of a JSON value.

    One row ``{"a": 1}``; rows ``[{"a": 1}, …]`` or, in the schema's order, ``[[1, "x"], …]``; ``{"rows": rows}``;
    columns ``{"a": [1, 2]}`` or ``{"columns": {"a": [1, 2]}}``; ``{"columns": ["a"], "data": [[1], [2]]}``.
    """
    model = served.model
    while isinstance(value, Mapping) and value.keys() == {"rows"}:
        value = value["rows"]
    if isinstance(value, Mapping):
        if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
            return read_split(value["columns"], value["data"], served, max_rows)
        if value.keys() == {"columns"} and isinstance(value["columns"], Mapping):
            value = value["columns"]
        if value and all(isinstance(v, list) for v in value.values()):
            _check_count(max(map(len, value.values())), max_rows)
            return model.encode_columns(value)
        return model.encode_row(value)
    if not isinstance(value, list):
        raise RefusalError(422, f"the body is a {type(value).__name__}, not rows", "send an object or an array")
    _check_count(len(value), max_rows)
    if len(value) == 1 and isinstance(value[0], Mapping):
        return model.encode_row(value[0])
    if all(isinstance(row, Mapping) for row in value):
        return model.encode_columns(_columns_of_records(value, model))
    if all(isinstance(row, list) for row in value):
        widths = {len(row) for row in value}
        if len(widths) != 1:
            odd = next(k for k, row in enumerate(value) if len(row) != len(value[0]))
            raise RefusalError(422, f"row {odd} has {len(value[odd])} values and row 0 has {len(value[0])}",
                               "send rows of one length", row=odd)  # fmt: skip
        return read_split(positional(widths.pop(), model.schema), value, served, max_rows)
    form = type(value[0]) if isinstance(value[0], (dict, list)) else dict
    odd = next(k for k, row in enumerate(value) if not isinstance(row, form))
    raise RefusalError(422, f"row {odd} is no row like the others", "send all as objects, or all as arrays", row=odd)


def read_split(columns: Sequence[Any], data: Sequence[Any], served: Served, max_rows: int) -> Feeds:
    """Canonical rows of column names and rows of values in their order."""
    _check_count(len(data), max_rows)
    for k, row in enumerate(data):
        if not isinstance(row, (list, tuple)) or len(row) != len(columns):
            got = f"{len(row)} values" if isinstance(row, (list, tuple)) else f"a {type(row).__name__}"
            raise RefusalError(422, f"row {k} has {got} and there are {len(columns)} columns",
                               "send one value per column in each row", row=k)  # fmt: skip
    names = [str(c) for c in columns]
    if len(data) == 1:
        return served.model.encode_row(dict(zip(names, data[0], strict=True)))
    return served.model.encode_columns({name: [row[j] for row in data] for j, name in enumerate(names)})


def _columns_of_records(records: Sequence[Mapping[str, Any]], model: Model) -> dict[str, list[Any]]:
    columns = {}
    for column in model.schema.used:
        name = column.name
        try:
            columns[name] = [record[name] for record in records]
        except KeyError:
            missing = [k for k, record in enumerate(records) if name not in record]
            if len(missing) == len(records):
                require_columns(records[0], model.schema)
            raise RefusalError(
                422, f"row {missing[0]} lacks the column {name!r} ({len(missing)} of {len(records)} rows do)",
                "send null for a missing value", column=name, row=missing[0],
            ) from None  # fmt: skip
    return columns


def _check_count(n_rows: int, max_rows: int) -> None:
    if n_rows > max_rows:
        raise RefusalError(413, f"the request holds {n_rows} rows and this server takes {max_rows}",
                           "send them in parts, or score them with: tabwright predict")  # fmt: skip
    if n_rows == 0:
        raise RefusalError(422, "the request holds no rows", "send one or more")


def _read_csv(body: bytes, served: Served, max_rows: int) -> Feeds:
    try:
        text = body.decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise RefusalError(
            400, f"the body is not CSV in UTF-8 ({error})", "separate by commas, encode as UTF-8"
        ) from None
    if not rows:
        raise RefusalError(422, "the request holds no rows", "send one or more")
    schema = served.model.schema
    known, read = ({c.name for c in columns} for columns in (schema.columns, schema.used))
    header = [name if name in known else name.strip() for name in clean_names(rows[0])[0]]  # as training names them
    named = {name for name, cell in zip(header, rows[0], strict=True) if cell.strip()}  # not by clean_names alone
    # SageMaker's CSV has no header; with one, its names are the model's, or among others
    if len(known & named) * 2 > len(header) or (read <= set(header) and read & named):
        return read_split(header, rows[1:], served, max_rows) if len(rows) > 1 else _no_rows()
    if len(header) not in (len(schema.columns), len(schema.used)):
        require_columns(header, schema)
    return read_split(positional(len(header), schema), rows, served, max_rows)


def _no_rows() -> Feeds:
    raise RefusalError(422, "the CSV has a header and no rows", "send one row or more")


def _read_columnar(body: bytes, kind: str, model: Model, max_rows: int) -> dict[str, Any]:
    try:
        from arro3 import io as arrow
        from arro3.core import Table
    except ImportError:
        raise MissingExtraError("arro3-io", "serve") from None
    source = io.BytesIO(body)
    try:
        if kind in PARQUET:
            reader = arrow.read_parquet(source)
        else:
            reader = (arrow.read_ipc_stream if kind == ARROW_STREAM else arrow.read_ipc)(source)
        batches, total = [], 0
        for batch in reader:  # counted as they come: a small file can unpack to very many rows
            batches.append(batch)
            total += batch.num_rows
            _check_count(max(total, 1), max_rows)
        table = Table.from_batches(batches, schema=reader.schema)
    except RefusalError:
        raise
    except BaseException as error:
        # arrow's Rust code panics at some broken files, with a class of its own that is no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise RefusalError(400, f"the body can't be read as {kind} ({type(error).__name__})",
                           "check that it is whole, and the Content-Type right") from error  # fmt: skip
    _check_count(total, max_rows)
    wanted = {c.name for c in model.schema.used}
    return {name: _plain(table.column(name), name) for name in table.column_names if name in wanted}


def _plain(column: Any, name: str) -> Any:
    if column.null_count == 0 and str(column.type).split("<")[-1].startswith(("Float", "Int", "UInt")):
        return np.asarray(column)
    try:
        return column.to_pylist()
    except Exception:  # a type that has no Python value
        raise ColumnError(
            name, f"has the Arrow type {column.type}", "send numbers, strings, booleans or dates"
        ) from None


def check_strictly(feeds: Feeds, served: Served, names: Iterable[str] | None = None) -> None:
    """Refuse categories never seen in training; ``names`` are the columns sent, where they are known."""
    schema = served.model.schema
    known = {c.name for c in schema.columns}
    extra = [name for name in names or () if name not in known]
    if extra:
        raise RefusalError(422, f"the column {extra[0]!r} is not one of the model's", "leave it out", column=extra[0])
    for j, vocabulary in served.vocabularies.items():
        values = feeds["strings"][:, j].tolist()
        row = next((k for k, v in enumerate(values) if v not in vocabulary), None)
        if row is not None:
            name = schema.strings[j].name
            listed = ", ".join(map(repr, schema.strings[j].values[:10]))
            raise RefusalError(422, f"column {name!r} holds {values[row][:60]!r} in row {row}, never seen in training",
                               f"send null, or one of {listed}", column=name, row=row)  # fmt: skip


__all__ = ["DataError", "check_strictly", "media_type", "not_scalar", "parse_json", "read_body", "read_split",
           "read_value"]  # fmt: skip
