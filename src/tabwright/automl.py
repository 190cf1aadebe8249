"""One run from table to leader: what ``fit`` and ``resume`` do, without the estimators' conventions."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tabwright import clock, delivery, interrupts, reference, warm
from tabwright.config import Config
from tabwright.data.infer import infer_schema
from tabwright.data.splits import make_folds, users_folds
from tabwright.data.table import Table
from tabwright.data.target import Target, make_target
from tabwright.engine.base import Cluster, Engine
from tabwright.engine.dask_connect import LOCAL
from tabwright.engine.fold import Shelf, load_fold_model
from tabwright.engine.local import LocalEngine
from tabwright.errors import OptionError
from tabwright.finished import Finished, as_led, out_of_fold_metrics
from tabwright.interrupts import Interrupts
from tabwright.metrics import find_metric
from tabwright.models.base import Family
from tabwright.models.log_target import differs_by_factors
from tabwright.objectives.custom import is_custom, resolve
from tabwright.objectives.design import Design
from tabwright.schema import Schema
from tabwright.search.assemble import assemble
from tabwright.search.budget import Budget
from tabwright.search.derived import searched_costs
from tabwright.search.loop import Observer, Search, SearchOptions
from tabwright.search.policy import folds_for, holdout_share, training_rows
from tabwright.search.portfolio import families_for
from tabwright.search.problem import Problem
from tabwright.search.state import Entry, State
from tabwright.search.status import reporting
from tabwright.search.strategy import Strategy
from tabwright.search.whole import CELL_BYTES, SEARCH_SHARE, SPREAD_CELL_BYTES, Whole
from tabwright.store.journal import Journal
from tabwright.store.origin import Origin, Source, remove_matrices
from tabwright.store.run_dir import RunDir
from tabwright.store.upgrade import upgrade
from tabwright.stored import checked_table, load_problem, load_table, store
from tabwright.types import Array, Floats, Kind, Task

SAMPLE_ROWS = 2000  # kept for the parity check and for measuring
WARM_AFTER = 5  # candidates of the portfolio, before those that earlier tasks suggest
REFERENCE_ROWS = 20_000  # counted for the histograms that drift is measured against


@dataclass(frozen=True)
class RowColumns:
    """Per-row facts beside the features: weights, groups and times, each (n_rows,) or None; and who splits the rows."""

    weight: Array | None = None
    group: Array | None = None
    time: Array | None = None
    splitter: Any = None  # an object with scikit-learn's split(X, y, groups)

    def take(self, rows: Array) -> RowColumns:
        weight, group, time_ = (None if a is None else a[rows] for a in (self.weight, self.group, self.time))
        return RowColumns(weight, group, time_, self.splitter)


@dataclass(frozen=True)
class Inputs:
    """What is to be learned from.

    Parameters
    ----------
    frame : DataFrame, shape (n_rows, n_columns)
    y : Series, shape (n_rows,)
        Rows with a missing target are dropped and counted.
    rows : RowColumns
    source : Source, optional
        What the frame is a sample of; the best candidates are fitted on all of it in the end.
    notes : tuple of str
    """

    frame: pd.DataFrame
    y: pd.Series
    rows: RowColumns
    source: Source | None = None
    notes: tuple[str, ...] = ()


def fit(
    inputs: Inputs, task: Task, config: Config, *, run: RunDir, observer: Observer, budget: Budget
) -> Finished:  # fmt: skip
    """Run a whole AutoML job.

    Parameters
    ----------
    inputs, task, config
        What to do and how.
    run : RunDir
        Just made; its lock is given back at the end.
    observer : callable
        Told of progress.
    budget : Budget
        Already running: reading the table counts too.
    """
    X, y, rows, source = inputs.frame, inputs.y, inputs.rows, inputs.source
    workers = None
    try:
        workers = _start_engine(config, run)
        target = make_target(y, "target" if y.name is None else str(y.name), classification=task.is_classification)
        if not target.keep.all():
            keep = np.flatnonzero(target.keep)
            X, rows = X.iloc[keep].reset_index(drop=True), rows.take(keep)
        schema = replace(
            infer_schema(X, None, target.task, dict(config.kinds)), target=target.name,
            classes=target.classes or None, class_dtype=target.class_dtype,
        )  # fmt: skip
        _check_monotone(config, schema)
        for name in filter(is_custom, config.costs):
            resolve(name, schema, target.task)
        table = Table.from_frame(X, schema)
        problem = _problem(table, target, config, rows, budget, workers.n_workers, sampled=source is not None)
        interrupts.check()
        if source is not None:
            run.save_arrays("origin", sampled=source.positions, **_class_weights(problem, config))
            source.origin.save(run)
        notes = [*inputs.notes, *target.notes]
        store(run, table, problem, notes, config)
        workers.open(run.path)
        return _search_and_assemble(run, table, problem, config, workers, budget, observer, notes)
    finally:
        if workers is not None:
            workers.close()
        run.release()


def resume(
    run: RunDir, extra_secs: float | None, observer: Observer, data: tuple[pd.DataFrame, pd.Series] | None = None,
    engine: Any = None,
) -> Finished:  # fmt: skip
    """Continue a run from its last finished fold, for ``extra_secs`` or the budget that it had.

    ``data``, features and target, is held against what the run was started with, and replaces its copy if lost.
    """
    budget = Budget(math.inf)
    run.acquire()
    workers = None
    try:
        upgrade(run)
        stored = run.config()
        config = Config.from_dict(stored["config"])
        if extra_secs is not None:
            config = replace(config, max_runtime_secs=extra_secs)
        if engine is not None:
            config = replace(config, engine=engine)
        budget.total_s = config.budget_s
        workers = _start_engine(config, run)
        table = checked_table(run, data)
        problem = load_problem(run)
        workers.open(run.path)
        return _search_and_assemble(run, table, problem, config, workers, budget, observer, stored["notes"])
    finally:
        if workers is not None:
            workers.close()
        run.release()


def load(run: RunDir) -> Finished:
    """A run as it stands, without continuing it: leaderboard, leader, export."""
    stored = run.config()
    config = Config.from_dict(stored["config"])
    table, problem = load_table(run), load_problem(run)
    journal = run.read_journal()
    try:
        state = State(problem, run)
        state.restore(journal)
    finally:
        journal.close()
    if not state.leader.weights:
        state.update_leader(seconds=10.0)
    return _finish(run, table, problem, state, config, stored["notes"], delivery.remembered(run, problem, state))


def _start_engine(config: Config, run: RunDir) -> Engine:
    """Where folds are fitted. One thread per process keeps every core busy through all phases of a fit."""
    if config.engine == LOCAL:
        return LocalEngine(max(1, config.cores), 1, config.max_memory_mib, run.path / "workers.log")
    from tabwright.engine.dask import DaskEngine
    from tabwright.engine.dask_connect import connect

    connection = connect(config.client or config.engine, config.cores)
    return DaskEngine(connection, 1, config.max_memory_mib, config.n_jobs if config.n_jobs > 0 else None)


def _families(problem: Problem, config: Config, table: Table) -> tuple[Family, ...]:
    families = families_for(
        problem.task, config.include_families, config.exclude_families, problem.n_classes, problem.metric.quantile
    )
    families = tuple(f for f in families if f.max_rows is None or table.n_rows <= f.max_rows)
    if config.monotone_constraints:
        families = tuple(f for f in families if f.monotone)
    if not families:
        raise OptionError("include_families", "and exclude_families leave no model family for this table",
                          "name more, or exclude fewer")
    return families


def _check_monotone(config: Config, schema: Schema) -> None:
    numeric = {c.name for c in schema.numeric if c.kind is not Kind.DATETIME}
    for name in config.monotone_constraints or {}:
        if name not in numeric:
            raise OptionError(
                "monotone_constraints",
                f"names {name!r}, which is no numeric feature",
                f"name one of {', '.join(sorted(numeric)[:20])}",
            )


def _class_weights(problem: Problem, config: Config) -> dict[str, Floats]:
    if not config.balance_classes or problem.task is Task.REGRESSION:
        return {}
    return {"class_weights": balance(problem.y)}


def balance(y: Array) -> Floats:
    """Weights of classes, float64 (n_classes,), that let all count the same."""
    counts = np.bincount(y)
    return np.asarray(len(y) / (len(counts) * counts))


def _problem(
    table: Table, target: Target, config: Config, rows: RowColumns, budget: Budget, cores: int, *, sampled: bool = False
) -> Problem:
    if config.sort_metric.lower() == "rmsle" and target.y.min() < 0:
        raise OptionError("sort_metric", "is 'rmsle', but the target has values below 0", "take 'rmse' or 'mae'")
    # what learns from a whole source in the end is judged by the rows of one hold-out
    n_folds = 1 if sampled else folds_for(table, target.task, target.n_classes, config.nfolds, cores, budget)
    if rows.splitter is not None:
        folds = users_folds(rows.splitter, table.n_rows, target.y, rows.group)
        n_folds = len(folds)
    else:
        folds = make_folds(
            table.n_rows, target.y, target.task, n_folds, config.seed,
            groups=rows.group, time=rows.time, holdout=holdout_share(table.n_rows),
        )  # fmt: skip
    train = folds.train
    limit = training_rows(table, target.task, target.n_classes, n_folds, budget)
    if limit < len(train[0]):
        rng = np.random.default_rng(config.seed)
        train = tuple(np.sort(rng.choice(t, limit, replace=False)) for t in train)
    weight = None if rows.weight is None else np.asarray(rows.weight, np.float64)
    if config.balance_classes and target.task is not Task.REGRESSION:
        balanced = balance(target.y)[target.y]
        weight = np.asarray(balanced if weight is None else weight * balanced, np.float64)
    return Problem(
        target.task,
        find_metric(config.sort_metric, target.task),
        target.n_classes,
        target.standard,
        target.mean,
        target.scale,
        weight,
        folds.valid,
        train,
    )


def _by_factors(problem: Problem) -> bool:
    """Whether the target's logarithm is worth a try."""
    if problem.task is not Task.REGRESSION or problem.metric.quantile is not None:
        return False
    return differs_by_factors(problem.user_y(np.arange(len(problem.y))))


