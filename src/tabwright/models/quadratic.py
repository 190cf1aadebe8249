"""Linear and logistic regression on columns, their squares and their products: cheap, smooth, and unlike trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tabwright.models.base import Family, FitContext, Link, Sample, View
from tabwright.models.fitting import usable, with_defaults
from tabwright.models.lightgbm import LINKS
from tabwright.models.linear import solve
from tabwright.onnx.graph import Graph, matrix_to_double
from tabwright.space import Choice, Real, Space
from tabwright.types import Array, Floats, Ints, Params, Task

SPACE: Space = {
    "alpha": Real(1e-5, 1.0, 1e-3, log=True),
    "l1_ratio": Choice((0.0, 0.25, 0.5, 1.0), 0.0),
}
MAX_COLUMNS = 40  # that are multiplied: 820 squares and products
MAX_CELLS = 20_000_000  # of all rows' products; fewer with many classes, each of which takes a pass over them
MANY_CLASSES = 4


@dataclass(frozen=True)
class FittedQuadratic:
    """Scores ``X @ weights + (X[:, first] * X[:, second]) @ products + intercept`` in double."""

    weights: Floats  # (n_features, n_outputs)
    first: Ints  # (n_products,) columns
    second: Ints  # (n_products,)
    products: Floats  # (n_products, n_outputs)
    intercept: Floats  # (n_outputs,)
    link: Link

    def predict(self, X: Floats) -> Floats:
        X = X.astype(np.float64)
        return np.asarray(X @ self.weights + (X[:, self.first] * X[:, self.second]) @ self.products + self.intercept)

    def to_onnx(self, graph: Graph, x: str) -> str:
        x = matrix_to_double(graph, x)
        first, second = (graph.node("Gather", x, graph.const(c), axis=1) for c in (self.first, self.second))
        of_products = graph.node("MatMul", graph.node("Mul", first, second), graph.const(self.products))
        scores = graph.node("Add", graph.node("MatMul", x, graph.const(self.weights)), of_products)
        return graph.node("Add", scores, graph.const(self.intercept[None, :]))


def fit(train: Sample, valid: Sample | None, params: Params, context: FitContext) -> FittedQuadratic:  # noqa: ARG001
    train = usable(train, context)
    settings = with_defaults(SPACE, params)
    first, second = _pairs(train, context)
    wide = Sample(np.concatenate([train.X, train.X[:, first] * train.X[:, second]], axis=1), train.y, train.weight)
    weights, intercept = solve(wide, float(settings["alpha"]), float(settings["l1_ratio"]), context)
    n = train.X.shape[1]
    return FittedQuadratic(weights[:n], first, second, weights[n:], intercept, LINKS[context.task])


def _pairs(train: Sample, context: FitContext) -> tuple[Ints, Ints]:
    """Columns to multiply: all with all, of those that tell most of the target; no square of a flag."""
    X = train.X
    cells = MAX_CELLS * min(1.0, MANY_CLASSES / context.n_outputs)
    room = max(1, int((np.sqrt(8.0 * cells / len(X) + 1.0) - 1.0) / 2.0))
    columns = np.arange(X.shape[1])
    if len(columns) > min(MAX_COLUMNS, room):
        told = _tells(X, train.y, context)
        columns = np.sort(np.argsort(-told, kind="stable")[: min(MAX_COLUMNS, room)])
    i, j = np.triu_indices(len(columns))
    flags = np.array([len(np.unique(X[:1000, c])) <= 2 for c in columns])
    useful = (i != j) | ~flags[i]
    return columns[i[useful]].astype(np.int64), columns[j[useful]].astype(np.int64)


def _tells(X: Floats, y: Array, context: FitContext) -> Floats:
    """How much of the target each column, or its square, correlates with: (n_features,), at most 1."""
    targets: Any = y[:, None] if context.task is Task.REGRESSION else y[:, None] == np.arange(context.n_classes)
    targets = _standard(np.asarray(targets, np.float32))
    return np.asarray(np.max([np.abs(_standard(Z).T @ targets).max(axis=1) for Z in (X, X * X)], axis=0) / len(X))


def _standard(X: Floats) -> Floats:
    deviation = X.std(axis=0)
    return np.asarray((X - X.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0))


QUADRATIC = Family(
    "quadratic", "Linear and logistic regression on squares and products", frozenset(Task), View.COMPACT, SPACE, fit,
    source="Cover 1965, doi:10.1109/PGEC.1965.264137 (polynomial discriminants); the solvers are those of `linear`",
    quantile=True,
)
