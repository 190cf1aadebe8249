"""What a run leaves behind, and what can be made of it without a further search."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from tabwright import clock, delivery
from tabwright.card import CardFacts, card
from tabwright.config import Config
from tabwright.conformal import Conformal, calibrate
from tabwright.data.table import Table
from tabwright.errors import ParityError
from tabwright.export import Package, in_memory, serialise
from tabwright.metrics import best_threshold, evaluate
from tabwright.objectives.design import Design
from tabwright.pipeline import Ensemble
from tabwright.rows import RowEncoder
from tabwright.schema import Schema
from tabwright.search.assemble import assemble
from tabwright.search.frontier import Frontier
from tabwright.search.problem import Problem
from tabwright.search.state import State
from tabwright.store.run_dir import RunDir
from tabwright.stored import load_table
from tabwright.types import Floats


@dataclass
class Finished:
    """What a run leaves behind."""

    run: RunDir
    config: Config
    schema: Schema
    problem: Problem
    state: State
    ensemble: Ensemble
    sample: Table
    metrics: dict[str, float]
    notes: list[str]
    interrupted: bool
    seconds: float
    profiles: dict[str, dict[str, float]] = field(default_factory=dict)
    reference: dict[str, Any] = field(default_factory=dict)  # histograms of the training table, for drift
    design: Design = field(default_factory=Design)  # what the ensemble is made of
    _frontier: Frontier | None = field(default=None, repr=False)
    _scorer: Callable[[Table], Floats] | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_scorer": None, "_frontier": None}  # made anew when needed

    @cached_property
    def encode_row(self) -> RowEncoder:
        """Single rows in canonical form."""
        return RowEncoder(self.schema)

    def scorer(self) -> Callable[[Table], Floats]:
        """What predicts: the exported graph in memory, many times faster on single rows than the Python models.

        It is compared with them when it is made; where it can't be made or differs, they predict themselves.
        """
        if self._scorer is None:
            try:
                self._scorer = in_memory(self.package(), self.config.cores)
            except (ParityError, ValueError):
                self._scorer = self.ensemble.predict_canonical
        return self._scorer

    @property
    def frontier(self) -> Frontier:
        """What can be delivered of the run, priced and measured; see :class:`tabwright.search.frontier.Frontier`."""
        if self._frontier is None:
            names = self.config.costs or ("latency_us",)
            self._frontier = Frontier(self.problem, self.run, self.state, load_table(self.run), names)
            self._frontier.emit = self.emit
        return self._frontier

    def averaging_gain(self) -> float:
        """What averaging fold models gains the leader over its out-of-fold score, >= 0; 0 where the run is gone."""
        return self.frontier.gain(self.design) if self.run.config_file.exists() else 0.0

    def emit(self, ensemble: Ensemble) -> bytes:
        """The file of an ensemble of this run."""
        return serialise(self.package(ensemble))

    def as_delivered(self, design: Design) -> Design:
        """A design with refits in the place of single fold models, where there are some."""
        return design.refitted(delivery.refits(self.state))

    def deliver(self, design: Design) -> None:
        """Make another design the leader."""
        self.design, self._scorer = design, None
        self.state.lead(design.weights)
        self.ensemble = as_led(assemble(self.run, self.problem, design, self.state.leader.name), self.problem,
                               self.state)  # fmt: skip
        self.metrics = out_of_fold_metrics(self.problem, self.state, self.ensemble.threshold)
        self.profiles.clear()

    def package(self, ensemble: Ensemble | None = None) -> Package:
        """What ``export`` needs."""
        facts = {"validation": self.metrics, "sort_metric": self.problem.metric.name}
        chosen = ensemble or self.ensemble
        return Package(chosen, self.schema, facts, self.sample, self.reference, self.conformal(chosen),
                       card(self.card_facts()) if chosen is self.ensemble else "")  # fmt: skip

    def card_facts(self, board: pd.DataFrame | None = None) -> CardFacts:
        """What the model card tells; the interval only with a leaderboard, which takes a second to compute."""
        interval = None
        if board is not None:
            row: Any = board[board["model_id"] == self.state.leader.name]
            if len(row) and math.isfinite(row["score_ci_low"].iloc[0]):
                score, low, high = (float(row[c].iloc[0]) for c in ("score", "score_ci_low", "score_ci_high"))
                interval = (score, low, high)
        folds = self.problem.n_folds
        validation = f"Validated on {folds} folds." if folds > 1 else "Validated on one hold-out."
        return CardFacts(
            self.schema, self.problem.task, len(self.problem.y), self.problem.metric.name, self.metrics,
            [(m.title, m.family, m.weight, len(m.folds)) for m in self.ensemble.members], validation,
            time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(clock.now())), interval,
            {p: version(p) for p in ("tabwright", "onnx", "numpy")}, self.notes,
        )  # fmt: skip

    def conformal(self, ensemble: Ensemble | None = None) -> Conformal | None:
        """Intervals or sets of an ensemble (the leader by default), from its out-of-fold predictions."""
        prediction = self.out_of_fold(ensemble or self.ensemble)
        if prediction is None:
            return None
        return calibrate(self.problem.task, self.problem.outcomes()[0], prediction)

    def out_of_fold(self, ensemble: Ensemble) -> Floats | None:
        """An ensemble's predictions for ``problem.evaluation_rows()``, in canonical form; None where they are gone."""
        entries = [self.state.entries.get(m.model_id) for m in ensemble.members]
        if any(entry is None or entry.prediction is None for entry in entries):
            return None
        mean = self.state.mean(tuple((m.model_id, m.weight) for m in ensemble.members))
        return mean if ensemble.calibration is None else ensemble.calibration.apply(mean)


def as_led(ensemble: Ensemble, problem: Problem, state: State) -> Ensemble:
    """The leader's ensemble, calibrated, with the threshold that is best for the metric, out of fold."""
    if state.leader.prediction is None:
        return ensemble
    y, weight = problem.outcomes()
    threshold = best_threshold(problem.metric, y, state.leader.prediction, weight)
    return replace(ensemble, threshold=threshold, calibration=state.calibration(state.leader.weights))


def out_of_fold_metrics(problem: Problem, state: State, threshold: float) -> dict[str, float]:
    """All metrics of the leader, out of fold."""
    y, weight = problem.outcomes()
    prediction: Floats | None = state.leader.prediction
    if prediction is None:
        prediction = np.tile(np.array(problem.constant()), (len(y), 1))
    found = evaluate(problem.task, y, prediction, threshold, weight=weight, also=problem.metric)
    return {k: v for k, v in found.items() if math.isfinite(v)}
