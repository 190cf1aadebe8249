"""What people and Prometheus read: ``/metrics``, ``/openapi.json``, ``/monitor`` and the figures it draws."""

from __future__ import annotations

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tabwright.serve.openapi import document
from tabwright.serve.service import Service, json_response

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"


def routes(service: Service) -> list[Route]:
    html = (files("tabwright.serve") / "monitor.html").read_bytes()

    async def metrics(_request: Request) -> Response:
        text = await service.aside(1 << 30, service.metrics.text)  # asks the store
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(_request: Request) -> Response:
        return json_response(document(service.registry, needs_key=service.keyring is not None))

    async def figures(_request: Request) -> Response:
        alerts = await service.aside(1 << 30, service.store.alerts)
        workers = await service.aside(1 << 30, service.store.workers)
        return json_response({
            "models": [f.to_json() for f in service.monitor.figures], "alerts": alerts, "workers": workers
        })  # fmt: skip

    async def monitor(_request: Request) -> Response:
        return Response(html, 200, {"content-security-policy": _POLICY, "x-frame-options": "DENY"}, "text/html")

    async def root(_request: Request) -> Response:
        return RedirectResponse("/monitor")

    return [
        Route("/metrics", metrics, methods=["GET"]), Route("/openapi.json", openapi, methods=["GET"]),
        Route("/monitor.json", figures, methods=["GET"]), Route("/monitor", monitor, methods=["GET"]),
        Route("/", root, methods=["GET"]),
    ]  # fmt: skip
