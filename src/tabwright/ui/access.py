"""Who may use the interface: a gate before every request and every socket."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from starlette.requests import cookie_parser

from tabwright.ui.config import Config

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "tabwright_ui"
LOGIN_BYTES = 4096
WRONG_S = 1.0  # what a wrong token costs
# Vue compiles templates in the browser, so scripts can't be restricted further; nothing comes from elsewhere.
POLICY = ("default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' ws: wss:; "
          "frame-ancestors 'none'; form-action 'self'; base-uri 'self'")  # fmt: skip
HEADERS = ((b"content-security-policy", POLICY.encode()), (b"x-frame-options", b"DENY"),
           (b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin"))  # fmt: skip
LOGIN_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>tabwright: sign in</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ display: grid; place-items: center; min-height: 90vh; margin: 0; }}
form {{ display: grid; gap: 12px; width: min(340px, 90vw); }} input, button {{ font: inherit; padding: 10px; }}
button {{ background: #1d5fa5; color: #fff; border: 0; border-radius: 6px; }} .wrong {{ color: #c62828; margin: 0; }}
</style></head><body><main><form method="post" action="/login"><h1>tabwright</h1>{told}
<label for="token">Token</label><input id="token" name="token" type="password" autocomplete="current-password"
 required autofocus><input type="hidden" name="next" value="{next}"><button>Sign in</button></form></main></body></html>
"""


class Gate:
    """An ASGI application around another.

    It answers 403 to names of hosts that are not its own (a web page elsewhere may resolve its own name to this
    machine) and to requests that pages of other origins send; asks for the token, if there is one, in a cookie or as
    ``Authorization: Bearer``; and ends requests whose body is too large with 413.
    """

    def __init__(self, app: App, config: Config) -> None:
        self._app, self._config = app, config
        self._proof = "" if config.token is None else hmac.new(config.token.encode(), b"ui", hashlib.sha256).hexdigest()
        self._trying = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        if refused := self._foreign(headers):
            await _answer(scope, send, 403, refused)
        elif self._config.token is not None and scope["path"] == "/login":
            await self._login(scope, receive, send)
        elif not await self._knows(headers):
            await self._ask(scope, headers, send)
        elif scope["type"] == "http":
            await self._limited(scope, headers, receive, _with_headers(send))
        else:
            await self._app(scope, receive, send)

    def _foreign(self, headers: dict[str, str]) -> str:
        """Why a request does not come from the interface's own pages or a program here; empty if it does."""
        host = headers.get("host", "")
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return "The name of the host can't be read."
        # with a token, a proxy on this machine may pass its own name on: a page elsewhere has no such cookie
        if self._config.is_local and self._config.token is None and not _is_local_name(name):
            return f"The name {name!r} is not this machine's: open the address that tabwright ui has printed."
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return "Requests of pages from elsewhere are refused."
        return ""

    async def _knows(self, headers: dict[str, str]) -> bool:
        if self._config.token is None:
            return True
        proof = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")  # whatever else is among the cookies
        if hmac.compare_digest(proof.encode("utf-8", "replace"), self._proof.encode()):
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and await self._is_token(given)

    async def _is_token(self, given: str) -> bool:
        """One wrong guess a second, whoever makes it; right ones wait for it too."""
        assert self._config.token is not None
        async with self._trying:
            right = hmac.compare_digest(given.encode(), self._config.token.encode())
            if not right:  # before the next guess is looked at: those of one moment are no quicker
                await asyncio.sleep(WRONG_S)
            return right

    async def _ask(self, scope: Scope, headers: dict[str, str], send: Send) -> None:
        """Send people to the form; tell programs that a token is needed."""
        if scope["type"] == "http" and "text/html" in headers.get("accept", ""):
            asked = scope["query_string"].decode("latin-1")
            target = quote(scope["path"] + (f"?{asked}" if asked else ""))
            await _answer(scope, send, 303, "", ((b"location", f"/login?next={target}".encode()),))
        else:
            await _answer(scope, send, 401, "A token is needed: sign in, or send Authorization: Bearer TOKEN.")

    async def _login(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = parse_qs(scope["query_string"].decode("latin-1"))
        if scope["type"] != "http" or scope["method"] not in ("GET", "POST"):
            await _answer(scope, send, 405, "GET or POST it.")
            return
        told, status = "", 200
        if scope["method"] == "POST":
            body = await _body(receive, LOGIN_BYTES)
            fields = parse_qs(body.decode("utf-8", "replace"))
            if await self._is_token(fields.get("token", [""])[0]):
                secure = "; Secure" if scope.get("scheme") == "https" else ""
                cookie = f"{COOKIE}={self._proof}; HttpOnly; SameSite=Strict; Path=/; Max-Age=2592000{secure}"
                location = _inside(fields.get("next", ["/"])[0]).encode()
                await _answer(scope, send, 303, "", ((b"location", location), (b"set-cookie", cookie.encode())))
                return
            told, status = '<p class="wrong" role="alert">This is not the token.</p>', 401
        page = LOGIN_PAGE.format(told=told, next=escape(_inside(fields.get("next", ["/"])[0]), quote=True))
        await _answer(scope, send, status, page, ((b"content-type", b"text/html; charset=utf-8"),))

    async def _limited(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        """Pass a request on, and count its body."""
        limit = self._config.max_upload_bytes
        allowed = f"{self._config.max_upload_mib:g} MiB"
        told = f"The file is larger than {allowed}: start with --max-upload-mib, or give its path."
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > limit:
            await _answer(scope, send, 413, told)
            return
        got, begun = 0, False

        async def counted() -> MutableMapping[str, Any]:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > limit:
                raise _TooLargeError
            return message

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except _TooLargeError:
            if not begun:
                await _answer(scope, send, 413, told)


class _TooLargeError(Exception):
    """A body went past the limit."""


def _with_headers(send: Send) -> Send:
    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *HEADERS]
        await send(message)

    return sent


async def _answer(scope: Scope, send: Send, status: int, text: str, headers: tuple[Any, ...] = ()) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4403, "reason": text[:100]})
        return
    body = text.encode()
    every = [*HEADERS, *headers, (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    if not any(k == b"content-type" for k, _ in headers):
        every.append((b"content-type", b"text/plain; charset=utf-8"))
    await send({"type": "http.response.start", "status": status, "headers": every})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive, limit: int) -> bytes:
    body = b""
    while len(body) <= limit:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return body[:limit]


def _inside(target: str) -> str:
    """A path of this server; ``/`` for anything that leads elsewhere."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return quote(target, safe="/?&=%-_.~") if plain else "/"


def _is_local_name(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
