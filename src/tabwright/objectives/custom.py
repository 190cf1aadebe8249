"""Objectives that read predictions: fairness over a column, and a user's own functions. Less is better in each."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from tabwright.data.table import Table
from tabwright.errors import OptionError
from tabwright.schema import Schema
from tabwright.types import Array, Floats, Task

FAIRNESS = ("demographic_parity", "equalised_odds")
MAX_GROUPS = 20

Objective = Callable[[Array, Floats, pd.DataFrame], float]
"""``objective(y_true, prediction, X)``: true values or class codes (n_rows,); predictions (n_rows,), or probabilities
(n_rows, n_classes); the rows' columns. Returns a number, of which less is better."""


def spelled(objective: Any, option: str) -> Any:
    """The name of an objective: of a function, the path it is imported by; others as they are.

    Raises
    ------
    OptionError
        If it is a function that can't be imported by name, as a run that resumes must.
    """
    if not callable(objective):
        return objective
    path = f"{objective.__module__}:{getattr(objective, '__qualname__', '')}"
    if "<" in path or objective.__module__ == "__main__":
        raise OptionError(option, f"holds the function {path!r}, which a resumed run could not import",
                          "put it at the top level of a module")  # fmt: skip
    return path


def is_custom(name: str) -> bool:
    """Whether a name is that of an objective of predictions: "equalised_odds:COLUMN" or "package.module:function"."""
    return ":" in name and all(name.split(":", 1))


def resolve(name: str, schema: Schema, task: Task, option: str) -> Objective:
    """The function behind a name that was given to ``option``.

    Raises
    ------
    OptionError
        If there is no such column or function, or fairness is asked of a regression.
    """
    kind, _, rest = name.partition(":")
    if kind in FAIRNESS:
        if rest not in {c.name for c in schema.used}:
            raise OptionError(option, f"holds {name!r}, but there is no column {rest!r} that models see",
                              "name one that they do")  # fmt: skip
        if task is not Task.BINARY:
            raise OptionError(option, f"holds {name!r}, which compares groups by a class of two",
                              "leave it out, or write a function of your own")  # fmt: skip
        return _demographic_parity(rest) if kind == FAIRNESS[0] else _equalised_odds(rest)
    try:
        found: Any = importlib.import_module(kind)
        for part in rest.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise OptionError(option, f"holds {name!r}, which can't be imported ({error})",
                          "name a function as 'package.module:function'") from None  # fmt: skip
    if not callable(found):
        raise OptionError(option, f"holds {name!r}, which is no function", "name a function")
    function: Objective = found
    return function


def value(
    name: str, schema: Schema, task: Task, y: Array, prediction: Floats, X: pd.DataFrame, option: str = "objectives"
) -> float:
    """What an objective is on some rows; infinite where it is no number, so that no limit takes it.

    Raises
    ------
    OptionError
        If a user's function fails, or returns something else than one number.
    """
    function = resolve(name, schema, task, option)
    try:
        found = float(function(y, prediction, X))
    except Exception as error:
        problem = f"holds {name!r}, which fails with {type(error).__name__}: {error}"
        fix = "mend the function: it takes y_true, prediction and X, and returns one number"
        raise OptionError(option, problem, fix) from error
    return math.inf if math.isnan(found) else found


def is_fairness(name: str) -> bool:
    """Whether an objective is of decisions, and not of probabilities."""
    return name.partition(":")[0] in FAIRNESS


def frame(table: Table) -> pd.DataFrame:
    """The columns of a table that models see, as an objective reads them."""
    columns: dict[str, Any] = {c.name: table.numbers[:, j] for j, c in enumerate(table.schema.numeric)}
    columns |= {c.name: table.strings[j].values() for j, c in enumerate(table.schema.strings)}
    return pd.DataFrame(columns)


def _groups(X: pd.DataFrame, column: str) -> Array:
    """Codes of the groups of a column: its values, or its quarters where a number has more than 20."""
    values = X[column]
    if values.nunique() > MAX_GROUPS and pd.api.types.is_numeric_dtype(values):
        values = pd.qcut(values, 4, labels=False, duplicates="drop")
    return pd.factorize(values)[0]


def _gap(rates: list[float]) -> float:
    return max(rates) - min(rates) if rates else 0.0


def _demographic_parity(column: str) -> Objective:
    def difference(_y: Array, prediction: Floats, X: pd.DataFrame) -> float:
        chosen, group = prediction[:, 1] >= 0.5, _groups(X, column)
        return _gap([float(chosen[group == g].mean()) for g in np.unique(group)])

    return difference


def _equalised_odds(column: str) -> Objective:
    def difference(y: Array, prediction: Floats, X: pd.DataFrame) -> float:
        chosen, group = prediction[:, 1] >= 0.5, _groups(X, column)
        gaps = []
        for outcome in (0, 1):
            masks = [(group == g) & (y == outcome) for g in np.unique(group)]
            gaps.append(_gap([float(chosen[m].mean()) for m in masks if m.any()]))
        return max(gaps)

    return difference
