"""Warm starts: what an earlier run of one's own, or runs on tables alike, suggest to try first; and what is learned."""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tabwright.config import Config
from tabwright.data.table import Table
from tabwright.errors import OptionError, UserError
from tabwright.features.screen import Interactions
from tabwright.meta.experience import Experience, Result, place
from tabwright.models import family
from tabwright.models.base import Family
from tabwright.models.fitting import ROUNDS
from tabwright.pipeline import FEATURES, PLAIN, STACK, TEACHER, own_params
from tabwright.schema import Schema
from tabwright.search.problem import Problem
from tabwright.search.state import Entry, State
from tabwright.space import contains
from tabwright.store.run_dir import RunDir
from tabwright.stored import load_problem
from tabwright.types import Params, Task

FROM_RUN, FROM_STORE = 6, 4  # candidates taken over at most
ALIKE = 0.2  # distance of tasks that are the same but for new rows or a column
AFTER = 5  # candidates of the portfolio, before what did best on such a task
STORED = 20  # results of a run that are stored at most, best first
PATIENCE_S, LEAST_PATIENCE_S = 1.0, 0.2  # for a store that is busy or can't be reached
T = TypeVar("T")


@dataclass(frozen=True)
class Advice:
    """Configurations to try, the most promising first, and sentences about where they come from.

    ``after`` so many candidates of the portfolio; None: after all of them. ``interactions`` need not be screened.
    """

    candidates: Sequence[tuple[str, Params]] = ()
    origin: str = "experience"
    after: int | None = None
    interactions: Interactions | None = None
    notes: list[str] = field(default_factory=list)


def advise(
    config: Config, facts: Mapping[str, float], table: Table, problem: Problem, families: Sequence[Family],
    choices: Sequence[Params] = (),
) -> Advice:  # fmt: skip
    """What to try first; ``facts`` are the task's meta-features, ``choices`` such as this run is to make.

    Raises
    ------
    UserError
        If ``warm_start`` names no run, or one of another task.
    """
    if isinstance(config.warm_start, str):
        return _of_run(config, table, problem, families, choices)
    if not config.warm_start or config.max_models is not None:  # such a run promises to be repeatable
        return Advice()
    spaces = {f.name: f.space for f in families if f.space}

    def ask(store: Experience) -> tuple[list[Result], int | None]:
        same = store.suggest(problem.task, facts, list(spaces), 2 * FROM_STORE, ALIKE)
        if same:
            return same, AFTER
        return store.suggest(problem.task, facts, list(spaces), 2 * FROM_STORE), None

    found, after = _with_store(ask) or ((), None)
    fitting = [(r.family, r.params) for r in found if contains(spaces[r.family], r.params)]
    return Advice(fitting[:FROM_STORE], after=after)


def learn(config: Config, facts: Mapping[str, float], problem: Problem, state: State, seconds: float) -> None:
    """Add a finished run to the store, within so many seconds; one that can't take it is no fault of the run."""
    done = [e for e in state.finished() if _plain(e)][:STORED]
    sign = -1.0 if problem.metric.greater_is_better else 1.0
    if not done or not config.warm_start or not config.teaches:
        return
    trivial, best = problem.trivial_loss(), sign * done[0].score
    if not trivial > best:
        return
    weights = dict(state.leader.weights)
    results = []
    for entry in done:
        c, gain = entry.candidate, (trivial - sign * entry.score) / (trivial - best)
        results.append(Result(c.family, own_params(c.params), gain, entry.seconds, weights.get(c.model_id, 0.0)))
    patience = min(PATIENCE_S, max(LEAST_PATIENCE_S, seconds))
    _with_store(lambda store: store.add(problem.task, problem.metric.name, facts, results), patience)


def _with_store(use: Callable[[Experience], T], patience_s: float = PATIENCE_S) -> T | None:
    """Use the store, if there is one that answers in time."""
    url = place()
    if url is None:
        return None
    answers: list[T] = []

    def work() -> None:
        try:
            store = Experience(url)
            try:
                answers.append(use(store))
            finally:
                store.close()
        except (UserError, OSError, sqlite3.Error, ValueError):
            return

    thread = threading.Thread(target=work, daemon=True, name="experience")
    thread.start()
    thread.join(patience_s)
    return answers[0] if answers else None


def _plain(entry: Entry) -> bool:
    """Whether a candidate's parameters alone tell how it was made, and lie in its family's space."""
    candidate = entry.candidate
    if ":" in candidate.family or candidate.origin == "lean":
        return False
    return not {TEACHER, STACK, ROUNDS} - family(candidate.family).space.keys() & candidate.params.keys()


def _of_run(
    config: Config, table: Table, problem: Problem, families: Sequence[Family], choices: Sequence[Params]
) -> Advice:
    """The winners of an earlier run, what they saw, and what differs from it."""
    path = str(config.warm_start)
    old = RunDir.open(path)
    facts = old.config()
    if Task(facts["task"]) is not problem.task:
        raise OptionError("warm_start", f"is {path!r}, a {facts['task']} run, and this is one of {problem.task}",
                          "name a run of the same task")  # fmt: skip
    before = load_problem(old)
    state = State(before, old)
    journal = old.read_journal()
    try:
        state.restore(journal)
    finally:
        journal.close()
    spaces = {f.name: f.space for f in families}
    weights = dict(state.leader.weights)
    ranked = [e for e in state.finished() if _plain(e) and e.candidate.family in spaces]
    # the quickest first, so that there soon is a leader
    leading = sorted((e for e in ranked if e.candidate.model_id in weights), key=lambda e: e.seconds)
    schema = old.load_schema()
    same = _has_all(table.schema, schema) and not config.monotone_constraints
    known = Interactions.load(old.interactions_file) if same else None
    made = {name for choice in choices for name in choice} | ({FEATURES} if known else set())
    chosen = []
    for e in [*leading, *(e for e in ranked if e.candidate.model_id not in weights)]:
        params = own_params(e.candidate.params)
        if contains(spaces[e.candidate.family], params):
            seen = {k: v for k, v in e.candidate.params.items() if k in made}
            chosen.append((e.candidate.family, ({FEATURES: PLAIN} if known else {}) | params | seen))
    return Advice(chosen[:FROM_RUN], "warm", 0, known, _changes(path, schema, before, state, table, problem))


def _has_all(now: Schema, before: Schema) -> bool:
    """Whether a table has all columns that another had, of the same kinds."""
    kinds = {c.name: c.kind for c in now.used}
    return all(kinds.get(c.name) == c.kind for c in before.used)


def _changes(
    path: str, schema: Schema, before: Problem, state: State, table: Table, problem: Problem
) -> list[str]:
    """One sentence on what is new since the earlier run."""
    was, now = ({c.name: c.kind for c in s.columns} for s in (schema, table.schema))
    told = [f"{len(problem.y):,} rows (then {len(before.y):,})"]
    if math.isfinite(state.leader.score):
        told.append(f"its leader had {before.metric.name} {state.leader.score:.5g}")
    for what, names in (
        ("new columns", [n for n in now if n not in was]), ("columns gone", [n for n in was if n not in now]),
        ("of another kind", [n for n in now if n in was and now[n] != was[n]]),
    ):  # fmt: skip
        if names:
            told.append(f"{what}: {', '.join(names[:10])}")
    return [f"Warm start from {path}: {'; '.join(told)}"]
