"""Fits on all rows, near the end of a search, of candidates that are delivered as one model.

Where costs count these are the ones that may be; in an order of time, the leader's: no fold has seen the latest rows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from tabwright import clock
from tabwright.engine.base import FoldJob, Outcome
from tabwright.engine.shelf import Shelf, load_fold_model
from tabwright.models.log_target import CORRECTION
from tabwright.objectives.design import ALL_ROWS
from tabwright.pipeline import LOGARITHM, TARGET
from tabwright.search.budget import Budget
from tabwright.search.derived import refit_params
from tabwright.search.frontier import Frontier
from tabwright.search.pace import DAY_S
from tabwright.search.state import Entry, State
from tabwright.store.journal import Journal

LAST_SHARE = 0.25  # of the budget, in which such fits are begun
MOST = 4
FRONTIER_SHARE = 0.3  # of the time left, that choosing them may take
FRONTIER_ROOM = 2.0  # times what that took before must be left to do it again


class Refits:
    """Chooses what is fitted on all rows, and takes note of what was."""

    def __init__(
        self, state: State, frontier: Callable[[], Frontier], journal: Journal, budget: Budget,
        limits: Mapping[str, float], *, by_clock: bool,
    ) -> None:  # fmt: skip
        self._state, self._frontier, self._journal, self._budget = state, frontier, journal, budget
        self._limits, self._by_clock = limits, by_clock
        self._took = 0.0  # the longest that choosing has taken
        self._todo: list[Entry] | None = None  # still to be begun, once it is time
        self._begun: set[str] = set()

    def next(self, n_threads: int, *, nothing_else: bool) -> FoldJob | None:
        """The next such fit; ``nothing_else``: the search has come to its end."""
        left = self._budget.left_for_search()
        problem = self._state.problem
        if (self._todo is None or problem.in_time) and self._is_time(left, nothing_else):
            self._todo = self._leading() if problem.in_time else self._choose(left)
        while self._todo:
            entry = self._todo.pop(0)
            if entry.discarded:
                continue
            self._begun.add(entry.candidate.model_id)
            if entry.seconds / max(1, len(entry.scores)) < left:
                params = refit_params(entry, problem.n_folds) | self._correction(entry)
                candidate = replace(entry.candidate, params=params)
                return FoldJob(candidate, ALL_ROWS, min(left, DAY_S), n_threads)
        return None

    def _correction(self, entry: Entry) -> dict[str, float]:
        """What makes a model of logarithms right in the mean, as its folds have found it on rows left out."""
        if entry.candidate.params.get(TARGET) != LOGARITHM:
            return {}
        shelf, run, folds = Shelf(), self._state.run, range(self._state.problem.n_folds)
        models = [load_fold_model(run, entry.candidate.model_id, k, shelf).model for k in folds]
        return {CORRECTION: float(np.mean([getattr(m, CORRECTION) for m in models]))}

    def choose_again(self) -> None:
        """There is a new candidate that may be delivered."""
        self._todo = None

    def record(self, outcome: Outcome) -> None:
        entry = self._state.entries[outcome.job.candidate.model_id]
        entry.refitted = entry.refitted or outcome.result is not None
        if outcome.result is not None:
            entry.cpu_seconds += outcome.result.cpu_seconds
            entry.seconds += outcome.result.seconds

    def _is_time(self, left: float, nothing_else: bool) -> bool:
        by_clock = self._by_clock or (self._state.problem.in_time and self._budget.bounded)
        if not by_clock or (nothing_else and not self._by_clock):
            return nothing_else
        return FRONTIER_ROOM * self._took < left and (nothing_else or left < LAST_SHARE * self._budget.total_s)

    def _leading(self) -> list[Entry]:
        """The leader's candidates of which there is no such fit yet, those of most weight first."""
        weights = sorted(self._state.leader.weights, key=lambda share: -share[1])
        entries = [self._state.entries[m] for m, _ in weights if m not in self._begun]
        return [e for e in entries if not e.refitted]

    def _choose(self, left: float) -> list[Entry]:
        """Candidates of which one model alone stands in designs that may be delivered, the most promising first."""
        began = self._budget.elapsed()
        until = time.monotonic() + FRONTIER_SHARE * min(left, DAY_S) if self._by_clock else math.inf
        frontier = self._frontier()
        frontier.measure_parts(until)
        names = frontier.worth_refitting(self._limits, MOST, until)
        took = self._budget.elapsed() - began
        self._took = max(self._took, took)
        self._journal.add_stage("frontier", clock.at(self._budget.started + began), took)
        entries = map(self._state.entries.__getitem__, names)
        return [e for e in entries if not e.refitted and e.candidate.model_id not in self._begun]
