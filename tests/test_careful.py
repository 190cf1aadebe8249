"""What went wrong once, kept: times as text, constraints on derived features, odd targets, damaged runs."""

import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLClassifier, AutoMLRegressor, UserError
from tabwright.evaluation import evaluate_model
from tabwright.runtime import load_model
from tabwright.store.run_dir import RunDir

ONE = {"max_runtime_secs": 60, "max_models": 1, "include_families": ["linear"], "nfolds": 3, "n_jobs": 1,
       "progress": False}  # fmt: skip


def table(rows=300):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=rows), "b": rng.normal(size=rows)})
    return X, X["a"] * 2 + rng.normal(size=rows) * 0.3


def test_times_written_as_text_are_ordered_as_times():
    X, y = table()
    days = pd.Series(pd.date_range("2020-01-01", periods=300)).sample(frac=1, random_state=0).reset_index(drop=True)
    aml = AutoMLRegressor(**ONE).fit(X.assign(t=days.dt.strftime("%m/%d/%Y"), y=y), target="y", time_column="t")
    for train, valid in zip(aml._finished.problem.train, aml._finished.problem.valid, strict=True):
        assert days[train].max() < days[valid].min()
    with pytest.raises(UserError, match="rows without a time"):
        AutoMLRegressor(**ONE).fit(X.assign(t=days.where(days.index > 3), y=y), target="y", time_column="t")
    with pytest.raises(UserError, match="can't order rows in time"):
        AutoMLRegressor(**ONE).fit(X.assign(t=["x", "y", "z"] * 100, y=y), target="y", time_column="t")


def test_a_monotone_coordinate_has_no_way_round_its_constraint():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"latitude": rng.uniform(30, 40, 800), "longitude": rng.uniform(-120, -110, 800)})
    y = np.sin(X["latitude"]) + X["longitude"] / 10
    options = ONE | {"include_families": ["lightgbm"], "monotone_constraints": {"latitude": 1}}
    aml = AutoMLRegressor(**options).fit(X, y)
    line = pd.DataFrame({"latitude": np.linspace(30, 40, 300), "longitude": -115.0})
    assert (np.diff(aml.predict(line)) >= -1e-12).all()


def test_targets_are_read_alike_by_fit_and_evaluate(tmp_path):
    X, y = table()
    classes = pd.Series(np.where(y > 0, 1.0, 0.0)).where(X.index % 10 != 0)
    words = pd.Series(np.where(y > 0, " yes", "no "))
    numbers = y.astype(object).where(X.index % 10 != 0, "?")
    for estimator, target, expected in (
        (AutoMLClassifier, classes, "roc_auc"),
        (AutoMLClassifier, words, "roc_auc"),
        (AutoMLRegressor, numbers, "r2"),
    ):
        with pytest.warns(UserWarning, match="no target") if target is not words else np.errstate():
            aml = estimator(**ONE).fit(X, target.rename("y"))
        aml.export(tmp_path / "m.onnx")
        for scores in (
            aml.model_performance(X, target),
            evaluate_model(load_model(tmp_path / "m.onnx"), X, target.rename("y")),
        ):
            assert scores[expected] > 0.8


def test_weights_count_in_threshold_and_metrics():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=600)})
    y = pd.Series(np.where(X["x"] + rng.normal(size=600) > 1, 1, 0), name="y")
    weight = np.where(y == 1, 10.0, 1.0)
    options = ONE | {"sort_metric": "f1"}
    weighted = AutoMLClassifier(**options).fit(X, y, sample_weight=weight)
    assert weighted._finished.metrics["f1"] == pytest.approx(weighted._finished.state.leader.score)


def test_a_damaged_fold_is_fitted_again(tmp_path):
    X, y = table()
    path = tmp_path / "run"
    options = ONE | {"max_models": 2, "include_families": ["linear", "lightgbm"], "export_checkpoints_dir": path}
    expected = AutoMLRegressor(**options).fit(X, y).predict(X)
    for name in ("linear_1.0.npy", "lightgbm_1.1.tw"):
        file = path / "folds" / name
        file.write_bytes(file.read_bytes()[:-20])
    np.testing.assert_array_equal(AutoMLRegressor.resume(path, progress=False).predict(X), expected)
    journal = RunDir(path).journal()
    again = [(f.model_id, f.fold) for f in journal.folds()][-2:]
    journal.close()
    assert sorted(again) == [("lightgbm_1", 1), ("linear_1", 0)]
    (path / "run.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        AutoMLRegressor.open(path)


def test_a_target_left_in_the_table_is_taken_out_and_told():
    X, y = table()
    X["y"] = y
    with pytest.warns(UserWarning, match="X holds the target 'y'"):
        aml = AutoMLRegressor(**ONE).fit(X, X["y"])
    assert list(aml.feature_names_in_) == ["a", "b"]


@pytest.mark.parametrize(("options", "answer"), [
    ({"sort_metric": None}, "sort_metric is None"),
    ({"sort_metric": "rmsle"}, "values below 0"),
    ({"monotone_constraints": [1, 0]}, "is no mapping"),
    ({"include_families": "lightgbm"}, r"give a list: \['lightgbm'\]"),
    ({"exclude_families": ["svm"]}, "exclude_families"),
    ({"include_families": []}, "leave no model family"),
])  # fmt: skip
def test_more_careless_options(options, answer):
    X, y = table()
    with pytest.raises(UserError, match=answer):
        AutoMLRegressor(**ONE | options).fit(X, y)
    with pytest.raises(UserError, match="no numbers"):
        AutoMLRegressor(**ONE).fit(X, y, sample_weight=["a"] * 300)
