"""Columns that tell of the target are told from noise, and models of them alone export exactly."""

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto

from tabwright import AutoMLClassifier, load_model
from tabwright.features.base import Inputs, TargetInfo
from tabwright.features.recipe import RECIPES, FittedFeatures, fit_part
from tabwright.features.telling import telling
from tabwright.objectives.measure import session
from tabwright.onnx.graph import Graph
from tabwright.pipeline import COLUMNS, TELLING
from tabwright.testing.tables import mixed_table, target_for
from tabwright.types import Task


@pytest.mark.parametrize("task", list(Task))
def test_noise_is_told_from_what_tells(task):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(800, 60)).astype(np.float32)
    signal = 2.0 * X[:, 3] + X[:, 7] * X[:, 3] + np.abs(X[:, 50])
    cuts = np.quantile(signal, [0.3, 0.7] if task is Task.MULTICLASS else [0.5])
    y = signal if task is Task.REGRESSION else np.digitize(signal, cuts)
    kept = set(telling(X, TargetInfo(task, 3 if task is Task.MULTICLASS else 2, y)).tolist())
    assert kept >= {3, 50} and len(kept) < 15


def test_all_are_kept_where_none_tells():
    rng = np.random.default_rng(0)
    X = np.zeros((300, 8), np.float32)
    assert telling(X, TargetInfo(Task.REGRESSION, 1, rng.normal(size=300))).tolist() == list(range(8))


@pytest.mark.parametrize("view", list(RECIPES))
def test_kept_columns_are_those_of_the_whole_matrix_in_onnx_too(view):
    table = mixed_table()
    parts = tuple(m[0] for p in RECIPES[view].parts if (m := fit_part(p, table, target_for(Task.BINARY, table))))
    whole = FittedFeatures(parts)
    keep = np.arange(len(whole.names))[1::2]
    some = FittedFeatures(parts, keep)
    X = some.apply(table)
    np.testing.assert_array_equal(X, whole.apply(table)[:, keep])
    assert X.flags.c_contiguous and some.names == whole.names[1::2] and some.columns().n_features == X.shape[1]
    size = dict(zip(whole.columns().categorical, whole.columns().cardinality, strict=True))
    now = some.columns()
    assert [size[int(keep[k])] for k in now.categorical] == list(now.cardinality)
    graph = Graph()
    graph.output("x", some.to_onnx(Inputs(graph, table.schema)), TensorProto.FLOAT, len(some.names))
    inputs = {"numbers": table.numbers, "strings": table.string_matrix()}
    np.testing.assert_array_equal(session(graph.build({}).SerializeToString()).run(None, inputs)[0], X)


def test_a_run_on_many_columns_of_noise_learns_from_those_that_tell(tmp_path):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(700, 40)), columns=[f"c{k}" for k in range(40)])
    X["shop"] = rng.choice(list("abcdefghijkl"), 700)
    y = np.where(X["c3"] * X["c5"] + X["c8"] + (X["shop"] < "d") + 0.3 * rng.normal(size=700) > 0.3, "yes", "no")
    aml = AutoMLClassifier(max_runtime_secs=None, max_models=9, nfolds=3, progress=False)
    aml.fit(X, y)
    state = aml._finished.state
    chosen = {e.candidate.model_id for e in state.finished() if e.candidate.params.get(COLUMNS) == TELLING}
    assert len(chosen) >= 3 and state.finished()[0].candidate.model_id in chosen
    assert chosen & {m for m, _ in state.leader.weights}
    model = load_model(aml.export(tmp_path / "model.onnx").path)
    np.testing.assert_allclose(model.predict_proba(X), aml.predict_proba(X), atol=1e-6)
