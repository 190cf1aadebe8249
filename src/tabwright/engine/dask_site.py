"""The side of a Dask worker: the files that a run's folds read, a limited process per slot, and the run's lease.

A *site* is one run on one Dask worker. What it reads lies in a scratch folder that the Dask workers of a host share, or
in the run directory itself where the host can see it. Each slot has a *view*, a folder that looks like a run
directory: links to what is read, and room for what its fold process writes.

The lease is the result of the task :func:`start`, which the driver holds. Dask drops it when the driver lets go of it,
closes, dies or can no longer be reached; the site then kills its processes and removes its files.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from tabwright.engine.base import FoldJob, Outcome, Status
from tabwright.engine.local import LocalEngine
from tabwright.engine.scratch import Scratch
from tabwright.store.run_dir import RunDir

TICK_S = 0.1  # between looks at whether a fold is finished, or no longer wanted
LEASE_CHECK_S = 0.25
UNHELD_S = 60.0  # without news, after which a site that has not been started is given up
LEAST_LIMIT_S = 0.2


class SiteGoneError(RuntimeError):
    """The worker has no such site (any more): it was restarted, or the lease had ended."""


@dataclass(frozen=True)
class Invitation:
    """What a Dask worker is told of a run. ``files``: names and sizes in bytes, relative to the run directory."""

    run_id: str
    run_path: str
    token: str  # text of the run directory's token file: who reads the same there sees the same folder
    files: tuple[tuple[str, int], ...]
    n_threads: int
    memory_limit_mib: float | None  # of all fold processes of a Dask worker together


@dataclass(frozen=True)
class Entered:
    """What a Dask worker answers: which folder it keeps files in, and which of them are still to be sent."""

    place: str
    missing: tuple[str, ...]
    shared: bool  # the run directory itself is read


@dataclass(frozen=True)
class Report:
    """How a fold ended, and the files that it wrote, by name relative to the run directory."""

    outcome: Outcome
    files: dict[str, bytes]


_SITES: dict[tuple[str, str], Site] = {}


def token_file(run: Path, run_id: str) -> Path:
    """The file by which a host finds out whether it sees the driver's run directory."""
    return run / f".dask-{run_id}"


def enter(invitation: Invitation, dask_worker: Any) -> Entered:
    """Make a site, or find the one that is there already."""
    key = (dask_worker.id, invitation.run_id)
    site = _SITES.get(key)
    if site is None or site.closed.is_set():
        site = _SITES[key] = Site(invitation, dask_worker)
    return site.entered()


def receive(run_id: str, name: str, push: str, part: tuple[int, bytes, str], dask_worker: Any) -> None:
    """Append a piece (offset, bytes, SHA-256 of the whole with the last piece, else "") of a file."""
    _site(dask_worker, run_id).receive(name, push, *part)


def start(run_id: str) -> str:
    """Start the fold processes and wait until they have read their data. A task; its result is the lease."""
    from distributed import get_worker

    worker = get_worker()
    key = str(worker.get_current_task())
    _site(worker, run_id).start(key)
    return key


def fit(run_id: str, job: FoldJob, reads: tuple[str, ...], known: frozenset[str]) -> Report | None:
    """Fit one fold. A task; None where it was no longer wanted.

    Parameters
    ----------
    run_id : str
    job : FoldJob
    reads : tuple of str
        Files that it reads besides those of the invitation; they have been sent.
    known : frozenset of str
        Features that the run directory has, which need not be sent back.
    """
    from distributed import get_worker

    worker = get_worker()
    task = str(worker.get_current_task())

    return _site(worker, run_id).fit(job, reads, known, lambda: not _is_wanted(worker, task))


def _is_wanted(worker: Any, task: str) -> bool:
    """Whether Dask still runs a task, or keeps its result: not once it was cancelled, or its client has gone."""
    found = worker.state.tasks.get(task)
    return found is not None and found.state not in ("cancelled", "released", "forgotten", "error")


def _site(worker: Any, run_id: str) -> Site:
    site = _SITES.get((worker.id, run_id))
    if site is None or site.closed.is_set():
        raise SiteGoneError(f"this worker does not take part in the run {run_id}")
    return site


@dataclass(frozen=True)
class _Slot:
    engine: LocalEngine  # with one process
    view: RunDir


