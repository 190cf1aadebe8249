"""What ``fit`` is given, brought into one form: a frame of features, a target column, and facts per row."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import DataConversionWarning

from tabwright.automl import RowColumns
from tabwright.data.infer import infer_column
from tabwright.data.readers import read_table
from tabwright.errors import ColumnError, DataError, OptionError
from tabwright.types import Floats, Kind


def read_inputs(X: Any, y: Any, target: str | None) -> tuple[pd.DataFrame, pd.Series]:
    """Features and target, row by row alike; DataError or OptionError where they can't be told apart."""
    frame = read_table(X)
    if y is None and target is None:
        raise DataError("AutoML requires y to be passed, but the target y is None", "pass y, or name the target column")
    if target is not None and (y is None or isinstance(y, str)):
        if target not in frame.columns:
            listed = ", ".join(map(repr, list(frame.columns)[:20]))
            raise DataError(f"There is no column {target!r} in the table, which has {listed}", "name one of them")
        return frame.drop(columns=[target]), frame[target]
    values = y if isinstance(y, pd.Series) else _one_column(y)
    name = y.name if isinstance(y, pd.Series) else None
    series = pd.Series(values).rename(str(name) if name is not None else target or "target")
    if len(series) != len(frame):
        raise DataError(f"X has {len(frame)} rows and y has {len(series)}", "give one target value per row")
    return frame, series.reset_index(drop=True)


def _moments(column: pd.Series, name: str) -> Floats:
    """Times as numbers that order the rows: seconds since 1970, or the column's own numbers."""
    found = infer_column(column, name)
    if found.kind not in (Kind.DATETIME, Kind.NUMERIC, Kind.INTEGER):
        raise ColumnError(name, f"is {found.kind}, not dates or numbers, so it can't order rows in time",
                          "name a column of dates or numbers")
    moments = found.numbers(column)
    if np.isnan(moments).any():
        raise ColumnError(name, f"has {int(np.isnan(moments).sum())} rows without a time", "leave them out")
    return moments


def has_names(X: Any) -> bool:
    """Whether columns are told by name; arrays and lists of rows tell them by position."""
    return not isinstance(X, (np.ndarray, list, tuple)) or (
        isinstance(X, list) and bool(X) and isinstance(X[0], Mapping)
    )


def _one_column(y: Any) -> Any:
    if isinstance(y, pd.DataFrame):
        y = y.to_numpy()
    if hasattr(y, "to_pylist"):
        return y.to_pylist()
    values = np.asarray(y)
    if values.ndim == 2 and values.shape[1] == 1:
        message = "A column-vector y was passed when a 1d array was expected; pass y.ravel()"
        warnings.warn(message, DataConversionWarning, stacklevel=4)
        return values[:, 0]
    if values.ndim != 1:
        raise DataError(f"y has the shape {values.shape}", "give one target value per row, shape (n_rows,)")
    return values


def row_columns(
    frame: pd.DataFrame, weights: str | None, group: str | None, time: str | None, sample_weight: Any
) -> tuple[pd.DataFrame, RowColumns]:
    for option, name in (("weights_column", weights), ("group_column", group), ("time_column", time)):
        if name is not None and name not in frame.columns:
            raise OptionError(option, f"is {name!r}, which is no column of the table", "name a column that is there")
    weight = None if weights is None else np.asarray(pd.to_numeric(frame[weights], errors="coerce"), np.float64)
    if sample_weight is not None:
        try:
            weight = np.asarray(sample_weight, np.float64)
        except (TypeError, ValueError):
            raise OptionError("sample_weight", "holds values that are no numbers", "give one number per row") from None
        if weight.shape != (len(frame),):
            raise OptionError(
                "sample_weight", f"has the shape {weight.shape}", f"give one weight for each of {len(frame)} rows"
            )
    if weight is not None and (not np.isfinite(weight).all() or (weight < 0).any() or not weight.any()):
        raise OptionError(
            "weights_column" if weights else "sample_weight",
            "has missing, negative or only zero weights",
            "give numbers that are 0 or more",
        )
    groups = None if group is None else frame[group].to_numpy()
    rows = RowColumns(weight, groups, None if time is None else _moments(frame[time], time))
    return frame.drop(columns=[c for c in (weights, group) if c is not None]), rows
