"""Starts the server: one process, or several that share one socket, under uvicorn."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from socket import getaddrinfo
from typing import Any

from tabwright.errors import MissingExtraError, OptionError
from tabwright.serve.config import Config

GRACE_S = 30
BACKLOG = 2048
_FACTORY = "tabwright.serve.app:create"


def run(config: Config) -> int:
    """Serve until told to stop; the exit code.

    Raises
    ------
    UserError
        If the models, the keys, the store or the port can't be used.
    """
    try:
        import orjson  # noqa: F401
        import prometheus_client.metrics_core  # noqa: F401 - not .values: that looks for its folder at once
        import starlette  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise MissingExtraError(str(error.name), "serve") from None
    finally:
        for name in [m for m in sys.modules if m.startswith("prometheus_client")]:
            del sys.modules[name]

    from tabwright.serve import metrics

    work = Path(tempfile.mkdtemp(prefix="tabwright-serve-"))
    os.environ[metrics.DIRECTORY] = str(work)
    if not config.store:
        config = replace(config, store=str(work / "serve.sqlite"))
        print("note: counts and feedback last as long as the server; keep them with --store FILE", file=sys.stderr)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        return _serve(uvicorn, config)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _serve(uvicorn: Any, config: Config) -> int:
    from tabwright.serve.registry import check_places
    from tabwright.serve.store import Store

    options: dict[str, Any] = {
        "host": config.host, "port": config.port, "workers": config.workers, "access_log": False,
        "server_header": False, "log_config": None, "log_level": "warning", "lifespan": "on", "loop": "auto",
        "http": "auto", "timeout_graceful_shutdown": GRACE_S, "ssl_certfile": config.tls_cert,
        "ssl_keyfile": config.tls_key, "timeout_worker_healthcheck": 30, "backlog": BACKLOG,
        "h11_max_incomplete_event_size": 65536, "proxy_headers": False,
    }  # fmt: skip
    if config.workers == 1:
        from tabwright.serve.app import Application

        server = uvicorn.Server(uvicorn.Config(Application(config), **options))
        sockets = [_bound(server.config, config)]
        # A signal that comes before uvicorn takes them must not be lost; it raises them again once it has stopped.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        _announce(config, sockets[0])
        server.run(sockets=sockets)
        return 0
    from tabwright.serve.supervisor import Supervisor

    Store(config.store).close()  # faults are told here, once, and not by each worker
    check_places(config.models, config.public_key)
    config.to_environment()
    settings = uvicorn.Config(_FACTORY, factory=True, **options)
    socket = _bound(settings, config)
    _announce(config, socket)
    Supervisor(settings, sockets=[socket]).run()
    return 0


def _bound(settings: Any, config: Config) -> Any:
    try:
        socket = settings.bind_socket()
    except SystemExit:
        try:
            getaddrinfo(config.host, config.port)
        except (OSError, UnicodeError):
            raise OptionError("--host", f"is {config.host!r}, which names no machine", "give an address of this one, "
                              "such as 127.0.0.1") from None  # fmt: skip
        raise OptionError(
            "--port", f"is {config.port}, which is in use on {config.host} or not allowed", "name another port"
        ) from None
    # from here on callers wait in the queue, until the processes have loaded the models
    socket.listen(BACKLOG)
    return socket


def _announce(config: Config, socket: Any) -> None:
    host, port = socket.getsockname()[:2]
    scheme = "https" if config.tls_cert else "http"
    print(f"serving on {scheme}://{host}:{port} (monitoring: /monitor, metrics: /metrics)", flush=True)
    if config.keys and not config.tls_cert and host not in ("127.0.0.1", "::1"):
        print("note: keys travel unencrypted; give --tls-cert and --tls-key, or end TLS in front", file=sys.stderr)
