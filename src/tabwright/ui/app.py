"""Starts the web interface."""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

from tabwright.errors import DataError, MissingExtraError, OptionError, UserError
from tabwright.ui.access import Gate
from tabwright.ui.config import Config
from tabwright.ui.workspace import Workspace


def run(config: Config) -> int:
    """Serve the interface until told to stop; the exit code.

    Raises
    ------
    UserError
        If the workspace or the port can't be used, or NiceGUI is not installed.
    """
    workspace = Workspace.open(config.workspace)
    os.environ["NICEGUI_STORAGE_PATH"] = str(workspace.root / "preferences")  # read while NiceGUI is imported
    os.environ.setdefault("MPLBACKEND", "agg")
    try:
        import uvicorn

        application = create(config, workspace)
    except ImportError as error:
        if error.name is None or error.name.startswith("tabwright"):
            raise
        raise MissingExtraError(error.name, "ui") from None
    bound = _bound(config)
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"tabwright ui on http://{shown}:{port} (workspace: {workspace.root})", flush=True)
    print("Ctrl-C ends it; runs and servers that it has started go on", file=sys.stderr)
    if not config.is_local:
        print("note: the token travels unencrypted; end TLS in front of it", file=sys.stderr)
    settings = uvicorn.Config(application, log_level="warning", access_log=False, server_header=False,
                              timeout_graceful_shutdown=2, ws="websockets-sansio")  # fmt: skip
    uvicorn.Server(settings).run(sockets=[bound])
    return 0


def create(config: Config, workspace: Workspace) -> Gate:
    """The application: pages behind the gate."""
    from fastapi import FastAPI
    from nicegui import ui

    from tabwright.ui.pages import PAGES
    from tabwright.ui.shell import Context

    context = Context.of(config)
    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _downloads(server, context)
    for page in PAGES:
        ui.page(page.path, title=f"{page.title} · tabwright", response_timeout=30)(_shown(context, page))
    ui.run_with(
        server, title="tabwright", dark=None, language="en-US", storage_secret=workspace.secret(), tailwind=False,
        show_welcome_message=False, reconnect_timeout=20, session_middleware_kwargs={"same_site": "strict"},
    )  # fmt: skip
    return Gate(server, config)


def _shown(context: Any, page: Any) -> Any:
    """A page as NiceGUI takes it."""
    import inspect

    from starlette.requests import Request

    from tabwright.ui.shell import Shell, fault, frame, session_id

    async def show(request: Request) -> None:
        shell = Shell(context, session_id(), dict(request.path_params), dict(request.query_params))
        with frame(page):
            try:
                made = page.build(shell)
                if inspect.isawaitable(made):
                    await made
            except UserError as error:
                fault(error)

    show.__annotations__["request"] = Request  # FastAPI can't look into this function's names
    return show


def _downloads(server: Any, context: Any) -> None:
    """Files of the workspace that a browser may fetch."""
    from fastapi import Response
    from fastapi.responses import FileResponse

    def send(shown: str, kind: str, *parts: str) -> Response:
        try:
            path = context.workspace.existing(kind, *parts)
        except DataError as error:
            return Response(str(error), 404, media_type="text/plain")
        return FileResponse(path, filename=shown, media_type="application/octet-stream")

    def predictions(name: str) -> Response:
        return send(name, "predictions", name)

    def model(name: str) -> Response:
        return send(f"{name}.onnx", "models", name, "model.onnx")

    def example(name: str, file: str) -> Response:
        return send(file, "models", name, "examples", file)

    server.get("/files/predictions/{name}", response_model=None)(predictions)
    server.get("/files/models/{name}", response_model=None)(model)
    server.get("/files/models/{name}/{file}", response_model=None)(example)


def _bound(config: Config) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((config.host, config.port))
    except OSError as error:
        made.close()
        raise OptionError("--port", f"{config.port} on {config.host} can't be listened on ({error.strerror})",
                          "name another port, or 0 for any that is free") from None  # fmt: skip
    made.listen(128)
    return made
