"""Folds fitted on the workers of a Dask cluster, each in a limited process of its own there.

All decisions are taken in the thread that calls ``submit`` and ``poll``; what waits for the network is done by
:mod:`tabwright.engine.dask_courier` in another. So nothing that hangs can hold the budget up.
"""

from __future__ import annotations

import contextlib
import math
import queue
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tabwright import clock
from tabwright.codec import write_atomic
from tabwright.engine import dask_site as site
from tabwright.engine.base import Cluster, FoldJob, Outcome, Status
from tabwright.engine.dask_connect import Connection
from tabwright.engine.dask_courier import WATCH_S, Attempt, Courier, Message
from tabwright.errors import RunError
from tabwright.store.run_dir import RunDir

UNSEEN_S = 20.0  # without a heartbeat, after which a worker is taken for lost
NO_WORKER_S = 30.0  # that a run waits for the first worker
ABANDONED_S = 600.0  # without any worker, after which a run ends with what it has
MAX_LOSSES = 3  # workers that a fold may lose
OPENING_S = 60.0  # that a search which has nothing else to do waits for a worker to take part
MAX_OPENINGS = 3  # attempts to make a worker take part
CLOSE_S = 0.2  # that the end of a run waits for its connection to close


@dataclass
class _Member:
    """A worker of the cluster."""

    address: str
    n_threads: int
    memory_mib: float
    state: str = "new"  # then "opening", then "open", "refused" or "silent"
    openings: int = 0
    why: str = ""
    entered: site.Entered | None = None
    lease: Any = None
    slots: dict[int, _Work | None] = field(default_factory=dict)  # by number, unique among all workers
    beat: float = 0.0  # its latest heartbeat, by the scheduler's clock
    seen: float = 0.0  # when that was heard of, monotonic
    asked: float = 0.0  # when it was invited, monotonic

    @property
    def is_expected(self) -> bool:
        """Whether it takes part, or will soon."""
        slow = self.state == "opening" and time.monotonic() - self.asked > OPENING_S
        return self.state in ("new", "opening", "open") and not slow


@dataclass(eq=False)
class _Work:
    """A job that was submitted: waiting while it has no member."""

    job: FoldJob
    submitted: float  # seconds since 1970
    losses: int = 0
    member: _Member | None = None
    slot: int = 0
    attempt: Attempt | None = None


def _mib(facts: Mapping[str, Any]) -> float:
    """What Dask lets a worker use; infinite where it sets no limit."""
    limit = facts["memory_limit"]
    return float(limit) / 2**20 if limit else math.inf


