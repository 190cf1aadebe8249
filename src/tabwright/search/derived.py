"""Candidates made from what a run has found, where a model's cost counts: leaner ones, students, refits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tabwright.data.table import Table
from tabwright.models.fitting import ROUNDS
from tabwright.objectives.cost import P99, Single
from tabwright.pipeline import FEATURES, FULL, PLAIN, TEACHER, TEXT, UNSEEN, Candidate
from tabwright.search.portfolio import BOOSTED
from tabwright.search.state import Entry, State
from tabwright.store.run_dir import RunDir
from tabwright.types import Kind, Params

ROOM = 0.9  # of a latency limit, that a single model should take at most
MAX_RATE = 0.3
FEWEST_ROUNDS = 20
NARROWEST = 16  # units of a network's layers
STUDENT_TIME = 0.45  # of the budget, after which the leader is good enough to teach
STUDENT_FAMILIES = ("lightgbm", "xgboost", "mlp")
FREE_SHARES = (0.35, 1.0)  # of the teacher's best member's latency, for students where no limit is set


@dataclass(frozen=True)
class Idea:
    """A candidate without its name."""

    family: str
    params: Params
    origin: str


@dataclass
class Derived:
    """Proposes each kind of candidate once.

    Parameters
    ----------
    run : RunDir
    limits : mapping of cost to limit
    families : sequence of str
        Families that may be used.
    """

    run: RunDir
    limits: Mapping[str, float]
    families: Sequence[str]
    queue: list[Idea] = field(default_factory=list)
    leaned: set[str] = field(default_factory=set)
    taught: bool = False

    def restore(self, candidate: Candidate) -> None:
        """Take note of a candidate that an earlier session proposed."""
        if candidate.origin == "lean":
            self.leaned.add(candidate.family)
        self.taught = self.taught or candidate.origin == "student"

    def next(self, state: State, *, time_to_teach: bool) -> Idea | None:
        """The next candidate, if there is one to be made of what is known by now."""
        self._lean(state)
        # a quantile is no value that rows have, so a student of rows and of a quantile's leader would learn neither
        mean = state.problem.metric.quantile is None
        if time_to_teach and mean and not self.taught and state.leader.weights:
            self.taught = True
            self._students(state)
        return self.queue.pop(0) if self.queue else None

    @property
    def _latency_limit(self) -> float:
        return min(self.limits.get("latency_us", math.inf), self.limits.get("latency_p99_us", math.inf) / P99)

    def single(self, model_id: str) -> Single | None:
        """What a candidate's first fold model costs, if it was measured."""
        return Single.read(self.run.cost_path(model_id))

    def _lean(self, state: State) -> None:
        """A smaller model of a default that alone takes longer than the limit, once its first fold has told so."""
        for entry in state.entries.values():
            name = entry.candidate.family
            if name in self.leaned or not entry.scores or entry.candidate.origin != "default":
                continue
            measured = self.single(entry.candidate.model_id)
            if measured is None:
                continue
            self.leaned.add(name)
            if measured.latency_us > ROOM * self._latency_limit:
                fitting = self._fit_into(self._latency_limit, entry, measured)
                if fitting is not None:
                    self.queue.append(Idea(name, fitting, "lean"))

    def _fit_into(self, limit: float, entry: Entry, measured: Single) -> Params | None:
        """A candidate's parameters, changed such that a limit is kept; None where that is not known how."""
        params = {k: v for k, v in entry.candidate.params.items() if k != TEACHER}
        left = ROOM * limit - measured.features_us
        if left < 0.2 * ROOM * limit:  # features alone take most of it: do without those that can be left out
            if params.get(FEATURES) == FULL:
                params[FEATURES] = PLAIN
            elif self._has_text:
                params[TEXT] = UNSEEN
            left = 0.5 * ROOM * limit
        if not measured.model_us:
            return None
        share = 1.0 if math.isinf(left) else left / measured.model_us
        if entry.candidate.family == "mlp":
            return _narrower(params, share)
        if entry.candidate.family in BOOSTED and entry.iterations:
            return _shorter(params, share, entry.rounds)
        return None

    @cached_property
    def _has_text(self) -> bool:
        columns = Table.load(self.run.table_dir, mmap=True).schema.columns
        return any(column.kind is Kind.TEXT for column in columns)

    def _students(self, state: State) -> None:
        """One model that learns the leader's predictions, per family and limit."""
        teacher = [[model_id, weight] for model_id, weight in state.leader.weights]
        for name in [f for f in STUDENT_FAMILIES if f in self.families]:
            entry = next((e for e in state.finished() if e.candidate.family == name and e.iterations), None)
            if entry is not None:
                # soft targets bear more rounds than observed ones: what stops training is the limit alone
                self.queue.extend(Idea(name, params | {TEACHER: teacher}, "student") for params in self._small(entry))

    def _small(self, entry: Entry) -> Iterator[Params]:
        """Different parameters that keep the limit, or, without one, shares of the candidate's own latency."""
        measured = self.single(entry.candidate.model_id)
        if measured is None:
            return
        limit, made = self._latency_limit, []
        for target in [limit] if math.isfinite(limit) else [s * measured.latency_us for s in FREE_SHARES]:
            params = self._fit_into(target, entry, measured)
            if params is not None and params not in made:
                made.append(params)
                yield params


def _shorter(params: Params, share: float, rounds: float) -> Params:
    """Boosting with at most a share of its rounds, at a rate as much higher."""
    wanted = rounds * share
    fitting = max(1, int(min(rounds, wanted)))
    if fitting < FEWEST_ROUNDS and share < 1.0:
        leaves = max(4, int(params.get("num_leaves", 48) * max(0.1, wanted / FEWEST_ROUNDS)))
        params |= {k: v for k, v in {"num_leaves": leaves, "max_depth": 3, "depth": 3}.items() if k in params}
        fitting = FEWEST_ROUNDS
    rate = float(params["learning_rate"]) * max(1.0, rounds / fitting)
    return params | {ROUNDS: fitting, "learning_rate": min(MAX_RATE, rate)}


def _narrower(params: Params, share: float) -> Params:
    """A network of at most a share of its products: those of a layer grow with the square of its width."""
    width = int(params["width"])
    return params | {"width": max(NARROWEST, min(width, int(width * math.sqrt(share))))}


def refit_params(entry: Entry, n_folds: int) -> Params:
    """Parameters for a fit on all rows: rounds as the folds found them, a little more for a little more data."""
    params = dict(entry.candidate.params)
    if entry.iterations:
        more = (n_folds / (n_folds - 1)) ** 0.5 if n_folds > 1 else 1.0
        params[ROUNDS] = max(1, round(more * entry.rounds))
    return params


def searched_costs(names: Sequence[str]) -> tuple[str, ...]:
    """Of the costs that count, those that a single fold's model tells a sampler."""
    told = dict.fromkeys(("latency_us", "latency_p99_us"), "latency_us")
    told |= dict.fromkeys(("size_mib", "memory_mib"), "size_mib")
    return tuple(sorted({told[name] for name in names if name in told}))
