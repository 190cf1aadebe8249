"""Calibrated probabilities: found where they pay, the same in Python and in the file, and never a change of order."""

import numpy as np
import onnxruntime as ort
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto
from scipy.special import expit, softmax

from tabwright import AutoMLClassifier, load_model
from tabwright.calibration import MIN_ROWS, Calibration, calibrate
from tabwright.metrics import find_metric, score
from tabwright.onnx.graph import Graph
from tabwright.types import Task


def binary(n=4000, slope=1.0, shift=0.0, seed=0):
    """Labels, and probabilities that are this slope and shift away from what they follow."""
    rng = np.random.default_rng(seed)
    z = rng.normal(scale=2.0, size=n)
    return (rng.random(n) < expit(slope * z + shift)).astype(np.int64), expit(z)[:, None]


def several(n=4000, slope=1.0, classes=5, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(scale=1.5, size=(n, classes))
    proba = softmax(slope * z, axis=1)
    y = (rng.random((n, 1)) * proba.sum(axis=1, keepdims=True) > proba.cumsum(axis=1)).sum(axis=1)
    return np.minimum(y, classes - 1), softmax(z, axis=1)


@pytest.mark.parametrize(("slope", "shift"), [(1.6, 0.0), (0.6, 0.0), (1.0, 0.7), (1.4, -0.5)])
def test_two_classes_get_the_slope_and_shift_that_they_lack(slope, shift):
    found = calibrate(*binary(slope=slope, shift=shift))
    assert found.slope == pytest.approx(slope, rel=0.12)
    assert found.shift == pytest.approx(shift, abs=0.15)


@pytest.mark.parametrize("slope", [1.5, 0.7])
def test_several_classes_get_a_temperature(slope):
    found = calibrate(*several(slope=slope))
    assert found.slope == pytest.approx(slope, rel=0.1) and found.shift == 0.0


def test_nothing_is_changed_where_it_would_not_pay():
    assert calibrate(*binary()) is None
    assert calibrate(*several()) is None
    assert calibrate(*binary(n=MIN_ROWS - 1, slope=2.0)) is None


def test_weights_count():
    y, p = binary(slope=1.0)
    weight = np.where(y == 1, 9.0, 1.0)
    assert calibrate(y, p, weight).shift == pytest.approx(np.log(9.0), abs=0.2)


proba = st.lists(st.floats(0.0, 1.0), min_size=2, max_size=20)


@given(proba, st.floats(0.3, 3.0), st.floats(-3.0, 3.0))
def test_order_stays_and_certain_rows_stay_finite(values, slope, shift):
    p = np.array(values)[:, None]
    out = Calibration(slope, shift).apply(p)
    assert np.isfinite(out).all() and ((out >= 0) & (out <= 1)).all()
    order = np.argsort(p[:, 0], kind="stable")
    assert (np.diff(out[order, 0]) >= -1e-15).all()


@given(st.integers(2, 6), st.floats(0.3, 3.0), st.integers(0, 10_000))
def test_python_and_onnx_agree(classes, slope, seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, 0.2), size=30)
    p[0], p[1] = np.eye(classes)[0], np.eye(classes)[classes - 1]
    task = Task.MULTICLASS
    if classes == 2:
        p, task = p[:, 1:], Task.BINARY
    found = Calibration(slope, 0.4 if task is Task.BINARY else 0.0)
    graph = Graph()
    x = graph.input("x", TensorProto.DOUBLE, p.shape[1])
    graph.output("y", found.to_onnx(graph, x, task), TensorProto.DOUBLE, p.shape[1])
    session = ort.InferenceSession(graph.build({}).SerializeToString())
    np.testing.assert_allclose(session.run(None, {"x": p})[0], found.apply(p), rtol=1e-12, atol=1e-15)


def test_a_run_delivers_calibrated_probabilities(tmp_path):
    rng = np.random.default_rng(0)
    n = 3000
    X = pd.DataFrame({f"x{k}": rng.normal(size=n) for k in range(6)})
    z = 4.0 * np.column_stack([np.sin(2 * X["x0"]), X["x1"] * X["x2"], X["x3"]])
    y = pd.Series((z + rng.gumbel(size=z.shape)).argmax(axis=1), name="y").map("class {}".format)
    train, test = slice(0, 2000), slice(2000, None)
    # few neighbours and a bag of trees are far from sure of what they know
    made = AutoMLClassifier(max_runtime_secs=None, max_models=1, nfolds=3, progress=False,
                            include_families=["extra_trees"])  # fmt: skip
    made.fit(X[train].reset_index(drop=True), y[train].reset_index(drop=True))
    finished = made._finished
    assert finished.ensemble.calibration.slope > 1.05
    metric = find_metric("log_loss", Task.MULTICLASS)
    raw = finished.state.mean(finished.state.leader.weights)
    rows = finished.problem.evaluation_rows()
    assert made.leaderboard()["score"][0] < score(metric, finished.problem.y[rows], raw)
    np.testing.assert_array_equal(finished.out_of_fold(finished.ensemble), finished.state.leader.prediction)
    report = made.export(tmp_path / "model.onnx")
    model = load_model(report.path)
    assert model.metadata["calibration"]["slope"] == finished.ensemble.calibration.slope
    held = X[test].reset_index(drop=True)
    np.testing.assert_allclose(model.predict_proba(held), made.predict_proba(held), rtol=1e-6)
    codes = y[test].map({c: k for k, c in enumerate(made.classes_)}).to_numpy()
    proba = made.predict_proba(held)
    slope = finished.ensemble.calibration.slope
    undone = Calibration(1.0 / slope).apply(proba)
    assert score(metric, codes, proba) < score(metric, codes, undone)
    again = AutoMLClassifier.open(finished.run.path)
    np.testing.assert_allclose(again.predict_proba(held), proba, rtol=1e-9)
