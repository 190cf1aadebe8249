"""Jobs: tabwright commands in processes of their own, which outlive the server; their state is on disk."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tabwright.errors import DataError
from tabwright.ui.workspace import Workspace, read_json, write_json

RUNNING, DONE, FAILED, STOPPED, KILLED = "running", "done", "failed", "stopped", "killed"
LOG_TAIL = 20_000


@dataclass(frozen=True)
class Job:
    """One command.

    Parameters
    ----------
    id, title : str
    about : str
        What it makes or works on, as in :attr:`tabwright.ui.actions.Action.makes`.
    argv : tuple of str
        The command, as a user would type it.
    pid, process_started : int, float
        The process, and its start by the system's clock: ids are used again.
    started, ended : float or None
        Seconds since 1970.
    state : str
        running, done, failed, stopped (by a user) or killed (from outside).
    code : int or None
        Its exit code.
    """

    id: str
    title: str
    about: str
    argv: tuple[str, ...]
    pid: int
    process_started: float
    started: float
    ended: float | None = None
    state: str = RUNNING
    code: int | None = None

    @property
    def kind(self) -> str:
        return self.argv[1]

    @property
    def seconds(self) -> float:
        return (self.ended or time.time()) - self.started


class Jobs:
    """The jobs of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._folder = workspace.root / "jobs"

    def start(self, title: str, about: str, argv: Sequence[str]) -> Job:
        """Run ``tabwright …`` in a session of its own, with the log as its output."""
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        command = [sys.executable, "-m", "tabwright.ui.child", str(self._folder / f"{name}.code"), *argv[1:]]
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - this interpreter, a command made here
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                cwd=self._folder, env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        # waited for, so that it does not stay as a zombie while this server lives
        threading.Thread(target=process.wait, name=f"job {name}", daemon=True).start()
        job = Job(name, title, about, tuple(argv), process.pid, _process_started(process.pid), time.time())
        record = {k: getattr(job, k) for k in ("id", "title", "about", "argv", "pid", "process_started", "started")}
        write_json(self._folder / f"{name}.json", record)
        return job

    def get(self, name: str) -> Job:
        """One job as it stands; DataError where there is none."""
        path = self._folder / f"{name}.json"
        record = read_json(path) if path.parent == self._folder else {}
        if not record:
            raise DataError(f"there is no job {name!r}", "choose one that is listed")
        return self._as_it_stands(record)

    def every(self) -> list[Job]:
        """Latest first."""
        records = [read_json(p) for p in self._folder.glob("*.json")]
        return sorted((self._as_it_stands(r) for r in records if r), key=lambda j: -j.started)

    def about(self, about: str) -> list[Job]:
        """The jobs on one thing, latest first."""
        return [j for j in self.every() if j.about == about]

    def since(self, about: str, kind: str, earlier: Job | None) -> list[Job]:
        """The jobs of one kind on one thing that began after an earlier job's end, latest first."""
        ended = None if earlier is None else earlier.ended
        return [j for j in self.about(about) if j.kind == kind and (ended is None or j.started >= ended)]

    def log(self, job: Job, *, whole: bool = False) -> str:
        """The end of what it has printed, or all of it."""
        try:
            with (self._folder / f"{job.id}.log").open("rb") as file:
                file.seek(0, os.SEEK_END)
                size = file.tell()
                file.seek(0 if whole else max(0, size - LOG_TAIL))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def head(self, job: Job) -> str:
        """The beginning of what it has printed."""
        try:
            with (self._folder / f"{job.id}.log").open("rb") as file:
                return file.read(LOG_TAIL).decode("utf-8", "replace")
        except OSError:
            return ""

    def why(self, job: Job) -> str:
        """What a failed job says: its last line that is no note."""
        lines = [line for line in self.log(job).splitlines() if line.strip() and not line.startswith("note:")]
        return lines[-1].removeprefix("tabwright: ") if lines else f"exit code {job.code}"

    def stop(self, job: Job) -> None:
        """Ask it to end in good order, as Ctrl-C does; a run then keeps its leader."""
        asked = self._folder / f"{job.id}.stopped"
        if not asked.exists() and self._alive(job.pid, job.process_started):  # a second one would end it at once
            asked.touch()
            os.kill(job.pid, signal.SIGINT)

    def usage(self, job: Job) -> tuple[float, float, int]:
        """Processor seconds, resident memory in MiB, and number of processes of a running job and its children."""
        cpu = memory = 0.0
        count = 0
        with contextlib.suppress(psutil.Error):
            top = psutil.Process(job.pid)
            if not self._alive(job.pid, job.process_started):
                return 0.0, 0.0, 0
            for process in (top, *top.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    cpu += times.user + times.system
                    memory += process.memory_info().rss / 2**20
                    count += 1
        return cpu, memory, count

    def _as_it_stands(self, record: dict[str, Any]) -> Job:
        name = record["id"]
        fields = record | {"argv": tuple(record["argv"])}
        code_file = self._folder / f"{name}.code"
        code = _code(code_file)
        if code is None and self._alive(record["pid"], record["process_started"]):
            return Job(**fields)
        code = _code(code_file) if code is None else code  # it may have ended in between
        stopped = (self._folder / f"{name}.stopped").exists()
        if code is None:
            return Job(**fields, ended=_changed(self._folder / f"{name}.log"), state=STOPPED if stopped else KILLED)
        state = STOPPED if stopped else DONE if code == 0 else FAILED
        return Job(**fields, ended=_changed(code_file), state=state, code=code)

    @staticmethod
    def _alive(pid: int, started: float) -> bool:
        try:
            process = psutil.Process(pid)
            return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - started) < 2.0
        except psutil.Error:
            return False


def _process_started(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return time.time()


def _code(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()
