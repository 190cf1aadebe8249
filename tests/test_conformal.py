"""Intervals and sets: guaranteed on exchangeable rows, the same in Python, in the file and in its graph."""

import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLClassifier, AutoMLRegressor, load_model
from tabwright.conformal import MIN_ROWS, Conformal, calibrate, decide
from tabwright.errors import DataError, OptionError
from tabwright.types import Task

QUICK = {"max_runtime_secs": 60, "max_models": 2, "include_families": ["lightgbm", "linear"], "nfolds": 3,
         "progress": False}  # fmt: skip


def regression(n, rng):
    """Errors that are skewed, and grow with the prediction."""
    value = rng.uniform(0, 10, n)
    return value[:, None], value + (0.2 + value) * (rng.exponential(size=n) - 1)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_intervals_cover_what_is_asked_for_in_every_range(coverage):
    rng = np.random.default_rng(0)
    shares, by_range = [], []
    for _ in range(40):
        prediction, y = regression(2000, rng)
        found = calibrate(Task.REGRESSION, y, prediction)
        test, truth = regression(2000, rng)
        ends = found.interval(test[:, 0], coverage)
        inside = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
        shares.append(inside.mean())
        by_range.append([inside[test[:, 0] < 2].mean(), inside[test[:, 0] > 8].mean()])
    assert np.mean(shares) == pytest.approx(coverage, abs=0.01) and np.mean(shares) > coverage - 0.004
    assert np.mean(by_range, axis=0) == pytest.approx([coverage, coverage], abs=0.03)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_sets_cover_what_is_asked_for(n_classes):
    rng = np.random.default_rng(1)

    def draw(n):
        proba = rng.dirichlet(np.full(n_classes, 0.4), n)
        y = (proba.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
        return y, proba

    strict, usual = [], []
    for _ in range(40):
        y, proba = draw(1000)
        found = calibrate(Task.MULTICLASS, y, proba) if n_classes > 2 else calibrate(Task.BINARY, y, proba[:, 1:])
        y, proba = draw(1000)
        strict.append(found.sets(proba, 0.9, empty=True)[np.arange(1000), y].mean())
        usual.append(found.sets(proba, 0.9)[np.arange(1000), y].mean())
        assert found.sets(proba, 0.9).any(axis=1).all()
    assert np.mean(strict) == pytest.approx(0.9, abs=0.01) and np.mean(usual) >= np.mean(strict)


def test_few_rows_and_odd_coverages():
    rng = np.random.default_rng(2)
    prediction, y = regression(50, rng)
    found = calibrate(Task.REGRESSION, y, prediction)
    assert found.coverages[-1] == 0.96  # 2 % on a side need 50 rows, 2.5 % suffice with 39
    with pytest.raises(OptionError, match=r"ask for at most 0\.96"):
        found.interval(prediction[:, 0], 0.99)
    for odd in (0, 1, 1.5, True, "0.9"):
        with pytest.raises(OptionError, match="above 0 and below 1"):
            found.interval(prediction[:, 0], odd)
    np.testing.assert_array_equal(found.interval(prediction[:, 0], 0.123), found.interval(prediction[:, 0], 0.5))
    assert calibrate(Task.REGRESSION, y[: MIN_ROWS - 1], prediction[: MIN_ROWS - 1]) is None
    constant = calibrate(Task.REGRESSION, rng.normal(size=5000), np.zeros((5000, 1)))
    assert len(constant.edges) == 0 and constant.interval(np.zeros(1), 0.9)[0] == pytest.approx([-1.64, 1.64], abs=0.1)
    again = Conformal.from_json(found.to_json())
    np.testing.assert_array_equal(again.low, found.low)


def test_decisions_by_expected_cost():
    proba = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    assert decide(proba, None, None).tolist() == [0, 0, 1]
    assert decide(proba, [[0, 1], [5, 0]], None).tolist() == [0, 1, 1]  # a missed second class costs five
    assert decide(proba, None, 0.3).tolist() == [0, -1, 1]
    for odd in ([[0, 1]], [["a", "b"], ["c", "d"]], [[0, np.nan], [1, 0]]):
        with pytest.raises(OptionError, match="costs"):
            decide(proba, odd, None)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"a": rng.uniform(0, 3, 3000), "b": rng.choice(["u", "v"], 3000), "c": rng.normal(size=3000)})
    frame["y"] = frame["a"] ** 2 + (frame["b"] == "u") + (0.1 + 0.3 * frame["a"]) * rng.normal(size=3000)
    frame["two"] = np.where(frame["y"] + rng.normal(size=3000) > 3, "yes", "no")
    frame["three"] = pd.cut(frame["y"] + 0.5 * rng.normal(size=3000), [-9, 1, 4, 99], labels=False) + 10
    return frame


@pytest.mark.parametrize("target", ["y", "two", "three"])
def test_estimator_file_and_graph_agree_and_cover(table, target, tmp_path):
    train, test = table.iloc[:1800], table.iloc[1800:]
    made = (AutoMLRegressor if target == "y" else AutoMLClassifier)(**QUICK).fit(train[["a", "b", "c"]], train[target])
    made.export(tmp_path / "m.onnx")
    model = load_model(tmp_path / "m.onnx")
    X, truth = test[["a", "b", "c"]], test[target].to_numpy()
    graph = model.run(model.encode(X))
    if target == "y":
        for coverage in (0.6, 0.9):
            ends = made.predict_interval(X, coverage)
            np.testing.assert_allclose(ends, model.predict_interval(X, coverage), rtol=1e-9)
            assert ((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean() == pytest.approx(coverage, abs=0.05)
        emitted = np.column_stack([graph["prediction_low"], graph["prediction_high"]])
        np.testing.assert_allclose(emitted, ends, rtol=1e-9)
        assert np.corrcoef(ends[:, 1] - ends[:, 0], test["a"])[0, 1] > 0.8  # wide where errors are large
        with pytest.raises(DataError, match="no interval"):
            load_model(classifier_file(made, table, tmp_path)).predict_interval(X)
        return
    sets = made.predict_set(X)
    np.testing.assert_array_equal(sets, model.predict_set(X))
    np.testing.assert_array_equal(sets, graph["prediction_set"])
    codes = np.searchsorted(made.classes_, truth)
    assert made.predict_set(X, empty=True)[np.arange(len(X)), codes].mean() == pytest.approx(0.9, abs=0.05)
    said, same = made.decide(X, abstain_cost=0.2), model.decide(X, abstain_cost=0.2)
    assert list(said) == list(same) and None in list(said)
    confident = made.predict_proba(X).max(axis=1) >= 0.8
    assert [v is not None for v in said] == confident.tolist()
    assert set(map(type, said[confident])) == {type(v) for v in made.decide(X)}


def classifier_file(_made, table, folder):
    other = AutoMLClassifier(**{**QUICK, "max_models": 1}).fit(table[["a", "b", "c"]].head(300), table["two"].head(300))
    other.export(folder / "c.onnx")
    return folder / "c.onnx"


def test_a_file_without_calibration_says_so(write_model, table):
    from tabwright.data.infer import infer_schema

    model = load_model(write_model(infer_schema(table[["a", "c"]], None, Task.REGRESSION)))
    with pytest.raises(DataError, match="no calibration"):
        model.predict_interval(table[["a", "c"]])
