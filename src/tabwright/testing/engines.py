"""The contract of an engine, as a pytest class.

class TestMine(EngineContract):
    def start(self, n_workers, memory_limit_mib=None):
        return MyEngine(n_workers, 1, memory_limit_mib)
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tabwright.config import Config
from tabwright.data.splits import make_folds
from tabwright.engine.base import Engine, FoldJob, Outcome, Status
from tabwright.engine.shelf import Shelf, load_fold_model
from tabwright.metrics import find_metric
from tabwright.models import family as find_family
from tabwright.pipeline import Candidate
from tabwright.search.problem import Problem
from tabwright.space import defaults
from tabwright.store.run_dir import RunDir
from tabwright.stored import store
from tabwright.testing.tables import mixed_table, target_for
from tabwright.types import Task

FAULTY = "tabwright.testing.faulty"
PATIENCE_S = 60.0  # for a process to start on a busy machine


def small_run(path: Path, rows: int = 300) -> RunDir:
    """A run directory as an engine finds it: a table with a column of every kind, three folds, no candidate yet."""
    table = mixed_table(rows)
    y = target_for(Task.REGRESSION, table).y
    folds = make_folds(rows, y, Task.REGRESSION, 3, 0)
    config = Config(max_models=1, nfolds=3)
    problem = Problem(
        Task.REGRESSION, find_metric("rmse", Task.REGRESSION), 1, y, 0.0, 1.0, None, folds.valid, folds.train
    )
    run = RunDir.create(path)
    store(run, table, problem, (), config)
    return run


def job(family: str, fold: int = 0, seconds: float = 60.0, name: str | None = None) -> FoldJob:
    """One fold of a family with its defaults; one of :mod:`tabwright.testing.faulty` in capitals."""
    reference = f"{FAULTY}:{family}" if family.isupper() else family
    params = defaults(find_family(reference).space)
    return FoldJob(Candidate(name or f"{family.lower()}_1", reference, params), fold, seconds)


class EngineContract:
    """Holds for every engine. ``start`` makes one with so many workers of one thread."""

    def start(self, n_workers: int, memory_limit_mib: float | None = None) -> Engine:
        raise NotImplementedError

    @pytest.fixture
    def run(self, tmp_path: Path) -> Iterator[RunDir]:
        run = small_run(tmp_path / "run")
        yield run
        run.release()

    def fitted(self, engine: Engine, *jobs: FoldJob) -> dict[str, Outcome]:
        """Have jobs done, as many at a time as there is room for; outcomes by model id and fold."""
        outcomes: list[Outcome] = []
        todo, end = list(jobs), time.monotonic() + PATIENCE_S + sum(j.time_limit_s for j in jobs)
        while len(outcomes) < len(jobs):
            assert time.monotonic() < end, "the engine has not told what became of all jobs"
            while todo and engine.free():
                engine.submit(todo.pop(0))
            outcomes += engine.poll(0.25)
        return {f"{o.job.candidate.model_id}.{o.job.fold}": o for o in outcomes}

    def busy(self, engine: Engine, *jobs: FoldJob) -> None:
        """Submit jobs, each as soon as there is room."""
        end = time.monotonic() + PATIENCE_S
        for each in jobs:
            while not engine.free():
                assert not engine.poll(0.25) and time.monotonic() < end
            engine.submit(each)

    def test_folds_are_fitted_and_their_files_are_there(self, run: RunDir) -> None:
        engine = self.start(2)
        try:
            engine.open(run.path)
            outcomes = self.fitted(engine, *(job("linear", k) for k in range(3)))
            assert sorted(outcomes) == ["linear_1.0", "linear_1.1", "linear_1.2"]
            for outcome in outcomes.values():
                assert outcome.status is Status.OK and outcome.reason == "" and outcome.result is not None
                assert outcome.peak_memory_mib > 10 and outcome.seconds >= outcome.result.seconds * 0.9
                assert outcome.worker in range(engine.n_workers)
                model = run.model_path(*outcome.job.key)
                assert hashlib.sha256(model.read_bytes()).hexdigest() == outcome.result.artefact_sha256
                rows = run.load_array("fold", f"valid{outcome.job.fold}")
                assert run.prediction(*outcome.job.key).shape == (len(rows), 1)
                assert load_fold_model(run, *outcome.job.key, Shelf()).model is not None
            end = time.monotonic() + PATIENCE_S
            while engine.free() < engine.n_workers:  # one of them may have been slow to start
                assert not engine.running() and not engine.poll(0.25) and time.monotonic() < end
        finally:
            engine.close()

    def test_faults_are_told_and_the_next_job_runs(self, run: RunDir) -> None:
        engine = self.start(1)
        try:
            engine.open(run.path)
            faults = [job("RAISE"), job("SEGFAULT"), job("SLEEP", seconds=1.0), job("linear")]
            outcomes = self.fitted(engine, *faults)
            told = {key: (o.status, o.reason) for key, o in outcomes.items()}
            assert told["raise_1.0"] == (Status.FAILED, "ZeroDivisionError: one over nothing")
            assert told["segfault_1.0"] == (Status.CRASHED, "the worker process ended with code -11")
            assert told["sleep_1.0"][0] is Status.TIMEOUT and "after a limit of" in told["sleep_1.0"][1]
            assert told["linear_1.0"][0] is Status.OK
            assert not run.model_path("raise_1", 0).exists()
        finally:
            engine.close()

    def test_a_process_that_passes_the_memory_limit_is_killed(self, run: RunDir) -> None:
        engine = self.start(1, 900.0)
        try:
            engine.open(run.path)
            outcome = self.fitted(engine, job("ALLOCATE"))["allocate_1.0"]
            assert outcome.status is Status.MEMORY and outcome.reason.startswith("used ")
            assert " MiB of 900 MiB" in outcome.reason and outcome.peak_memory_mib > 900
        finally:
            engine.close()

    def test_what_is_cancelled_is_told_at_once_and_leaves_room(self, run: RunDir) -> None:
        engine = self.start(1)
        try:
            engine.open(run.path)
            self.busy(engine, job("SLEEP"))
            assert [j.key for j in engine.running()] == [("sleep_1", 0)]
            began = time.monotonic()
            assert [(o.job.key, o.status) for o in engine.cancel()] == [(("sleep_1", 0), Status.CANCELLED)]
            assert time.monotonic() - began < 1.0 and engine.running() == []
            assert self.fitted(engine, job("linear"))["linear_1.0"].status is Status.OK
        finally:
            engine.close()

    def test_closing_takes_less_than_a_second_and_happens_once(self, run: RunDir) -> None:
        engine = self.start(1)
        engine.open(run.path)
        self.busy(engine, job("SLEEP"))
        began = time.monotonic()
        outcomes = engine.close()
        assert time.monotonic() - began < 1.0
        assert [o.status for o in outcomes] == [Status.CANCELLED]
        assert engine.close() == [] and engine.running() == []
        before = sorted(run.path.rglob("*"))
        time.sleep(0.5)
        assert sorted(run.path.rglob("*")) == before  # nothing is written afterwards

    def test_an_engine_that_was_never_opened_can_be_closed(self) -> None:
        assert self.start(1).close() == []
