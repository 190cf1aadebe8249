"""k nearest neighbours with Euclidean distance, computed so that every back end finds the same neighbours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from onnx import TensorProto

from tabwright.models.base import Family, FitContext, Link, Sample, View
from tabwright.models.fitting import Rebuilt, prior, usable, with_defaults
from tabwright.onnx.graph import Graph, matrix_to_double
from tabwright.space import Choice, Integer, Real, Space
from tabwright.types import Floats, Ints, Params, Task

SPACE: Space = {
    "n_neighbors": Integer(1, 100, 15, log=True),
    "weighting": Choice(("uniform", "distance"), "distance"),
    "prior_rows": Real(0.05, 5.0, 0.5, log=True),
}
REACH = 16.0  # features are cut to [-16, 16]: scaled ones rarely pass 5
MAX_BITS = 24  # whole numbers that float32 holds exactly
CHUNK_VALUES = 4_000_000


@dataclass(frozen=True)
class FittedKNN(Rebuilt):
    """Training rows on a grid, their targets and weights.

    Features are rounded to multiples of ``1 / scale``, a power of two so chosen that all squared distances are
    whole numbers below 2**53: they are then exact in double in whatever order a matrix product sums them, and
    so are ties, of which the first rows win.

    Parameters
    ----------
    rows : float32, shape (n_features, n_rows)
        Whole numbers: scaled features, transposed.
    values : float64, shape (n_rows, n_outputs)
        Targets, or one column per class with 1 at the row's class (P(second class) alone if binary).
    weight : float64, shape (n_rows,)
    base : float64, shape (n_outputs,)
        Mean of ``values``, which counts as ``prior_rows`` further neighbours of average weight.
    """

    rows: Floats
    values: Floats
    weight: Floats
    base: Floats
    scale: float
    n_neighbors: int
    by_distance: bool
    prior_rows: float
    link: Link = Link.IDENTITY

    @cached_property
    def _double(self) -> tuple[Floats, Floats]:
        rows = self.rows.astype(np.float64)
        return rows, (rows * rows).sum(axis=0)

    def predict(self, X: Floats) -> Floats:
        n_rows = self.rows.shape[1]
        step = max(1, CHUNK_VALUES // n_rows)
        parts = [self._chunk(X[i : i + step]) for i in range(0, len(X), step)]
        return np.concatenate(parts) if parts else np.empty((0, self.values.shape[1]))

    def _chunk(self, X: Floats) -> Floats:
        rows, norms = self._double
        limit = REACH * self.scale
        grid = np.clip(np.round(X.astype(np.float64) * self.scale), -limit, limit)
        squared = norms - 2.0 * (grid @ rows) + (grid * grid).sum(axis=1, keepdims=True)
        near = _nearest(squared, self.n_neighbors)
        weight = self.weight[near]
        if self.by_distance:
            distance = np.sqrt(np.take_along_axis(squared, near, axis=1)) / self.scale
            weight = weight / (distance + self._softening)
        total = (self.values[near] * weight[:, :, None]).sum(axis=1)
        mass = weight.sum(axis=1, keepdims=True)
        share = self.prior_rows / self.n_neighbors
        return np.asarray((total / mass + share * self.base) / (1.0 + share))

    @property
    def _softening(self) -> float:
        """Distance added to all, in units of scaled features: equal rows count much, not infinitely."""
        return 0.02 * math.sqrt(len(self.rows))

    def to_onnx(self, graph: Graph, x: str) -> str:
        limit = REACH * self.scale
        scaled = graph.node("Mul", matrix_to_double(graph, x), graph.const(np.float64(self.scale)))
        grid = graph.node("Round", scaled)
        grid = graph.node("Clip", grid, graph.const(np.float64(-limit)), graph.const(np.float64(limit)))
        rows = graph.node("Cast", graph.const(self.rows), to=TensorProto.DOUBLE)
        product = graph.node("MatMul", grid, rows)
        last = graph.const(np.array([1], np.int64))
        own = graph.node("ReduceSum", graph.node("Mul", grid, grid), last, keepdims=1)
        squared = graph.node("Sub", graph.const(self._double[1][None, :]),
                             graph.node("Mul", product, graph.const(np.float64(2.0))))
        squared = graph.node("Add", squared, own)
        nearest, near = graph.nodes("TopK", squared, graph.const(np.array([self.n_neighbors], np.int64)),
                                    n_outputs=2, axis=1, largest=0, sorted=1)
        weight = graph.node("Gather", graph.const(self.weight), near, axis=0)
        if self.by_distance:
            distance = graph.node("Div", graph.node("Sqrt", nearest), graph.const(np.float64(self.scale)))
            weight = graph.node("Div", weight, graph.node("Add", distance, graph.const(np.float64(self._softening))))
        values = graph.node("Gather", graph.const(self.values), near, axis=0)
        wide = graph.node("Unsqueeze", weight, graph.const(np.array([2], np.int64)))
        total = graph.node("ReduceSum", graph.node("Mul", values, wide), last, keepdims=0)
        mass = graph.node("ReduceSum", weight, last, keepdims=1)
        share = self.prior_rows / self.n_neighbors
        sum_ = graph.node("Add", graph.node("Div", total, mass), graph.const(share * self.base[None, :]))
        return graph.node("Div", sum_, graph.const(np.float64(1.0 + share)))


def _nearest(squared: Floats, k: int) -> Ints:
    """Columns of the k smallest values of each row (in any order); of equal ones the first columns."""
    if k >= squared.shape[1]:
        return np.tile(np.arange(squared.shape[1]), (len(squared), 1))
    near = np.argpartition(squared, k - 1, axis=1)[:, :k]
    border = np.take_along_axis(squared, near, axis=1).max(axis=1)
    crowded = np.flatnonzero((squared <= border[:, None]).sum(axis=1) > k)
    for row in crowded:
        below = np.flatnonzero(squared[row] < border[row])
        equal = np.flatnonzero(squared[row] == border[row])
        near[row] = np.concatenate([below, equal[: k - len(below)]])
    return near


def _scale(n_features: int) -> float:
    """The finest power of two for which all squared distances are below 2**53."""
    reach_bits = int(math.log2(REACH))
    # a difference is below 2**(reach + bits + 1), its square summed over the features below 2**53
    bits = (53 - math.ceil(math.log2(max(n_features, 1)))) // 2 - 1 - reach_bits - 1
    return float(2 ** min(bits, MAX_BITS - reach_bits))


def fit(train: Sample, valid: Sample | None, params: Params, context: FitContext) -> FittedKNN:  # noqa: ARG001
    train = usable(train, context)
    settings = with_defaults(SPACE, params)
    scale = _scale(train.X.shape[1])
    limit = REACH * scale
    grid = np.clip(np.round(train.X.astype(np.float64) * scale), -limit, limit).astype(np.float32)
    weight = np.ones(len(train.y)) if train.weight is None else train.weight.astype(np.float64)
    if context.task is Task.REGRESSION:
        values = train.y.astype(np.float64)[:, None]
        base: Floats = np.average(values, axis=0, weights=weight)
    else:
        values = np.eye(context.n_classes)[train.y]
        base = prior(train.y, context.n_classes, weight)
        if context.n_outputs == 1:
            values, base = values[:, 1:], base[1:]
    return FittedKNN(
        np.ascontiguousarray(grid.T), np.ascontiguousarray(values), weight, base, scale,
        min(int(settings["n_neighbors"]), len(train.y)), settings["weighting"] == "distance",
        float(settings["prior_rows"]),
    )


KNN = Family(
    "knn", "k nearest neighbours", frozenset(Task), View.DENSE, SPACE, fit,
    source="Cover and Hart 1967, Nearest neighbor pattern classification, doi:10.1109/TIT.1967.1053964",
    max_rows=20_000,
)
