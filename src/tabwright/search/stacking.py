"""Stackers: candidates of a second level, which learn from what the first has predicted out of fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tabwright.models import family
from tabwright.pipeline import STACK, Candidate
from tabwright.search.derived import Idea
from tabwright.search.problem import Problem
from tabwright.search.state import Entry, State
from tabwright.space import defaults
from tabwright.types import Ints, Params

MAX_BASES = 6
MAX_SCORES = 120  # columns that bases may add
LEAST_ROWS = 1000
LEAST_MODELS = 8  # of max_models, to have some that are stacked


@dataclass
class Stacking:
    """Proposes stackers, each kind once, when the first level has had its time.

    Parameters
    ----------
    families : sequence of str
        Families that may be used.
    """

    families: Sequence[str]
    proposed: bool = False

    def restore(self, candidate: Candidate) -> None:
        """Take note of a candidate that an earlier session proposed."""
        self.proposed = self.proposed or bool(candidate.bases)

    def n_places(self, max_models: int) -> int:
        """How many of so many candidates may be stackers."""
        return len(STACKERS) if max_models >= LEAST_MODELS else 0

    def ideas(self, state: State) -> list[Idea]:
        """The stackers that can be made of what is finished; once asked, no more will come."""
        self.proposed = True
        if not stackable(state.problem):
            return []
        entries = [e for e in state.finished() if not e.discarded and not e.candidate.bases]
        out = []
        for name, params in STACKERS:
            bases = chosen_bases(state, entries, exact=name in NEED_EXACT)
            if name in self.families and len(bases) > 1:
                space = family(name).space
                own = defaults(space) | {k: v for k, v in params.items() if k in space}
                out.append(Idea(name, own | {STACK: bases}, "stack"))
        return out


def stackable(problem: Problem) -> bool:
    """Whether every row that is learned from has out-of-fold predictions, and there are enough of them."""
    if problem.n_folds < 2 or len(problem.y) < LEAST_ROWS or problem.metric.quantile is not None:
        return False
    covered: Ints = np.unique(np.concatenate(problem.valid))
    return all(np.isin(rows, covered).all() for rows in problem.train)


def chosen_bases(state: State, entries: Sequence[Entry], *, exact: bool) -> list[str]:
    """What to stack on: the leader's members, heaviest first, then the best of each family, then the best.

    With ``exact``, only candidates whose predictions are the same to the last bit wherever they are computed: a tree
    sends a row down another branch for less.
    """
    usable = [e for e in entries if not (exact and family(e.candidate.family).single_precision)]
    weights = dict(state.leader.weights)
    leading = [e for e in usable if e.candidate.model_id in weights]
    leading.sort(key=lambda e: -weights[e.candidate.model_id])
    families = dict.fromkeys(e.candidate.family for e in usable)
    best = [next(e for e in usable if e.candidate.family == name) for name in families]
    n_scores = state.problem.n_classes if state.problem.n_classes > 2 else 1
    most = min(MAX_BASES, MAX_SCORES // n_scores)
    ids = dict.fromkeys(e.candidate.model_id for e in [*leading, *best, *usable])
    return list(ids)[:most]


NEED_EXACT = ("lightgbm", "catboost")
STACKERS: tuple[tuple[str, Params], ...] = (
    ("linear", {}),
    ("lightgbm", {"num_leaves": 15, "learning_rate": 0.04, "feature_fraction": 0.6, "min_data_in_leaf": 40,
                  "lambda_l2": 5.0}),
)  # fmt: skip
