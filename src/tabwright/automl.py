"""One run from table to leader: what ``fit`` and ``resume`` do, without the estimators' conventions."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tabwright import clock, delivery, interrupts, reference, warm
from tabwright.config import Config
from tabwright.data.infer import infer_schema
from tabwright.data.table import Table
from tabwright.data.target import make_target
from tabwright.engine.base import Engine
from tabwright.engine.dask_connect import LOCAL
from tabwright.engine.local import LocalEngine
from tabwright.finished import Finished, as_led, out_of_fold_metrics
from tabwright.framing import Inputs, check_monotone, class_weights, make_problem, usable_families, worth_a_try
from tabwright.interrupts import Interrupts
from tabwright.meta.features import meta_features
from tabwright.meta.portfolio import shipped
from tabwright.objectives.custom import is_custom
from tabwright.objectives.design import Design
from tabwright.search.assemble import assemble
from tabwright.search.budget import Budget
from tabwright.search.derived import searched_costs
from tabwright.search.frontier import try_objective
from tabwright.search.loop import Search
from tabwright.search.options import SearchOptions
from tabwright.search.portfolio import like_measured
from tabwright.search.problem import Problem
from tabwright.search.snapshot import Observer
from tabwright.search.state import State
from tabwright.search.status import reporting
from tabwright.search.strategy import Strategy
from tabwright.store.journal import Journal
from tabwright.store.run_dir import RunDir
from tabwright.store.upgrade import upgrade
from tabwright.stored import checked_table, load_problem, load_table, store
from tabwright.types import Floats, Task
from tabwright.whole_source import search_and_fit

SAMPLE_ROWS = 2000  # kept for the parity check and for measuring
REFERENCE_ROWS = 20_000  # counted for the histograms that drift is measured against


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
    workers, notes = None, [*inputs.notes]
    try:
        workers = _start_engine(config, run)
        if rows.weight is not None and not rows.weight.all():  # a metric of such rows alone is none
            used = np.flatnonzero(rows.weight)
            notes.append(f"{len(X) - len(used):,} of {len(X):,} rows have weight 0 and were left out.")
            X, y = X.iloc[used].reset_index(drop=True), y.iloc[used].reset_index(drop=True)
            rows = rows.take(rows.weight > 0)
            source = None if source is None else replace(source, positions=source.positions[used])
            run.save_arrays("target", used=used)
        target = make_target(y, "target" if y.name is None else str(y.name), classification=task.is_classification)
        if not target.keep.all():
            X, rows = X.iloc[np.flatnonzero(target.keep)].reset_index(drop=True), rows.take(target.keep)
        schema = replace(
            infer_schema(X, None, target.task, dict(config.kinds)), target=target.name,
            classes=target.classes or None, class_dtype=target.class_dtype,
        )  # fmt: skip
        check_monotone(config, schema, target.task)
        table = Table.from_frame(X, schema)
        problem = make_problem(table, target, config, rows, budget, workers.n_workers, sampled=source is not None)
        for name in filter(is_custom, config.costs):
            try_objective(name, "constraints" if name in config.limits else "objectives", problem, table)
        interrupts.check()
        if source is not None:
            run.save_arrays("origin", sampled=source.positions, **class_weights(problem, config))
            source.origin.save(run)
        notes += target.notes
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
        if "made_folds" in stored:  # the end of the time had let fewer count
            stored = {k: v for k, v in stored.items() if k != "made_folds"} | {"n_folds": stored["made_folds"]}
            run.write_config(stored)
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
        n_fitted = None if config.limits else journal.n_fitted()  # what keeps limits leads until another does
    finally:
        journal.close()
    if run.holder() is None:  # whoever fitted them is gone
        state.cancel_running()
    if not state.leader.weights:
        state.update_leader(seconds=10.0)
    design = delivery.remembered(run, problem, state, n_fitted)
    return _finish(run, table, problem, state, config, stored["notes"], design)


def _start_engine(config: Config, run: RunDir) -> Engine:
    """Where folds are fitted. One thread per process keeps every core busy through all phases of a fit."""
    if config.engine == LOCAL:
        return LocalEngine(max(1, config.cores), 1, config.memory_mib, run.path / "workers.log")
    from tabwright.engine.dask import DaskEngine
    from tabwright.engine.dask_connect import connect

    connection = connect(config.client or config.engine, config.cores)
    return DaskEngine(connection, 1, config.max_memory_mib, config.n_jobs if config.n_jobs > 0 else None)


def _search_and_assemble(
    run: RunDir, table: Table, problem: Problem, config: Config, engine: Engine, budget: Budget,
    observer: Observer, notes: list[str],
) -> Finished:  # fmt: skip
    budget.reserve_s = reserve(budget, config)
    journal = run.journal()
    journal.add_stage("reading", clock.at(budget.started), budget.elapsed())
    repeatable = config.max_models is not None
    families = usable_families(problem, config, table)
    facts = meta_features(table, problem.y, problem.task, problem.n_classes)
    learned = [(e.family, e.params) for e in shipped(problem.task).ranked(facts)]
    choices = worth_a_try(problem, table.schema)
    strategy = Strategy(families, config.seed, config.max_models, repeatable=repeatable,
                        n_costs=len(searched_costs(config.costs)), choices=choices, learned=learned,
                        defaults_first=repeatable or not like_measured(table.n_rows, problem.n_classes))  # fmt: skip
    advice = warm.advise(config, facts, table, problem, families, choices)
    if advice.interactions is not None and not run.interactions_file.exists():
        advice.interactions.save(run.interactions_file)
    strategy.warm(advice.candidates, advice.origin, advice.after)
    notes = [*notes, *advice.notes]
    with Interrupts() as signals:
        options = SearchOptions(config.max_models, config.max_runtime_secs_per_model, repeatable, config.max_disk_mib,
                                not config.monotone_constraints, config.costs, config.limits,
                                lambda: signals.asked)  # fmt: skip
        search = Search(problem, run, journal, strategy, engine, budget, options, reporting(run, observer))
        try:
            search.restore()
            n_before, began = len(search.state.finished()), budget.elapsed()
            state, where = search_and_fit(search, run, problem, config, engine, budget)
            journal.add_stage("search", clock.at(budget.started + began), budget.elapsed() - began)
            began = budget.elapsed()
            journal.add_event("finished", f"search ended after {began:.1f} s")
            notes = [*notes, *where, *engine.notes(), *_what_limited(state, search, n_before, config, journal)]
            problem = search.problem  # it may have fewer folds than it began with
            kept, given_way = delivery.after_search(run, problem, state, config.limits, journal.n_fitted())
            notes = [*notes, *given_way]
            limited = bool(config.limits and state.finished()) and kept is None
            finished = _finish(run, table, problem, state, config, notes, Design() if limited else kept)
            if limited:
                search.frontier.emit = finished.emit
                until = time.monotonic() + 0.6 * budget.left()
                point = search.frontier.choose(config.limits, until, finished.as_delivered)
                finished.deliver(point.design)
                finished.notes.extend([*delivery.shortfall(point, config.limits), *search.frontier.faults.values()])
                delivery.remember(run, point.design, journal.n_fitted())
            journal.add_stage("ensembling", clock.at(budget.started + began), budget.elapsed() - began)
            warm.learn(config, facts, problem, state, budget.left())
        finally:
            journal.close()
        finished.interrupted = search.interrupted or signals.asked
    finished.seconds = budget.elapsed()
    return finished


def _what_limited(state: State, search: Search, n_before: int, config: Config, journal: Journal) -> list[str]:
    """Sentences on a journal that broke off, a full disk allowance, and a resume that had nothing to do."""
    notes = []
    if journal.broken:
        notes.append(f"The journal could not be written to the end ({journal.broken}): the leader is complete, "
                     "but the run can't be resumed from its last folds")  # fmt: skip
    if search.was_reduced:
        judged = "the first one alone" if search.problem.n_folds == 1 else f"the first {search.problem.n_folds}"
        notes.append("The time was over before a candidate had all its folds: the leader is judged by "
                     f"{judged}; give more time")  # fmt: skip
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
        design = Design.whole(state.leader.weights, problem.delivered)
        design = design.refitted(delivery.refits(state)) if problem.in_time else design
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
    return min(0.15 + 0.12 * budget.total_s, 10.0) if config.limits else min(0.15 + 0.045 * budget.total_s, 4.0)
