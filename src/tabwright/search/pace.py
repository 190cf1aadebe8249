"""How long folds take, by family, and what can therefore still end in time."""

from __future__ import annotations

import math

from tabwright.engine.base import Engine
from tabwright.search.budget import Budget

# Seconds of a fold relative to LightGBM's, until the family's own have been measured.
COST_PRIOR = {
    "catboost": 2.5,
    "xgboost": 1.2,
    "mlp": 3.0,
    "realmlp": 12.0,
    "extra_trees": 1.2,
    "random_forest": 2.0,
    "linear": 0.7,
    "quadratic": 1.5,
    "knn": 0.5,
}
TRUNCATED = 0.7  # a fit that its deadline stops at this share of its usual time is still worth having
UNSURE = 0.65  # of the time left, that the first candidate may take once a fold of it is known
DAY_S = 86_400.0


class Pace:
    """Measured seconds of folds, against the time left.

    Parameters
    ----------
    n_folds : int
        Of each candidate; may change.
    engine : Engine
        Its number of workers may change.
    budget : Budget
    per_model_s : float, optional
        The user's limit for all folds of one candidate.
    """

    def __init__(self, n_folds: int, engine: Engine, budget: Budget, per_model_s: float | None) -> None:
        self.n_folds, self._engine, self._budget, self._per_model_s = n_folds, engine, budget, per_model_s
        self._seconds: dict[str, list[float]] = {}
        self.is_sure = False  # whether a candidate is complete, so that there is a leader if the next one is not

    def note(self, family: str, seconds: float) -> None:
        """A fold of the family took so long."""
        self._seconds.setdefault(family, []).append(seconds)

    def limit(self, folds_left: int, running: int = 0) -> float:
        """Seconds for one fold such that the candidate's remaining folds, and those that run, can all end in time."""
        share = self._budget.left_for_search() / self._rounds(folds_left + running)
        if not self._seconds:  # nothing is known yet: the first candidate may not eat the whole budget
            share *= 0.4 if self.n_folds > 1 else 0.5
        elif not self.is_sure:  # what comes after a fit may take longer than its share on a busy machine
            share *= UNSURE
        if self._per_model_s is not None:
            share = min(share, self._per_model_s / self._rounds(self.n_folds))
        return min(share, DAY_S)

    def affordable(self, family: str, longer: float = 1.0) -> bool:
        """Whether a candidate that takes so many times as long as its family does can end in time."""
        expected = self._expected(family)
        if expected is None:
            return True
        return TRUNCATED * expected * longer * self._rounds(self.n_folds) <= self._budget.left_for_search()

    def _expected(self, family: str) -> float | None:
        """Seconds of one fold."""
        own = self._seconds.get(family)
        if own:
            return sum(own) / len(own)
        known = [(f, sum(s) / len(s)) for f, s in self._seconds.items()]
        if not known:
            return None
        per_unit = sum(s / COST_PRIOR.get(f, 1.0) for f, s in known) / len(known)
        return per_unit * COST_PRIOR.get(family, 1.0)

    def _rounds(self, folds: int) -> int:
        """How often all workers are busy with so many folds."""
        return math.ceil(folds / self._engine.n_workers)
