"""The contracts of cloud platforms: SageMaker, MLflow and Azure ML, Vertex AI.

- SageMaker: ``GET /ping``, ``POST /invocations`` in CSV (without a header, columns in the schema's order), JSON or
  JSON lines; ``Accept`` chooses the answer's form and ``SAGEMAKER_INFERENCE_OUTPUT`` its content, as in Autopilot.
  https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
- MLflow 3 scoring server: ``/invocations`` with ``dataframe_split``, ``dataframe_records``, ``instances`` or
  ``inputs``, ``/health``, ``/version``. https://mlflow.org/docs/latest/genai/serving/
- Azure ML: ``POST /score`` with ``input_data``.
  https://learn.microsoft.com/azure/machine-learning/how-to-deploy-mlflow-models-online-endpoints
- Vertex AI: ``AIP_HEALTH_ROUTE`` and ``AIP_PREDICT_ROUTE`` with ``instances``.
  https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tabwright.serve.bodies import (
    CSV,
    JSON,
    JSON_LINES,
    Feeds,
    is_json,
    media_type,
    parse_json,
    read_body,
    read_split,
    read_value,  # fmt: skip
)
from tabwright.serve.refusal import RefusalError
from tabwright.serve.registry import Served
from tabwright.serve.service import Prediction, Service, json_response
from tabwright.types import Task

OUTPUTS = ("predicted_label", "probability", "probabilities", "labels")
MLFLOW_KEYS = ("dataframe_split", "dataframe_records", "instances", "inputs")


def routes(service: Service) -> list[Route]:
    sagemaker_output = chosen_outputs(os.environ.get("SAGEMAKER_INFERENCE_OUTPUT", ""))

    async def alive(_request: Request) -> Response:
        return Response(b"", 503 if service.is_stopping else 200)

    async def version(_request: Request) -> Response:
        from tabwright import __version__

        return Response(f"tabwright {__version__}", media_type="text/plain")

    async def invocations(request: Request) -> Response:
        served = service.find(request)
        body = await service.body(request)
        kind = request.headers.get("content-type", "")
        envelope, feeds, options = await service.aside(
            len(body), read_invocation, body, kind, served, service.config.max_rows
        )
        found = await service.predict(request, served, feeds)
        size = len(found.ids) * 64
        if envelope == "input_data":
            return await service.aside(size, lambda: json_response(mlflow_values(found, options), found.headers()))
        if envelope in MLFLOW_KEYS:
            answer = {"predictions": mlflow_values(found, options)}
            return json_response(answer, found.headers())
        accept = request.headers.get("accept", "")
        return await service.aside(size, sagemaker_answer, found, accept, kind, sagemaker_output)

    async def vertex(request: Request) -> Response:
        served = service.find(request)
        body = await service.body(request)
        feeds = await service.aside(len(body), read_instances, body, served, service.config.max_rows)
        found = await service.predict(request, served, feeds)
        return json_response({"predictions": vertex_values(found)}, found.headers())

    health = os.environ.get("AIP_HEALTH_ROUTE", "")
    predict = os.environ.get("AIP_PREDICT_ROUTE", "")
    return [
        Route("/ping", alive, methods=["GET"]), Route("/health", alive, methods=["GET"]),
        Route("/version", version, methods=["GET"]),
        Route("/invocations", invocations, methods=["POST"]), Route("/score", invocations, methods=["POST"]),
        Route("/vertex/predict", vertex, methods=["POST"]),
        *([Route(health, alive, methods=["GET"])] if health.startswith("/") else []),
        *([Route(predict, vertex, methods=["POST"])] if predict.startswith("/") else []),
    ]  # fmt: skip


def read_invocation(body: bytes, kind: str, served: Served, max_rows: int) -> tuple[str, Feeds, Mapping[str, Any]]:
    """Which envelope the body came in, its rows, and MLflow's ``params``."""
    if not is_json(media_type(kind)):
        return "", read_body(body, kind, served, max_rows), {}
    value = parse_json(body, nan_in=MLFLOW_KEYS)
    if isinstance(value, Mapping):
        options = value.get("params") if isinstance(value.get("params"), Mapping) else {}
        for key in (*MLFLOW_KEYS, "input_data"):
            if key in value:
                return key, _enveloped(key, value[key], served, max_rows), options or {}
    return "", read_value(value, served, max_rows), {}


def _enveloped(key: str, content: Any, served: Served, max_rows: int) -> Feeds:
    if key in ("dataframe_split", "input_data") and isinstance(content, Mapping):
        columns, data = content.get("columns"), content.get("data")
        if not isinstance(columns, list) or not isinstance(data, list):
            raise RefusalError(422, f"{key!r} has no 'columns' and 'data'", "send both as arrays")
        return read_split(columns, data, served, max_rows)
    if key == "dataframe_split":
        raise RefusalError(422, "'dataframe_split' is no object", "send its 'columns' and 'data'")
    return read_value(content, served, max_rows)


def mlflow_values(found: Prediction, options: Mapping[str, Any]) -> Any:
    """What a model's ``predict`` returns, or ``predict_proba`` where ``params`` ask for it."""
    if options.get("method") == "predict_proba":
        return found.probabilities() or found.labels()
    return found.labels()


def chosen_outputs(text: str) -> tuple[str, ...]:
    """SageMaker's ``SAGEMAKER_INFERENCE_OUTPUT``: names of :data:`OUTPUTS` by comma; the label alone without it."""
    chosen = tuple(name.strip() for name in text.split(",") if name.strip() in OUTPUTS)
    return chosen or ("predicted_label",)


def sagemaker_answer(found: Prediction, accept: str, kind: str, outputs: tuple[str, ...]) -> Response:
    """One line or object per row, in the form that ``Accept`` names; else as the request came."""
    wanted = media_type(accept.partition(",")[0])
    form = wanted if wanted in (CSV, JSON, *JSON_LINES) else CSV if media_type(kind) == CSV else JSON
    labels, proba, classes = found.labels(), found.probabilities(), found.served.classes
    rows = []
    for k, label in enumerate(labels):
        row = {"predicted_label": label}
        if proba is not None:
            row |= {"probability": max(proba[k]), "probabilities": proba[k], "labels": classes}
        rows.append({name: row[name] for name in outputs if name in row} or {"predicted_label": label})
    if form == CSV:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([orjson.dumps(v).decode() if isinstance(v, list) else v for v in row.values()] for row in rows)
        return Response(text.getvalue(), 200, found.headers(), CSV)
    if found.served.task is not Task.REGRESSION and outputs == ("predicted_label",) and proba is not None:
        rows = [row | {"probabilities": p} for row, p in zip(rows, proba, strict=True)]
    if form in JSON_LINES:
        return Response(b"".join(orjson.dumps(row) + b"\n" for row in rows), 200, found.headers(), form)
    return json_response({"predictions": rows}, found.headers())


def read_instances(body: bytes, served: Served, max_rows: int) -> Feeds:
    """Rows of Vertex AI's ``{"instances": [...], "parameters": {...}}``."""
    value = parse_json(body)
    if not isinstance(value, Mapping) or not isinstance(value.get("instances"), list):
        raise RefusalError(422, "the body has no 'instances'", 'send {"instances": [{...}, …]}')
    return read_value(value["instances"], served, max_rows)


def vertex_values(found: Prediction) -> list[Any]:
    """Numbers, or ``{"classes": […], "scores": […]}`` as Vertex AI's own tabular models answer."""
    proba = found.probabilities()
    if proba is None:
        return found.labels()
    classes = [str(c) for c in found.served.classes]
    return [{"classes": classes, "scores": scores} for scores in proba]
