"""What a run directory tells: while the run goes on, and afterwards. Nothing here changes it."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tabwright.audit import Audit, audit
from tabwright.calibration import calibrate
from tabwright.errors import DataError, RunError
from tabwright.metrics import best_threshold
from tabwright.objectives.design import Design, fold_name
from tabwright.pipeline import STACK
from tabwright.schema import Schema
from tabwright.search.problem import Problem
from tabwright.search.status import read_status
from tabwright.store.journal import CandidateRecord
from tabwright.store.run_dir import RunDir
from tabwright.stored import load_problem
from tabwright.types import Array, Floats, Task
from tabwright.ui.jobs import FAILED, RUNNING, STOPPED, Job, Jobs
from tabwright.ui.workspace import Workspace

STARTING, GOING_ON, FINISHED, BROKEN_OFF, NOT_BEGUN = "starting", "running", "finished", "broken off", "not begun"
MEASURED = ("score_ci_low", "score_ci_high", "latency_p50_us", "latency_p99_us", "size_mib", "rows_per_second")


@dataclass(frozen=True)
class View:
    """A run at one moment.

    Parameters
    ----------
    name : str
    path : Path
    state : str
        starting (its table is being read), running, finished, stopped, failed, broken off (its process was killed),
        or not begun.
    told : str
        Why, where it failed.
    job : Job or None
        The latest job that worked on it.
    audit : Audit or None
        Its journal; None before there is one.
    status : dict
        The last :class:`tabwright.search.snapshot.Snapshot`; empty where nothing runs.
    """

    name: str
    path: Path
    state: str
    told: str
    job: Job | None
    audit: Audit | None
    status: dict[str, Any]

    @property
    def is_live(self) -> bool:
        return self.state in (STARTING, GOING_ON)

    @property
    def task(self) -> Task | None:
        return None if self.audit is None else Task(self.audit.config["task"])

    @property
    def metric(self) -> str:
        return "" if self.audit is None else str(self.audit.config["sort_metric"])

    @property
    def n_folds(self) -> int:
        return 0 if self.audit is None else int(self.audit.config["n_folds"])

    @property
    def in_time(self) -> bool:
        return self.audit is not None and bool(self.audit.config.get("in_time"))

    @property
    def budget_s(self) -> float | None:
        found = None if self.audit is None else self.audit.config["config"].get("max_runtime_secs")
        return None if found is None else float(found)

    @property
    def chosen(self) -> Design | None:
        """What is delivered instead of the leader, where another point of the front was chosen."""
        try:
            return Design.from_json(json.loads(RunDir(self.path).design_file.read_text("utf-8"))["design"])
        except (OSError, ValueError, TypeError, KeyError):
            return None

    @property
    def design(self) -> str:
        """:attr:`chosen` by its name; empty where there is none."""
        return "" if self.chosen is None else str(self.chosen)

    @property
    def score(self) -> float | None:
        """The leader's, as the search saw it."""
        return self.audit.leaders[-1].score if self.audit is not None and self.audit.leaders else None


def journal(path: Path) -> Audit:
    """A run's journal, read anew only when it has changed; errors as :func:`tabwright.audit.audit`."""
    return _journal(path, _stamps(path))


def _stamps(path: Path) -> tuple[tuple[int, int], ...]:
    return tuple(_stamp(path / f"journal.sqlite{suffix}") for suffix in ("", "-wal"))


@lru_cache(maxsize=32)
def _journal(path: Path, _stamps: tuple[tuple[int, int], ...]) -> Audit:
    return audit(path)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def view(workspace: Workspace, jobs: Jobs, name: str) -> View:
    """A run of the workspace as it stands; DataError where there is none."""
    path = workspace.path("runs", name)
    mine = jobs.about(f"run:{name}")
    job = next((j for j in mine if j.kind in ("fit", "resume")), None)
    if job is None or job.state not in (RUNNING, FAILED, STOPPED):
        workspace.existing("runs", name)  # what ends before there is a run removes its folder, and has still a reason
    working = job is not None and job.state == RUNNING
    try:
        found: Audit | None = journal(path)
        status = read_status(RunDir(path)) or {}
    except RunError as error:
        if working:
            return View(name, path, STARTING, "", job, None, {})
        if job is not None:
            told = jobs.why(job) if job.state == FAILED else ""
            return View(name, path, job.state if job.state in (FAILED, STOPPED) else BROKEN_OFF, told, job, None, {})
        return View(name, path, NOT_BEGUN, str(error), None, None, {})
    if working or RunDir(path).holder() is not None:
        return View(name, path, GOING_ON, "", job, found, status)
    state, told = FINISHED, ""
    ended = 0.0 if job is None or job.ended is None else job.ended
    later = found is not None and any(kind == "finished" and at > ended for at, kind, _ in found.events)
    if job is not None and job.state != "done" and not later:  # else somebody went on with it elsewhere
        state = job.state if job.state in (FAILED, STOPPED) else BROKEN_OFF
        told = jobs.why(job) if job.state == FAILED else ""
    elif found is not None and not any(kind == "finished" for _, kind, _ in found.events):
        state = BROKEN_OFF
    return View(name, path, state, told, job, found, {})


