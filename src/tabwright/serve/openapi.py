"""The OpenAPI description, with each model's own columns, types and examples."""

from __future__ import annotations

import math
from typing import Any

from tabwright.schema import Column
from tabwright.serve.protocols.v2 import datatype, output_types
from tabwright.serve.registry import Registry, Served
from tabwright.serve.service import MAX_REASON_ROWS, MAX_REASONS
from tabwright.types import Kind, Task

_TYPES = {Kind.NUMERIC: "number", Kind.INTEGER: "number", Kind.BOOLEAN: "boolean"}
_EXAMPLES = 5
Json = dict[str, Any]


def document(registry: Registry, *, needs_key: bool) -> Json:
    """The OpenAPI 3.1 document of a server."""
    from tabwright import __version__

    first = registry.get()
    schemas: Json = {"Error": _ERROR, "Feedback": _FEEDBACK}
    paths: Json = dict(_plain_paths())
    names = list(dict.fromkeys(served.name for served in registry.all()))
    for name in names:
        served = registry.get(name)
        schemas[f"Row.{name}"], schemas[f"Answer.{name}"] = row_schema(served), answer_schema(served)
        paths[f"/models/{name}/predict"] = {"post": _predict(served)}
        paths[f"/v2/models/{name}"] = {"get": _get(f"Metadata of {name} (Open Inference Protocol)")}
        paths[f"/v2/models/{name}/ready"] = {"get": _get(f"Whether {name} is ready")}
        paths[f"/v2/models/{name}/infer"] = {"post": _infer(served)}
    paths["/predict"] = {"post": _predict(first)}
    paths["/invocations"] = {"post": _invocations(first, "SageMaker and MLflow")}
    paths["/score"] = {"post": _invocations(first, "Azure ML")}
    paths["/vertex/predict"] = {"post": _instances(first)}
    body: Json = {
        "openapi": "3.1.0",
        "info": {"title": "tabwright models", "version": __version__},
        "paths": {path: paths[path] for path in sorted(paths)},
        "components": {"schemas": schemas},
    }
    if needs_key:
        body["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }  # fmt: skip
        body["security"] = [{"bearer": []}, {"key": []}]
    return body


def row_schema(served: Served) -> Json:
    """One row as a JSON object."""
    columns = served.model.schema.used
    return {
        "type": "object", "required": [c.name for c in columns],
        "properties": {c.name: column_schema(c) for c in columns}, "examples": [example(served)],
    }  # fmt: skip


def column_schema(column: Column) -> Json:
    """A column's type; null stands for a missing value everywhere."""
    kind = _TYPES.get(column.kind, "string")
    found: Json = {"type": [kind, "null"], "description": column.reason or str(column.kind)}
    if column.kind is Kind.DATETIME:
        found["description"] += f"; format {column.datetime_format or 'iso'}"
        found["pattern"] = r"^\d{4}-[01]\d-[0-3]\d$" if column.datetime_format in (None, "iso") else "^$"
    elif column.values and column.kind is Kind.CATEGORICAL:
        found["examples"] = list(column.values[:_EXAMPLES])
        found["description"] += f"; {len(column.values)} categories, others count as unseen"
    elif column.minimum is not None and column.maximum is not None:
        found["description"] += f"; from {column.minimum:g} to {column.maximum:g} in training"
    return found


def example(served: Served) -> Json:
    """A row that the model takes, of the examples that its schema keeps."""
    return {c.name: _cell(c) for c in served.model.schema.used}


def _cell(column: Column) -> Any:
    value = column.example
    if column.kind is Kind.BOOLEAN:
        return bool(value) if isinstance(value, float) else None
    if column.values and column.kind is Kind.CATEGORICAL:
        return column.values[0]
    if isinstance(value, float):
        return None if not math.isfinite(value) else int(value) if value.is_integer() else value
    return value


def answer_schema(served: Served) -> Json:
    """What ``/predict`` answers."""
    is_regression = served.task is Task.REGRESSION
    value: Json = {"type": ["number", "null"]} if is_regression else {"enum": served.classes}
    properties: Json = {
        "model": {"type": "string"}, "version": {"type": "string"},
        "predictions": {"type": "array", "items": value, "description": served.model.schema.target or ""},
        "ids": {"type": "array", "items": {"type": "string"}, "description": "for POST /feedback"},
    }  # fmt: skip
    if not is_regression:
        properties["classes"] = {"type": "array", "items": {"enum": served.classes}}
        properties["probabilities"] = {
            "type": "array", "items": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1.0001}}
        }  # fmt: skip
    required = list(properties)
    reason = {"type": "object", "required": ["column", "value", "contribution"], "properties": {
        "column": {"type": "string"}, "value": {}, "contribution": {"type": "number"}}}  # fmt: skip
    properties["reasons"] = {"type": "array", "description": "where the query asks for them", "items": {
        "type": "object", "required": ["value", "base", "reasons"], "properties": {
            "value": {"type": "number"}, "base": {"type": "number"}, "reasons": {"type": "array", "items": reason}}}}
    if served.model.levels:
        rows = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
        properties |= {"levels": {"type": "array", "items": {"type": "number"}}, "quantiles": rows}
    return {"type": "object", "required": required, "properties": properties}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _answers(good: Json) -> Json:
    error = {"content": {"application/json": {"schema": _ref("Error")}}}
    codes = {
        "400": "The body can't be parsed", "401": "No valid API key", "404": "No such model",
        "413": "Too long, or too many rows", "415": "A form that is not read",
        "422": "A value, column or row at fault, named", "503": "Overloaded, or out of time",
    }  # fmt: skip
    return {"200": good} | {code: {"description": text, **error} for code, text in codes.items()}


