"""The Open Inference Protocol (V2) of KServe and Triton, with Triton's binary tensor extension.

One input per column (``FP64``, ``INT64``, ``BOOL`` or ``BYTES``, shape ``[n]`` or ``[n, 1]``), or a single input of
shape ``[n, columns]`` in the schema's order. https://github.com/kserve/open-inference-protocol and
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tabwright.rows import positional
from tabwright.schema import require_columns
from tabwright.serve.bodies import Feeds, parse_json
from tabwright.serve.refusal import RefusalError
from tabwright.serve.registry import Served
from tabwright.serve.service import Prediction, Service, json_response
from tabwright.types import Array, Kind, Task

DTYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
_DATATYPE = {Kind.INTEGER: "INT64", Kind.BOOLEAN: "BOOL", Kind.NUMERIC: "FP64"}
_HEADER = "inference-header-content-length"
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Asked:
    """A request that was understood."""

    feeds: Feeds
    id: str | None
    outputs: tuple[str, ...]  # in the order to answer in
    binary: frozenset[str]


def routes(service: Service) -> list[Route]:
    async def server(_request: Request) -> Response:
        from tabwright import __version__

        return json_response({"name": "tabwright", "version": __version__, "extensions": ["binary_tensor_data"]})

    async def live(_request: Request) -> Response:
        return json_response({"live": True})

    async def ready(_request: Request) -> Response:
        return json_response({"ready": not service.is_stopping}, status=503 if service.is_stopping else 200)

    async def model_ready(request: Request) -> Response:
        return json_response({"name": service.find(request).name, "ready": True})

    async def metadata(request: Request) -> Response:
        return json_response(metadata_of(service.find(request), service.registry.versions))

    async def infer(request: Request) -> Response:
        served = service.find(request)
        body = await service.body(request)
        asked = await service.aside(
            len(body), read_request, body, request.headers.get(_HEADER), served, service.config.max_rows
        )
        found = await service.predict(request, served, asked.feeds)
        return await service.aside(len(found.ids) * 64, answer, found, asked)

    made = [
        Route("/v2", server, methods=["GET"]),
        Route("/v2/health/live", live, methods=["GET"]), Route("/v2/health/ready", ready, methods=["GET"]),
    ]  # fmt: skip
    for base in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        made += [
            Route(base + "/infer", infer, methods=["POST"]), Route(base + "/ready", model_ready, methods=["GET"]),
            Route(base, metadata, methods=["GET"]),
        ]  # fmt: skip
    return made


def datatype(kind: Kind) -> str:
    """The protocol's type for a column; dates, categories and texts travel as strings."""
    return _DATATYPE.get(kind, "BYTES")


def output_types(served: Served) -> dict[str, tuple[str, list[int]]]:
    """Datatype and shape of each output, by name."""
    if served.task is Task.REGRESSION:
        found = {"prediction": ("FP64", [-1])}
    else:
        first = served.classes[0]
        label = "BOOL" if isinstance(first, bool) else "INT64" if isinstance(first, int) else "BYTES"
        found = {"label": (label, [-1]), "probabilities": ("FP64", [-1, len(served.classes)])}
    extra = {"prediction_low": ("FP64", [-1]), "prediction_high": ("FP64", [-1]),
             "prediction_set": ("BOOL", [-1, len(served.classes)]),
             "quantiles": ("FP64", [-1, len(served.model.levels)])}  # fmt: skip
    found |= {name: extra[name] for name in served.model.outputs if name in extra}
    return found | {"prediction_id": ("BYTES", [-1])}


def metadata_of(served: Served, versions: Any) -> dict[str, Any]:
    """The protocol's model metadata."""
    return {
        "name": served.name, "versions": versions(served.name), "platform": "onnxruntime",
        "inputs": [{"name": c.name, "datatype": datatype(c.kind), "shape": [-1]} for c in served.model.schema.used],
        "outputs": [{"name": n, "datatype": t, "shape": s} for n, (t, s) in output_types(served).items()],
    }  # fmt: skip