def scores_over_time(found: Audit) -> list[tuple[float, float, str]]:
    """(seconds into the run, score, name) of each leader."""
    return [(found.run_seconds(v.time), v.score, v.name) for v in found.leaders if v.score is not None]


def running_now(shown: View) -> list[str]:
    """What workers do at the moment, a phrase each."""
    return [f"{model_id}, {fold_name(fold)}" for model_id, fold in shown.status.get("running", ())]


def families(found: Audit) -> list[dict[str, Any]]:
    """A row for each family: candidates, folds by outcome, best mean score of a candidate, worker seconds."""
    family = {c.model_id: c.family for c in found.candidates}
    board = candidates(found)
    rows = {}
    for name in dict.fromkeys(family.values()):
        folds = [f for f in found.folds if family.get(f.model_id) == name]
        scores = [r["score"] for r in board if r["family"] == name and r["score"] is not None]
        best = (max if found.greater_is_better else min)(scores) if scores else None
        rows[name] = {
            "family": name, "candidates": sum(f == name for f in family.values()),
            "folds": sum(f.status == "ok" for f in folds), "failed": sum(f in found.killed() for f in folds),
            "best": best, "seconds": sum(f.seconds for f in folds),
        }  # fmt: skip
    return sorted(rows.values(), key=lambda r: -r["seconds"])


def failures(found: Audit) -> list[dict[str, Any]]:
    """The ledger, latest first."""
    return [
        {"id": k, "model_id": f.model_id, "fold": fold_name(f.fold), "status": f.status, "after_s": f.seconds,
         "memory_mib": f.peak_memory_mib, "reason": f.reason, "at_s": found.run_seconds(f.started)}
        for k, f in enumerate(found.killed())
    ][::-1]  # fmt: skip


def bases(candidate: CandidateRecord) -> tuple[str, ...]:
    """The candidates that a stacker has learned from; none for others."""
    return tuple(map(str, candidate.params.get(STACK) or ()))


def candidates(found: Audit) -> list[dict[str, Any]]:
    """The leaderboard that the journal alone tells, best first: mean score of the folds that each candidate has.

    The leader's own row carries the score that the search saw; :func:`merged` adds what was measured.
    """
    n_folds = int(found.config["n_folds"])
    leader = found.leaders[-1] if found.leaders else None
    weights = dict(leader.members) if leader else {}
    folds: dict[str, list[Any]] = {}
    for fold in found.folds:
        folds.setdefault(fold.model_id, []).append(fold)
    rows = []
    for c in found.candidates:
        mine = folds.get(c.model_id, [])
        good = {f.fold: f.score for f in mine if f.status == "ok" and f.score is not None and f.fold >= 0}
        bad = [f for f in mine if f.status not in ("ok", "cancelled") and f.fold >= 0]
        status = "ok" if len(good) == n_folds else "failed" if bad else "incomplete"
        rows.append({
            "model_id": c.model_id, "family": c.family, "status": status, "origin": c.origin,
            "stacked_on": ", ".join(bases(c)),
            "score": float(np.mean(list(good.values()))) if good else None, "folds": f"{len(good)}/{n_folds}",
            "weight": weights.get(c.model_id), "fit_seconds": sum(f.seconds for f in mine),
            "peak_memory_mib": max((f.peak_memory_mib for f in mine), default=None),
        })  # fmt: skip
    if leader is not None and len(leader.members) > 1:
        inside = [r for r in rows if r["model_id"] in weights]
        rows.append({
            "model_id": leader.name, "family": "ensemble", "status": "leader", "origin": "", "score": leader.score,
            "folds": f"{n_folds}/{n_folds}", "weight": 1.0, "fit_seconds": sum(r["fit_seconds"] for r in inside),
            "peak_memory_mib": max((r["peak_memory_mib"] or 0.0 for r in inside), default=None),
        })  # fmt: skip
    elif leader is not None:
        for row in rows:
            row["status"] = "leader" if row["model_id"] == leader.name else row["status"]
    sign = -1.0 if found.greater_is_better else 1.0
    rows.sort(key=lambda r: (r["score"] is None, sign * (r["score"] or 0.0), r["status"] != "leader"))
    return [{"rank": k, **row} for k, row in enumerate(rows, 1)]


