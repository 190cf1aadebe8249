"""What random forests and extra trees share: growing in chunks, flat node arrays, prediction and export."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tabwright.models.base import FitContext, Link, Sample
from tabwright.models.fitting import Rebuilt, forest_of, prior, usable
from tabwright.models.leaf_tables import LeafTables, leaf_tables
from tabwright.onnx.forest import Forest
from tabwright.onnx.graph import Graph, matrix_to_double
from tabwright.types import Floats, Params, Task

TABLE_VALUES = 4_000_000  # most class shares kept in all leaves together: 16 MB


@dataclass(frozen=True)
class FittedBaggedTrees(Rebuilt):
    """Trees as flat arrays: of one output in ``forest``, of several in ``tables``; no scikit-learn object is kept.

    Scores are target values in regression and probabilities in classification (the link is the identity), where
    the class shares of the training rows vote as one more tree: no probability is ever 0.
    """

    n_features: int
    n_iterations: int
    forest: Forest | None
    tables: LeafTables | None
    link: Link = Link.IDENTITY

    @property
    def _nodes(self) -> Forest:
        nodes = self.forest if self.tables is None else self.tables.forest
        assert nodes is not None
        return nodes

    @cached_property
    def _trees(self) -> list[Any]:
        """The trees as scikit-learn's compiled ones, which find the leaf of each row."""
        nodes = self._nodes
        ends = [*nodes.roots[1:].tolist(), len(nodes.feature)]
        return [_compiled(nodes, int(start), int(end), self.n_features)
                for start, end in zip(nodes.roots, ends, strict=True)]

    def predict(self, X: Floats) -> Floats:
        X = np.ascontiguousarray(X, np.float32)
        values = self._nodes.leaf_value
        if self.tables is None:
            score = np.full(len(X), self._nodes.base[0])
            for root, tree in zip(self._nodes.roots, self._trees, strict=True):
                score += values[root + tree.apply(X)]
            return score[:, None]
        scores = np.tile(self.tables.base, (len(X), 1))
        for root, tree in zip(self._nodes.roots, self._trees, strict=True):
            scores += self.tables.table[values[root + tree.apply(X)].astype(np.int64)]
        return scores

    def to_onnx(self, graph: Graph, x: str) -> str:
        if self.tables is not None:
            return self.tables.to_onnx(graph, x)
        return graph.forest(matrix_to_double(graph, x), self._nodes)


def _compiled(nodes: Forest, start: int, end: int, n_features: int) -> Any:
    from sklearn.tree._tree import NODE_DTYPE, Tree

    part = slice(start, end)
    leaf = nodes.feature[part] < 0
    table = np.zeros(end - start, NODE_DTYPE)
    table["left_child"] = np.where(leaf, -1, nodes.left[part] - start)
    table["right_child"] = np.where(leaf, -1, nodes.right[part] - start)
    table["feature"] = np.where(leaf, -2, nodes.feature[part])
    table["threshold"] = nodes.threshold[part]
    table["missing_go_to_left"] = nodes.missing_left[part]
    tree = Tree(n_features, np.array([1], np.intp), 1)
    values = np.zeros((end - start, 1, 1))
    tree.__setstate__({"max_depth": end - start, "node_count": end - start, "nodes": table, "values": values})
    return tree


def max_leaves(params: Params, context: FitContext, n_trees: int) -> int:
    """``max_leaf_nodes``, lowered where many classes would make the leaf tables large."""
    wanted = int(params["max_leaf_nodes"])
    if context.n_outputs == 1:
        return wanted
    return max(64, min(wanted, TABLE_VALUES // (n_trees * context.n_outputs)))


def grow(estimator: Any, n_trees: int, train: Sample, context: FitContext) -> FittedBaggedTrees:
    """Grow ``n_trees`` trees, or as many as there is time for (at least one), with a scikit-learn estimator."""
    train = usable(train, context)
    done, chunk = 0, max(1, context.n_threads)
    estimator.set_params(warm_start=True, n_jobs=context.n_threads, random_state=context.seed)
    while done < n_trees:
        start = time.monotonic()
        grown = min(n_trees, done + chunk)
        estimator.set_params(n_estimators=grown)
        estimator.fit(train.X, train.y, sample_weight=train.weight)
        per_tree = (time.monotonic() - start) / (grown - done)
        done = grown
        left = context.seconds_left()
        if left <= 1.5 * per_tree * context.n_threads:
            break
        # chunks of about a quarter of a second, none longer than half of what is left
        chunk = max(context.n_threads, int(min(0.25, left / 2) / max(per_tree, 1e-6)))
    return _flatten(estimator, train, context)


def _flatten(estimator: Any, train: Sample, context: FitContext) -> FittedBaggedTrees:
    grown = [e.tree_ for e in estimator.estimators_]
    n, n_features = len(grown), train.X.shape[1]
    if context.task is Task.REGRESSION:
        trees = [_flat(t, t.value[:, 0, 0] / n) for t in grown]
        return FittedBaggedTrees(n_features, n, forest_of(trees, 1, np.zeros(1)), None)
    shares = prior(train.y, context.n_classes, train.weight)
    votes = []
    for tree in grown:
        vote = np.zeros((tree.node_count, context.n_classes))
        vote[:, estimator.classes_] = tree.value[:, 0, :]
        votes.append(vote / (n + 1))
    if context.n_outputs == 1:
        trees = [_flat(t, v[:, 1]) for t, v in zip(grown, votes, strict=True)]
        return FittedBaggedTrees(n_features, n, forest_of(trees, 1, shares[1:] / (n + 1)), None)
    numbered, tables = [], []
    for tree, vote in zip(grown, votes, strict=True):
        leaf = tree.children_left < 0
        numbered.append(_flat(tree, np.cumsum(leaf) - 1.0))
        tables.append(vote[leaf].astype(np.float32))
    return FittedBaggedTrees(n_features, n, None, leaf_tables(numbered, tables, shares / (n + 1)))


def _flat(tree: Any, values: Floats) -> Forest:
    """One scikit-learn tree; thresholds become the largest float32 not above them, which decides alike."""
    leaf = tree.children_left < 0
    exact = np.where(leaf, 0.0, tree.threshold)
    threshold = exact.astype(np.float32)
    above = threshold.astype(np.float64) > exact
    threshold[above] = np.nextafter(threshold[above], np.float32(-np.inf))
    return Forest(
        n_outputs=1, base=np.zeros(1), roots=np.array([0]), feature=np.where(leaf, -1, tree.feature).astype(np.int32),
        threshold=threshold, left=np.where(leaf, 0, tree.children_left).astype(np.int32),
        right=np.where(leaf, 0, tree.children_right).astype(np.int32),
        missing_left=tree.missing_go_to_left.astype(bool), leaf_output=np.zeros(len(leaf), np.int32),
        leaf_value=np.where(leaf, values, 0.0),
    )