def read_request(body: bytes, header_length: str | None, served: Served, max_rows: int) -> Asked:
    """Understand an inference request, JSON alone or followed by binary tensors."""
    binary = b""
    if header_length is not None:
        # Python turns no number of thousands of digits into an integer
        readable = header_length.isascii() and header_length.isdigit() and len(header_length) < 20
        if not readable or int(header_length) > len(body):
            raise RefusalError(400, f"{_HEADER} is {header_length[:20]!r}", "give the length of the JSON part in bytes")
        body, binary = body[: int(header_length)], body[int(header_length) :]
    value = parse_json(body)
    if not isinstance(value, Mapping) or not isinstance(value.get("inputs"), list) or not value["inputs"]:
        raise RefusalError(422, "the body has no 'inputs'", "send one tensor per column")
    tensors: dict[str, Array | list[Any]] = {}
    position, shapes = 0, []
    for item in value["inputs"]:
        name, kind, shape, size = _declared(item)
        if size is None:
            data: Array | list[Any] = _from_json(name, kind, shape, item.get("data"))
        else:
            data = _from_binary(name, kind, shape, binary[position : position + size], size)
            position += size
        if name in tensors:
            raise RefusalError(422, f"the input {name!r} comes twice", "send each column once", column=name)
        tensors[name] = data
        shapes.append(shape)
    columns = _columns(tensors, shapes, served, max_rows)
    outputs, binaries = _outputs(value, served)
    id_ = value.get("id")
    return Asked(served.model.encode_columns(columns), None if id_ is None else str(id_), outputs, binaries)


def _declared(item: Any) -> tuple[str, str, list[int], int | None]:
    """Name, datatype, shape and binary size of an input."""
    if not isinstance(item, Mapping) or not isinstance(item.get("name"), str):
        raise RefusalError(422, "an input has no name", "give each its column's name")
    name, kind, shape = item["name"], item.get("datatype"), item.get("shape")
    if not isinstance(kind, str) or (kind != "BYTES" and kind not in DTYPES):
        raise RefusalError(422, f"the input {name!r} has the datatype {str(kind)[:20]!r}",
                           f"use one of BYTES, {', '.join(DTYPES)}", column=name)  # fmt: skip
    if (not isinstance(shape, list) or len(shape) not in (1, 2)
            or not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**31 for n in shape)):  # fmt: skip
        raise RefusalError(422, f"the input {name!r} has the shape {str(shape)[:40]}", "give [n] or [n, columns]",
                           column=name)  # fmt: skip
    parameters = item.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, Mapping) else None
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
        raise RefusalError(422, f"the input {name!r} has no whole binary_data_size", "give its bytes", column=name)
    return name, kind, shape, size


