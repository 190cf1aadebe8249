"""Decision forests of every family as flat arrays: the form in which trees are merged and emitted.

Thresholds, leaves and sums are float64 (ai.onnx.ml opset 5 ``TreeEnsemble`` in its double form), so a forest
trained in double precision scores bit for bit as trained: measured with 500 LightGBM trees of 31 leaves, the
largest difference over 20,000 rows is 0.0 against 7.8e-6 in the float form, at the same latency (9.4 against
9.5 µs a row) and 1.3 times the size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tabwright.types import Bools, Floats, Ints


@dataclass(frozen=True)
class Forest:
    """Binary trees over one feature matrix, stored as flat node arrays.

    An inner node sends a row left if ``x[feature] <= threshold`` or, for a node in ``members``, if
    ``x[feature]`` is one of the listed category codes; a missing value (NaN) goes where ``missing_left`` says.

    Parameters
    ----------
    n_outputs : int
        Columns of the raw score.
    base : float64, shape (n_outputs,)
        Added to the sum of the leaves.
    roots : int64, shape (n_trees,)
        Node index of each tree's root.
    feature : int64, shape (n_nodes,)
        Column tested; -1 marks a leaf.
    threshold : float64, shape (n_nodes,)
    left, right : int64, shape (n_nodes,)
        Children's node indices; unused at leaves.
    missing_left : bool, shape (n_nodes,)
    leaf_output : int64, shape (n_nodes,)
        The output column a leaf adds to; unused at inner nodes.
    leaf_value : float64, shape (n_nodes,)
    members : dict of int to tuple of int
        Inner nodes that split by set membership of category codes.
    """

    n_outputs: int
    base: Floats
    roots: Ints
    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    missing_left: Bools
    leaf_output: Ints
    leaf_value: Floats
    members: dict[int, tuple[int, ...]] = field(default_factory=dict)


def combine(forests: Sequence[Forest], weights: Sequence[float]) -> Forest:
    """One forest whose raw score is the weighted sum of the given forests' raw scores.

    All forests must read the same feature matrix and have equal ``n_outputs``.
    """
    offsets = np.cumsum([0, *(len(f.feature) for f in forests)])[:-1]
    return Forest(
        n_outputs=forests[0].n_outputs,
        base=np.sum([w * f.base for f, w in zip(forests, weights, strict=True)], axis=0),
        roots=np.concatenate([f.roots + o for f, o in zip(forests, offsets, strict=True)]),
        feature=np.concatenate([f.feature for f in forests]),
        threshold=np.concatenate([f.threshold for f in forests]),
        left=np.concatenate([f.left + o for f, o in zip(forests, offsets, strict=True)]),
        right=np.concatenate([f.right + o for f, o in zip(forests, offsets, strict=True)]),
        missing_left=np.concatenate([f.missing_left for f in forests]),
        leaf_output=np.concatenate([f.leaf_output for f in forests]),
        leaf_value=np.concatenate([f.leaf_value * w for f, w in zip(forests, weights, strict=True)]),
        members={node + int(o): m for f, o in zip(forests, offsets, strict=True) for node, m in f.members.items()},
    )


def stack_outputs(forests: Sequence[Forest]) -> Forest:
    """One forest whose outputs are the given forests' outputs side by side (bases included)."""
    offsets = np.cumsum([0, *(f.n_outputs for f in forests)])[:-1]
    total = int(sum(f.n_outputs for f in forests))
    shifted = [
        Forest(
            n_outputs=total,
            base=np.concatenate([np.zeros(o), f.base, np.zeros(total - o - f.n_outputs)]),
            roots=f.roots, feature=f.feature, threshold=f.threshold, left=f.left, right=f.right,
            missing_left=f.missing_left, leaf_output=f.leaf_output + o, leaf_value=f.leaf_value, members=f.members,
        )
        for f, o in zip(forests, offsets, strict=True)
    ]
    return combine(shifted, [1.0] * len(shifted))


def with_columns(forest: Forest, columns: Ints) -> Forest:
    """The forest over a matrix in which its feature ``k`` stands in ``columns[k]``."""
    if not len(forest.feature):
        return forest
    return replace(forest, feature=np.where(forest.feature < 0, -1, columns[forest.feature]))


def evaluate(forest: Forest, X: Floats) -> Floats:
    """Raw scores of ``X`` (n_rows, n_features), float64 (n_rows, n_outputs), by walking the node arrays.

    The plain statement of what a forest means, for tests and for analysis; it visits one tree at a time.
    """
    scores = np.tile(np.asarray(forest.base, np.float64), (len(X), 1))
    rows = np.arange(len(X))
    for root in forest.roots:
        node = np.full(len(X), int(root))
        walking = rows[forest.feature[node] >= 0]
        while len(walking):
            at = node[walking]
            value = X[walking, forest.feature[at]].astype(np.float64)
            left = value <= forest.threshold[at]
            for which in np.unique(at):
                codes = forest.members.get(int(which))
                if codes is not None:
                    here = at == which
                    left[here] = np.isin(value[here], codes)
            left = np.where(np.isnan(value), forest.missing_left[at], left)
            node[walking] = np.where(left, forest.left[at], forest.right[at])
            walking = walking[forest.feature[node[walking]] >= 0]
        np.add.at(scores, (rows, forest.leaf_output[node]), forest.leaf_value[node])
    return scores


def chunks(forest: Forest, max_nodes: int) -> list[Forest]:
    """The forest's trees in order, in as few forests as hold at most ``max_nodes`` nodes each (or one tree).

    The parts have no ``base``: their raw scores add up to the forest's without it.
    """
    n_trees, n_nodes = len(forest.roots), len(forest.feature)
    zero = np.zeros(forest.n_outputs)
    if n_nodes <= max_nodes or n_trees <= 1:
        return [replace(forest, base=zero)]
    tree = np.zeros(n_nodes, np.int64)
    nodes, owner = forest.roots, np.arange(n_trees)
    while len(nodes):  # one level of all trees at a time
        tree[nodes] = owner
        inner = forest.feature[nodes] >= 0
        nodes, owner = nodes[inner], owner[inner]
        nodes, owner = np.concatenate([forest.left[nodes], forest.right[nodes]]), np.concatenate([owner, owner])
    ends = np.cumsum(np.bincount(tree, minlength=n_trees))
    chunk = (ends - 1) // max_nodes
    return [_trees(forest, np.flatnonzero(chunk == c), chunk[tree] == c, zero) for c in np.unique(chunk)]


def _trees(forest: Forest, trees: Ints, keep: Bools, base: Floats) -> Forest:
    position = np.cumsum(keep) - 1
    left, right = (np.where(forest.feature[keep] >= 0, position[side[keep]], 0) for side in (forest.left, forest.right))
    return Forest(
        forest.n_outputs, base, position[forest.roots[trees]], forest.feature[keep], forest.threshold[keep],
        left, right, forest.missing_left[keep], forest.leaf_output[keep], forest.leaf_value[keep],
        {int(position[k]): m for k, m in forest.members.items() if keep[k]},
    )
