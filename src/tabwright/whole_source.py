"""The search, and after it, where the run's table is a sample, fits on the whole that it was drawn from."""

from __future__ import annotations

from collections.abc import Iterable

from tabwright.config import Config
from tabwright.engine.base import Cluster, Engine
from tabwright.engine.local import LocalEngine
from tabwright.engine.shelf import Shelf, load_fold_model
from tabwright.search.budget import Budget
from tabwright.search.loop import Search
from tabwright.search.problem import Problem
from tabwright.search.state import Entry, State
from tabwright.search.whole import CELL_BYTES, SEARCH_SHARE, SPREAD_CELL_BYTES, Whole
from tabwright.store.origin import Origin, remove_matrices
from tabwright.store.run_dir import RunDir


def search_and_fit(
    search: Search, run: RunDir, problem: Problem, config: Config, engine: Engine, budget: Budget
) -> tuple[State, list[str]]:
    """The search; where the table is a sample, then the best candidates on the whole of its source.

    Returned with sentences on a cluster that was to fit these and could not.
    """
    origin = Origin.load(run)
    if origin is None:
        try:
            return search.run(), []
        finally:
            engine.close()
    was_whole = any(e.candidate.origin == "whole" for e in search.state.finished())  # in a run that goes on
    later = (1.0 - SEARCH_SHARE) * budget.left() if budget.bounded and not was_whole else 0.0
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
    last = LocalEngine(1, config.cores, config.memory_mib, run.path / "workers.log", cluster)
    try:
        last.open(run.path)
        return search.run_last(last, whole)
    finally:
        last.close()
        remove_matrices(run)
