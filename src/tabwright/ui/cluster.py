"""What a Dask cluster that runs are fitted on has: its workers, their threads and memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tabwright.audit import audit
from tabwright.engine.dask_connect import DASK, LOCAL
from tabwright.errors import DataError, MissingExtraError, RunError
from tabwright.ui.jobs import RUNNING, Job
from tabwright.ui.workspace import Workspace

ANSWER_S = 3.0
VARIABLE = "DASK_SCHEDULER_ADDRESS"


@dataclass(frozen=True)
class Worker:
    """One worker; ``cpu`` in percent of one core, memory in bytes, ``memory_limit`` 0 where there is none."""

    address: str
    threads: int
    cpu: float
    memory: float
    memory_limit: float


def engines(jobs: Iterable[Job], workspace: Workspace) -> dict[str, list[str]]:
    """The titles of running jobs by where they fit: the scheduler's address, or ``dask`` for one made for the run."""
    found: dict[str, list[str]] = {}
    for job in jobs:
        if job.state != RUNNING or job.kind not in ("fit", "resume"):
            continue
        engine = _engine(job, workspace)
        if engine == DASK:
            engine = os.environ.get(VARIABLE, DASK)
        if engine != LOCAL:
            found.setdefault(engine, []).append(job.title)
    return found


def _engine(job: Job, workspace: Workspace) -> str:
    if "--engine" in job.argv:
        return job.argv[job.argv.index("--engine") + 1]
    if job.kind == "fit":
        return LOCAL
    try:
        stored = audit(workspace.path("runs", job.about.partition(":")[2])).config["config"]
    except RunError:
        return LOCAL
    return str(stored.get("engine") or LOCAL)


def workers(address: str) -> list[Worker]:
    """A cluster's workers, as its scheduler tells them.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    DataError
        If no scheduler answers within 3 s.
    """
    try:
        import distributed.core
    except ImportError:
        raise MissingExtraError("Dask", "dask") from None

    untyped: Any = distributed

    async def ask() -> dict[str, dict[str, Any]]:
        security = untyped.Security().get_connection_args("client")
        async with untyped.core.rpc(address, connection_args=security, timeout=ANSWER_S) as scheduler:
            return dict((await asyncio.wait_for(scheduler.identity(), ANSWER_S))["workers"])

    try:
        found = asyncio.run(ask())
    except (OSError, ValueError, TimeoutError) as error:
        raise DataError(f"no Dask scheduler answers at {address} ({type(error).__name__})",
                        "start it again; a run on it waits for its workers") from None  # fmt: skip
    return [_worker(name, told) for name, told in found.items()]


def _worker(address: str, told: dict[str, Any]) -> Worker:
    metrics = told.get("metrics") or {}
    return Worker(address, int(told["nthreads"]), float(metrics.get("cpu", 0.0)), float(metrics.get("memory", 0.0)),
                  float(told.get("memory_limit") or 0))  # fmt: skip