def _search_and_assemble(
    run: RunDir, table: Table, problem: Problem, config: Config, engine: Engine, budget: Budget,
    observer: Observer, notes: list[str],
) -> Finished:  # fmt: skip
    budget.reserve_s = reserve(budget, config)
    delivery.forget(run)
    journal = run.journal()
    journal.add_stage("reading", clock.at(budget.started), budget.elapsed())
    repeatable = config.max_models is not None
    families = _families(problem, config, table)
    strategy = Strategy(families, config.seed, config.max_models, repeatable=repeatable,
                        n_costs=len(searched_costs(config.costs)), logarithms=_by_factors(problem))  # fmt: skip
    advice = warm.advise(config, table, problem, families)
    strategy.warm(advice.candidates, advice.origin, 0 if advice.origin == "warm" else WARM_AFTER)
    notes = [*notes, *advice.notes]
    with Interrupts() as signals:
        options = SearchOptions(config.max_models, config.max_runtime_secs_per_model, repeatable, config.max_disk_mib,
                                not config.monotone_constraints, config.costs, config.limits,
                                lambda: signals.asked)  # fmt: skip
        search = Search(problem, run, journal, strategy, engine, budget, options, reporting(run, observer))
        try:
            search.restore()
            n_before, began = len(search.state.finished()), budget.elapsed()
            state, where = _run(search, run, problem, config, engine, budget)
            journal.add_stage("search", clock.at(budget.started + began), budget.elapsed() - began)
            began = budget.elapsed()
            journal.add_event("finished", f"search ended after {began:.1f} s")
            notes = [*notes, *where, *engine.notes(), *_what_limited(state, search, n_before, config, journal)]
            limited = bool(config.limits and state.finished())
            finished = _finish(run, table, problem, state, config, notes, Design() if limited else None)
            if limited:
                search.frontier.emit = finished.emit
                until = time.monotonic() + 0.6 * budget.left()
                point = search.frontier.choose(config.limits, until, finished.as_delivered)
                finished.deliver(point.design)
                finished.notes.extend(delivery.shortfall(point, config.limits))
                delivery.remember(run, point.design)
            journal.add_stage("ensembling", clock.at(budget.started + began), budget.elapsed() - began)
            warm.learn(config, table, problem, state, budget.left())
        finally:
            journal.close()
        finished.interrupted = search.interrupted or signals.asked
    finished.seconds = budget.elapsed()
    return finished


