"""Jobs and outcomes: what an engine takes and gives. An engine only runs jobs; what to run is search's business."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from tabwright.pipeline import Candidate


class Status(StrEnum):
    """How a job ended."""

    OK = "ok"
    FAILED = "failed"  # raised an exception
    TIMEOUT = "timeout"  # killed at its time limit
    MEMORY = "memory"  # killed at the memory limit
    CRASHED = "crashed"  # the worker process died
    CANCELLED = "cancelled"  # killed because the run ended


@dataclass(frozen=True)
class FoldJob:
    """Fit one candidate on one fold. ``time_limit_s`` is what the family is told; the engine kills a little later.

    With ``fold`` ALL_ROWS it is fitted on all rows, for the rounds that its parameters say. ``measure``: whether the
    fold's model is exported alone and measured, too. ``n_folds``: how many folds candidates have, where these are fewer
    than were made.
    """

    candidate: Candidate
    fold: int
    time_limit_s: float
    n_threads: int = 1
    measure: bool = False
    n_folds: int | None = None

    @property
    def key(self) -> tuple[str, int]:
        return (self.candidate.model_id, self.fold)


@dataclass(frozen=True)
class FoldResult:
    """What a worker reports of a finished fold; model and predictions are on disk."""

    score: float
    n_iterations: int | None
    seconds: float
    cpu_seconds: float
    stage_seconds: tuple[tuple[str, float], ...] = ()
    artefact_sha256: str = ""


@dataclass(frozen=True)
class Outcome:
    """How one job ended. Times in seconds, memory resident in MiB with the worker's children."""

    job: FoldJob
    status: Status
    reason: str
    started: float  # seconds since 1970
    seconds: float
    cpu_seconds: float
    peak_memory_mib: float
    result: FoldResult | None = None
    worker: int = 0  # which of the engine's workers, from 0
    is_crowded: bool = False  # ended for what all workers took together; alone it might have had enough


@dataclass(frozen=True)
class Cluster:
    """Workers of a Dask cluster that can hold parts of a table between them."""

    scheduler: str  # address
    security: Any  # distributed.Security, or None
    workers: tuple[str, ...]  # addresses
    n_threads: int  # of all
    memory_mib: float  # of all, for the table and what is learned from it; infinite where Dask sets no limit


class Engine(Protocol):
    """Runs jobs in processes that can be killed."""

    @property
    def n_workers(self) -> int: ...

    @property
    def n_threads(self) -> int: ...

    def open(self, run: Path) -> None:
        """Let the workers load the run's data; jobs can be submitted once they have."""

    def free(self) -> int:
        """Jobs that ``submit`` would start at once."""

    def submit(self, job: FoldJob) -> None: ...

    def running(self) -> list[FoldJob]: ...

    def poll(self, timeout_s: float) -> list[Outcome]:
        """Outcomes since the last call; waits up to ``timeout_s`` for the first."""

    def cancel(self) -> list[Outcome]:
        """Kill what runs."""

    def close(self) -> list[Outcome]:
        """Kill all workers; outcomes of what was running."""

    def cluster(self) -> Cluster | None:
        """The workers that can learn from one table together, where there are several such."""

    def notes(self) -> list[str]:
        """Sentences for the user on what went wrong with the engine itself."""
