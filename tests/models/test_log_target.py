"""Models of a target's logarithm: chosen where it is skewed, right in the mean, and the same in the file."""

import time

import numpy as np
import onnxruntime as ort
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from tabwright import AutoMLRegressor, load_model
from tabwright.models import CATBOOST, LIGHTGBM, LINEAR, MLP
from tabwright.models.base import Columns, FitContext, Sample
from tabwright.models.log_target import differs_by_factors, fit_log
from tabwright.onnx.graph import Graph
from tabwright.pipeline import LOGARITHM, TARGET
from tabwright.space import defaults
from tabwright.store.run_dir import RunDir
from tabwright.types import Task


def prices(n=3000, seed=0, zeros=False):
    """Positive values that differ by factors, with noise in proportion."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)).astype(np.float32)
    y = np.exp(5.0 + X[:, 0] + 0.5 * X[:, 1] * X[:, 2] + rng.normal(scale=0.4, size=n))
    return X, np.floor(y / 200.0) if zeros else y


def fitted(kind=LIGHTGBM, *, unbiased=True, zeros=False):
    X, y = prices(zeros=zeros)
    mean, scale = float(y.mean()), float(y.std())
    standard = (y - mean) / scale
    train, valid = Sample(X[:2000], standard[:2000]), Sample(X[2000:], standard[2000:])
    context = FitContext(Task.REGRESSION, 1, Columns(3), deadline=time.monotonic() + 60)
    model = fit_log(kind.fit, train, valid, defaults(kind.space), context, mean, scale, unbiased=unbiased)
    return model, X, y, mean, scale


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("kind", [LIGHTGBM, CATBOOST, LINEAR], ids=lambda kind: kind.name)
def test_the_file_predicts_as_python_does(kind, zeros):
    model, X, *_ = fitted(kind, zeros=zeros)
    graph = Graph()
    x = graph.input("X", TensorProto.FLOAT, 3)
    graph.output("raw", model.to_onnx(graph, x), TensorProto.DOUBLE, 1)
    session = ort.InferenceSession(graph.build({}).SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"X": X})[0], model.predict(X), rtol=1e-12, atol=1e-12)


def test_means_are_right_where_means_are_asked_for_and_middles_elsewhere():
    for unbiased in (True, False):
        model, X, y, mean, scale = fitted(unbiased=unbiased)
        predicted = mean + scale * model.predict(X[2000:])[:, 0]
        above = float((y[2000:] > predicted).mean())
        ratio = predicted.mean() / y[2000:].mean()
        assert (abs(ratio - 1.0) < 1e-3) == unbiased
        assert abs(above - 0.5) < (1.0 if unbiased else 0.04)


def test_what_repeats_a_training_is_told_as_by_the_model_itself():
    for kind in (MLP, LIGHTGBM):
        model = fitted(kind)[0]
        assert model.n_iterations == model.model.n_iterations
        assert bool(model.schedule) == (kind is MLP) and model.schedule == getattr(model.model, "schedule", ())


def test_predictions_stay_near_what_was_seen():
    model, X, y, mean, scale = fitted(LINEAR)
    far = mean + scale * model.predict(100.0 * X)
    assert np.isfinite(far).all()
    assert far.min() > 0.0 and far.max() < 10.0 * y.max()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e12, 1e12), max_size=30))
def test_any_target_is_looked_at(values):
    y = np.array(values)
    assert not differs_by_factors(y) or 0.0 <= y.min() < y.max()  # and nothing warns


def test_only_skewed_positive_targets_are_worth_a_try():
    _, y = prices()
    rng = np.random.default_rng(0)
    assert differs_by_factors(y) and differs_by_factors(prices(zeros=True)[1])
    assert not differs_by_factors(-y) and not differs_by_factors(rng.random(1000))
    assert not differs_by_factors(np.ones(10)) and not differs_by_factors(np.zeros(0))


@pytest.mark.filterwarnings("ignore:The run was cut off")
def test_a_run_tries_it_and_exports_what_leads(tmp_path):
    X, y = prices(1500)
    frame = pd.DataFrame(X, columns=list("abc"))
    model = AutoMLRegressor(max_models=4, max_runtime_secs=120, include_families=["lightgbm", "linear"], nfolds=3,
                            progress=False, export_checkpoints_dir=tmp_path, sort_metric="rmsle")  # fmt: skip
    model.fit(frame, y)
    run = RunDir.open(next(p.parent for p in tmp_path.rglob("run.json")))
    logged = [c.model_id for c in run.read_journal().candidates() if c.params.get(TARGET) == LOGARITHM]
    assert "lightgbm_3" in logged
    board = model.leaderboard().set_index("model_id")["score"]
    assert board["lightgbm_3"] < board["lightgbm_1"]  # in proportion, its errors are smaller
    model.export(tmp_path / "model.onnx")
    scored = np.asarray(load_model(tmp_path / "model.onnx").predict(frame))
    np.testing.assert_allclose(scored, model.predict(frame), rtol=1e-9)
