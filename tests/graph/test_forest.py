"""Forest -> TreeEnsemble: random forests score as a plain walk over their arrays."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from tabwright.onnx.forest import Forest, combine, evaluate, stack_outputs
from tabwright.onnx.graph import Graph, matrix_to_double
from tabwright.onnx.tree_node import tree_ensemble_node

N_FEATURES = 4


def random_tree(rng, n_outputs, n_inner, members):
    """A random binary tree: inner nodes are made by splitting random leaves."""
    feature, threshold, left, right, missing = [-1], [0.0], [0], [0], [False]
    sets = {}
    leaves = [0]
    for _ in range(n_inner):
        node = leaves.pop(int(rng.integers(len(leaves))))
        feature[node] = int(rng.integers(N_FEATURES))
        threshold[node] = float(np.round(rng.normal(), 1)) if rng.random() < 0.7 else float(rng.normal())
        missing[node] = bool(rng.random() < 0.5)
        if members and feature[node] == N_FEATURES - 1:
            size = int(rng.integers(1, 12))
            sets[node] = tuple(sorted(rng.choice(100, size, replace=False).tolist()))
            missing[node] = False
        left[node], right[node] = len(feature), len(feature) + 1
        leaves += [left[node], right[node]]
        for column, value in ((feature, -1), (threshold, 0.0), (left, 0), (right, 0), (missing, False)):
            column.extend([value, value])
    n = len(feature)
    return Forest(
        n_outputs=n_outputs, base=np.zeros(n_outputs), roots=np.array([0]), feature=np.array(feature),
        threshold=np.array(threshold), left=np.array(left), right=np.array(right), missing_left=np.array(missing),
        leaf_output=rng.integers(n_outputs, size=n), leaf_value=rng.normal(size=n), members=sets,
    )


def random_forest(rng, n_outputs=1, n_trees=5, depth=10, *, members=True):
    trees = [random_tree(rng, n_outputs, int(rng.integers(0, depth)), members) for _ in range(n_trees)]
    forest = combine(trees, [1.0] * n_trees)
    return Forest(**(forest.__dict__ | {"base": rng.normal(size=n_outputs)}))


def rows(rng, n=200):
    X = np.round(rng.normal(size=(n, N_FEATURES)), 1)
    X[:, -1] = rng.integers(0, 110, size=n)
    X[rng.random(X.shape) < 0.1] = np.nan
    return X.astype(np.float32)


def score(model, X):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": X})


def scored(forest, X):
    graph = Graph()
    x = graph.input("x", TensorProto.FLOAT, N_FEATURES)
    graph.output("raw", graph.forest(matrix_to_double(graph, x), forest), TensorProto.DOUBLE, forest.n_outputs)
    return score(graph.build({}), X)[0]


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), n_outputs=st.integers(1, 4), n_trees=st.integers(1, 12),
       depth=st.integers(1, 30), members=st.booleans())
def test_random_forests_score_as_a_walk(seed, n_outputs, n_trees, depth, members):
    rng = np.random.default_rng(seed)
    forest, X = random_forest(rng, n_outputs, n_trees, depth, members=members), rows(rng)
    np.testing.assert_allclose(scored(forest, X), evaluate(forest, X), rtol=1e-12, atol=1e-12)


@given(seed=st.integers(0, 2**32 - 1), n_trees=st.integers(1, 12), depth=st.integers(1, 30))
def test_a_leaf_stands_nowhere_beside_an_inner_node_of_its_number(seed, n_trees, depth):
    """onnxruntime before 1.24 takes the node above them for a leaf."""
    node = tree_ensemble_node(random_forest(np.random.default_rng(seed), 1, n_trees, depth), "x", "y")
    of = {a.name: np.array(a.ints) for a in node.attribute if a.ints}
    mixed = of["nodes_trueleafs"] != of["nodes_falseleafs"]
    assert (of["nodes_truenodeids"][mixed] != of["nodes_falsenodeids"][mixed]).all()
    ids = np.concatenate([of[f"nodes_{side}nodeids"][of[f"nodes_{side}leafs"] == 1] for side in ("true", "false")])
    assert len(np.unique(ids)) == len(ids) and ids.max() < len(of["leaf_targetids"])


@pytest.mark.parametrize("codes", [(0,), (1, 2), (0, 31), (31, 32), (63, 64), (5, 300), tuple(range(0, 90, 3)),
                                   (1 << 20,), tuple(range(70))])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_membership_of_codes_large_and_small(codes, n_outputs):
    forest = Forest(
        n_outputs=n_outputs, base=np.zeros(n_outputs), roots=np.array([0]), feature=np.array([0, -1, -1]),
        threshold=np.zeros(3), left=np.array([1, 0, 0]), right=np.array([2, 0, 0]), missing_left=np.zeros(3, bool),
        leaf_output=np.zeros(3, int), leaf_value=np.array([0.0, 1.0, 2.0]), members={0: codes},
    )
    values = np.array([*range(130), 299, 300, 301, 1 << 20, (1 << 20) + 1, np.nan], np.float32)
    X = np.zeros((len(values), N_FEATURES), np.float32)
    X[:, 0] = values
    np.testing.assert_array_equal(scored(forest, X), evaluate(forest, X))


def test_forests_over_one_matrix_share_a_node():
    rng = np.random.default_rng(0)
    one, two, X = random_forest(rng, 1), random_forest(rng, 3), rows(rng)
    graph = Graph()
    x = matrix_to_double(graph, graph.input("x", TensorProto.FLOAT, N_FEATURES))
    graph.output("a", graph.forest(x, one), TensorProto.DOUBLE, 1)
    graph.output("b", graph.forest(x, two), TensorProto.DOUBLE, 3)
    model = graph.build({})
    assert [n.op_type for n in model.graph.node].count("TreeEnsemble") == 1
    a, b = score(model, X)
    np.testing.assert_allclose(a, evaluate(one, X), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(b, evaluate(two, X), rtol=1e-12, atol=1e-12)


def test_forests_over_two_matrices_one_made_from_the_other():
    rng = np.random.default_rng(1)
    first, second, X = random_forest(rng, members=False), random_forest(rng, 2, members=False), rows(rng)
    graph = Graph()
    x = matrix_to_double(graph, graph.input("x", TensorProto.FLOAT, N_FEATURES))
    score_of_first = graph.forest(x, first)
    stacked = graph.node("Concat", score_of_first, x, axis=1)
    graph.output("raw", graph.forest(stacked, second), TensorProto.DOUBLE, 2)
    wide = np.concatenate([evaluate(first, X), X.astype(np.float64)], axis=1)
    np.testing.assert_allclose(score(graph.build({}), X)[0], evaluate(second, wide), rtol=1e-12, atol=1e-12)


def test_weighted_sum_merges_forests_and_adds_the_rest():
    rng = np.random.default_rng(2)
    one, two, X = random_forest(rng, 2), random_forest(rng, 2), rows(rng)
    graph = Graph()
    x = matrix_to_double(graph, graph.input("x", TensorProto.FLOAT, N_FEATURES))
    plain = graph.node("Slice", graph.node("Where", graph.node("IsNaN", x), graph.const(0.0), x),
                       graph.const(np.array([0])), graph.const(np.array([2])), graph.const(np.array([1])))
    total = graph.weighted_sum([graph.forest(x, one), plain, graph.forest(x, two)], [0.25, 0.5, 0.25])
    graph.output("raw", total, TensorProto.DOUBLE, 2)
    model = graph.build({})
    assert [n.op_type for n in model.graph.node].count("TreeEnsemble") == 1
    expected = 0.25 * evaluate(one, X) + 0.5 * np.nan_to_num(X[:, :2]).astype(float) + 0.25 * evaluate(two, X)
    np.testing.assert_allclose(score(model, X)[0], expected, rtol=1e-12, atol=1e-12)


def test_a_weighted_sum_of_one_forest_twice():
    rng = np.random.default_rng(3)
    forest, X = random_forest(rng), rows(rng)
    graph = Graph()
    x = matrix_to_double(graph, graph.input("x", TensorProto.FLOAT, N_FEATURES))
    tensor = graph.forest(x, forest)
    graph.output("raw", graph.weighted_sum([tensor, tensor], [0.5, 1.5]), TensorProto.DOUBLE, 1)
    np.testing.assert_allclose(score(graph.build({}), X)[0], 2 * evaluate(forest, X), rtol=1e-12, atol=1e-12)


def test_stack_outputs_is_side_by_side():
    rng = np.random.default_rng(4)
    forests, X = [random_forest(rng, k) for k in (1, 3, 2)], rows(rng)
    expected = np.concatenate([evaluate(f, X) for f in forests], axis=1)
    np.testing.assert_allclose(evaluate(stack_outputs(forests), X), expected, rtol=1e-12, atol=1e-12)


def test_trees_that_are_one_leaf_and_forests_without_trees():
    rng = np.random.default_rng(5)
    bare, X = random_forest(rng, 2, n_trees=3, depth=1), rows(rng)
    np.testing.assert_allclose(scored(bare, X), evaluate(bare, X), rtol=1e-12, atol=1e-12)
    none = np.empty(0, np.int64)
    empty = Forest(2, np.array([1.0, -2.0]), none, none, np.empty(0), none, none, np.empty(0, bool), none, np.empty(0))
    np.testing.assert_array_equal(scored(empty, X), np.tile([1.0, -2.0], (len(X), 1)))


def test_thresholds_decide_in_double():
    """A threshold between two neighbouring float32 numbers must part them."""
    low = np.float32(1.7e9)
    high = np.nextafter(low, np.float32(np.inf))
    forest = Forest(
        n_outputs=1, base=np.zeros(1), roots=np.array([0]), feature=np.array([0, -1, -1]),
        threshold=np.array([(float(low) + float(high)) / 2, 0.0, 0.0]), left=np.array([1, 0, 0]),
        right=np.array([2, 0, 0]), missing_left=np.zeros(3, bool), leaf_output=np.zeros(3, int),
        leaf_value=np.array([0.0, 1.0, 2.0]),
    )
    X = np.zeros((2, N_FEATURES), np.float32)
    X[:, 0] = [low, high]
    np.testing.assert_array_equal(scored(forest, X)[:, 0], [1.0, 2.0])


def test_the_model_passes_the_checker():
    rng = np.random.default_rng(6)
    graph = Graph()
    x = matrix_to_double(graph, graph.input("x", TensorProto.FLOAT, N_FEATURES))
    graph.output("raw", graph.forest(x, random_forest(rng)), TensorProto.DOUBLE, 1)
    onnx.checker.check_model(graph.build({"kind": "test"}), full_check=True)


def test_chunks_add_up_to_the_whole_and_keep_trees_together():
    from tabwright.onnx.forest import chunks, combine, evaluate

    rng = np.random.default_rng(0)
    stump = np.array([0, -1, -1])
    trees = [
        Forest(2, np.zeros(2), np.array([0]), stump, rng.normal(size=3), np.array([1, 0, 0]), np.array([2, 0, 0]),
               rng.random(3) < 0.5, rng.integers(0, 2, 3), rng.normal(size=3), {0: (1, 3)} if k % 3 == 0 else {})
        for k in range(50)
    ]  # fmt: skip
    whole = combine(trees, [1.0] * 50)
    X = np.concatenate([rng.normal(size=(40, 1)), rng.integers(0, 5, (40, 1)), [[np.nan]]])
    parts = chunks(whole, 20)
    assert len(parts) == 8 and all(len(p.feature) <= 21 for p in parts)
    np.testing.assert_allclose(sum(evaluate(p, X) for p in parts), evaluate(whole, X), atol=1e-12)
    assert len(chunks(whole, 1000)) == 1
