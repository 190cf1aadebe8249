"""In front of every route: keys, limits, time, counting, and one form for every error. Plain ASGI, for speed."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tabwright.errors import UserError
from tabwright.serve.auth import Keyring
from tabwright.serve.config import Config
from tabwright.serve.refusal import RefusalError, answer, refusal_of
from tabwright.serve.registry import Served

log = logging.getLogger("tabwright.serve")
TRACE = "tabwright.trace"
PROBES = frozenset({"/", "/ping", "/health", "/version", "/v2/health/live", "/v2/health/ready", "/monitor"})
"""Open without a key: platforms probe them, and they tell nothing of models or data."""
CLIENT_GONE = 499  # counted, never sent: what proxies call a request that its client broke off
Answered = Callable[[Served | None, int, float, int], None]


class Trace:
    """What a request turned out to be about; the handler fills it in."""

    __slots__ = ("gone", "rows", "served")

    def __init__(self) -> None:
        self.served: Served | None = None
        self.rows = 0
        self.gone = False  # whether the client broke off before it was answered


class Gate:
    """ASGI middleware around the routes.

    Parameters
    ----------
    app : ASGI application
    config : Config
    keyring : Keyring or None
    answered : callable
        Told of the model (or None), the status, the seconds and the rows of every request.
    probes : set of str
        Further paths that need no key.
    """

    def __init__(
        self, app: ASGIApp, config: Config, keyring: Keyring | None, answered: Answered, probes: frozenset[str]
    ) -> None:
        self._app, self._config, self._keyring, self._answered = app, config, keyring, answered
        self._probes = PROBES | probes
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, trace, status = time.perf_counter(), Trace(), 500
        scope[TRACE] = trace

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self.in_flight += 1
        try:
            await self._guarded(scope, receive, watched)
        finally:
            self.in_flight -= 1
            status = CLIENT_GONE if trace.gone and status == 500 else status
            self._answered(trace.served, status, time.perf_counter() - started, trace.rows)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, refusal = False, None

        async def noted(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            self._admit(scope)
            async with asyncio.timeout(self._config.max_seconds):
                await self._app(scope, receive, noted)
        except RefusalError as error:
            refusal = error
        except UserError as error:
            refusal = refusal_of(error)
        except TimeoutError:
            refusal = RefusalError(503, f"the request took more than {self._config.max_seconds:g} s",
                                   "send fewer rows, or try again", retry_after_s=1)  # fmt: skip
        except ClientDisconnect:  # nobody is there to be answered; the count shall not show a fault of the server
            scope[TRACE].gone = True
        except Exception:
            number = secrets.token_hex(4)
            log.exception("request failed, %s", number)
            refusal = RefusalError(500, f"the server failed at this request ({number})",
                                   "tell its operator that number: it stands in the log")  # fmt: skip
        if refusal is not None and not began:
            await answer(refusal)(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        path = scope["path"]
        if path in self._probes:
            return
        if self.in_flight > self._config.max_in_flight:
            raise RefusalError(503, "the server has as many requests as it takes", "try again in a second",
                               retry_after_s=1)  # fmt: skip
        if self._keyring is not None and not self._keyring.knows(scope["headers"]):
            raise RefusalError(
                401, "no valid API key was given", "send 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"
            )


async def read_limited(scope: Scope, receive: Receive, limit: int) -> bytes:
    """A request's body; refused with 413 as soon as it is seen to be longer than ``limit`` bytes."""
    too_long = RefusalError(413, f"the body is longer than {limit / 2**20:g} MiB", "send the rows in parts")
    for name, value in scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or int(value) > limit):
            raise too_long
        if name == b"content-encoding" and value.lower() not in (b"identity", b""):
            raise RefusalError(415, f"the encoding {value[:40]!r} can't be read", "send the body as it is")
    parts: list[Any] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_long
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)