def _post(summary: str, content: Json, good: Json) -> Json:
    return {"summary": summary, "requestBody": {"required": True, "content": content}, "responses": _answers(good)}


def _json_body(schema: Json, sample: Any) -> Json:
    return {"application/json": {"schema": schema, "example": sample}}


def _good(schema: Json | None = None) -> Json:
    return {"description": "Done", "content": {"application/json": {"schema": schema or {}}}}


def _get(summary: str, form: str = "application/json") -> Json:
    answers = _answers({"description": "Done", "content": {form: {"schema": {}}}})
    return {"summary": summary, "responses": {code: answers[code] for code in ("200", "401", "503")}}


def _predict(served: Served) -> Json:
    row = _ref(f"Row.{served.name}")
    used = served.model.schema.used
    columns = {"type": "object", "required": [c.name for c in used],
               "properties": {c.name: {"type": "array", "items": column_schema(c)} for c in used}}  # fmt: skip
    forms = [row, {"type": "array", "items": row, "minItems": 1},
             {"type": "object", "required": ["rows"], "properties": {"rows": {"type": "array", "items": row}}},
             {"type": "object", "required": ["columns"], "properties": {"columns": columns}}]  # fmt: skip
    content = _json_body({"anyOf": forms}, example(served))
    binary = {"schema": {"type": "string", "format": "binary"}}
    for form in ("text/csv", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"):
        content[form] = binary
    good = _good(_ref(f"Answer.{served.name}"))
    good["content"]["text/csv"] = {"schema": {"type": "string"}}
    told = f"how many of the columns that moved a prediction most to tell; for at most {MAX_REASON_ROWS} rows"
    number = {"type": "integer", "minimum": 1, "maximum": MAX_REASONS}
    asked = {"name": "reasons", "in": "query", "required": False, "description": told, "schema": number}
    operation = _post(f"Predict {served.model.schema.target} with {served.name}", content, good)
    return operation | {"parameters": [asked]}


def _infer(served: Served) -> Json:
    sample = example(served)
    tensors = [
        {"name": c.name, "datatype": datatype(c.kind), "shape": [1],
         "data": [sample[c.name] if datatype(c.kind) != "BYTES" or sample[c.name] is None else str(sample[c.name])]}
        for c in served.model.schema.used
    ]  # fmt: skip
    tensor = {
        "type": "object", "required": ["name", "datatype", "shape", "data"],
        "properties": {"name": {"type": "string"}, "datatype": {"type": "string"},
                       "shape": {"type": "array", "items": {"type": "integer"}}, "data": {"type": "array"}},
    }  # fmt: skip
    name = {"enum": list(output_types(served))}
    outputs = {"type": "array", "items": {"type": "object", "properties": {"name": name}, "required": ["name"]}}
    schema = {
        "type": "object",
        "required": ["inputs"],
        "properties": {"id": {"type": "string"}, "inputs": {"type": "array", "items": tensor}, "outputs": outputs},
    }
    good = {"type": "object", "required": ["model_name", "outputs"], "properties": {"outputs": {"type": "array"}}}
    return _post(f"Infer with {served.name} (Open Inference Protocol V2)", _json_body(schema, {"inputs": tensors}),
                 _good(good))  # fmt: skip


def _invocations(served: Served, whose: str) -> Json:
    row = _ref(f"Row.{served.name}")
    rows = {"type": "array", "items": row, "minItems": 1}
    split = {"type": "object", "required": ["columns", "data"], "properties": {
        "columns": {"type": "array", "items": {"type": "string"}},
        "data": {"type": "array", "items": {"type": "array"}}}}  # fmt: skip
    keys = {"dataframe_records": rows, "dataframe_split": split, "input_data": split, "instances": rows}
    forms = [{"type": "object", "required": [key], "properties": {key: schema}} for key, schema in keys.items()]
    content = _json_body({"anyOf": forms}, {"dataframe_records": [example(served)]})
    content["text/csv"] = {"schema": {"type": "string"}}
    good = _good()
    good["content"]["text/csv"] = {"schema": {"type": "string"}}
    return _post(f"Score with {served.name} as {whose} ask", content, good)


def _instances(served: Served) -> Json:
    schema = {"type": "object", "required": ["instances"], "properties": {
        "instances": {"type": "array", "items": _ref(f"Row.{served.name}")}}}  # fmt: skip
    good = {"type": "object", "required": ["predictions"], "properties": {"predictions": {"type": "array"}}}
    return _post(f"Score with {served.name} as Vertex AI asks", _json_body(schema, {"instances": [example(served)]}),
                 _good(good))  # fmt: skip


def _plain_paths() -> Json:
    outcome = _post("Tell true outcomes of predictions", _json_body(
        {"anyOf": [_ref("Feedback"), {"type": "array", "items": _ref("Feedback"), "minItems": 1}]},
        {"id": "an id of /predict", "outcome": "the true value or class"}),
        _good({"type": "object", "required": ["stored"], "properties": {"stored": {"type": "integer"}}}))  # fmt: skip
    return {
        "/feedback": {"post": outcome},
        "/models": {"get": _get("The models and their columns")},
        "/metrics": {"get": _get("Prometheus metrics", "text/plain")},
        "/monitor.json": {"get": _get("Figures of the monitoring page")},
        "/ping": {"get": {"summary": "Whether the process lives", "responses": {"200": {"description": "It does"}}}},
        "/v2": {"get": _get("About the server (Open Inference Protocol)")},
        "/v2/health/live": {"get": _get("Whether the process lives")},
        "/v2/health/ready": {"get": _get("Whether models are loaded")},
    }


_ERROR: Json = {
    "type": "object", "required": ["error", "problem", "fix"],
    "properties": {
        "error": {"type": "string", "description": "problem and fix as one sentence each"},
        "problem": {"type": "string"}, "fix": {"type": "string"},
        "column": {"type": "string"}, "row": {"type": "integer", "description": "from 0"},
    },
}  # fmt: skip
_FEEDBACK: Json = {
    "type": "object",
    "required": ["id", "outcome"],
    "properties": {"id": {"type": "string"}, "outcome": {"type": ["string", "number", "boolean", "integer"]}},
}
