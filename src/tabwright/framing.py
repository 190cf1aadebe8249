"""What a run learns: the rows and columns that it is given, and the problem that they make under its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import PredefinedSplit

from tabwright.config import Config
from tabwright.data.splits import forward, group_codes, make_folds, users_folds
from tabwright.data.table import Table
from tabwright.data.target import Target
from tabwright.errors import OptionError
from tabwright.metrics import find_metric
from tabwright.models import FAMILIES
from tabwright.models.base import Family
from tabwright.models.log_target import differs_by_factors
from tabwright.pipeline import COLUMNS, LOGARITHM, TARGET, TELLING, TEXT, UNSEEN
from tabwright.schema import Schema
from tabwright.search.budget import Budget
from tabwright.search.policy import folds_for, holdout_share, is_open, training_rows
from tabwright.search.portfolio import families_for
from tabwright.search.problem import Problem
from tabwright.store.origin import Source
from tabwright.subsample import subsample
from tabwright.types import Array, Bools, Floats, Ints, Kind, Params, Task, View

MANY_COLUMNS = 30  # from which it may pay to do without those that tell nothing


@dataclass(frozen=True)
class RowColumns:
    """Per-row facts beside the features: weights, groups and times, each (n_rows,) or None; and who splits the rows."""

    weight: Array | None = None
    group: Array | None = None
    time: Array | None = None
    splitter: Any = None  # an object with scikit-learn's split(X, y, groups)

    def take(self, rows: Bools) -> RowColumns:
        """Those of some rows, as a mask of all."""
        weight, group, time_ = (None if a is None else a[rows] for a in (self.weight, self.group, self.time))
        return RowColumns(weight, group, time_, self._splitter_of(rows))

    def _splitter_of(self, rows: Bools) -> Any:
        """scikit-learn's PredefinedSplit names a fold for each row as given, so that it loses the same ones."""
        fold = getattr(self.splitter, "test_fold", None)
        return self.splitter if fold is None or len(fold) != len(rows) else PredefinedSplit(np.asarray(fold)[rows])


@dataclass(frozen=True)
class Inputs:
    """What is to be learned from.

    Parameters
    ----------
    frame : DataFrame, shape (n_rows, n_columns)
    y : Series, shape (n_rows,)
        Rows with a missing target are dropped and counted.
    rows : RowColumns
    source : Source, optional
        What the frame is a sample of; the best candidates are fitted on all of it in the end.
    notes : tuple of str
    """

    frame: pd.DataFrame
    y: pd.Series
    rows: RowColumns
    source: Source | None = None
    notes: tuple[str, ...] = ()


def usable_families(problem: Problem, config: Config, table: Table) -> tuple[Family, ...]:
    kinds = [c.kind for c in table.schema.used]
    families = families_for(
        problem.task, config.include_families, config.exclude_families, problem.n_classes, problem.metric.quantile,
        kinds.count(Kind.CATEGORICAL) / max(1, len(kinds)),
    )  # fmt: skip
    families = tuple(f for f in families if f.max_rows is None or table.n_rows <= f.max_rows)
    if all(kind is Kind.TEXT for kind in kinds):
        families = tuple(f for f in families if f.view is not View.COMPACT)
    if config.monotone_constraints and families:
        able = tuple(f for f in families if f.monotone)
        if not able:
            raise OptionError("monotone_constraints", f"can't be kept by {', '.join(f.name for f in families)}",
                              f"leave them out, or include {', '.join(f.name for f in FAMILIES if f.monotone)}")
        families = able
    if not families:
        raise OptionError("include_families", "and exclude_families leave no model family for this table",
                          "name more, or exclude fewer")
    return families


def check_monotone(config: Config, schema: Schema, task: Task) -> None:
    if config.monotone_constraints and task is Task.MULTICLASS:
        raise OptionError("monotone_constraints", "are asked for with more than two classes, whose probabilities can't "
                          "all rise", "leave them out, or predict one class against the others")  # fmt: skip
    if config.monotone_constraints and find_metric(config.sort_metric, task).quantile is not None:
        raise OptionError("monotone_constraints", "are asked for with a quantile, for which no family keeps them",
                          "leave them out, or take another sort_metric")  # fmt: skip
    numeric = {c.name for c in schema.numeric if c.kind is not Kind.DATETIME}
    for name in config.monotone_constraints or {}:
        if name not in numeric:
            raise OptionError(
                "monotone_constraints",
                f"names {name!r}, which is no numeric feature",
                f"name one of {', '.join(sorted(numeric)[:20])}",
            )


