"""What an estimator tells of its finished run: leaderboard, front, failures, explanations, report, model card."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from tabwright import delivery, front, leaderboard
from tabwright.card import card
from tabwright.codec import write_for_user
from tabwright.config import check_path, check_positive
from tabwright.data.quality import quality_report
from tabwright.data.target import Target, read_target
from tabwright.errors import DataError, NotExportableError, OptionError, RunError
from tabwright.finished import Finished
from tabwright.inputs import as_trained, has_names, read_inputs, row_weights
from tabwright.metrics import evaluate, score
from tabwright.metrics.base import Metric
from tabwright.objectives.design import Design
from tabwright.objectives.measure import measure
from tabwright.pipeline import Ensemble, graph_inputs
from tabwright.schema import Schema
from tabwright.search.assemble import assemble
from tabwright.stored import load_table
from tabwright.types import Array, Bools, Floats

if TYPE_CHECKING:
    from tabwright.explain import Explanation


FRONT_S = 25.0  # for working out a front, seconds; what is begun then is finished


class Results:
    """Mixed into the estimators, which have the finished run and predict."""

    if TYPE_CHECKING:

        def _fitted(self) -> Finished: ...

        def _predict_canonical(self, X: Any) -> Floats: ...

    @property
    def leader(self) -> Ensemble:
        """The model that predicts: members, weights, and fitted fold models."""
        return self._fitted().ensemble

    @property
    def schema(self) -> Schema:
        """What each column was found to be, and why."""
        return self._fitted().schema

    @property
    def run_dir(self) -> Path:
        """Where the run's journal and fold models lie."""
        return self._fitted().run.path

    def leaderboard(self, extra_columns: str | None = None) -> pd.DataFrame:
        """Candidates and the leader, best first.

        Parameters
        ----------
        extra_columns : {None, "all"}
            "all" exports and measures every finished candidate that was not measured yet (about a second each).

        Returns
        -------
        DataFrame
            Columns rank, model_id, family, score (in ``sort_metric``), score_ci_low, score_ci_high (95 %),
            fit_seconds, cpu_seconds, peak_memory_mib, latency_p50_us, latency_p99_us, size_mib,
            rows_per_second, on_pareto_front, stack_level, status.
        """
        if extra_columns not in (None, "all"):
            raise OptionError("extra_columns", f"is {extra_columns!r}", "give None or 'all'")
        finished = self._fitted()
        wanted = [
            finished.ensemble.name if len(finished.ensemble.members) != 1 else finished.ensemble.members[0].model_id
        ]
        if extra_columns == "all":
            wanted += [e.candidate.model_id for e in finished.state.finished() if not e.discarded]
        for model_id in wanted:
            if model_id not in finished.profiles:
                finished.profiles[model_id] = self._measure(model_id)
        return leaderboard.table(finished.state, finished.profiles, finished.averaging_gain())

    def _measure(self, model_id: str) -> dict[str, float]:
        finished = self._fitted()
        ensemble = finished.ensemble
        if model_id in finished.state.entries and [m.model_id for m in ensemble.members] != [model_id]:
            design = Design.whole(((model_id, 1.0),), finished.problem.delivered)
            ensemble = assemble(finished.run, finished.problem, design, model_id)
        try:
            data = finished.emit(ensemble)
        except NotExportableError:
            return {}  # what can't be exported has no file to measure
        return measure(data, graph_inputs(finished.sample)).to_dict()

    def pareto(self, path: str | Path | None = None) -> pd.DataFrame:
        """What can be delivered of this run without a new search: each point measured, none beaten by another.

        Points differ in their candidates, and in how many of a candidate's fold models are averaged. The first call
        exports and measures some fifteen of them, fewer where that takes more than half a minute.

        Parameters
        ----------
        path : path, optional
            Also write the front as a picture (SVG).

        Returns
        -------
        DataFrame
            Best score first, columns design (its parts: "x3" are three fold models, "refit" is one of all rows),
            model_id, score (in ``sort_metric``, estimated for what is delivered), latency_p50_us, latency_p99_us,
            size_mib, rows_per_second, memory_mib (predicted unless it is among objectives or constraints),
            train_cpu_s, n_models, measured, leader.
        """
        finished = self._fitted()
        until = time.monotonic() + FRONT_S
        points = finished.frontier.front(until, (finished.design,), finished.as_delivered)
        if finished.run.config_file.exists():
            delivery.keep_front(finished.run, points)
        found = front.table(points, finished.design)
        if path is not None:
            write_for_user(Path(path), front.svg(found, finished.problem.metric).encode(), "path")
        return found

    def select(
        self, *, max_latency_us: float | None = None, max_latency_p99_us: float | None = None,
        max_size_mib: float | None = None, max_memory_mib: float | None = None, design: str | None = None,
    ) -> Self:  # fmt: skip
        """Make another point of the front the leader, without a new search; a stored run remembers it.

        Parameters
        ----------
        max_latency_us, max_latency_p99_us : float, optional
            Median and 99th percentile of the time for one row, µs, measured on the exported graph, one thread.
        max_size_mib, max_memory_mib : float, optional
            The exported file, and what it takes in memory when loaded, MiB.
        design : str, optional
            Instead of limits: the ``design`` of a row of :meth:`pareto`.

        Returns
        -------
        self

        Raises
        ------
        OptionError
            If no design keeps the limits; the message names the nearest.
        """
        limits = {"latency_us": max_latency_us, "latency_p99_us": max_latency_p99_us, "size_mib": max_size_mib,
                  "memory_mib": max_memory_mib}  # fmt: skip
        for name, limit in limits.items():
            check_positive(f"max_{name}", limit)
        delivery.select(self._fitted(), design, limits)
        return self

    def failures(self) -> pd.DataFrame:
        """The ledger of folds that failed, with the reason of each."""
        run = self._fitted().run
        if not run.config_file.exists():
            raise RunError("This estimator's temporary run directory is gone", "fit with export_checkpoints_dir")
        journal = run.read_journal()
        try:
            bad = [r for r in journal.folds() if r.status not in ("ok", "cancelled")]
        finally:
            journal.close()
        columns = ["model_id", "fold", "status", "reason", "seconds", "peak_memory_mib"]
        return pd.DataFrame([{c: getattr(r, c) for c in columns} for r in bad], columns=columns)

    @property
    def quality(self) -> pd.DataFrame:
        """What stands out in the training table: level (info or warning), column, message."""
        finished = self._fitted()
        table = load_table(finished.run)
        problem, schema = finished.problem, finished.schema
        every = np.arange(table.n_rows)
        target = Target(
            schema.target or "target", problem.task, problem.user_y(every), np.ones(table.n_rows, bool),
            schema.classes or (), schema.class_dtype, problem.mean, problem.scale,
        )  # fmt: skip
        notes = quality_report(table, target)
        return pd.DataFrame([(n.level, n.column, n.message) for n in notes], columns=["level", "column", "message"])

    def model_performance(self, X: Any, y: Any) -> dict[str, float]:
        """All metrics of the task on the given rows; rows with a missing target are left out."""
        problem, threshold = self._fitted().problem, self._fitted().ensemble.threshold
        y_true, _, prediction = self._outcomes(X, y)
        return evaluate(problem.task, y_true, prediction, threshold, also=problem.metric)

    def _score(self, X: Any, y: Any, sample_weight: Any, metric: Metric) -> float:
        """One metric, as scikit-learn's ``score``; a class that training did not have is a wrong one."""
        y_true, known, prediction = self._outcomes(X, y, unknown="mark")
        weight = None if sample_weight is None else row_weights(sample_weight, len(known))[known]
        if weight is not None and not weight.any():
            raise OptionError("sample_weight", "is 0 in all rows that have a target", "give numbers above 0")
        return score(metric, y_true, prediction, weight, self._fitted().ensemble.threshold)

    def _outcomes(self, X: Any, y: Any, unknown: str = "raise") -> tuple[Array, Bools, Floats]:
        """The target as training read it, of the rows that have one; which these are; what is predicted for them."""
        frame, y_column = read_inputs(X, y, y if isinstance(y, str) else None)
        name = str(y_column.name)
        y_true, known = read_target(y_column, name, self._fitted().schema.classes, unknown)
        if not known.any():
            raise DataError(f"no row has a target {name!r}", "pass rows whose outcome is known")
        if has_names(X) or isinstance(y, str):
            return y_true, known, self._predict_canonical(as_trained(frame, X, self._fitted().schema)[known])
        return y_true, known, self._predict_canonical(X)[known]  # arrays are taken by position

    def explain(self, X: Any = None, y: Any = None, **options: Any) -> Explanation:
        """What moves the predictions, where they are wrong, and whom they treat differently; in raw columns.

        Parameters
        ----------
        X : table or path, optional
            Rows to explain. By default a sample of the training table, where all that needs true values is told by
            the fold models that have not seen the row.
        y : array-like or str, optional
            True values, or the name of their column in ``X``.
        **options
            seed, max_rows, max_evaluations: see :func:`tabwright.explain.explain`.
        """
        from tabwright.explain.run import explain_run

        finished = self._fitted()
        return explain_run(finished, getattr(self, "classes_", np.empty(0, object)), X, y, **options)

    def report(self, path: str | Path, **options: Any) -> Path:
        """Write everything that the run found as one HTML page that loads nothing from elsewhere.

        Data, quality, search, leaderboard, the leader's curves out of fold, explanations, failures, environment.
        ``options`` as in :meth:`explain`.
        """
        from tabwright.report import report

        check_path("path", path)
        finished = self._fitted()
        options = {"max_rows": 1000, "max_evaluations": 40_000} | options
        board = self.leaderboard("all")
        try:
            points = self.pareto()
        except NotExportableError:
            points = board.head(0)
        page = report(finished, board, self.quality, self.failures(), self.explain(**options), points)
        write_for_user(Path(path), page.encode(), "path")
        return Path(path)

    def model_card(self, path: str | Path | None = None, intended_use: str = "") -> str:
        """The model card as Markdown, written to ``path`` if given; the exported file holds it too."""
        finished = self._fitted()
        text = card(finished.card_facts(self.leaderboard()), intended_use)
        if path is not None:
            write_for_user(Path(path), text.encode(), "path")
        return text
