"""Worker processes on this machine, each watched for time and memory and killed where it passes a limit."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from tabwright import clock
from tabwright.engine.base import Cluster, FoldJob, FoldResult, Outcome, Status
from tabwright.engine.worker import receive, send
from tabwright.errors import RunError

KILL_GRACE_S, KILL_GRACE = 1.0, 0.5  # seconds, or a share, past the limit that the family was told, before it is killed
MEMORY_CHECK_S = 0.2
MAX_STILLBORN = 3
ALONE = 0.75  # of the memory: a process that took less might have had enough with no other beside it
ENDED = ("done", "failed", "late")  # what workers tell of a job


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    watch: psutil.Process
    slot: int  # a replacement takes the slot of the worker that it replaces
    ready: bool = False
    job: FoldJob | None = None
    started: float = 0.0  # monotonic
    started_wall: float = 0.0
    cpu_before: float = 0.0
    peak_mib: float = 0.0
    messages: int = field(default=0)


class LocalEngine:
    """``n_workers`` processes with ``n_threads`` threads each.

    Workers start importing at construction; ``open`` tells them the run. A worker that is killed or dies is
    replaced, its job reported as an :class:`Outcome`. Where all together take more than ``memory_limit_mib``, the one
    at work that takes most is killed. With ``cluster``, fits on a whole source are spread over it.
    """

    def __init__(
        self, n_workers: int, n_threads: int, memory_limit_mib: float | None, log: Path | None = None,
        cluster: Cluster | None = None,
    ) -> None:  # fmt: skip
        self.n_workers, self.n_threads, self._cluster = n_workers, n_threads, cluster
        self._limit = memory_limit_mib
        self._log = log.open("ab") if log else None
        self._inbox: queue.Queue[tuple[_Worker, str, Any]] = queue.Queue()
        self._run: str | None = None
        self._checked = 0.0
        self._closed = False
        self._stillborn = 0  # workers in a row that ended before they were ready
        self._workers = [self._start(slot) for slot in range(n_workers)]

    def open(self, run: Path) -> None:
        """Let the workers load the run's data."""
        self._run = str(run)
        for worker in self._workers:
            self._tell(worker, ("open", (self._run, self._cluster)))

    def _start(self, slot: int) -> _Worker:
        # the same modules as here must be found there, a user's own families among them
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(p or str(Path.cwd()) for p in sys.path)}
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            env[name] = str(self.n_threads)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tabwright.engine.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log or subprocess.DEVNULL, env=env,
        )  # fmt: skip
        worker = _Worker(process, psutil.Process(process.pid), slot)
        threading.Thread(target=self._read, args=(worker,), daemon=True).start()
        if self._run is not None:
            self._tell(worker, ("open", (self._run, self._cluster)))
        return worker

    def _read(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        while True:
            try:
                kind, content = receive(worker.process.stdout)
            except (EOFError, OSError, ValueError, pickle.UnpicklingError):
                self._inbox.put((worker, "gone", None))
                return
            self._inbox.put((worker, kind, content))

    def _tell(self, worker: _Worker, message: tuple[str, Any]) -> None:
        assert worker.process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # a worker that has gone is noticed by its reader
            send(worker.process.stdin, message)

    def free(self) -> int:
        return sum(w.ready and w.job is None for w in self._workers)

    def running(self) -> list[FoldJob]:
        return [w.job for w in self._workers if w.job is not None]

    def submit(self, job: FoldJob) -> None:
        worker = next(w for w in self._workers if w.ready and w.job is None)
        worker.job, worker.started, worker.started_wall = job, time.monotonic(), clock.now()
        worker.peak_mib = 0.0
        worker.cpu_before = _cpu(worker)
        self._tell(worker, ("fit", job))

    def poll(self, timeout_s: float) -> list[Outcome]:
        """Outcomes since the last call, waiting up to ``timeout_s`` for the first; limits are enforced meanwhile."""
        end = time.monotonic() + timeout_s
        outcomes: list[Outcome] = []
        while True:
            if self._inbox.empty():  # what has ended and was not read yet is not late
                outcomes += self._enforce_limits()
            left = end - time.monotonic()
            try:
                wait = 0.0 if outcomes else min(max(left, 0.0), MEMORY_CHECK_S)
                worker, kind, content = self._inbox.get(timeout=wait) if wait > 0 else self._inbox.get_nowait()
            except queue.Empty:
                if outcomes or left <= 0:
                    return outcomes
                continue
            outcome = self._handle(worker, kind, content)
            if outcome is not None:
                outcomes.append(outcome)
            elif kind == "opened":
                return outcomes  # a worker is free: let the caller use it

    def _handle(self, worker: _Worker, kind: str, content: Any) -> Outcome | None:
        if worker not in self._workers:
            return None  # already replaced
        if kind == "opened":
            worker.ready = True
            return None
        if kind == "gone":
            code = worker.process.wait()
            self._stillborn = 0 if worker.ready else self._stillborn + 1
            if self._stillborn > MAX_STILLBORN:
                raise RunError(f"Worker processes end with code {code} before they take work: {self._last_words()}",
                               "mend what the last line of workers.log in the run directory tells")
            return self._replace(worker, Status.CRASHED, f"the worker process ended with code {code}")
        if kind == "failed" and worker.job is None:  # the run could not be opened
            self._inbox.put((worker, "gone", None))
            worker.process.kill()
            return None
        if kind in ENDED:
            return self._finished(worker, kind, content)
        return None

    def _last_words(self) -> str:
        if self._log is None:
            return "no log was kept"
        self._log.flush()
        lines = Path(self._log.name).read_text("utf-8", "replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "nothing was said")

    def _finished(self, worker: _Worker, kind: str, content: Any) -> Outcome:
        job, seconds, cpu = worker.job, time.monotonic() - worker.started, _cpu(worker) - worker.cpu_before
        assert job is not None
        worker.job = None
        peak = max(worker.peak_mib, _memory(worker))
        if kind == "done":
            result: FoldResult = content
            return Outcome(job, Status.OK, "", worker.started_wall, seconds, cpu, peak, result, worker.slot)
        status = Status.TIMEOUT if kind == "late" else Status.FAILED
        return Outcome(job, status, content[0], worker.started_wall, seconds, cpu, peak, None, worker.slot)

    def _enforce_limits(self) -> list[Outcome]:
        now = time.monotonic()
        outcomes = []
        check_memory = now - self._checked >= MEMORY_CHECK_S
        if check_memory:
            self._checked = now
        for worker in list(self._workers):
            if worker.job is None:
                continue
            limit = worker.job.time_limit_s
            if now - worker.started > limit + max(KILL_GRACE_S, KILL_GRACE * limit):
                reason = f"still running {now - worker.started:.1f} s after a limit of {limit:.1f} s"
                outcomes.append(self._replace(worker, Status.TIMEOUT, reason))
        if check_memory:
            outcomes.append(self._enforce_memory())
        return [o for o in outcomes if o is not None]

    def _enforce_memory(self) -> Outcome | None:
        used = {id(w): _memory(w) for w in self._workers}
        busy = [w for w in self._workers if w.job is not None]
        for worker in busy:
            worker.peak_mib = max(worker.peak_mib, used[id(worker)])
        total = sum(used.values())
        if self._limit is None or total <= self._limit or not busy:
            return None
        largest = max(busy, key=lambda w: used[id(w)])
        reason = f"used {used[id(largest)]:.0f} MiB; all workers {total:.0f} MiB of {self._limit:.0f} MiB"
        outcome = self._replace(largest, Status.MEMORY, reason)
        assert outcome is not None
        return replace(outcome, is_crowded=len(busy) > 1 and used[id(largest)] < ALONE * self._limit)

    def _replace(self, worker: _Worker, status: Status, reason: str) -> Outcome | None:
        """Make sure that a worker and its children are dead, start another, and tell what became of its job."""
        outcome = None
        if worker.job is not None:
            outcome = Outcome(
                worker.job,
                status,
                reason,
                worker.started_wall,
                time.monotonic() - worker.started,
                max(0.0, _cpu(worker) - worker.cpu_before),
                worker.peak_mib,
                None,
                worker.slot,
            )
        _kill_tree(worker)
        self._workers.remove(worker)
        if not self._closed:
            self._workers.append(self._start(worker.slot))
        return outcome

    def cancel(self) -> list[Outcome]:
        """Kill what runs (without replacement after ``close``)."""
        outcomes = [
            self._replace(w, Status.CANCELLED, "the run ended") for w in list(self._workers) if w.job is not None
        ]
        return [o for o in outcomes if o is not None]

    def close(self) -> list[Outcome]:
        """Kill all workers; outcomes of what was running, or had ended."""
        self._closed = True
        outcomes = []
        while not self._inbox.empty():
            worker, kind, content = self._inbox.get_nowait()
            if worker in self._workers and worker.job is not None and kind in ENDED:  # not of one replaced before
                outcomes.append(self._finished(worker, kind, content))
        outcomes += self.cancel()
        for worker in list(self._workers):
            _kill_tree(worker)
            self._workers.remove(worker)
        if self._log:
            self._log.close()
        return outcomes

    def cluster(self) -> None:
        """None: this is one machine."""

    def notes(self) -> list[str]:
        """Nothing: what goes wrong with a process is told of its job."""
        return []


def _memory(worker: _Worker) -> float:
    try:
        tree = [worker.watch, *worker.watch.children(recursive=True)]
        return float(sum(_own(p.memory_info()) for p in tree)) / 2**20
    except psutil.Error:
        return 0.0


def _own(info: Any) -> int:
    """Resident bytes without those of mapped files, which the system takes back when it needs them."""
    return int(info.rss) - int(getattr(info, "shared", 0))


def _cpu(worker: _Worker) -> float:
    try:
        times = worker.watch.cpu_times()
        return float(times.user + times.system)
    except psutil.Error:
        return 0.0


def _kill_tree(worker: _Worker) -> None:
    with contextlib.suppress(psutil.Error):
        for child in worker.watch.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    worker.process.kill()
    worker.process.wait()
    for stream in (worker.process.stdin, worker.process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.close()
