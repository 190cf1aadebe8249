"""The graph builder: sharing, dropping, order, metadata."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto

from tabwright.objectives.measure import run_batched, session
from tabwright.onnx.graph import Graph, matrix_to_double, metadata_json
from tabwright.rows import rows_at_once


def ops(model):
    return [node.op_type for node in model.graph.node]


def test_equal_nodes_and_constants_are_emitted_once():
    graph = Graph()
    x = graph.input("x", TensorProto.FLOAT, 2)
    first = graph.node("Add", x, graph.const(np.float32([1, 2])))
    second = graph.node("Add", x, graph.const(np.float32([1, 2])))
    assert first == second
    assert matrix_to_double(graph, x) == matrix_to_double(graph, x)
    graph.output("y", graph.node("Mul", first, second), TensorProto.FLOAT, 2)
    model = graph.build({})
    assert ops(model).count("Add") == 1
    assert len(model.graph.initializer) == 1


def test_constants_that_differ_in_type_shape_or_sign_of_zero_are_kept_apart():
    graph = Graph()
    values = [np.float32(0), np.float64(0), np.float64(-0.0), np.zeros(1), np.int64(0), np.zeros((1, 1))]
    assert len({graph.const(v) for v in values}) == len(values)
    assert graph.const(["a", "b"]) == graph.const(np.array(["a", "b"], object))
    assert graph.const(["a"]) != graph.const(["b"])


def test_nodes_with_other_attributes_are_kept_apart():
    graph = Graph()
    x = graph.input("x", TensorProto.FLOAT, 2)
    assert graph.node("Softmax", x, axis=1) != graph.node("Softmax", x, axis=0)
    assert graph.nodes("Split", x, n_outputs=2, axis=1, num_outputs=2) == graph.nodes(
        "Split", x, n_outputs=2, axis=1, num_outputs=2)


def test_what_nothing_uses_is_dropped():
    graph = Graph()
    x = graph.input("x", TensorProto.FLOAT, 2)
    graph.node("Mul", x, graph.const(np.float32(7)))
    graph.output("y", graph.node("Add", x, graph.const(np.float32(1))), TensorProto.FLOAT, 2)
    model = graph.build({})
    assert ops(model) == ["Add", "Identity"]
    assert len(model.graph.initializer) == 1


def test_order_metadata_strings_and_the_checker():
    graph = Graph()
    x = graph.input("x", TensorProto.FLOAT, 2)
    late = graph.node("Exp", graph.node("Neg", graph.node("Abs", x)))
    graph.output("y", late, TensorProto.FLOAT, 2)
    graph.output("label", graph.node("Gather", graph.const(["no", "yes"]), graph.node(
        "ArgMax", late, axis=1, keepdims=0)), TensorProto.STRING, None)
    model = graph.build({"version": "1", "facts": metadata_json({"b": 1, "a": [1.5, None]})})
    onnx.checker.check_model(model, full_check=True)
    assert {p.key: p.value for p in model.metadata_props}["facts"] == '{"a":[1.5,null],"b":1}'
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    y, label = session.run(None, {"x": np.float32([[1, 2], [3, 0]])})
    np.testing.assert_allclose(y, np.exp(-np.float32([[1, 2], [3, 0]])), rtol=1e-6)
    assert label.tolist() == ["no", "yes"]


def test_rows_are_scored_few_at_a_time_where_results_are_wide():
    graph = Graph()
    x = graph.input("x", TensorProto.DOUBLE, 1)
    far = graph.node("Sub", x, graph.const(np.arange(40_000.0)[None, :]))
    graph.output("y", graph.node("ReduceSum", far, graph.const(np.array([1])), keepdims=0), TensorProto.DOUBLE, None)
    told = session(graph.build({}).SerializeToString())
    assert rows_at_once(told, 10_000) == 100
    X = np.arange(250.0)[:, None]
    np.testing.assert_array_equal(run_batched(told, {"x": X}, "y"), told.run(["y"], {"x": X})[0])
