"""The run's side of tracking: starts the process that tells the server, and says once if that failed."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tabwright.errors import MissingExtraError, OptionError
from tabwright.store.run_dir import RunDir

DEFAULT = "mlflow"
"""Track where MLflow's own settings (``MLFLOW_TRACKING_URI``) say."""
STATUS_FILE, LOG_FILE = "tracking.json", "tracking.log"
LEAVE_S = 30.0  # longest that a program that ends waits for the rest to be told
_SCHEMES = ("http", "https", "file", "sqlite", "postgresql", "mysql", "mssql", "databricks", "uc")


class Follower:
    """A process that tells the tracking server what the run's journal holds, until :meth:`finish` and after it."""

    def __init__(self, process: subprocess.Popen[bytes], run: Path, uri: str) -> None:
        self._process, self._run, self._uri = process, run, uri

    @property
    def status(self) -> dict[str, Any]:
        """``state`` (starting, tracking, finished, failed), ``reason``, and ``run_id`` once there is one."""
        try:
            found: dict[str, Any] = json.loads((self._run / STATUS_FILE).read_text("utf-8"))
        except (OSError, ValueError):
            return {"state": "starting"}
        return found

    def finish(self) -> str:
        """The search has ended: the process tells the rest and exits. Why it failed so far, or an empty text."""
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()  # what it waits for; also happens when this process is killed
        status = self.status
        if status["state"] == "failed":
            return f"The run is not tracked at {self._uri}: {status['reason']}"
        if self._process.poll() not in (None, 0):
            return f"The run is not tracked at {self._uri}: see {self._run / LOG_FILE}"
        if status["state"] == "starting":
            return f"The tracking server {self._uri} has not answered so far; it is tried on in the background"
        return ""

    def wait(self, timeout_s: float) -> bool:
        """Wait until all is told; whether it is."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return bool(self.status["state"] == "finished")

    def stop(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()


_LIVE: set[Follower] = set()


def wait(timeout_s: float) -> bool:
    """Wait until everything of this program's runs is told, seconds at most; whether it is."""
    until = time.monotonic() + timeout_s
    told = True
    for follower in list(_LIVE):
        told &= follower.wait(max(0.0, until - time.monotonic()))
        if follower._process.poll() is not None:
            _LIVE.discard(follower)
    return told


def _leave() -> None:
    wait(LEAVE_S)
    for follower in _LIVE:
        follower.stop()


def experiment_name() -> str:
    """MLflow's experiment that runs belong to: what ``MLFLOW_EXPERIMENT_NAME`` says, or ``tabwright``."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME", "tabwright")


def check(tracking: str | None) -> None:
    """OptionError or MissingExtraError unless a run can be tracked so."""
    if tracking is None:
        return
    scheme = str(tracking).split(":", 1)[0].split("+", 1)[0]
    if not isinstance(tracking, str) or (tracking != DEFAULT and (scheme not in _SCHEMES or scheme == tracking)):
        problem = f"is {tracking!r}, which is no tracking address"
        raise OptionError("tracking", problem, "give 'mlflow', or an address as http://host:5000, sqlite:///mlflow.db")
    if importlib.util.find_spec("mlflow") is None:
        raise MissingExtraError("MLflow", "mlflow")


@contextlib.contextmanager
def tracked(run: RunDir, tracking: str | None) -> Iterator[list[str]]:
    """Track what happens inside; the list holds one sentence afterwards if the server could not be told."""
    notes: list[str] = []
    if tracking is None:
        yield notes
        return
    try:
        follower = follow(run.path, tracking)
    except OSError as error:
        yield notes
        notes.append(f"The run is not tracked: the process that tells the server can't be started ({error})")
        return
    try:
        yield notes
    finally:
        told = follower.finish()
        notes += [told] if told else []


def follow(run: Path, tracking: str) -> Follower:
    """Start to track a run whose folder is about to be written."""
    (run / STATUS_FILE).unlink(missing_ok=True)
    command = [sys.executable, "-m", "tabwright.tracking.teller", str(run.resolve()), tracking]
    # a server that hangs is given up soon, without MLflow's minutes of repetitions
    limits = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
    environment = {**limits, **os.environ, "PYTHONUNBUFFERED": "1"}
    with (run / LOG_FILE).open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, and arguments that no shell reads
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    uri = tracking if tracking != DEFAULT else os.environ.get("MLFLOW_TRACKING_URI", "MLflow's default")
    follower = Follower(process, run, uri)
    if not _LIVE:
        atexit.unregister(_leave)
        atexit.register(_leave)
    _LIVE.add(follower)
    return follower
