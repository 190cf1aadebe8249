"""Replay: refit exactly the leader's candidates of a recorded run, whatever the clock did to it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tabwright import automl, clock
from tabwright.engine.base import FoldJob, Outcome
from tabwright.engine.local import LocalEngine
from tabwright.errors import RunError
from tabwright.finished import Finished
from tabwright.models.base import Fitted
from tabwright.models.epochs import SCHEDULE
from tabwright.models.fitting import ROUNDS
from tabwright.objectives.design import fold_name
from tabwright.pipeline import Candidate
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
    for file in [*old.path.glob("fold.*.npy"), *old.path.glob("target.*.npy")]:
        shutil.copy(file, new.path / file.name)
    if old.interactions_file.exists():
        shutil.copy(old.interactions_file, new.interactions_file)
    new.write_config(old.config() | {"created": clock.now(), "replay_of": str(old.path)})


def _fit_again(recorded: Finished, new: RunDir, tell: Callable[[str], None]) -> None:
    journal = new.journal()
    engine = LocalEngine(max(1, recorded.config.cores), 1, recorded.config.max_memory_mib, new.path / "workers.log")
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
    """The folds of the leader's candidates, first of what others are stacked on."""
    members = recorded.ensemble.members
    bases = {m.model_id: m for member in members for m in member.folds[0].stacked}
    levels = [[*bases.values(), *(m for m in members if not m.stacked_on and m.model_id not in bases)],
              [m for m in members if m.stacked_on]]  # fmt: skip
    out: list[list[FoldJob]] = []
    for level in levels:
        out.append([])
        for member in level:
            c = recorded.state.entries[member.model_id].candidate
            new.add_candidate(CandidateRecord(c.model_id, c.family, c.params, c.seed, c.origin, clock.now()))
            out[-1].extend(FoldJob(_as_trained(c, f.model), k, UNLIMITED_S) for k, f in enumerate(member.folds))
    return out


def _as_trained(candidate: Candidate, model: Fitted) -> Candidate:
    """Parameters that repeat a training that the clock may have cut: a network's schedule, or the rounds."""
    fixed = {SCHEDULE: getattr(model, SCHEDULE, None), ROUNDS: getattr(model, "n_iterations", None)}
    fixed = {SCHEDULE: fixed[SCHEDULE]} if fixed[SCHEDULE] else {ROUNDS: fixed[ROUNDS]}
    return replace(candidate, params=candidate.params | {k: v for k, v in fixed.items() if v is not None})


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