def _from_json(name: str, kind: str, shape: Sequence[int], data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise RefusalError(422, f"the input {name!r} has no data", "send an array of values", column=name)
    flat = [v for row in data for v in row] if data and all(isinstance(v, list) for v in data) else data
    if len(flat) != math.prod(shape):
        raise RefusalError(422, f"the input {name!r} has {len(flat)} values and the shape {list(shape)}",
                           "let them agree", column=name)  # fmt: skip
    if kind != "BYTES":
        row = next((k for k, v in enumerate(flat) if isinstance(v, str)), None)
        if row is not None:
            text, row = flat[row][:60], row // (shape[1] if len(shape) == 2 else 1)
            raise RefusalError(
                422, f"the input {name!r} holds {text!r} in row {row} and is declared {kind}",
                "send numbers, or declare BYTES", column=name, row=row,
            )  # fmt: skip
    return flat


def _from_binary(name: str, kind: str, shape: Sequence[int], data: bytes, size: int) -> Array | list[Any]:
    n = math.prod(shape)
    wrong = RefusalError(422, f"the binary data of the input {name!r} does not fit its shape {list(shape)}",
                         "send all its bytes, in the order of the inputs", column=name)  # fmt: skip
    if len(data) != size:
        raise wrong
    if kind != "BYTES":
        dtype = np.dtype(DTYPES[kind])
        if size != n * dtype.itemsize:
            raise wrong
        return np.frombuffer(data, dtype).astype(dtype.newbyteorder("="))
    values, position = [], 0
    for _ in range(n):
        if position + 4 > size:
            raise wrong
        (length,) = _LENGTH.unpack_from(data, position)
        position += 4 + length
        if position > size:
            raise wrong
        values.append(data[position - length : position].decode("utf-8", "replace"))
    if position != size:
        raise wrong
    return values


def _columns(
    tensors: Mapping[str, Array | list[Any]], shapes: Sequence[Sequence[int]], served: Served, max_rows: int
) -> dict[str, Array | list[Any]]:
    rows = {shape[0] for shape in shapes}
    n_rows = max(rows)
    if n_rows > max_rows:
        raise RefusalError(413, f"the request holds {n_rows} rows and this server takes {max_rows}", "send parts")
    if len(rows) > 1 or n_rows == 0:
        raise RefusalError(422, f"the inputs have {sorted(rows)} rows", "send as many values for each, one or more")
    schema = served.model.schema
    if len(tensors) == 1 and len(shapes[0]) == 2 and (shapes[0][1] > 1 or next(iter(tensors)) not in
                                                      {c.name for c in schema.used}):  # fmt: skip
        ((_, data),) = tensors.items()
        width = shapes[0][1]
        return {name: data[k::width] for k, name in enumerate(positional(width, schema))}
    for name, shape in zip(tensors, shapes, strict=True):
        if len(shape) == 2 and shape[1] != 1:
            raise RefusalError(422, f"the input {name!r} has the shape {list(shape)}", "send [n] for each column",
                               column=name)  # fmt: skip
    require_columns(tensors, schema)
    return dict(tensors)


def _outputs(value: Mapping[str, Any], served: Served) -> tuple[tuple[str, ...], frozenset[str]]:
    parameters = value.get("parameters")
    all_binary = isinstance(parameters, Mapping) and parameters.get("binary_data_output") is True
    known, asked = output_types(served), value.get("outputs")
    if not asked:
        return tuple(known), frozenset(known if all_binary else ())
    names, binary = [], set()
    for item in asked if isinstance(asked, list) else [asked]:
        name = item.get("name") if isinstance(item, Mapping) else None
        if not isinstance(name, str) or name not in known:
            raise RefusalError(422, f"there is no output {str(name)[:60]!r}", f"ask for one of {', '.join(known)}")
        names.append(name)
        options = item.get("parameters")
        if options.get("binary_data", all_binary) if isinstance(options, Mapping) else all_binary:
            binary.add(name)
    return tuple(dict.fromkeys(names)), frozenset(binary)


def answer(found: Prediction, asked: Asked) -> Response:
    """The protocol's inference response."""
    types, n_rows = output_types(found.served), len(found.ids)
    outputs, tail = [], []
    for name in asked.outputs:
        kind, shape = types[name]
        if name == "prediction_id":
            values: Any = found.ids
        else:
            values = found.labels() if name == "label" else found.outputs[name]
        entry: dict[str, Any] = {"name": name, "datatype": kind, "shape": [n_rows, *shape[1:]]}
        if name in asked.binary:
            tail.append(_to_binary(values, kind))
            entry["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            strings = kind == "BYTES"
            entry["data"] = [str(v) for v in values] if strings else np.asarray(values).reshape(-1).tolist()
        outputs.append(entry)
    body: dict[str, Any] = {"model_name": found.served.name, "model_version": found.served.version, "outputs": outputs}
    if asked.id is not None:
        body["id"] = asked.id
    if not tail:
        return json_response(body, found.headers())
    head = orjson.dumps(body)
    headers = found.headers() | {_HEADER: str(len(head))}
    return Response(head + b"".join(tail), 200, headers, "application/octet-stream")


def _to_binary(values: Any, kind: str) -> bytes:
    if kind != "BYTES":
        return np.ascontiguousarray(values, np.dtype(DTYPES[kind])).tobytes()
    encoded = [str(v).encode() for v in values]
    return b"".join(_LENGTH.pack(len(e)) + e for e in encoded)