class Site:
    """One run on one Dask worker, which has as many slots as threads."""

    def __init__(self, invitation: Invitation, worker: Any) -> None:
        self._invitation, self._worker = invitation, worker
        local = Path(worker.local_directory)
        self._scratch = Scratch(local.parent / f"tabwright-{invitation.run_id}")
        self._views = local / f"tabwright-{invitation.run_id}"
        self._run = Path(invitation.run_path)
        self._shared = _text(token_file(self._run, invitation.run_id)) == invitation.token and all(
            _is_whole(self._run / name, size) for name, size in invitation.files
        )
        self._features = self._scratch.path / "features"
        self._features.mkdir(exist_ok=True)
        self._slots: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        self._started, self._lease = False, ""
        self._touched = time.monotonic()
        self.closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True, name="tabwright-lease").start()

    def entered(self) -> Entered:
        self._touched = time.monotonic()
        missing = [name for name, size in self._invitation.files if not _is_whole(self._source(name), size)]
        return Entered(self._scratch.identity, tuple(missing), self._shared)

    def _source(self, name: str) -> Path:
        return (self._run if self._shared else self._scratch.path) / name

    def receive(self, name: str, push: str, offset: int, data: bytes, sha256: str) -> None:
        """Write a piece; with the last one, see that the file is whole and give it its name."""
        self._touched = time.monotonic()
        path = self._scratch.path / name
        part = path.with_name(f".{path.name}.{push}.part")
        if offset == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            file.write(data)
        if sha256:
            if _sha256(part) != sha256:
                part.unlink()
                raise OSError(f"{name} did not arrive as it was sent")
            part.replace(path)

    def start(self, lease: str) -> None:
        """Have a process for each slot, its data read. RunError where they end before they take work."""
        self._lease = lease
        if not self._started:
            self._started = True
            for k in range(self._worker.state.nthreads):
                self._slots.put(self._slot(k))
        ready = []
        while (slot := self._take()) is not None:  # one after the other: they have all begun to read
            while not slot.engine.free() and not self._ended():
                slot.engine.poll(TICK_S)
            ready.append(slot)
        for slot in ready:
            self._give_back(slot)

    def _take(self) -> _Slot | None:
        try:
            return self._slots.get_nowait()
        except queue.Empty:
            return None

    def _slot(self, k: int) -> _Slot:
        view = RunDir(self._views / str(k))
        view.folds_dir.mkdir(parents=True, exist_ok=True)
        view.features_dir.symlink_to(self._features)
        self._link(view, [name for name, _ in self._invitation.files])
        engine = LocalEngine(1, self._invitation.n_threads, self._memory_limit(), self._views / f"{k}.log")
        engine.open(view.path)
        return _Slot(engine, view)

    def _link(self, view: RunDir, names: Iterable[str]) -> None:
        for name in names:
            path, source = view.path / name, self._source(name).absolute()
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                if not source.exists():
                    raise SiteGoneError(f"{name} has not been sent to this worker")
                with contextlib.suppress(FileExistsError):  # features are one folder for all slots of a host
                    path.symlink_to(source)

    def _memory_limit(self) -> float | None:
        """MiB for one fold process: its share of what the run allows, and of what Dask lets the worker use."""
        slots, limits = self._worker.state.nthreads, []
        if self._invitation.memory_limit_mib is not None:
            limits.append(self._invitation.memory_limit_mib)
        if self._worker.memory_manager.memory_limit:
            own = psutil.Process().memory_info().rss
            limits.append((self._worker.memory_manager.memory_limit - own) / 2**20)
        return min(limits) / slots if limits else None

    def fit(
        self, job: FoldJob, reads: tuple[str, ...], known: frozenset[str], unwanted: Callable[[], bool]
    ) -> Report | None:
        slot = self._take()
        if slot is None:  # no more tasks than threads run at a time, and each thread has a slot
            raise SiteGoneError("this worker has no process for the fold")
        try:
            self._link(slot.view, reads)
            outcome = self._outcome(slot.engine, job, unwanted)
            if outcome is None:
                return None
            return Report(outcome, self._written(slot.view, job, known) if outcome.status is Status.OK else {})
        finally:
            for path in _outputs(slot.view, job):
                path.unlink(missing_ok=True)
            self._give_back(slot)

    def _outcome(self, engine: LocalEngine, job: FoldJob, unwanted: Callable[[], bool]) -> Outcome | None:
        began = time.monotonic()
        submitted = False
        while not (self._ended() or unwanted()):
            if not submitted and engine.free():
                left = job.time_limit_s - (time.monotonic() - began)  # a process that replaces another starts first
                engine.submit(replace(job, time_limit_s=max(LEAST_LIMIT_S, left)))
                submitted = True
            for outcome in engine.poll(TICK_S):
                return outcome
        engine.cancel()
        return None

    def _written(self, view: RunDir, job: FoldJob, known: frozenset[str]) -> dict[str, bytes]:
        paths = [path for path in _outputs(view, job) if path.exists()]
        features = [path for path in view.features_dir.glob("*.tw") if path.name not in known]
        return {str(path.relative_to(view.path)): path.read_bytes() for path in [*features, *paths]}

    def _give_back(self, slot: _Slot) -> None:
        self._slots.put(slot)
        if self.closed.is_set():
            self._close_slots()

    def _close_slots(self) -> None:
        while (slot := self._take()) is not None:
            slot.engine.close()

    def _ended(self) -> bool:
        return self.closed.is_set() or self._worker.status.name in ("closing", "closed", "failed")

    def _watch(self) -> None:
        """Close when the lease has ended, or does not come."""
        while not self._ended():
            if self._lease:
                if not _is_wanted(self._worker, self._lease):
                    break
            elif time.monotonic() - self._touched > UNHELD_S:
                break
            time.sleep(LEASE_CHECK_S)
        self._close()

    def _close(self) -> None:
        self.closed.set()
        _SITES.pop((self._worker.id, self._invitation.run_id), None)
        self._close_slots()
        shutil.rmtree(self._views, ignore_errors=True)
        self._scratch.leave()


def _outputs(view: RunDir, job: FoldJob) -> list[Path]:
    """What a fold process writes, the model last."""
    return [view.cost_path(job.candidate.model_id), view.prediction_path(*job.key), view.model_path(*job.key)]


def _text(path: Path) -> str | None:
    try:
        return path.read_text("ascii")
    except (OSError, ValueError):
        return None


def _is_whole(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
