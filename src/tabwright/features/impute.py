"""Medians in place of missing numbers, with a flag for each column that has any."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from tabwright.features.base import Step, take_columns
from tabwright.onnx.graph import Graph
from tabwright.types import Floats


@dataclass(frozen=True)
class FittedImpute:
    """The columns with medians filled in, then one 0/1 flag per column of ``flagged``."""

    medians: Floats  # (n_columns,), each column's unit
    flagged: tuple[int, ...]

    def apply(self, X: Floats) -> Floats:
        missing = np.isnan(X)
        filled = np.where(missing, self.medians, X)
        return np.concatenate([filled, missing[:, list(self.flagged)].astype(np.float64)], axis=1)

    def rename(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return (*names, *(f"{names[k]}.missing" for k in self.flagged))

    def to_onnx(self, graph: Graph, x: str) -> str:
        missing = graph.node("IsNaN", x)
        filled = graph.node("Where", missing, graph.const(self.medians[None, :]), x)
        if not self.flagged:
            return filled
        flags = graph.node("Cast", take_columns(graph, missing, self.flagged, len(self.medians)), to=TensorProto.DOUBLE)
        return graph.node("Concat", filled, flags, axis=1)


def fit(X: Floats) -> FittedImpute:
    """A column without any number gets 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all-missing columns
        medians = np.nanmedian(X, axis=0)
    missing = np.isnan(X).any(axis=0)
    return FittedImpute(np.nan_to_num(medians, nan=0.0), tuple(np.flatnonzero(missing).tolist()))


IMPUTE = Step("impute", fit, "median imputation with missing indicators")
