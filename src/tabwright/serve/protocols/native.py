"""tabwright's own routes: ``/predict``, ``/models``, ``/feedback``."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tabwright.reasons import sentence
from tabwright.serve.bodies import CSV, check_strictly, media_type, parse_json, read_body
from tabwright.serve.refusal import RefusalError
from tabwright.serve.service import Prediction, Service, json_response
from tabwright.serve.store import Feedback

MAX_FEEDBACK = 10_000


def routes(service: Service) -> list[Route]:
    async def predict(request: Request) -> Response:
        served = service.find(request)
        top = service.reasons_wanted(request, served)
        body = await service.body(request)
        kind = request.headers.get("content-type", "")
        feeds = await service.aside(len(body), read_body, body, kind, served, service.config.max_rows)
        if top:
            service.check_reason_rows(feeds)
        found = await service.predict(request, served, feeds)
        if top:
            await service.explain(found, feeds, top)
        wants_csv = CSV in request.headers.get("accept", "") or (
            media_type(kind) == CSV and "json" not in request.headers.get("accept", "")
        )
        return await service.aside(len(found.ids) * 64, csv_answer if wants_csv else json_answer, found)

    async def models(_request: Request) -> Response:
        return json_response({"models": [
            {"name": s.name, "version": s.version, "checksum": s.model.sha256, "task": str(s.task),
             "target": s.model.schema.target, "classes": s.classes or None,
             "columns": [{"name": c.name, "kind": str(c.kind)} for c in s.model.schema.used]}
            for s in service.registry.all()
        ]})  # fmt: skip

    async def feedback(request: Request) -> Response:
        value = parse_json(await service.body(request))
        items, counts = read_feedback(value, service)
        await service.aside(1 << 30, service.store.add_feedback, items)  # waits for the disk, so in a thread
        for (name, version), n in counts.items():
            service.metrics.fed_back(name, version, n)
        return json_response({"stored": len(items)})

    one = "/models/{model}/predict", "/models/{model}/versions/{version}/predict"
    return [
        *(Route(path, predict, methods=["POST"]) for path in ("/predict", *one)),
        Route("/models", models, methods=["GET"]),
        Route("/feedback", feedback, methods=["POST"]),
    ]


def json_answer(found: Prediction) -> Response:
    served = found.served
    answer: dict[str, Any] = {
        "model": served.name, "version": served.version, "predictions": found.labels(), "ids": found.ids
    }  # fmt: skip
    probabilities = found.outputs.get("probabilities")
    if probabilities is not None:
        answer |= {"classes": served.classes, "probabilities": probabilities}
    if served.model.levels:
        answer |= {"levels": served.model.levels, "quantiles": found.outputs["quantiles"]}
    if found.reasons is not None:
        answer |= {"reasons": [{k: row[k] for k in ("value", "base", "reasons")} for row in found.reasons]}
    return json_response(answer, found.headers())


def csv_answer(found: Prediction) -> Response:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    probabilities = found.probabilities()
    told = [[sentence(r["column"], r["value"], r["contribution"]) for r in row["reasons"]]
            for row in found.reasons or [{"reasons": ()}] * len(found.ids)]  # fmt: skip
    named = [f"reason_{k + 1}" for k in range(max(map(len, told), default=0))]
    writer.writerow(["id", "prediction", *(f"p_{c}" for c in found.served.classes), *named])
    rows = zip(found.ids, found.labels(), probabilities or [[]] * len(found.ids), told, strict=True)
    writer.writerows([id_, label, *more, *why] for id_, label, more, why in rows)
    return Response(text.getvalue(), 200, found.headers(), CSV)


def read_feedback(value: Any, service: Service) -> tuple[list[Feedback], dict[tuple[str, str], int]]:
    """Checked outcomes, and how many there are by model and version."""
    records = value if isinstance(value, list) else [value]
    if not records or len(records) > MAX_FEEDBACK:
        raise RefusalError(422, f"the request holds {len(records)} outcomes", f"send from 1 to {MAX_FEEDBACK}")
    items: list[Feedback] = []
    counts: dict[tuple[str, str], int] = {}
    models: dict[str, dict[str, Any] | None] = {}
    for row, record in enumerate(records):
        if not isinstance(record, Mapping) or not {"id", "outcome"} <= record.keys():
            raise RefusalError(422, f"item {row} has no 'id' and 'outcome'", 'send {"id": "...", "outcome": ...}',
                               row=row)  # fmt: skip
        try:
            told = service.ids.read(str(record["id"]))
        except ValueError:
            raise RefusalError(422, f"item {row} has an id that this server did not give", "send an id of a "
                               "prediction's answer", column="id", row=row) from None  # fmt: skip
        if told.tag not in models:
            models[told.tag] = service.store.model(told.tag)
        model = models[told.tag]
        if model is None:
            raise RefusalError(422, f"item {row} is of a model that the store does not know", "keep the store of the "
                               "server that predicted", column="id", row=row)  # fmt: skip
        outcome = _outcome(record["outcome"], model, row)
        items.append(Feedback(told.tag, told.at, told.nonce, told.label, told.score, outcome))
        key = (model["name"], model["version"])
        counts[key] = counts.get(key, 0) + 1
    return items, counts


def _outcome(value: Any, model: Mapping[str, Any], row: int) -> float:
    """The true value, or the true class's position."""
    classes = model["classes"]
    if not classes:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise RefusalError(422, f"item {row} has the outcome {str(value)[:60]!r}, which is no number",
                               "send the true value", column="outcome", row=row)  # fmt: skip
        return float(value)
    spelled = [str(c).strip() for c in classes]
    if isinstance(value, float) and value.is_integer() and str(value) not in spelled:
        value = int(value)
    elif isinstance(value, int) and not isinstance(value, bool) and str(float(value)) in spelled:
        value = float(value)  # JSON as a browser writes it has no 1.0
    if isinstance(value, (dict, list)) or str(value).strip() not in spelled:
        raise RefusalError(422, f"item {row} has the outcome {str(value)[:60]!r}, which is none of the classes",
                           f"send one of {', '.join(spelled[:20])}", column="outcome", row=row)  # fmt: skip
    return float(spelled.index(str(value).strip()))


__all__ = ["check_strictly", "routes"]
