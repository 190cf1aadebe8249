"""Emission of a :class:`Forest` as one ai.onnx.ml opset 5 ``TreeEnsemble`` node in its double form."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tabwright.onnx.forest import Forest
from tabwright.types import Array, Ints

BRANCH_LEQ, BRANCH_MEMBER = 0, 6
AGGREGATE_SUM, POST_NONE = 1, 0


def tree_ensemble_node(forest: Forest, x: str, output: str) -> onnx.NodeProto:
    """The node that computes the sum of the leaves (without ``base``), float64 (rows, n_outputs).

    A tree that is a single leaf has no form in this operator: it becomes an inner node whose two children are
    that leaf's value.
    """
    forest = _without_bare_leaves(forest)
    inner = np.flatnonzero(forest.feature >= 0)
    leaves = np.flatnonzero(forest.feature < 0)
    if len(inner) == 0:  # no trees at all: one that adds nothing keeps the operator valid
        return tree_ensemble_node(_zero_tree(forest), x, output)
    is_leaf = forest.feature < 0
    position = _positions(forest, inner, leaves)

    def children(side: Ints) -> tuple[Array, Array]:
        child = side[inner]
        return position[child], is_leaf[child].astype(np.int64)

    true_ids, true_leaf = children(forest.left)
    false_ids, false_leaf = children(forest.right)
    in_order = leaves[np.argsort(position[leaves])]
    modes = np.full(len(inner), BRANCH_LEQ, np.uint8)
    splits = forest.threshold[inner].astype(np.float64)
    membership: list[float] = []
    for node in inner[np.isin(inner, np.fromiter(forest.members, np.int64, len(forest.members)))]:
        modes[position[node]] = BRANCH_MEMBER
        membership.extend([*map(float, forest.members[int(node)]), float("nan")])
    attributes = {
        "n_targets": forest.n_outputs,
        "aggregate_function": AGGREGATE_SUM,
        "post_transform": POST_NONE,
        "tree_roots": position[forest.roots].tolist(),
        "nodes_featureids": forest.feature[inner].tolist(),
        "nodes_modes": helper.make_tensor("modes", TensorProto.UINT8, [len(inner)], modes.tobytes(), raw=True),
        "nodes_splits": numpy_helper.from_array(splits, "splits"),
        "nodes_truenodeids": true_ids.tolist(),
        "nodes_trueleafs": true_leaf.tolist(),
        "nodes_falsenodeids": false_ids.tolist(),
        "nodes_falseleafs": false_leaf.tolist(),
        "nodes_missing_value_tracks_true": forest.missing_left[inner].astype(np.int64).tolist(),
        "leaf_targetids": forest.leaf_output[in_order].tolist(),
        "leaf_weights": numpy_helper.from_array(forest.leaf_value[in_order].astype(np.float64), "leaves"),
    }
    if membership:
        attributes["membership_values"] = numpy_helper.from_array(np.array(membership, np.float64), "members")
    return helper.make_node("TreeEnsemble", [x], [output], domain="ai.onnx.ml", **attributes)


def _positions(forest: Forest, inner: Ints, leaves: Ints) -> Ints:
    """Where each node stands among the inner nodes, or among the leaves.

    onnxruntime before 1.24 takes a node for a leaf if its children stand at the same place, though only one of them be
    a leaf; so no such two do.
    """
    position = np.empty(len(forest.feature), np.int64)
    position[inner], position[leaves] = np.arange(len(inner)), np.arange(len(leaves))
    left, right = forest.left[inner], forest.right[inner]
    is_leaf = forest.feature < 0
    same = (is_leaf[left] != is_leaf[right]) & (position[left] == position[right])
    moved = np.where(is_leaf[left], left, right)[same]
    if len(moved) == 1:
        moved = np.append(moved, leaves[leaves != moved][:1])
    position[moved] = np.roll(position[moved], 1)
    return position


def _without_bare_leaves(forest: Forest) -> Forest:
    bare = np.flatnonzero(forest.feature[forest.roots] < 0) if len(forest.roots) else np.empty(0, np.int64)
    if len(bare) == 0:
        return forest
    n, old = len(forest.feature), forest.roots[bare]
    k = len(bare)
    # two copies of each bare leaf, then an inner node over them
    new_left, new_right, new_root = n + np.arange(k), n + k + np.arange(k), n + 2 * k + np.arange(k)
    roots = forest.roots.copy()
    roots[bare] = new_root
    zeros = np.zeros(k, np.int64)
    return Forest(
        n_outputs=forest.n_outputs, base=forest.base, roots=roots,
        feature=np.concatenate([forest.feature, zeros - 1, zeros - 1, zeros]),
        threshold=np.concatenate([forest.threshold, np.zeros(3 * k)]),
        left=np.concatenate([forest.left, zeros, zeros, new_left]),
        right=np.concatenate([forest.right, zeros, zeros, new_right]),
        missing_left=np.concatenate([forest.missing_left, np.ones(3 * k, bool)]),
        leaf_output=np.concatenate([forest.leaf_output, forest.leaf_output[old], forest.leaf_output[old], zeros]),
        leaf_value=np.concatenate([forest.leaf_value, forest.leaf_value[old], forest.leaf_value[old], np.zeros(k)]),
        members=forest.members,
    )


def _zero_tree(forest: Forest) -> Forest:
    return Forest(
        n_outputs=forest.n_outputs, base=forest.base, roots=np.array([0]), feature=np.array([0, -1, -1]),
        threshold=np.zeros(3), left=np.array([1, 0, 0]), right=np.array([2, 0, 0]), missing_left=np.ones(3, bool),
        leaf_output=np.zeros(3, np.int64), leaf_value=np.zeros(3), members={},
    )