def class_weights(problem: Problem, config: Config) -> dict[str, Floats]:
    if not config.balance_classes or problem.task is Task.REGRESSION:
        return {}
    return {"class_weights": balance(problem.y)}


def balance(y: Array) -> Floats:
    """Weights of classes, float64 (n_classes,), that let all count the same."""
    counts = np.bincount(y)
    return np.asarray(len(y) / (len(counts) * counts))


def make_problem(
    table: Table, target: Target, config: Config, rows: RowColumns, budget: Budget, cores: int, *, sampled: bool = False
) -> Problem:
    if config.sort_metric.lower() == "rmsle" and target.y.min() < 0:
        raise OptionError("sort_metric", "is 'rmsle', but the target has values below 0", "take 'rmse' or 'mae'")
    # what learns from a whole source in the end is judged by the rows of one hold-out
    measured = config.nfolds == "auto" and config.max_models is None and rows.time is None and rows.splitter is None
    measured = measured and not sampled and is_open(table, target.task, target.n_classes, cores, budget)
    n_folds = 1 if sampled else 5 if measured else folds_for(
        table, target.task, target.n_classes, config.nfolds, cores, budget, in_time=rows.time is not None)  # fmt: skip
    if rows.splitter is not None:
        folds = users_folds(rows.splitter, table.n_rows, target.y, rows.group)
        n_folds = len(folds)
    else:
        folds = make_folds(
            table.n_rows, target.y, target.task, n_folds, config.seed,
            groups=rows.group, time=rows.time, holdout=holdout_share(table.n_rows),
        )  # fmt: skip
    train = folds.train
    weight: Floats | None = None if rows.weight is None else np.asarray(rows.weight, np.float64)
    limit = training_rows(table, target.task, target.n_classes, n_folds, budget)
    if limit < len(train[0]):  # of a hold-out: where there are more folds, all rows are learned
        drawn, weight = _fewer_rows(train[0], target.y, weight, limit, config.seed)
        train = (drawn,)
    if config.balance_classes and target.task is not Task.REGRESSION:
        balanced = balance(target.y)[target.y]
        weight = np.asarray(balanced if weight is None else weight * balanced, np.float64)
    return Problem(
        target.task,
        find_metric(config.sort_metric, target.task),
        target.n_classes,
        target.standard,
        target.mean,
        target.scale,
        weight,
        folds.valid,
        train,
        None if rows.group is None else group_codes(rows.group),
        rows.time is not None or forward(folds),
        measured,
    )


def _fewer_rows(
    rows: Ints, y: Array, weight: Floats | None, limit: int, seed: int
) -> tuple[Ints, Floats | None]:
    """So many of the training rows, but none less of a rare class; and what all rows weigh then."""
    drawn, own = subsample(y[rows], limit, None if weight is None else weight[rows], seed)
    if own is None:
        return rows[drawn], weight
    weights = np.ones(len(y)) if weight is None else weight.copy()
    weights[rows] = 0.0  # those that are left out count through those that are drawn
    weights[rows[drawn]] = own
    return rows[drawn], weights


def worth_a_try(problem: Problem, schema: Schema) -> list[Params]:
    """Choices that one candidate each shall make, so that it shows what they are worth on this table."""
    texts = [c.kind is Kind.TEXT for c in schema.used]
    out: list[Params] = [{TEXT: UNSEEN}] if any(texts) and not all(texts) else []
    if len(texts) >= MANY_COLUMNS:
        out.append({COLUMNS: TELLING})
    return [*out, {TARGET: LOGARITHM}] if _by_factors(problem) else out


def _by_factors(problem: Problem) -> bool:
    if problem.task is not Task.REGRESSION or problem.metric.quantile is not None:
        return False
    return differs_by_factors(problem.user_y(np.arange(len(problem.y))))
