"""The contract of encoders and steps, as pytest classes: a new one gets every test for free.

@pytest.mark.parametrize("encoder", [MY_ENCODER], ids=lambda e: e.name)
class TestMine(EncoderContract): ...
"""

from __future__ import annotations

import pickle

import numpy as np
from onnx import TensorProto

from tabwright.codec import register
from tabwright.data.table import Table
from tabwright.features.base import Encoder, FittedEncoder, Inputs, Step
from tabwright.features.recipe import to_float32
from tabwright.objectives.measure import session
from tabwright.onnx.graph import Graph
from tabwright.pipeline import CODEC
from tabwright.testing.tables import mixed_table, target_for
from tabwright.types import Array, Floats, Task


def run_encoder(fitted: FittedEncoder, table: Table) -> Floats:
    """A fitted encoder's output by onnxruntime."""
    graph = Graph()
    graph.output("out", fitted.to_onnx(Inputs(graph, table.schema)), TensorProto.DOUBLE, len(fitted.names))
    inputs: dict[str, Array] = {"numbers": table.numbers, "strings": table.string_matrix()}
    return np.asarray(session(graph.build({}).SerializeToString()).run(None, inputs)[0])


def strange_rows(table: Table) -> Table:
    """Rows with everything missing, values never seen, blanks, and extreme numbers."""
    numbers, strings = np.array(table.numbers[:12]), table.string_matrix()[:12]
    numbers[0], strings[0] = np.nan, ""
    strings[1] = "never seen"
    strings[2] = "漢字 ... \t ?"
    numbers[3:9] = np.array([0.0, -1.0, 1e300, -1e300, 1e15, 5e-324])[:, None]
    numbers[3:9, [c.kind == "datetime" for c in table.schema.numeric]] = -62_000_000_000.0
    return Table.from_matrices(table.schema, numbers, strings)


class EncoderContract:
    """Holds for every encoder, on a table with all kinds of columns, for every task."""

    def fit(self, encoder: Encoder, task: Task = Task.REGRESSION) -> tuple[FittedEncoder, Floats, Table]:
        for cls in encoder.fitted:
            register(cls)
        table = mixed_table()
        made = encoder.fit(table, target_for(task, table))
        assert made is not None
        fitted, X = made if encoder.supervised else (made, made.apply(table))
        return fitted, X, table

    def test_every_output_has_a_name(self, encoder: Encoder) -> None:
        for task in Task:
            fitted, X, table = self.fit(encoder, task)
            assert X.shape == (table.n_rows, len(fitted.names)) == fitted.apply(table).shape
            assert X.dtype == np.float64
            assert len(set(fitted.names)) == len(fitted.names)

    def test_onnx_agrees_to_the_bit(self, encoder: Encoder) -> None:
        for task in Task:
            fitted, _, table = self.fit(encoder, task)
            if not hasattr(fitted, "to_onnx"):
                return  # it runs in Python only, and the export refuses it
            for rows in (table, strange_rows(table)):
                np.testing.assert_array_equal(to_float32([run_encoder(fitted, rows)]), to_float32([fitted.apply(rows)]))

    def test_a_row_alone_is_as_in_the_batch(self, encoder: Encoder) -> None:
        fitted, _, table = self.fit(encoder)
        score = run_encoder if hasattr(fitted, "to_onnx") else type(fitted).apply
        whole = score(fitted, table)
        for k in range(5):
            np.testing.assert_array_equal(
                score(fitted, table.take([k])).astype(np.float32), whole[k : k + 1].astype(np.float32)
            )

    def test_fitting_again_gives_the_same(self, encoder: Encoder) -> None:
        np.testing.assert_array_equal(self.fit(encoder)[1], self.fit(encoder)[1])

    def test_nothing_to_encode_is_none(self, encoder: Encoder) -> None:
        table = mixed_table()
        empty = Table(type(table.schema)(()), np.empty((table.n_rows, 0)), ())
        assert encoder.fit(empty, target_for(Task.REGRESSION, table)) is None

    def test_is_stored_without_pickle_and_survives_it(self, encoder: Encoder) -> None:
        fitted, _, table = self.fit(encoder)
        for copy in (CODEC.loads(CODEC.dumps(fitted)), pickle.loads(pickle.dumps(fitted))):
            np.testing.assert_array_equal(copy.apply(table), fitted.apply(table))
            assert copy.names == fitted.names


class StepContract:
    """Holds for every step."""

    def sample(self) -> Floats:
        rng = np.random.default_rng(0)
        X = rng.normal(size=(300, 5)) * [1, 10, 0, 1e-6, 1e6]
        X[:, 2] = 7.0
        return X

    def test_onnx_agrees_to_the_bit(self, step: Step) -> None:
        X = self.sample()
        fitted = step.fit(X)
        rows = np.concatenate([X, X[:3] * 1e9, -X[:3] * 1e9])
        out = fitted.apply(rows)
        graph = Graph()
        name = fitted.to_onnx(graph, graph.input("x", TensorProto.DOUBLE, X.shape[1]))
        graph.output("out", name, TensorProto.DOUBLE, out.shape[1])
        got = session(graph.build({}).SerializeToString()).run(None, {"x": rows})[0]
        np.testing.assert_array_equal(got.astype(np.float32), out.astype(np.float32))

    def test_every_output_has_a_name_and_is_finite(self, step: Step) -> None:
        X = self.sample()
        fitted = step.fit(X)
        out = fitted.apply(X)
        names = fitted.rename(tuple("abcde"))
        assert out.shape == (len(X), len(names)) and np.isfinite(out).all()
        assert len(set(names)) == len(names)

    def test_is_stored_without_pickle(self, step: Step) -> None:
        X = self.sample()
        fitted = step.fit(X)
        np.testing.assert_array_equal(CODEC.loads(CODEC.dumps(fitted)).apply(X), fitted.apply(X))
