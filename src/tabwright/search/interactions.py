"""Whether candidates see interactions: screened once a run, judged by two candidates that differ in nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tabwright.data.table import Table
from tabwright.features.base import TargetInfo
from tabwright.features.screen import MAX_ROWS, screen
from tabwright.pipeline import FEATURES, FULL, PLAIN, Candidate
from tabwright.search.portfolio import reference
from tabwright.search.problem import Problem
from tabwright.search.twins import Twins
from tabwright.store.run_dir import RunDir
from tabwright.types import Floats, Task


class Verdict(Twins):
    """What is known of the run's interactions.

    ``found`` is None until the screen has looked. The twin of the reference, which differs from it in seeing them,
    is held back until then, and dropped if there are none.
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        first = reference(candidates)
        twins = [c for c in candidates if c.params.get(FEATURES) == FULL]
        super().__init__(first.model_id if first else None, twins[0].model_id if twins else None)
        self.found: bool | None = None if first is not None else False

    def tell(self, candidate: Candidate, loss: float | None) -> None:
        super().tell(candidate, loss)
        if self.is_reference(candidate) and loss is None:
            self.found = False

    def holds_back(self, candidate: Candidate) -> bool:
        """Whether a candidate of the portfolio can't be proposed now."""
        return candidate.model_id == self.twin and not self.found

    @property
    def pending(self) -> bool:
        """Whether the reference or its twin is under way and may change what is proposed next."""
        if self.found is None:
            return self.reference in self._asked
        return self.found and super().pending

    @property
    def choice(self) -> str:
        """What a new candidate should see: interactions, unless the twin did worse with them."""
        return FULL if self.found and not self.worse else PLAIN


def screen_run(run: RunDir, problem: Problem, prediction: Floats, seconds: float) -> bool:
    """Choose the run's interactions by a candidate's out-of-fold predictions (user's unit), and store them."""
    rows = problem.evaluation_rows()
    if len(rows) > MAX_ROWS:  # before the table is copied
        drawn = np.sort(np.random.default_rng(0).choice(len(rows), MAX_ROWS, replace=False))
        rows, prediction = rows[drawn], prediction[drawn]
    weight = None if problem.weight is None else problem.weight[rows]
    group = None if problem.group is None else problem.group[rows]
    target = TargetInfo(problem.task, problem.n_classes, problem.y[rows], weight, group=group)
    if problem.task is Task.REGRESSION:
        prediction = (prediction - problem.mean) / problem.scale
    table = Table.load(run.table_dir).take(rows)
    found = screen(table, target, target.as_columns() - prediction, seconds)
    found.save(run.interactions_file)
    return bool(found)
