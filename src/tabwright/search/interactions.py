"""Whether candidates see interactions: screened once a run, judged by two candidates that differ in nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from tabwright.codec import write_atomic
from tabwright.data.table import Table
from tabwright.features.base import TargetInfo
from tabwright.features.screen import Interactions, screen
from tabwright.pipeline import FEATURES, FULL, PLAIN, Candidate
from tabwright.search.portfolio import reference
from tabwright.search.problem import Problem
from tabwright.store.run_dir import RunDir
from tabwright.types import Floats, Task


class Verdict:
    """What is known of the run's interactions.

    ``found`` is None until the screen has looked. The twin of the reference, which differs from it in seeing them,
    is held back until then, and dropped if there are none.
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        first = reference(candidates)
        twins = [c for c in candidates if c.params.get(FEATURES) == FULL]
        self.reference = None if first is None else first.model_id
        self._twin = twins[0].model_id if twins else None
        self.found: bool | None = None if first is not None else False
        self._asked: set[str] = set()
        self._losses: dict[str, float] = {}

    def is_reference(self, candidate: Candidate) -> bool:
        return candidate.model_id == self.reference

    def asked(self, candidate: Candidate) -> None:
        """A candidate was proposed."""
        self._asked.add(candidate.model_id)

    def tell(self, candidate: Candidate, loss: float | None) -> None:
        """The outcome of a candidate, None for a failure."""
        self._losses[candidate.model_id] = math.inf if loss is None else loss
        if self.is_reference(candidate) and loss is None:
            self.found = False

    def holds_back(self, candidate: Candidate) -> bool:
        """Whether a candidate of the portfolio can't be proposed now."""
        return candidate.model_id == self._twin and not self.found

    @property
    def pending(self) -> bool:
        """Whether the reference or its twin is under way and may change what is proposed next."""
        if self.found is None:
            return self.reference in self._asked
        return self.found and self._twin in self._asked and self._twin not in self._losses

    @property
    def choice(self) -> str:
        """What a new candidate should see: interactions, unless the twin did worse with them."""
        told = self._losses
        worse = self._twin in told and self.reference in told and told[self._twin] >= told[self.reference]
        return FULL if self.found and not worse else PLAIN


def screen_run(run: RunDir, problem: Problem, prediction: Floats, seconds: float) -> bool:
    """Choose the run's interactions by a candidate's out-of-fold predictions (user's unit), and store them."""
    rows = problem.evaluation_rows()
    weight = None if problem.weight is None else problem.weight[rows]
    target = TargetInfo(problem.task, problem.n_classes, problem.y[rows], weight)
    if problem.task is Task.REGRESSION:
        prediction = (prediction - problem.mean) / problem.scale
    table = Table.load(run.table_dir).take(rows)
    found = screen(table, target, target.as_columns() - prediction, seconds)
    write_atomic(run.interactions_file, json.dumps(found.to_json()).encode("ascii"))
    return bool(found)


def stored(run: RunDir) -> bool | None:
    """What an earlier session's screen has found; None if there was none."""
    if not run.interactions_file.exists():
        return None
    return bool(Interactions.from_json(json.loads(run.interactions_file.read_text("ascii"))))
