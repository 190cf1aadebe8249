"""What a run asks of a Dask cluster: coroutines on the client's event loop, which report by messages.

Messages are (kind, about whom or what, content): "members", None, facts of the scheduler's workers by address;
"opened" or "unopened", member, (what it entered, lease) or (why, whether for good); "report", attempt, what came of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import queue
import secrets
from collections.abc import Coroutine, Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from tabwright.engine import dask_site as site
from tabwright.engine.base import FoldJob
from tabwright.engine.shelf import later_inputs
from tabwright.errors import RunError
from tabwright.store.run_dir import RunDir

WATCH_S = 0.5  # between looks at who is in the cluster
CALL_S = 30.0  # for one answer of a worker
TOLD_S = 0.2
PIECE_BYTES = 4 << 20

Message = tuple[str, Any, Any]


@dataclass(eq=False)
class Attempt:
    """A job on its way to a worker; ``future`` is there once it has been sent."""

    job: FoldJob
    address: str
    entered: site.Entered
    future: Any = None
    stopped: bool = False


class Courier:
    """Talks to the workers. No method waits for the network.

    Parameters
    ----------
    client : distributed.Client
    run : RunDir
        Whose files are sent.
    invitation : Invitation
        What workers are told.
    inbox : Queue
        For messages.
    """

    def __init__(self, client: Any, run: RunDir, invitation: site.Invitation, inbox: queue.Queue[Message]) -> None:
        self._client, self._run, self._invitation, self._inbox = client, run, invitation, inbox
        self._id = invitation.run_id
        self._delivered: dict[str, set[str]] = {}  # by place: files sent while the run goes on
        self._starting: set[Any] = set()
        self._background: set[Future[None]] = set()
        self._closed = False
        self._do(self._watch())

    def invite(self, addresses: Iterable[str]) -> None:
        """Let workers take part."""
        self._do(self._open(list(addresses)))

    def send(self, attempt: Attempt) -> None:
        """Have a job done."""
        self._do(self._fit(attempt))

    def stop(self, attempt: Attempt) -> None:
        """Have Dask cancel it; the worker then kills its process."""
        attempt.stopped = True
        if attempt.future is not None:
            self._do(self._cancel([attempt.future]))

    def close(self, leases: list[Any]) -> None:
        """Let the workers go; waits a little for Dask to be told."""
        self._closed = True
        self._do(self._cancel([*leases, *self._starting]))  # after all that was to be stopped
        for task in wait(set(self._background), TOLD_S).not_done:
            task.cancel()

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Let the event loop do it, without waiting."""
        try:
            task = asyncio.run_coroutine_threadsafe(coroutine, self._client.loop.asyncio_loop)
        except RuntimeError:  # the loop has ended, and the cluster with it
            coroutine.close()
        else:
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def _cancel(self, futures: list[Any]) -> None:
        await self._client.cancel(futures, force=True, asynchronous=True)

    async def _watch(self) -> None:
        while not self._closed:
            with contextlib.suppress(Exception):  # a scheduler that does not answer: its workers fall silent
                found = await asyncio.wait_for(self._client.scheduler.identity(), CALL_S)
                self._inbox.put(("members", None, found["workers"]))
            if self._client.status in ("connecting", "closed"):  # Dask has cancelled all that was asked
                self._inbox.put(("members", None, {}))
            await asyncio.sleep(WATCH_S)

    async def _ask(self, function: Any, *args: Any, of: Iterable[str]) -> dict[str, Any]:
        """Answers of workers, or the exceptions that they raised, by address."""
        addresses = list(of)
        answering = self._client.run(function, *args, workers=addresses, on_error="return", asynchronous=True)
        answers: dict[str, Any] = await asyncio.wait_for(answering, CALL_S)
        return answers

    async def _open(self, addresses: list[str]) -> None:
        """Same version, then the files that they lack, then their processes."""
        try:
            entered = await self._enter(await self._alike(addresses))
            places = {e.place: address for address, e in entered.items() if e.missing and not e.shared}
            for name in dict.fromkeys(name for address in places.values() for name in entered[address].missing):
                await self._send(name, [a for a in places.values() if name in entered[a].missing])
            await asyncio.gather(*(self._start(address, e) for address, e in entered.items()))
        except Exception as error:  # one that hangs holds up all: each is asked alone the next time
            for address in addresses:
                self._unopened(address, error)

    def _unopened(self, address: str, why: BaseException | str, *, final: bool = False) -> None:
        told = why if isinstance(why, str) else f"{type(why).__name__}: {why}"
        self._inbox.put(("unopened", address, (told, final)))

    async def _alike(self, addresses: list[str]) -> list[str]:
        """Those that have the same version of this package."""
        own, alike = metadata.version("tabwright"), []
        for address, found in (await self._ask(metadata.version, "tabwright", of=addresses)).items():
            if found == own:
                alike.append(address)
            elif isinstance(found, metadata.PackageNotFoundError):
                self._unopened(address, "tabwright is not installed there", final=True)
            elif isinstance(found, str):
                self._unopened(address, f"it has tabwright {found}, and the run {own}", final=True)
            else:
                self._unopened(address, found)
        return alike

    async def _enter(self, addresses: list[str]) -> dict[str, site.Entered]:
        entered: dict[str, site.Entered] = {}
        answers = await self._ask(site.enter, self._invitation, of=addresses) if addresses else {}
        for address, found in answers.items():
            if isinstance(found, site.Entered):
                entered[address] = found
            else:
                self._unopened(address, found)
        return entered

    async def _start(self, address: str, entered: site.Entered) -> None:
        key = f"tabwright-start-{self._id}-{secrets.token_hex(4)}"
        lease = self._client.submit(
            site.start, self._id, key=key, workers=[address], allow_other_workers=False, pure=False
        )
        try:
            self._starting.add(lease)
            await self._client.gather(lease, asynchronous=True)
        except (Exception, asyncio.CancelledError) as error:
            self._unopened(address, error, final=isinstance(error, RunError))
        else:
            self._inbox.put(("opened", address, (entered, lease)))
        self._starting.discard(lease)

    async def _send(self, name: str, addresses: list[str]) -> None:
        """Send a file in pieces to one worker of each place."""
        digest, push, offset = hashlib.sha256(), secrets.token_hex(4), 0
        with (self._run.path / name).open("rb") as file:
            piece = file.read(PIECE_BYTES)
            while True:
                digest.update(piece)
                following = file.read(PIECE_BYTES)
                part = (offset, piece, "" if following else digest.hexdigest())
                answers = await self._ask(site.receive, self._id, name, push, part, of=addresses)
                for answer in answers.values():
                    if isinstance(answer, Exception):
                        raise answer
                if not following:
                    return
                offset, piece = offset + len(piece), following

    async def _fit(self, attempt: Attempt) -> None:
        job, result = attempt.job, None
        try:
            reads = later_inputs(self._run, job)
            await self._deliver(reads, attempt)
            known = frozenset(path.name for path in self._run.features_dir.glob("*.tw"))
            if attempt.stopped:
                return
            key = f"tabwright-fit-{job.candidate.model_id}-{job.fold}-{secrets.token_hex(6)}"
            attempt.future = self._client.submit(
                site.fit, self._id, job, tuple(reads), known, key=key, workers=[attempt.address],
                allow_other_workers=False, pure=False,
            )  # fmt: skip
            result = await self._client.gather(attempt.future, asynchronous=True)
        except (Exception, asyncio.CancelledError) as error:
            result = error
        self._inbox.put(("report", attempt, result))

    async def _deliver(self, names: list[str], attempt: Attempt) -> None:
        """Send what has appeared since the worker took part, once to each place."""
        if not attempt.entered.shared:
            delivered = self._delivered.setdefault(attempt.entered.place, set())
            for name in [n for n in names if n not in delivered]:
                await self._send(name, [attempt.address])
                delivered.add(name)
