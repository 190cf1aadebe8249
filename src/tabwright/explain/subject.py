"""What is explained: a scoring function over canonical rows with names, kinds and classes; estimator or file alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tabwright.data.table import Table
from tabwright.metrics import full_proba
from tabwright.runtime import Model
from tabwright.schema import Column, Schema
from tabwright.shapley import Rows, Score
from tabwright.types import Array, Floats, Kind, Task


@dataclass(frozen=True)
class Subject:
    """A model as the explanations see it.

    Parameters
    ----------
    schema : Schema
    task : Task
    classes : array of the user's type, shape (n_classes,); empty in regression
    score : callable
        Rows to predictions: (n_rows, 1) values in the target's unit, or (n_rows, n_classes) probabilities.
    threshold : float
        P(second class) from which the label is the second class.
    metric : str
        The run's ``sort_metric``, or "auto".
    """

    schema: Schema
    task: Task
    classes: Array
    score: Score
    threshold: float = 0.5
    metric: str = "auto"

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of ``Rows``, in order: numeric ones, then strings."""
        return (*self.schema.numeric, *self.schema.strings)

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.columns]

    @property
    def unit(self) -> str:
        """What predictions are counted in."""
        return str(self.schema.target) if self.task is Task.REGRESSION else "probability"

    def canonical(self, prediction: Floats) -> Floats:
        """Predictions as metrics take them: (n, 1) values or P(second class), or (n, n_classes)."""
        return prediction[:, 1:] if self.task is Task.BINARY else prediction

    def labels(self, prediction: Floats) -> Array:
        """Class codes of predictions, int64 (n_rows,)."""
        if self.task is Task.BINARY:
            return (prediction[:, 1] >= self.threshold).astype(np.int64)
        return np.asarray(prediction.argmax(axis=1))

    def shown(self, column: Column, value: Any) -> Any:
        """A canonical cell as the user writes it: dates as timestamps, booleans and whole numbers as such."""
        if isinstance(value, str):
            return value or None
        if value is None or np.isnan(value):
            return None
        if column.kind is Kind.DATETIME:
            return pd.Timestamp(float(value), unit="s")
        if column.kind is Kind.BOOLEAN:
            return bool(value)
        return int(value) if column.kind is Kind.INTEGER and float(value).is_integer() else float(value)

    def cells(self, rows: Rows, j: int) -> Array:
        """Column j of canonical rows, (n_rows,)."""
        width = rows.numbers.shape[1]
        return rows.numbers[:, j] if j < width else rows.strings[:, j - width]


def of_model(model: Model) -> Subject:
    """A loaded file."""
    task = Task(model.metadata["task"])
    output = "prediction" if task is Task.REGRESSION else "probabilities"

    def score(rows: Rows) -> Floats:
        values = model.run(_feeds(model.schema, rows))[output]
        return values[:, None] if task is Task.REGRESSION else values

    classes = np.empty(0, object) if model.classes_ is None else model.classes_
    metric = str(model.metrics.get("sort_metric", "auto"))
    return Subject(model.schema, task, classes, score, model.metadata.get("threshold") or 0.5, metric)


def of_scorer(schema: Schema, task: Task, classes: Array, scorer: Callable[[Table], Floats], threshold: float,
              metric: str) -> Subject:  # fmt: skip
    """A function from tables to canonical predictions, as an estimator has it."""

    def score(rows: Rows) -> Floats:
        values = scorer(Table.from_matrices(schema, rows.numbers, rows.strings))
        return values if task is Task.REGRESSION else full_proba(values)

    return Subject(schema, task, classes, score, threshold, metric)


def _feeds(schema: Schema, rows: Rows) -> dict[str, Array]:
    feeds: dict[str, Array] = {}
    if schema.numeric:
        feeds["numbers"] = np.ascontiguousarray(rows.numbers)
    if schema.strings:
        feeds["strings"] = rows.strings
    return feeds


def rows_of(table: Table) -> Rows:
    """A table's rows as matrices."""
    return Rows(np.asarray(table.numbers), table.string_matrix())
