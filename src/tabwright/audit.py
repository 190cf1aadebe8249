"""Who did what when in a run: the journal as one record, as lines of text, and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tabwright.metrics import find_metric
from tabwright.objectives.design import fold_name
from tabwright.store.journal import CandidateRecord, FoldRecord, Journal
from tabwright.store.run_dir import RunDir
from tabwright.types import Task

GAP_S = 20.0  # without any activity for so long, the run was not going on: it was resumed afterwards
KILLED = ("timeout", "memory", "crashed", "failed")


@dataclass(frozen=True)
class Span:
    """A stretch of time in which the run's own process was busy; seconds since 1970."""

    name: str
    started: float
    seconds: float


@dataclass(frozen=True)
class Leader:
    """The ensemble that led from ``time`` on."""

    time: float
    name: str
    score: float | None
    members: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Audit:
    """Everything that a run's journal tells.

    Parameters
    ----------
    path : str
    config : dict
        The run's stored configuration.
    candidates, folds, leaders, spans, events
        In the order in which they ended.
    lanes : tuple of int
        The worker of each fold, from 0.
    sessions : tuple of (start, end)
        Stretches of activity, seconds since 1970: the run, and each time that it was resumed.
    """

    path: str
    config: dict[str, Any]
    candidates: tuple[CandidateRecord, ...]
    folds: tuple[FoldRecord, ...]
    leaders: tuple[Leader, ...]
    spans: tuple[Span, ...]
    events: tuple[tuple[float, str, str], ...]
    discarded: tuple[str, ...]
    lanes: tuple[int, ...]
    sessions: tuple[tuple[float, float], ...]

    @property
    def greater_is_better(self) -> bool:
        return find_metric(self.config["sort_metric"], Task(self.config["task"])).greater_is_better

    def run_seconds(self, moment: float) -> float:
        """Seconds into the run, not counting the time between its sessions."""
        total = 0.0
        for start, end in self.sessions:
            if moment <= end:
                return total + max(0.0, moment - start)
            total += end - start
        return total

    def killed(self) -> list[FoldRecord]:
        """Folds that failed or were killed."""
        return [f for f in self.folds if f.status in KILLED]

    def stage_seconds(self) -> dict[str, float]:
        """Seconds by stage.

        ``reading``, ``search``, ``ensembling`` and ``export`` are wall time of the run's own process (ensembling
        happens within the search and after it); ``features``, ``folds``, ``predict_write``, ``lost`` (folds that
        failed, were killed or broken off) and ``idle`` are worker seconds. Runs of format 1 tell only ``folds``
        and ``lost``.
        """
        found: dict[str, float] = dict.fromkeys(("reading", "search", "ensembling", "export"), 0.0)
        for span in self.spans:
            found[span.name] = found.get(span.name, 0.0) + span.seconds
        workers = dict.fromkeys(("features", "folds", "predict_write", "lost"), 0.0)
        for f in self.folds:
            if f.status != "ok":
                workers["lost"] += f.seconds
                continue
            workers["features"] += f.stages.get("features", 0.0)
            workers["predict_write"] += f.stages.get("predict_write", 0.0)
            workers["folds"] += f.stages.get("fit", f.seconds)
        busy = sum(f.seconds for f in self.folds)
        n_workers = max(self.lanes, default=-1) + 1
        idle = max(0.0, n_workers * found["search"] - busy) if found["search"] else 0.0
        return {k: round(v, 3) for k, v in {**found, **workers, "idle": idle}.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "run": self.config, "stage_seconds": self.stage_seconds(),
            "candidates": [asdict(c) for c in self.candidates],
            "folds": [asdict(f) | {"worker": lane} for f, lane in zip(self.folds, self.lanes, strict=True)],
            "leaders": [asdict(leader) for leader in self.leaders], "stages": [asdict(s) for s in self.spans],
            "discarded": list(self.discarded),
            "events": [{"time": t, "kind": k, "message": m} for t, k, m in self.events],
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        """The time line as text, then seconds by stage."""
        yield f"{'at s':>8}  {'took s':>7}  {'cpu s':>7}  {'MiB':>6}  {'score':>10}  worker  what"
        rows = []
        for f, lane in zip(self.folds, self.lanes, strict=True):
            score = "" if f.score is None else f"{f.score:.5g}"
            what = f"{f.model_id} {fold_name(f.fold)} {f.status} {f.reason}".rstrip()
            text = f"{f.seconds:7.2f}  {f.cpu_seconds:7.2f}  {f.peak_memory_mib:6.0f}  {score:>10}  {lane + 1:>6}"
            rows.append((f.started + f.seconds, f.started, f"{text}  {what}"))
        blank = f"{'':7}  {'':7}  {'':6}"
        for leader in self.leaders:
            score = "" if leader.score is None else f"{leader.score:.5g}"
            members = ", ".join(f"{m} {w:.2f}" for m, w in leader.members)
            rows.append((leader.time, leader.time, f"{blank}  {score:>10}  {'':6}  leader: {leader.name} of {members}"))
        rows += [(t, t, f"{blank}  {'':10}  {'':6}  {kind}: {message}") for t, kind, message in self.events]
        for _, started, text in sorted(rows):
            yield f"{self.run_seconds(started):8.1f}  {text}"
        yield ""
        yield "seconds by stage: " + ", ".join(f"{k} {v:.1f}" for k, v in self.stage_seconds().items())
        killed = self.killed()
        yield f"killed or failed: {len(killed)} fold(s)" + "".join(
            f"\n  {f.model_id} {fold_name(f.fold)}: {f.status}, {f.reason}" for f in killed
        )


def audit(path: str | Path) -> Audit:
    """Read a run's journal; the run may be going on, or lie in a folder that can't be written.

    Raises
    ------
    RunError
        If there is no run, or its journal is damaged.
    """
    run = RunDir.open(path)
    journal = run.read_journal()
    try:
        return _read(run, journal)
    finally:
        journal.close()


def _read(run: RunDir, journal: Journal) -> Audit:
    folds, events = tuple(journal.folds()), tuple(journal.events())
    spans = tuple(Span(*stage) for stage in journal.stages())
    leaders = tuple(Leader(t, n, s, tuple(m)) for t, n, s, m in journal.leaders())
    busy = [(f.started, f.started + f.seconds) for f in folds] + [(s.started, s.started + s.seconds) for s in spans]
    busy += [(leader.time, leader.time) for leader in leaders] + [(t, t) for t, _, _ in events]
    return Audit(
        str(run.path), run.config(), tuple(journal.candidates()), folds, leaders, spans, events,
        tuple(journal.discarded()), _lanes(folds), _sessions(busy),
    )  # fmt: skip


def _lanes(folds: tuple[FoldRecord, ...]) -> tuple[int, ...]:
    """The worker of each fold; where it was not recorded, the first lane that was free."""
    free_at: list[float] = []
    lanes: dict[int, int] = {}
    for k, f in sorted(enumerate(folds), key=lambda pair: pair[1].started):
        if f.worker is not None:
            lanes[k] = f.worker
            continue
        lane = next((i for i, t in enumerate(free_at) if t <= f.started + 0.001), len(free_at))
        if lane == len(free_at):
            free_at.append(0.0)
        free_at[lane], lanes[k] = f.started + f.seconds, lane
    return tuple(lanes[k] for k in range(len(folds)))


def _sessions(busy: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    sessions: list[tuple[float, float]] = []
    for start, end in sorted(busy):
        if sessions and start - sessions[-1][1] < GAP_S:
            sessions[-1] = (sessions[-1][0], max(sessions[-1][1], end))
        else:
            sessions.append((start, end))
    return tuple(sessions)
