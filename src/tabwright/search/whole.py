"""Candidates that learn from a whole source, once a search on a sample of it has shown what is worth learning so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tabwright.models import family
from tabwright.models.base import View
from tabwright.models.fitting import MAX_ROUNDS, ROUNDS, patience
from tabwright.pipeline import EVERYTHING, TEACHER
from tabwright.search.derived import Idea
from tabwright.search.state import Entry, State

CELL_BYTES = {"lightgbm": 1.0, "xgboost": 1.0, "catboost": 6.0}
"""Of families that learn from a matrix mapped from disk, what they hold of each of its cells."""
SPREAD_CELL_BYTES = {"xgboost": 6.0}
"""The same of families that learn from parts that a cluster's workers hold: the features, and the bins."""
ROW_BYTES = 48.0  # and of each row: gradients, scores, target, position
MEMORY_SHARE = 0.7  # of what is allowed
SEARCH_SHARE = 0.4  # of the time left when the sample is drawn; the rest is for the whole
READING = 0.4  # of the time of a fit whose matrix is not there yet, that making it is expected to take
WORTHWHILE = 1.3  # times the sample's rows, or a fit on the whole is none
ENOUGH = 0.5  # of the rows, that a family's memory must have room for to be among the first
PARALLEL = 0.8  # of what so many threads could do at best
FEWEST_ROUNDS, FULL_RATE = 40, 0.2  # rows are left out for as many rounds as the search's at this rate would be
MORE_ROUNDS = 0.4  # exponent of the ratio of rows: more rows bear more rounds
MORE_LEAVES, MOST_LEAVES = 0.15, 2.0  # the same of leaves, and the most that it makes of them
SLOWEST = 0.3  # of the rate that the search found, where there is time for so many rounds
MARGIN = 0.85  # of the time, that is planned with
FIRST_SHARE = 0.55  # of the time left, for all but the last family
N_FAMILIES = 2  # that are fitted on the whole before a second candidate of one is


@dataclass
class Whole:
    """Proposes fits on the whole, each for the time that is left for it.

    Parameters
    ----------
    n_rows : int
        Of the source.
    n_train : int
        Rows that the search's candidates have learned from.
    width : int
        Features.
    threads : int
    memory_mib : float
    cell_bytes : mapping of str to float
        The families, and what they hold of each cell.
    keeps : bool
        Whether the features that a fit has made are there for the next.
    """

    n_rows: int
    n_train: int
    width: int
    threads: int
    memory_mib: float
    cell_bytes: Mapping[str, float] = field(default_factory=lambda: CELL_BYTES)
    keeps: bool = True
    done: set[str] = field(default_factory=set)  # candidates of the search that were taken
    families: set[str] = field(default_factory=set)
    views: set[View] = field(default_factory=set)  # whose matrices are there

    def next(self, state: State, seconds: float) -> tuple[Idea, float] | None:
        """The next candidate and the seconds for it; the best of each family first, then further ones."""
        able = [e for e in state.finished() if self._able(e)]
        # what sees few of the rows comes last
        ranked = sorted(able, key=lambda e: self._most_rows(e.candidate.family) < ENOUGH * self.n_rows)
        while ranked:
            found = self._among(ranked, state, seconds)
            if int(found[0].params[EVERYTHING]) > WORTHWHILE * self.n_train:
                return found
            ranked = [e for e in ranked if e.candidate.model_id not in self.done]
        return None

    def _among(self, ranked: list[Entry], state: State, seconds: float) -> tuple[Idea, float]:
        new = [e for e in ranked if e.candidate.family not in self.families]
        lacking = min(N_FAMILIES - len(self.families), len({e.candidate.family for e in new}))
        entry = new[0] if lacking > 0 else ranked[0]
        share = FIRST_SHARE * seconds if lacking > 1 else seconds
        idea = self._idea(entry, state, share)
        self.done.add(entry.candidate.model_id)
        self.families.add(entry.candidate.family)
        if self.keeps:
            self.views.add(family(entry.candidate.family).view)
        return idea, share

    def _able(self, entry: Entry) -> bool:
        c = entry.candidate
        return (c.family in self.cell_bytes and c.origin != "whole" and c.model_id not in self.done
                and bool(entry.iterations) and TEACHER not in c.params and not entry.discarded)  # fmt: skip

    def _most_rows(self, name: str) -> int:
        """Rows that memory has room for."""
        if math.isinf(self.memory_mib):
            return self.n_rows
        return int(MEMORY_SHARE * self.memory_mib * 2**20 / (self.cell_bytes[name] * self.width + ROW_BYTES))

    def _seconds(self, entry: Entry, state: State) -> float:
        """One row's part in one round: as measured on the whole, or else reckoned from the sample."""
        name = entry.candidate.family
        known = [e for e in state.finished() if e.candidate.origin == "whole" and e.candidate.family == name]
        if known:
            last = known[-1]
            trained = min(last.rounds + patience(float(last.candidate.params["learning_rate"])),
                          float(last.candidate.params[ROUNDS]))  # fmt: skip
            return last.fit_seconds / (trained * int(last.candidate.params[EVERYTHING]))
        trained = entry.rounds + patience(float(entry.candidate.params["learning_rate"]))
        return entry.fit_seconds / (trained * self.n_train) / max(1.0, self.threads * PARALLEL)

    def _idea(self, entry: Entry, state: State, seconds: float) -> Idea:
        """As many rounds as fit into the time, at a rate that makes up for those that do not.

        Fewer rows where not even a few rounds would.
        """
        params, name = dict(entry.candidate.params), entry.candidate.family
        rows = min(self.n_rows, self._most_rows(name))
        more = max(1.0, rows / self.n_train)
        reading = 0.0 if family(name).view in self.views else READING
        affordable = MARGIN * (1.0 - reading) * seconds / max(self._seconds(entry, state), 1e-12)  # rows times rounds
        wanted = entry.rounds * more**MORE_ROUNDS
        fewest = max(FEWEST_ROUNDS, entry.rounds * float(params["learning_rate"]) / FULL_RATE)
        if affordable < rows * fewest:
            rows = max(1000, int(affordable / fewest))
        fitting = min(float(MAX_ROUNDS), max(fewest, affordable / rows))
        params["learning_rate"] = min(FULL_RATE, float(params["learning_rate"]) * max(SLOWEST, wanted / fitting))
        if "num_leaves" in params:
            params["num_leaves"] = round(float(params["num_leaves"]) * min(MOST_LEAVES, more**MORE_LEAVES))
        return Idea(name, params | {ROUNDS: int(fitting), EVERYTHING: rows}, "whole")