def _run(
    search: Search, run: RunDir, problem: Problem, config: Config, engine: Engine, budget: Budget
) -> tuple[State, list[str]]:
    """The search, and after it, where the table is a sample, the best candidates on the whole of its source.

    With sentences on a cluster that was to fit these and could not.
    """
    origin = Origin.load(run)
    if origin is None:
        try:
            return search.run(), []
        finally:
            engine.close()
    later = (1.0 - SEARCH_SHARE) * budget.left() if budget.bounded else 0.0
    budget.reserve_s += later
    state = search.run()
    cluster = engine.cluster()
    engine.close()
    budget.reserve_s -= later
    done = state.finished()
    if search.interrupted or not done or any(e.candidate.origin == "whole" for e in done):
        return state, []
    if cluster is None or len(origin.pieces or ()) < 2 or not any(_able(e, SPREAD_CELL_BYTES) for e in done):
        return _on_the_whole(search, run, problem, config, origin, None), []
    state = _on_the_whole(search, run, problem, config, origin, cluster)
    n_fitted = len(state.finished()) - len(done)
    if n_fitted or search.interrupted:
        told = f"{n_fitted} candidates learned from all rows, spread over {len(cluster.workers)} Dask workers"
        search.journal.add_event("spread", told)
        return state, []
    tried = [e for e in state.entries.values() if e.candidate.origin == "whole"]
    why = tried[-1].reason if tried else "there was no time for it"
    state = _on_the_whole(search, run, problem, config, origin, None)
    return state, [f"The Dask workers did not learn from all rows together ({why}): this machine read them alone"]


