"""The gate before the interface: hosts, origins, the token, and the size of bodies."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from tabwright.errors import OptionError
from tabwright.ui import access
from tabwright.ui.access import Gate
from tabwright.ui.config import Config, checked, default_workspace

TOKEN = "correct horse battery"


async def inner(scope, receive, send):
    """An application that answers with the length of what it is sent."""
    length, more = 0, scope["type"] == "http"
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(length).encode()})


def ask(config, method="GET", path="/", base="http://127.0.0.1:54321", **request):
    async def once():
        transport = httpx.ASGITransport(app=Gate(inner, config))
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, path, **request)

    return asyncio.run(once())


LOCAL = Config(Path("w"))
OPEN = Config(Path("w"), host="0.0.0.0", token=TOKEN)


def test_loopback_needs_no_token():
    answer = ask(LOCAL)
    assert answer.status_code == 200
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    for host in ("localhost:54321", "[::1]:54321", "127.0.0.1"):
        assert ask(LOCAL, headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:54321", "127.0.0.1.evil.example", "10.0.0.1", ""])
def test_names_that_resolve_to_this_machine_are_refused(host):
    assert ask(LOCAL, headers={"host": host}).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:1234", "null"])
def test_pages_from_elsewhere_are_refused(origin):
    assert ask(LOCAL, "POST", headers={"origin": origin}).status_code == 403
    assert ask(LOCAL, "POST", headers={"origin": "http://127.0.0.1:54321"}).status_code == 200


def test_sockets_are_held_to_the_same():
    async def once(headers, config=LOCAL):
        sent = []

        async def send(message):
            sent.append(message)

        scope = {"type": "websocket", "path": "/ws", "headers": headers, "query_string": b""}
        await Gate(inner, config)(scope, None, send)
        return sent[0]["type"]

    own = [(b"host", b"127.0.0.1:54321")]
    assert asyncio.run(once(own)) == "http.response.start"  # it has reached the application
    assert asyncio.run(once([*own, (b"origin", b"https://evil.example")])) == "websocket.close"
    assert asyncio.run(once(own, OPEN)) == "websocket.close"


def test_other_addresses_ask_for_the_token(monkeypatch):
    monkeypatch.setattr(access, "WRONG_S", 0.0)
    base = "http://10.0.0.5:54321"
    assert ask(OPEN, base=base).status_code == 401
    sent = ask(OPEN, path="/data?tab=Rows", base=base, headers={"accept": "text/html"})
    assert (sent.status_code, sent.headers["location"]) == (303, "/login?next=/data%3Ftab%3DRows")
    assert ask(OPEN, base=base, headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert ask(OPEN, base=base, headers={"authorization": "Bearer wrong"}).status_code == 401
    form = ask(OPEN, path="/login?next=/data", base=base)
    assert form.status_code == 200 and 'value="/data"' in form.text
    wrong = ask(OPEN, "POST", "/login", base=base, data={"token": "wrong", "next": "/data"})
    assert wrong.status_code == 401 and "not the token" in wrong.text and "set-cookie" not in wrong.headers
    right = ask(OPEN, "POST", "/login", base=base, data={"token": TOKEN, "next": "/data?tab=Rows"})
    assert (right.status_code, right.headers["location"]) == (303, "/data?tab=Rows")
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
    assert ask(OPEN, base=base, headers={"cookie": cookie.split(";")[0]}).status_code == 200
    assert ask(OPEN, base=base, headers={"cookie": "tabwright_ui=guess"}).status_code == 401


def test_guesses_of_one_moment_are_looked_at_one_after_the_other(monkeypatch):
    monkeypatch.setattr(access, "WRONG_S", 0.1)

    async def all_at_once():
        transport = httpx.ASGITransport(app=Gate(inner, OPEN))
        async with httpx.AsyncClient(transport=transport, base_url="http://10.0.0.5") as client:
            began = time.monotonic()

            async def guess(token):
                answer = await client.get("/", headers={"authorization": f"Bearer {token}"})
                return answer.status_code, time.monotonic() - began

            return await asyncio.gather(*map(guess, ["a", "b", "c", "d", TOKEN]))

    *wrong, right = asyncio.run(all_at_once())
    assert [code for code, _ in wrong] == [401] * 4 and right[0] == 200 and right[1] >= 0.4


ELSEWHERE = ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:1", "/a\r\nb: c")


@pytest.mark.parametrize("target", ELSEWHERE)
def test_signing_in_leads_nowhere_else(target):
    right = ask(OPEN, "POST", "/login", base="http://10.0.0.5", data={"token": TOKEN, "next": target})
    assert right.headers["location"] == "/"


def test_bodies_have_a_limit():
    config = Config(Path("w"), max_upload_mib=0.01)
    assert ask(config, "POST", content=b"x" * 10_000).text == "10000"
    large = ask(config, "POST", content=b"x" * 20_000)
    assert large.status_code == 413 and "--max-upload-mib" in large.text

    async def pieces():
        for _ in range(20):
            yield b"x" * 1000

    assert ask(config, "POST", content=pieces()).status_code == 413  # no length was told


def test_what_the_command_line_refuses():
    with pytest.raises(OptionError, match="--host"):
        checked(Config(Path("w"), host="0.0.0.0"), {})
    with pytest.raises(OptionError, match="--token"):
        checked(Config(Path("w"), token="short"), {})
    with pytest.raises(OptionError, match="--max-upload-mib"):
        checked(Config(Path("w"), max_upload_mib=0), {})
    with pytest.raises(OptionError, match="--port"):
        checked(Config(Path("w"), port=70000), {})
    made = checked(Config(Path("w"), host="0.0.0.0"), {"TABWRIGHT_UI_TOKEN": TOKEN})
    assert made.token == TOKEN and not made.is_local
    assert default_workspace().name == "tabwright"