def measured(text: str) -> dict[str, dict[str, Any]]:
    """Rows by model_id of what ``tabwright leaderboard --csv`` printed."""
    found = {}
    for record in csv.DictReader(io.StringIO(text)):
        if "model_id" in record:
            found[record["model_id"]] = {k: _value(v) for k, v in record.items()}
    return found


def merged(board: Sequence[dict[str, Any]], extra: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The journal's leaderboard with the scores, intervals and costs of the full one, ranked as that is."""
    rows = []
    for row in board:
        more = extra.get(row["model_id"], {})
        better = {k: more[k] for k in (*MEASURED, "score", "on_pareto_front") if more.get(k) not in (None, "")}
        rows.append(row | dict.fromkeys(MEASURED) | better | {"rank": more.get("rank") or row["rank"]})
    known = {row["model_id"] for row in board}
    rows += [
        {"model_id": name, "family": more["family"], "status": "", "origin": "", "folds": "", **more}
        for name, more in extra.items() if name not in known
    ]  # fmt: skip
    return sorted(rows, key=lambda r: r["rank"])


def _value(text: str) -> Any:
    if not text:
        return None
    if text in ("True", "False"):
        return text == "True"
    try:
        number = float(text)
    except ValueError:
        return text
    return None if math.isnan(number) else int(number) if text.isdigit() else number


@dataclass(frozen=True)
class Outcomes:
    """Predictions beside what came true.

    Parameters
    ----------
    task : Task
    y : (n_rows,) values, or class codes
    prediction : float64 (n_rows, 1) values or P(second class), or (n_rows, n_classes)
    weight : (n_rows,) or None
    classes : tuple of str
    told : str
        Whose rows these are, for people.
    threshold : float
        P(second class) from which that is the label.
    """

    task: Task
    y: Array
    prediction: Floats
    weight: Floats | None
    classes: tuple[str, ...]
    told: str
    threshold: float = 0.5


def out_of_fold(path: Path, model_id: str) -> Outcomes:
    """A candidate's or the leader's out-of-fold predictions.

    Raises
    ------
    RunError, DataError
        If the run has no such complete candidate, or its predictions were removed.
    """
    return _out_of_fold(path, model_id, _stamps(path))


@lru_cache(maxsize=8)
def _out_of_fold(path: Path, model_id: str, _changed: tuple[tuple[int, int], ...]) -> Outcomes:
    run = RunDir.open(path)
    problem, schema = load_problem(run), run.load_schema()
    y, weight = problem.outcomes()
    found = journal(path)
    prediction = _prediction(run, problem, members_of(found, model_id))
    classes = tuple(map(str, schema.classes or ()))
    told = f"{len(y):,} rows of the training table, each predicted by a model that did not learn from it"
    if found.leaders and found.leaders[-1].name == model_id and problem.task is not Task.REGRESSION:
        calibration = calibrate(y, prediction, weight)  # as it is delivered
        prediction = prediction if calibration is None else calibration.apply(prediction)
    threshold = best_threshold(problem.metric, y, prediction, weight)
    return Outcomes(problem.task, y, prediction, weight, classes, told, threshold)


def members_of(found: Audit, model_id: str) -> tuple[tuple[str, float], ...]:
    """The candidates that a row of the leaderboard is made of, with their weights."""
    if any(c.model_id == model_id for c in found.candidates):
        return ((model_id, 1.0),)
    leaders = [v for v in found.leaders if v.name == model_id]
    if not leaders:
        raise DataError(f"the run has no model {model_id!r}", "choose one of its leaderboard")
    return leaders[-1].members


def _prediction(run: RunDir, problem: Problem, members: Sequence[tuple[str, float]]) -> Floats:
    total: Floats = np.zeros(())
    for model_id, weight in members:
        try:
            parts = [run.prediction(model_id, k) for k in range(problem.n_folds)]
        except OSError:
            raise DataError(f"{model_id} has no out-of-fold predictions: not all of its folds were finished, or "
                            "max_disk_mib had them removed", "choose another model") from None  # fmt: skip
        total = total + weight * np.concatenate(parts)
    return problem.user_prediction(total)


def schema_of(path: Path) -> Schema:
    """The schema of a run's table."""
    return RunDir.open(path).load_schema()
