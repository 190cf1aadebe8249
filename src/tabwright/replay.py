"""Replay: refit exactly the leader's candidates of a recorded run, whatever the clock did to it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tabwright import automl, clock
from tabwright.engine.base import FoldJob, Outcome
from tabwright.engine.local import LocalEngine
from tabwright.engine.shelf import Shelf, load_fold_model
from tabwright.errors import RunError
from tabwright.finished import Finished
from tabwright.models.base import Fitted
from tabwright.models.epochs import SCHEDULE
from tabwright.models.fitting import ROUNDS
from tabwright.models.log_target import CORRECTION
from tabwright.objectives.design import ALL_ROWS, fold_name
from tabwright.pipeline import TEACHER, Candidate
from tabwright.search.state import State
from tabwright.store.journal import CandidateRecord, FoldRecord, Journal
from tabwright.store.run_dir import RunDir

UNLIMITED_S = 86_400.0


@dataclass(frozen=True)
class Replay:
    """The recorded leader and its repetition, compared by their predictions."""

    recorded_sha256: str
    repeated_sha256: str
    largest_difference: float
    finished: Finished

    @property
    def identical(self) -> bool:
        return self.recorded_sha256 == self.repeated_sha256


def replay(path: str | Path, out: str | Path | None = None, tell: Callable[[str], None] = lambda _line: None) -> Replay:
    """Fit the leader of a run again: same rows, folds, features, seeds and numbers of rounds.

    Under a time budget the journal is the schedule: a fit that its deadline stopped is repeated with the rounds
    that it had.

    Parameters
    ----------
    path : folder of the recorded run
    out : folder for the repetition; temporary if None
    tell : called with a line per finished fold

    Raises
    ------
    RunError
        If the run has no leader, or a fold can't be fitted again.
    """
    old = RunDir.open(path)
    recorded = automl.load(old)
    if not recorded.state.leader.weights:
        raise RunError(f"The run in {path} has no leader but the constant", "resume it first")
    new = RunDir.create(out)
    try:
        _copy_inputs(old, new)
        _fit_again(recorded, new, tell)
        repeated = automl.load(new)
    finally:
        new.release()
    first, second = (f.ensemble.predict_canonical(recorded.sample) for f in (recorded, repeated))
    digests = [hashlib.sha256(np.ascontiguousarray(p).tobytes()).hexdigest() for p in (first, second)]
    return Replay(digests[0], digests[1], float(np.abs(first - second).max()), repeated)


def _copy_inputs(old: RunDir, new: RunDir) -> None:
    shutil.copytree(old.table_dir, new.table_dir, dirs_exist_ok=True)
    arrays = [*old.path.glob("fold.*.npy"), *old.path.glob("target.*.npy"), *old.path.glob("origin.*")]
    for file in (*arrays, old.schema_file, old.interactions_file, old.design_file):
        if file.exists():
            shutil.copy(file, new.path / file.name)
    new.write_config(old.config() | {"created": clock.now(), "replay_of": str(old.path)})


def _fit_again(recorded: Finished, new: RunDir, tell: Callable[[str], None]) -> None:
    journal = new.journal()
    engine = LocalEngine(max(1, recorded.config.cores), 1, recorded.config.memory_mib, new.path / "workers.log")
    try:
        levels = _jobs(recorded, journal)
        engine.open(new.path)
        for jobs in levels:
            waiting = len(jobs)
            while waiting:
                while jobs and engine.free():
                    engine.submit(jobs.pop(0))
                for outcome in engine.poll(1.0):
                    _record(outcome, journal)
                    waiting -= 1
                    tell(f"{outcome.job.candidate.model_id} {fold_name(outcome.job.fold)}: {outcome.seconds:.1f} s")
        leader = recorded.state.leader
        journal.add_leader(leader.name, leader.score, leader.weights)
    finally:
        engine.close()
        journal.close()


def _jobs(recorded: Finished, new: Journal) -> list[list[FoldJob]]:
    """The folds of the leader's candidates and of what they have learned from, first of what others need."""
    levels: list[list[Candidate]] = []
    _place([m for m, _ in recorded.design.weights], recorded.state, levels)
    refits = {share.model_id for share in recorded.design.shares if ALL_ROWS in share.folds}
    shelf = Shelf()
    out: list[list[FoldJob]] = []
    for level in levels:
        out.append([])
        for c in level:
            new.add_candidate(CandidateRecord(c.model_id, c.family, c.params, c.seed, c.origin, clock.now()))
            folds = [*range(recorded.problem.n_folds), *([ALL_ROWS] if c.model_id in refits else [])]
            models = [load_fold_model(recorded.run, c.model_id, k, shelf).model for k in folds]
            jobs = [FoldJob(_as_trained(c, m), k, UNLIMITED_S) for k, m in zip(folds, models, strict=True)]
            out[-1].extend(jobs)
    return out


def _place(model_ids: Sequence[str], state: State, levels: list[list[Candidate]]) -> int:
    """Put candidates into levels, each above what it has learned from; how many levels lie at or below them."""
    depth = 0
    for model_id in model_ids:
        c = state.entries[model_id].candidate
        needed = [*c.bases, *(str(m) for m, _ in c.params.get(TEACHER) or ())]
        below = _place(needed, state, levels)
        if not any(c in level for level in levels):
            if below == len(levels):
                levels.append([])
            levels[below].append(c)
        depth = max(depth, below + 1)
    return depth


def _as_trained(candidate: Candidate, model: Fitted) -> Candidate:
    """Parameters that repeat a training that the clock may have cut: a network's schedule, or the rounds."""
    schedule = getattr(model, SCHEDULE, None)
    known = {SCHEDULE: schedule} if schedule else {ROUNDS: getattr(model, "n_iterations", None)}
    known[CORRECTION] = getattr(model, CORRECTION, None)
    return replace(candidate, params=candidate.params | {k: v for k, v in known.items() if v is not None})


def _record(outcome: Outcome, journal: Journal) -> None:
    if outcome.result is None:
        what = f"{outcome.job.candidate.model_id} {fold_name(outcome.job.fold)}"
        raise RunError(f"{what} could not be fitted again: {outcome.reason}", "see workers.log in the new run's folder")
    r = outcome.result
    journal.add_fold(FoldRecord(
        outcome.job.candidate.model_id, outcome.job.fold, outcome.status, "", outcome.started, outcome.seconds,
        outcome.cpu_seconds, outcome.peak_memory_mib, r.score, r.n_iterations, r.artefact_sha256,
        outcome.worker, dict(r.stage_seconds),
    ))  # fmt: skip