class DaskEngine:
    """As many folds at a time as the cluster's workers have threads, or ``max_slots``.

    Workers may come and go. A fold whose worker is lost is put again elsewhere; after three lost workers it has
    crashed.

    Parameters
    ----------
    connection : Connection
        Its ``close`` is called at the end.
    n_threads : int
        Of each fold process.
    memory_limit_mib : float, optional
        For all fold processes of one Dask worker together. What Dask allows the worker holds, too.
    max_slots : int, optional
    """

    def __init__(
        self, connection: Connection, n_threads: int, memory_limit_mib: float | None, max_slots: int | None = None
    ) -> None:
        self.n_threads = n_threads
        self._connection, self._client = connection, connection.client
        self._memory_limit, self._max_slots = memory_limit_mib, max_slots
        self._inbox: queue.Queue[Message] = queue.Queue()
        self._members: dict[str, _Member] = {}
        self._works: list[_Work] = []
        self._run: RunDir | None = None
        self._courier: Courier | None = None
        self._id = secrets.token_hex(6)
        self._alone_since, self._had_worker = time.monotonic(), False
        self._closed = self._abandoned = False
        self._left: Cluster | None = None
        self._notes: list[str] = []
        self._note_members(self._client.scheduler_info()["workers"])

    # --- what the search sees ---------------------------------------------------------------------------------------

    @property
    def n_workers(self) -> int:
        """Slots of the workers that take part or are about to; 0 only once the run has given up on the cluster."""
        if self._abandoned:
            return 0
        slots = sum(m.n_threads for m in self._members.values() if m.is_expected)
        return max(1, slots if self._max_slots is None else min(slots, self._max_slots))

    def free(self) -> int:
        if self._abandoned:
            return 0
        idle = sum(work is None for m in self._members.values() for work in m.slots.values())
        waiting = sum(work.member is None for work in self._works)
        room = idle - waiting
        return max(0, room if self._max_slots is None else min(room, self._max_slots - len(self._works)))

    def running(self) -> list[FoldJob]:
        return [work.job for work in self._works]

    def cluster(self) -> Cluster | None:
        """The workers that take part or may, where there are several and other processes can reach them.

        Once this is closed: that were there when it was.
        """
        if self._closed:
            return self._left
        there = [m for m in self._members.values() if m.state not in ("refused", "silent")]
        scheduler = self._client.scheduler
        if len(there) < 2 or scheduler is None or scheduler.address.startswith("inproc"):
            return None
        limits = [m.memory_mib if self._memory_limit is None else min(m.memory_mib, self._memory_limit) for m in there]
        addresses, threads = tuple(m.address for m in there), sum(m.n_threads for m in there)
        return Cluster(scheduler.address, self._client.security, addresses, threads, sum(limits))

    def notes(self) -> list[str]:
        """Sentences on workers that could not be used, and on a cluster that was lost."""
        refused = [f"{m.address}: {m.why}" for m in self._members.values() if m.state == "refused"]
        found = [f"Dask workers that could not be used: {'; '.join(refused)}"] if refused else []
        if self._abandoned:
            found.append(f"The Dask cluster {self._connection.name} was lost: the run ended with the leader that it "
                         "had, and can be resumed")  # fmt: skip
        return self._notes or found

    def open(self, run: Path) -> None:
        """Let workers take part in the run, those that the cluster has and those that join."""
        self._run = RunDir(run)
        token = secrets.token_hex(16)
        if not self._connection.copy:
            write_atomic(site.token_file(run, self._id), token.encode("ascii"))
        sizes = tuple((name, (run / name).stat().st_size) for name in self._run.inputs())
        where = str(run.absolute())
        invitation = site.Invitation(self._id, where, token, sizes, self.n_threads, self._memory_limit)
        self._alone_since = time.monotonic()
        self._courier = Courier(self._client, self._run, invitation, self._inbox)

    def submit(self, job: FoldJob) -> None:
        self._works.append(_Work(job, clock.now()))
        self._assign()

    def poll(self, timeout_s: float) -> list[Outcome]:
        """Outcomes since the last call, waiting up to ``timeout_s`` for the first.

        Raises
        ------
        RunError
            If no worker of the cluster can be used, from the first.
        """
        end = time.monotonic() + timeout_s
        outcomes: list[Outcome] = []
        while True:
            outcomes += self._without_workers()
            left = end - time.monotonic()
            try:
                wait = 0.0 if outcomes else min(max(left, 0.0), WATCH_S)
                kind, about, content = self._inbox.get(timeout=wait) if wait > 0 else self._inbox.get_nowait()
            except queue.Empty:
                if outcomes or left <= 0:
                    return outcomes
                continue
            outcomes += self._handle(kind, about, content)
            self._assign()
            if kind == "opened" and self.free():
                return outcomes  # let the caller use it

    def cancel(self) -> list[Outcome]:
        """Kill what runs, without waiting for it."""
        works, self._works = self._works, []
        for work in works:
            self._let_go(work)
        return [self._failed(work, Status.CANCELLED, "the run ended") for work in works]

    def close(self) -> list[Outcome]:
        """Have all processes on the workers killed, without waiting for it; outcomes of what was running."""
        if self._closed:
            return []
        self._left = self.cluster()
        arrived = self._arrived()
        self._closed = True
        outcomes, self._notes = [*arrived, *self.cancel()], self.notes()
        leases = [m.lease for m in self._members.values() if m.lease is not None]
        self._members.clear()
        closing = threading.Thread(target=self._disconnect, args=(leases,), daemon=True, name="tabwright-close")
        closing.start()
        closing.join(CLOSE_S)
        if self._run is not None:
            site.token_file(self._run.path, self._id).unlink(missing_ok=True)
        return outcomes

    def _disconnect(self, leases: list[Any]) -> None:
        if self._courier is not None:
            self._courier.close(leases)
        self._connection.close()

    # --- decisions, in the caller's thread --------------------------------------------------------------------------

    def _arrived(self) -> list[Outcome]:
        """Folds whose reports have come and were not read yet: what ended in time counts."""
        outcomes: list[Outcome] = []
        with contextlib.suppress(queue.Empty):
            while True:
                kind, about, content = self._inbox.get_nowait()
                if isinstance(content, site.Report):
                    outcomes += self._handle(kind, about, content)
        return outcomes

    def _handle(self, kind: str, about: Any, content: Any) -> list[Outcome]:
        if kind == "members":
            return self._follow(content)
        if kind in ("opened", "unopened"):
            member = self._members.get(about)
            if member is not None and member.state == "opening":
                self._opened(member, *content) if kind == "opened" else self._unopened(member, *content)
            return []
        work = next((w for w in self._works if w.attempt is about), None)
        if work is None:
            return []  # it was cancelled, or put again elsewhere
        member = work.member
        self._free(work)
        if isinstance(content, site.Report):
            self._works.remove(work)
            return [self._finished(work, content)]
        if isinstance(content, site.SiteGoneError):
            self._ask_anew(member)
        why = "cancelled by others" if content is None else f"{type(content).__name__}: {content}"
        return self._put_again(work, why)

    def _note_members(self, found: dict[str, Any]) -> None:
        now = time.monotonic()
        for address, facts in found.items():
            member = self._members.setdefault(address, _Member(address, facts["nthreads"], _mib(facts), seen=now))
            if facts["last_seen"] != member.beat:
                member.beat, member.seen = facts["last_seen"], now
                member.state = "new" if member.state == "silent" else member.state

    def _follow(self, found: dict[str, Any]) -> list[Outcome]:
        """Take note of who is in the cluster now, put again what those who left were doing, invite those who came."""
        self._note_members(found)
        now, outcomes = time.monotonic(), []
        for member in list(self._members.values()):
            silent = now - member.seen > UNSEEN_S
            if silent or member.address not in found:
                if silent:
                    member.state, member.lease, member.openings = "silent", None, 0
                else:
                    del self._members[member.address]
                why = f"the Dask worker {member.address} {'fell silent' if silent else 'was lost'}"
                for work in [w for w in member.slots.values() if w is not None]:
                    self._let_go(work)
                    outcomes += self._put_again(work, why)
                member.slots = {}
        self._invite()
        return outcomes

    def _invite(self) -> None:
        """Ask workers to take part, as many as there may be slots; those with which it went wrong one by one."""
        asked = sum(m.n_threads for m in self._members.values() if m.state in ("opening", "open"))
        new = []
        for member in [m for m in self._members.values() if m.state == "new"]:
            if self._max_slots is None or asked < self._max_slots:
                asked += member.n_threads
                member.state, member.openings, member.asked = "opening", member.openings + 1, time.monotonic()
                new.append(member)
        for batch in [[m for m in new if m.openings == 1], *([m] for m in new if m.openings > 1)]:
            if batch and self._courier is not None:
                self._courier.invite([m.address for m in batch])

    def _opened(self, member: _Member, entered: site.Entered, lease: Any) -> None:
        member.state, member.entered, member.lease, member.openings = "open", entered, lease, 0
        used = {k for m in self._members.values() for k in m.slots}
        numbers = (k for k in range(len(used) + member.n_threads) if k not in used)
        member.slots = dict.fromkeys([next(numbers) for _ in range(member.n_threads)])
        self._had_worker = True

    def _unopened(self, member: _Member, why: str, final: bool) -> None:
        member.why = why
        member.state = "refused" if final or member.openings >= MAX_OPENINGS else "new"

    def _ask_anew(self, member: _Member | None) -> None:
        """A worker that has forgotten the run, because it was restarted."""
        if member is not None and self._members.get(member.address) is member:
            fresh = replace(member, state="new", openings=1, why="", entered=None, lease=None, slots={})
            self._members[member.address] = fresh

    def _put_again(self, work: _Work, why: str) -> list[Outcome]:
        work.losses += 1
        if work.losses < MAX_LOSSES:
            return []
        self._works.remove(work)
        return [self._failed(work, Status.CRASHED, f"{MAX_LOSSES} workers were lost with it, the last as {why}")]

    def _let_go(self, work: _Work) -> None:
        """Have Dask stop it, and free its slot."""
        if work.attempt is not None and self._courier is not None:
            self._courier.stop(work.attempt)
        self._free(work)

    def _free(self, work: _Work) -> None:
        if work.member is not None and work.member.slots.get(work.slot) is work:
            work.member.slots[work.slot] = None
        work.member = work.attempt = None

    def _assign(self) -> None:
        waiting = [work for work in self._works if work.member is None]
        idle = [(k, m) for m in self._members.values() for k, taken in m.slots.items() if taken is None]
        for work, (slot, member) in zip(waiting, sorted(idle, key=lambda pair: pair[0]), strict=False):
            assert member.entered is not None
            assert self._courier is not None
            member.slots[slot] = work
            work.member, work.slot = member, slot
            work.attempt = Attempt(work.job, member.address, member.entered)
            self._courier.send(work.attempt)

    def _without_workers(self) -> list[Outcome]:
        """What follows when there has been no usable worker for long."""
        now = time.monotonic()
        if self._run is None or any(m.state == "open" for m in self._members.values()):
            self._alone_since = now
            return []
        alone = now - self._alone_since
        states = {m.state for m in self._members.values()} - {"silent"}
        if not self._had_worker:
            if states == {"refused"} and alone > 2 * WATCH_S:
                raise RunError(f"No worker of the Dask cluster {self._connection.name} can be used: "
                               + "; ".join(sorted({m.why for m in self._members.values()})),
                               "mend that on the workers, which need the same version of tabwright")  # fmt: skip
            if not states and alone > NO_WORKER_S:
                raise RunError(f"The Dask cluster {self._connection.name} has had no worker for {alone:.0f} s",
                               "start workers ('dask worker ADDRESS'), then run again")  # fmt: skip
            return []
        if alone < ABANDONED_S and self._client.status != "closed":
            return []
        self._abandoned = True
        return self.cancel()

    # --- outcomes ---------------------------------------------------------------------------------------------------

    def _finished(self, work: _Work, report: site.Report) -> Outcome:
        found = report.outcome
        started = max(work.submitted, clock.now() - found.seconds)  # clocks of hosts differ
        found = replace(found, job=work.job, started=started, worker=work.slot)
        try:
            self._keep(report.files)
        except OSError as error:
            return replace(found, status=Status.FAILED, reason=f"{type(error).__name__}: {error}", result=None)
        return found

    def _keep(self, files: dict[str, bytes]) -> None:
        """Write what a fold has made into the run directory, in the order given."""
        assert self._run is not None
        for name, data in files.items():
            path = self._run.path / name
            if path.parent not in (self._run.features_dir, self._run.folds_dir):
                raise OSError(f"a worker sent {name!r}, which is no file of a fold")
            if path.parent == self._run.folds_dir or not path.exists():  # features are named by their content
                write_atomic(path, data)

    def _failed(self, work: _Work, status: Status, reason: str) -> Outcome:
        seconds = clock.now() - work.submitted
        return Outcome(work.job, status, reason, work.submitted, seconds, 0.0, 0.0, None, work.slot)
