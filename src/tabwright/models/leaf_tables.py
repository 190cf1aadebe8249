"""Trees whose leaves hold one value per class: the tree node finds each tree's leaf, a table holds the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from tabwright.models.fitting import forest_of
from tabwright.onnx.forest import Forest
from tabwright.onnx.graph import Graph, matrix_to_double
from tabwright.types import Array, Floats

GROUP_VALUES = 1024  # values looked up per row at a time: keeps a batch of 10,000 rows under 100 MB


@dataclass(frozen=True)
class LeafTables:
    """Raw scores ``base + sum over trees of table[leaf of the tree]``.

    Repeating each tree once per class would say the same in K times the size.

    Parameters
    ----------
    forest : Forest
        At least one tree, and one output per tree; a leaf's value is its row in ``table``.
    table : float32 or float64, shape (n_leaves, n_outputs)
    base : float64, shape (n_outputs,)
    """

    forest: Forest
    table: Floats
    base: Floats

    def to_onnx(self, graph: Graph, x: str) -> str:
        """Raw scores, float64 (rows, n_outputs), looked up for a few trees at a time to bound the memory."""
        n_trees, width = len(self.forest.roots), self.table.shape[1]
        found = graph.node("Cast", graph.forest(matrix_to_double(graph, x), self.forest), to=TensorProto.INT64)
        table = graph.const(self.table)
        if self.table.dtype == np.float32:
            table = graph.node("Cast", table, to=TensorProto.DOUBLE)
        step = max(1, GROUP_VALUES // width)
        sizes = [min(step, n_trees - start) for start in range(0, n_trees, step)]
        groups = [found]
        if len(sizes) > 1:
            groups = graph.nodes("Split", found, graph.const(np.array(sizes, np.int64)), n_outputs=len(sizes), axis=1)
        total = graph.const(self.base[None, :])
        for group in groups:
            values = graph.node("Gather", table, group, axis=0)
            part = graph.node("ReduceSum", values, graph.const(np.array([1], np.int64)), keepdims=0)
            total = graph.node("Add", total, part)
        return total


def leaf_tables(trees: Sequence[Forest], tables: Sequence[Array], base: Floats) -> LeafTables:
    """Join single trees, whose leaves are numbered from 0 in ``leaf_value``, and their (n_leaves, K) tables."""
    starts = np.cumsum([0, *(len(t) for t in tables)])[:-1]
    numbered = [
        Forest(
            n_outputs=len(trees), base=np.zeros(len(trees)), roots=t.roots, feature=t.feature, threshold=t.threshold,
            left=t.left, right=t.right, missing_left=t.missing_left,
            leaf_output=np.full(len(t.feature), i, np.int32),
            leaf_value=np.where(t.feature < 0, t.leaf_value + start, 0.0), members=t.members,
        )
        for i, (t, start) in enumerate(zip(trees, starts, strict=True))
    ]
    return LeafTables(forest_of(numbered, len(trees), np.zeros(len(trees))), np.concatenate(tables), base)
