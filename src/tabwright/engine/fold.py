"""Fitting one fold in a worker: what its candidate sees, the model, its predictions, and what it costs."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from tabwright.coerce import own_unit
from tabwright.data.table import Table
from tabwright.engine.base import Cluster, FoldJob, FoldResult
from tabwright.engine.distil import Block, lesson, made_up_rows
from tabwright.engine.everything import Facts, everything
from tabwright.engine.matrices import Matrices
from tabwright.engine.shelf import Shelf, load_fold_model, write_fold
from tabwright.errors import FitError, NotExportableError
from tabwright.features.base import FittedStep, TargetInfo
from tabwright.features.recipe import RECIPES, FittedFeatures, Recipe, encoder, fit_step, to_float32
from tabwright.features.screen import Interactions
from tabwright.metrics import find_metric, tuned_score
from tabwright.models import family
from tabwright.models.base import Columns, Family, FitContext, Fitted, Sample, View, apply_link
from tabwright.models.log_target import fit_log
from tabwright.objectives.cost import measure_single
from tabwright.objectives.design import ALL_ROWS
from tabwright.pipeline import (
    COLUMNS,
    EVERYTHING,
    FEATURES,
    FULL,
    LOGARITHM,
    TARGET,
    TEACHER,
    TELLING,
    TEXT,
    UNSEEN,
    FoldModel,
    Member,
    as_scores,
    graph_inputs,
)  # fmt: skip
from tabwright.store.origin import Origin
from tabwright.store.run_dir import RunDir
from tabwright.types import Array, Floats, Ints, Params, Task


class Session:
    """A worker's view of one run."""

    def __init__(self, path: str, cluster: Cluster | None = None) -> None:
        self.run, self._cluster = RunDir(Path(path)), cluster
        facts = self.run.config()
        self.task = Task(facts["task"])
        self.n_classes: int = facts["n_classes"]
        self.metric = find_metric(facts["sort_metric"], self.task)
        self.mean, self.scale = float(facts["mean"]), float(facts["scale"])
        self.monotone: dict[str, int] = facts["config"].get("monotone_constraints") or {}
        self.transformers: list[str] = facts["config"].get("transformers") or []
        for name in self.transformers:
            encoder(name)  # known from now on, so that a teacher's models can be read
        self._used: Ints | None = None  # rows of the stored table that this one has, where these are not all
        self.table = Table.load(self.run.table_dir, mmap=True)
        self.y = self.run.load_array("target", "y")
        self.weight: Floats | None = (
            self.run.load_array("target", "weight") if self.run.has_array("target", "weight") else None
        )
        self.group: Ints | None = (
            self.run.load_array("target", "group") if self.run.has_array("target", "group") else None
        )
        self.n_folds: int = facts["n_folds"]
        used: Ints = np.unique(np.concatenate([rows for k in range(self.n_folds) for rows in self.rows(k)]))
        if len(used) < self.table.n_rows:  # of a table too large for the time: features of the rest would take it all
            self._used, self.table, self.y = used, self.table.take(used), self.y[used]
            self.weight = None if self.weight is None else self.weight[used]
            self.group = None if self.group is None else self.group[used]
        self._matrices = Matrices(self.run, self.table, is_whole=self._used is None, target=self._target)

    def rows(self, fold: int) -> tuple[Ints, Ints]:
        """Training and validation rows of a fold; all rows, and a few of them again, for ``ALL_ROWS``."""
        if fold == ALL_ROWS:
            every = np.unique(np.concatenate([rows for k in range(self.n_folds) for rows in self.rows(k)]))
            return every, every[:FEW_ROWS]
        train, valid = (self.run.load_array("fold", f"{part}{fold}") for part in ("train", "valid"))
        return (train, valid) if self._used is None else (
            np.searchsorted(self._used, train), np.searchsorted(self._used, valid))  # fmt: skip

    def fit(self, job: FoldJob) -> FoldResult:
        """Fit, predict the validation rows, write both; FitError where the data does not let the family fit."""
        started, cpu = time.monotonic(), time.process_time()
        deadline = started + FIT_SHARE * job.time_limit_s
        kind = family(job.candidate.family)
        recipe = self._recipe(kind, job.candidate.params)
        train_rows, valid_rows = self.rows(job.fold)
        only_telling = job.candidate.params.get(COLUMNS) == TELLING
        keys, features, X_train, X_valid = self._matrices.make(
            recipe, job.fold, train_rows, valid_rows, only_telling=only_telling)  # fmt: skip
        steps: tuple[FittedStep, ...] = ()
        n_late = 0
        if job.candidate.bases:
            steps, late, late_valid = self._stack(job, recipe.view, train_rows, valid_rows)
            X_train, X_valid = to_float32([X_train, late]), to_float32([X_valid, late_valid])
            n_late = late.shape[1]
        made = time.monotonic()
        columns = _columns(features, recipe, self.monotone, n_late)
        seed = job.candidate.seed + max(0, job.fold)
        quantile = self.metric.quantile
        if quantile is None and kind.quantile and not any(columns.monotone):  # which hold for means only
            quantile = self.metric.nearest
        context = FitContext(self.task, self.n_classes, columns, seed, job.n_threads, deadline, quantile)
        train = self._sample(X_train, train_rows)
        valid = None if job.fold == ALL_ROWS else self._sample(X_valid, valid_rows)
        if EVERYTHING in job.candidate.params:
            until = started + READING_SHARE * job.time_limit_s
            model, made = self._from_everything(kind, job, features, (train, valid), train_rows, until, context)
        else:
            if job.candidate.params.get(TEACHER):
                train = self._lesson(job, features, train, train_rows, made + TEACHING_SHARE * (deadline - made))
            model = self._fit_family(kind, job, train, valid, context)
        fitted = time.monotonic()
        prediction, value = self._judged(model, X_valid, valid_rows)
        whole = FoldModel(features, model)
        digest = write_fold(self.run, job, keys, whole, prediction, steps)
        done = time.monotonic()
        stages = [("features", made - started), ("fit", fitted - made), ("predict_write", done - fitted)]
        if job.measure:
            self._measure(job, whole)
            stages.append(("measure", time.monotonic() - done))
        return FoldResult(
            value, getattr(model, "n_iterations", None), time.monotonic() - started, time.process_time() - cpu,
            tuple(stages), digest,
        )  # fmt: skip

    def _judged(self, model: Fitted, X: Floats, rows: Ints) -> tuple[Floats, float]:
        """Predictions of the validation rows, and their score."""
        prediction = apply_link(model.predict(X), model.link, self.task)
        if not np.isfinite(prediction).all():
            raise FitError("predictions are not finite numbers")
        value = self._score(prediction, rows)
        if not np.isfinite(value):
            raise FitError(f"its {self.metric.name} on the validation rows is not a finite number")
        return prediction, value

    def _recipe(self, kind: Family, params: Params) -> Recipe:
        """What a candidate sees."""
        recipe = RECIPES[kind.view].with_users(self.transformers)
        if params.get(FEATURES) == FULL:
            found = Interactions.load(self.run.interactions_file)
            if found is None:
                raise FitError("the run's interactions are lost")
            recipe = recipe.with_interactions(found)
        if params.get(TEXT) == UNSEEN:
            recipe = recipe.without("text")
        if self.monotone:  # features derived from a constrained column would go round the constraint
            recipe = recipe.without("coordinates", "spatial_mean")
        return recipe

    def _fit_family(
        self, kind: Family, job: FoldJob, train: Sample, valid: Sample | None, context: FitContext
    ) -> Fitted:
        params = job.candidate.params
        if params.get(TARGET) != LOGARITHM:
            return kind.fit(train, valid, params, context)
        unbiased = self.metric.name in MEAN_METRICS
        return fit_log(kind.fit, train, valid, params, context, self.mean, self.scale, unbiased=unbiased)

    def _from_everything(
        self, kind: Family, job: FoldJob, features: FittedFeatures, own: tuple[Sample, Sample | None], rows: Ints,
        until: float, context: FitContext,
    ) -> tuple[Fitted, float]:  # fmt: skip
        """A model of the fold's rows and all that the sample has not, and when these had been read."""
        origin, params = Origin.load(self.run), job.candidate.params
        if origin is None:
            raise FitError("the run's table is all there is")
        balanced = self.run.has_array("origin", "class_weights")
        weights = self.run.load_array("origin", "class_weights") if balanced else None
        mean = 1.0 if self.weight is None else float(self.weight[rows].mean())
        facts = Facts(self.table.schema, self.mean, self.scale, weights, mean)
        train, valid = own
        n = int(params[EVERYTHING])
        if self._cluster is None or kind.fit_parts is None or params.get(TARGET) == LOGARITHM:
            train = everything(self.run, origin, facts, features, train, n, until)
            made = time.monotonic()
            return self._fit_family(kind, job, train, valid, context), made
        from tabwright.engine.partitions import parts

        sampled = self.run.load_array("origin", "sampled")
        with parts(self._cluster, origin, facts, features, train, sampled, n, until - time.monotonic()) as spread:
            made = time.monotonic()
            return kind.fit_parts(spread, valid, params, context), made

    def _measure(self, job: FoldJob, model: FoldModel) -> None:
        """What the model costs when it is exported alone; a candidate that can't be measured is one all the same."""
        rows = np.sort(np.random.default_rng(0).permutation(self.table.n_rows)[:MEASURED_ROWS])
        inputs = graph_inputs(self.table.take(rows))
        with contextlib.suppress(NotExportableError):
            single = measure_single(model, self.task, self.n_classes, self.table.schema, inputs)
            single.write(self.run.cost_path(job.candidate.model_id))

    def _lesson(
        self, job: FoldJob, features: FittedFeatures, train: Sample, rows: Ints, deadline: float
    ) -> Sample:
        """The student's sample: see :mod:`tabwright.engine.distil`."""
        teacher = tuple((str(m), float(w)) for m, w in job.candidate.params[TEACHER])
        folds = range(job.n_folds or self.n_folds) if job.fold == ALL_ROWS else (job.fold,)
        shelf = Shelf()
        members = [
            Member(m, "", w, tuple(load_fold_model(self.run, m, k, shelf) for k in folds)) for m, w in teacher
        ]

        def opinion(table: Table) -> Floats:
            return np.asarray(np.sum([m.weight * m.predict(table, self.task) for m in members], axis=0))

        made_up, opinions = made_up_rows(self.table.take(rows), opinion, job.candidate.seed, deadline)
        observed = self._target(job.fold, rows).as_columns()
        known = self._opinions(teacher, rows, job.n_folds or self.n_folds) if job.fold == ALL_ROWS else None
        # out-of-fold predictions of a fold's training rows come from models that know its validation rows
        real: Block = (train.X, observed, None, train.weight) if known is None else (
            train.X, known, train.y, train.weight)  # fmt: skip
        return lesson(self.task, [real, (features.apply(made_up), opinions, None, None)])

    def _opinions(self, teacher: tuple[tuple[str, float], ...], rows: Ints, n_folds: int) -> Floats | None:
        """The teacher's out-of-fold predictions of some rows; None where some have none (a hold-out)."""
        terms = [(w, self._out_of_fold(m, rows, n_folds)) for m, w in teacher]
        return np.asarray(np.sum([w * p for w, p in terms if p is not None], axis=0)) if (
            all(p is not None for _, p in terms)) else None  # fmt: skip

    def _out_of_fold(self, model_id: str, rows: Ints, n_folds: int) -> Floats | None:
        """A candidate's out-of-fold predictions of some rows; None where some have none (a hold-out)."""
        position, folds = np.full(self.table.n_rows, -1), range(n_folds)
        valid = np.concatenate([self.rows(k)[1] for k in folds])
        position[valid] = np.arange(len(valid))
        if (position[rows] < 0).any():
            return None
        every = np.concatenate([self.run.prediction(model_id, k) for k in folds])
        return np.asarray(every[position[rows]])

    def _stack(
        self, job: FoldJob, view: View, train: Ints, valid: Ints
    ) -> tuple[tuple[FittedStep, ...], Floats, Floats]:
        """The bases' out-of-fold predictions as further features of a stacker: steps, training and validation rows."""
        blocks = []
        for rows in (train, valid):
            found = [self._out_of_fold(m, rows, job.n_folds or self.n_folds) for m in job.candidate.bases]
            if any(p is None for p in found):
                raise FitError("its training rows have no out-of-fold predictions to be stacked on")
            blocks.append(np.concatenate([as_scores(p, self.task) for p in found if p is not None], axis=1))
        if view in (View.NATIVE, View.TREES):
            return (), blocks[0], blocks[1]
        step = fit_step("scale", blocks[0])
        return (step,), step.apply(blocks[0]), step.apply(blocks[1])

    def _score(self, prediction: Floats, rows: Ints) -> float:
        y: Array = self.y[rows]
        if self.task is Task.REGRESSION:
            y, prediction = own_unit(y, self.mean, self.scale), self.mean + self.scale * prediction
        return tuned_score(self.metric, y, prediction, None if self.weight is None else self.weight[rows])

    def _target(self, fold: int, rows: Ints) -> TargetInfo:
        weight = None if self.weight is None else self.weight[rows]
        group = None if self.group is None else self.group[rows]
        return TargetInfo(self.task, self.n_classes, self.y[rows], weight, max(0, fold), group)

    def _sample(self, X: Floats, rows: Ints) -> Sample:
        weight = None
        if self.weight is not None:
            weight = self.weight[rows]
            weight = weight / weight.mean()
        return Sample(X, self.y[rows], weight)


MEAN_METRICS = ("rmse", "r2")  # best served by the mean of what a row may be
READING_SHARE = 0.5  # of the time limit of a fit on the whole source, after which it takes the rows that it has
FIT_SHARE = 0.85  # of the time limit; the rest is for predicting the validation rows and writing
TEACHING_SHARE = 0.3  # of the time for a student, that its teacher may take
FEW_ROWS = 1000  # that a model of all rows predicts, only to see that its predictions are numbers
MEASURED_ROWS = 256


def _columns(features: FittedFeatures, recipe: Recipe, monotone: dict[str, int], n_late: int = 0) -> Columns:
    """What the family is told of the features; a monotone column is one that is passed on as it is.

    ``n_late`` more columns, predictions of other candidates, follow; the prediction rises with each of them.
    """
    columns = features.columns()
    directions = (*(monotone.get(name, 0) for name in features.names), *[1] * n_late) if monotone else ()
    n_features = columns.n_features + n_late
    if recipe.view is View.NATIVE:
        return replace(columns, n_features=n_features, monotone=directions)
    return Columns(n_features, monotone=directions)
