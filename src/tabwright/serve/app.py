"""Puts the parts together: the ASGI application of one process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from tabwright.interrupts import when_orphaned
from tabwright.serve import page
from tabwright.serve.config import Config
from tabwright.serve.gate import Gate
from tabwright.serve.protocols import cloud, native, v2
from tabwright.serve.refusal import RefusalError
from tabwright.serve.service import Service

SWITCH_INTERVAL_S = 0.0005
"""How long a counting thread may hold the interpreter while a request waits: a tenth of Python's default."""


class Application:
    """The ASGI application. The parts are made when the server starts, so that their faults end the start.

    Parameters
    ----------
    config : Config
    batching : bool
        Whether requests that wait at the same moment are scored together; off only to measure what it helps.
    """

    def __init__(self, config: Config, *, batching: bool = True) -> None:
        cores = os.cpu_count() or 1
        self.service = service = Service(config, max(1, cores // config.workers), batching=batching)
        self._router = Router(
            [*cloud.routes(service), *native.routes(service), *v2.routes(service), *page.routes(service)],
            redirect_slashes=False, lifespan=self._lifespan,
        )  # fmt: skip
        health = os.environ.get("AIP_HEALTH_ROUTE", "/ping")
        self._gate = Gate(self._route, config, service.keyring, service.answered, frozenset({health}))
        service.monitor.in_flight = lambda: self._gate.in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self  # lets the router raise instead of answering in plain text
        await self._gate(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._router(scope, receive, send)
        except HTTPException as error:
            if error.status_code == 405:
                raise RefusalError(405, f"{scope['method']} is not for this path", "see /openapi.json") from None
            raise RefusalError(404, "there is nothing under this path", "see /openapi.json") from None

    @asynccontextmanager
    async def _lifespan(self, _router: Router) -> AsyncIterator[None]:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        await self.service.start()
        yield
        await self.service.stop()


def create() -> Application:
    """The application that the environment describes: what worker processes call.

    One whose supervisor was killed ends in good order, rather than to hold the port for ever.
    """
    supervisor = multiprocessing.parent_process()
    when_orphaned(lambda: os.kill(os.getpid(), signal.SIGTERM), None if supervisor is None else supervisor.pid)
    return Application(Config.from_environment())
