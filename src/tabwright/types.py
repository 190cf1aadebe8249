"""Task, column kinds and array types that every layer shares."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]
Strings = npt.NDArray[np.object_]
Array = npt.NDArray[Any]
Params = dict[str, Any]
FLOAT32_MAX = float(np.finfo(np.float32).max)


class Task(StrEnum):
    """What is predicted."""

    REGRESSION = "regression"
    BINARY = "binary"
    MULTICLASS = "multiclass"

    @property
    def is_classification(self) -> bool:
        return self is not Task.REGRESSION


class Kind(StrEnum):
    """What a column holds."""

    NUMERIC = "numeric"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CATEGORICAL = "categorical"
    TEXT = "text"
    DATETIME = "datetime"
    IDENTIFIER = "identifier"
    CONSTANT = "constant"


NUMBER_KINDS = (Kind.NUMERIC, Kind.INTEGER, Kind.BOOLEAN, Kind.DATETIME)
STRING_KINDS = (Kind.CATEGORICAL, Kind.TEXT)


class View(StrEnum):
    """The form of the feature matrix that a family wants."""

    NATIVE = "native"  # categories as whole-number codes in marked columns, NaN for missing
    TREES = "trees"  # categories as numbers with an order (target statistics, frequencies, flags), NaN allowed
    DENSE = "dense"  # imputed, scaled, one-hot; no NaN
    COMPACT = "compact"  # DENSE without texts, one-hot only of columns of few values
    SMOOTH = "smooth"  # DENSE with piecewise-linear encoded numerics


@dataclass(frozen=True)
class Columns:
    """What a family may need to know of the feature matrix. Whole-number codes run from 0 to cardinality - 1."""

    n_features: int
    categorical: tuple[int, ...] = ()
    cardinality: tuple[int, ...] = ()
    monotone: tuple[int, ...] = ()  # -1, 0, 1 per feature, or empty
