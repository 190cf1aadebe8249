"""A Dask cluster of separate processes on the loopback interface, to be knocked about."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

START_S = 60.0
FOLD_PROCESS = "tabwright.engine.worker"
MARK = "LOOPBACK_CLUSTER"  # a variable by which processes of a cluster are told


class LoopbackCluster:
    """A scheduler; workers are added by :meth:`add` and killed as processes.

    Parameters
    ----------
    environment : mapping of str to str, optional
        For scheduler and workers, besides this process' own: certificates, a place of packages.
    protocol : {"tcp", "tls"}
    """

    def __init__(self, environment: Mapping[str, str] | None = None, protocol: str = "tcp") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="cluster-")
        self.path = Path(self._folder.name)
        self._environment = {**os.environ, **(environment or {}), MARK: self._folder.name}
        self._protocol = protocol
        self.workers: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("scheduler", "--port", "0", "--no-dashboard")
        self.address = self._wait_for_address()

    def _start(self, kind: str, *options: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--protocol", self._protocol, "--host",
                   "127.0.0.1", "--scheduler-file", str(self.path / "scheduler.json"), *options]  # fmt: skip
        with (self.path / "log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - this interpreter with a module of Dask
                command, stdout=log, stderr=log, env={**self._environment, **(environment or {})}, cwd=self.path
            )

    def _wait_for_address(self) -> str:
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.scheduler.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                return str(json.loads((self.path / "scheduler.json").read_text())["address"])
            time.sleep(0.05)
        raise RuntimeError(f"the scheduler did not start: {self.log()}")

    def add(
        self, n: int = 1, n_threads: int = 1, environment: Mapping[str, str] | None = None
    ) -> list[subprocess.Popen[bytes]]:
        """Start workers, each on a host of its own as far as its scratch folder goes; they join when they can."""
        added = []
        for _ in range(n):
            scratch = self.path / f"host-{len(self.workers)}"
            options = ("--nthreads", str(n_threads), "--no-nanny", "--no-dashboard", "--local-directory", str(scratch))
            added.append(self._start("worker", *options, environment=environment))
            self.workers.append(added[-1])
        return added

    def fold_processes(self) -> list[psutil.Process]:
        """Processes that fit folds on the workers, or were left behind by them."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if FOLD_PROCESS in process.cmdline() and process.environ().get(MARK) == self._folder.name:
                    found.append(process)
        return found

    def log(self) -> str:
        """What scheduler and workers have said."""
        return (self.path / "log").read_text("utf-8", "replace")

    def close(self) -> None:
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()
        with contextlib.suppress(OSError):
            self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self.close()