def _able(entry: Entry, families: Iterable[str]) -> bool:
    return entry.candidate.family in families and not entry.discarded


def _on_the_whole(
    search: Search, run: RunDir, problem: Problem, config: Config, origin: Origin, cluster: Cluster | None
) -> State:
    """Fits on all rows, by this machine or a cluster's workers."""
    able = CELL_BYTES if cluster is None else SPREAD_CELL_BYTES
    best = next((e for e in search.state.finished() if _able(e, able)), None)
    if best is None:
        return search.state
    width = len(load_fold_model(run, best.candidate.model_id, 0, Shelf()).features.names)
    rows = (origin.n_rows, len(problem.train[0]), width)
    if cluster is None:
        whole = Whole(*rows, config.cores, config.memory_mib)
    else:
        whole = Whole(*rows, cluster.n_threads, cluster.memory_mib, able, keeps=False)
    last = LocalEngine(1, config.cores, config.max_memory_mib, run.path / "workers.log", cluster)
    try:
        last.open(run.path)
        return search.run_last(last, whole)
    finally:
        last.close()
        remove_matrices(run)


def _what_limited(state: State, search: Search, n_before: int, config: Config, journal: Journal) -> list[str]:
    """Sentences on a journal that broke off, a full disk allowance, and a resume that had nothing to do."""
    notes = []
    if journal.broken:
        notes.append(f"The journal could not be written to the end ({journal.broken}): the leader is complete, "
                     "but the run can't be resumed from its last folds")  # fmt: skip
    if search.disk.full:
        notes.append(f"max_disk_mib={config.max_disk_mib:g} is full with what the leader needs: allow more for a "
                     "longer search")  # fmt: skip
    if search.was_restored and not search.n_recorded and not search.interrupted:
        if config.max_models is not None and len(state.entries) >= config.max_models:
            notes.append(f"There was nothing to do: all {n_before} of max_models={config.max_models} candidates had "
                         "been finished; start a new run with more")  # fmt: skip
        else:
            notes.append("Nothing was fitted: no further fold fits into this time; give more with extra_secs")
    return notes


def _finish(
    run: RunDir, table: Table, problem: Problem, state: State, config: Config, notes: list[str],
    design: Design | None = None,
) -> Finished:  # fmt: skip
    if design is None:
        design = Design.whole(state.leader.weights, problem.n_folds)
    elif design.shares:
        state.lead(design.weights)
    ensemble = as_led(assemble(run, problem, design, state.leader.name), problem, state)
    chosen = np.sort(np.random.default_rng(config.seed).permutation(table.n_rows)[:SAMPLE_ROWS])
    if not state.leader.weights or not problem.metric.better(state.leader.score, _trivial_score(problem)):
        notes = [*notes, _why_nothing_leads(state)]
    return Finished(
        run,
        config,
        table.schema,
        problem,
        state,
        ensemble,
        table.take(chosen),
        out_of_fold_metrics(problem, state, ensemble.threshold),
        notes,
        interrupted=False,
        seconds=0.0,
        reference=_reference(table, state.leader.prediction, config.seed),
        design=design,
    )


def _reference(table: Table, prediction: Floats | None, seed: int) -> dict[str, Any]:
    """Histograms of some training rows, and of the leader's out-of-fold predictions."""
    rows = np.sort(np.random.default_rng(seed).permutation(table.n_rows)[:REFERENCE_ROWS])
    some = table.take(rows)
    return reference.build(table.schema, some.numbers, [c.values() for c in some.strings], prediction)


def _why_nothing_leads(state: State) -> str:
    """The sentence for a run whose leader is the constant prediction."""
    if state.finished():
        return "No candidate beats a constant prediction: the target may not depend on these columns"
    reasons = [e.reason for e in state.entries.values() if e.status == "failed"]
    if reasons:
        common = max(set(reasons), key=reasons.count)
        return f"No candidate beats a constant prediction: {len(reasons)} failed, most often by {common}"
    return "No candidate beats a constant prediction: none was finished within the budget, so give more time"


def _trivial_score(problem: Problem) -> float:
    return problem.trivial_loss() * (-1.0 if problem.metric.greater_is_better else 1.0)


def reserve(budget: Budget, config: Config) -> float:
    """Seconds set aside for what follows the search: loading the leader's folds and building the ensemble.

    With limits, designs are measured too until one is known to keep them.
    """
    if not math.isfinite(budget.total_s):
        return 0.0
    return min(0.15 + 0.12 * budget.total_s, 10.0) if config.limits else min(0.15 + 0.03 * budget.total_s, 2.5)
