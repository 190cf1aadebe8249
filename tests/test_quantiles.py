"""Quantiles: as a run's metric, and several in one file that do not cross."""

import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLClassifier, AutoMLRegressor, load_model
from tabwright.cli.main import main
from tabwright.errors import DataError, OptionError, RunError
from tabwright.metrics import find_metric
from tabwright.quantiles import QuantileRegressor
from tabwright.types import Task

QUICK = {"max_runtime_secs": 90, "max_models": 2, "include_families": ["lightgbm", "linear"], "nfolds": 2,
         "progress": False}  # fmt: skip
LEVELS = (0.1, 0.5, 0.9)


def table(n, seed):
    """The noise grows with ``a``, so quantiles are no shifted mean."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.uniform(0, 2, n), "b": rng.normal(size=n), "shop": rng.choice(["x", "y"], n)})
    frame["price"] = 10 * (frame["shop"] == "x") + frame["b"] + (0.2 + 2 * frame["a"]) * rng.normal(size=n)
    return frame


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "prices"
    template = AutoMLRegressor(**QUICK, export_checkpoints_dir=folder)
    return QuantileRegressor(template, LEVELS).fit(table(1500, 0), target="price")


@pytest.fixture(scope="module")
def exported(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "q.onnx"
    report = made.export(path)
    assert len(report.members) >= 3
    return path


def test_levels_cover_what_they_say_and_follow_the_spread(made):
    fresh = table(2000, 1)
    told = made.model_performance(fresh, "price")
    assert list(told["level"]) == list(LEVELS)
    np.testing.assert_allclose(told["coverage"], LEVELS, atol=0.06)
    found = made.predict_quantiles(fresh)
    width = found[:, 2] - found[:, 0]
    calm, wild = width[fresh["a"] < 0.3].mean(), width[fresh["a"] > 1.7].mean()
    assert wild > 2.5 * calm
    truth = fresh["price"].to_numpy()
    error = truth[:, None] - np.quantile(table(1500, 0)["price"], LEVELS)
    constant = np.maximum(np.array(LEVELS) * error, (np.array(LEVELS) - 1) * error).mean(axis=0)
    assert (told["pinball"] < 0.75 * constant).all()


def test_the_file_gives_the_same_and_never_crosses(made, exported):
    model, fresh = load_model(exported), table(500, 2)
    found = model.predict_quantiles(fresh)
    np.testing.assert_allclose(found, made.predict_quantiles(fresh), rtol=1e-9)
    np.testing.assert_array_equal(model.predict(fresh), found[:, 1])
    assert model.levels == LEVELS and (np.diff(found, axis=1) >= 0).all()
    odd = fresh.assign(a=1e9, b=-1e9, shop="never seen")
    assert (np.diff(model.predict_quantiles(odd), axis=1) >= 0).all()
    assert model.predict_quantiles(fresh.head(0)).shape == (0, 3)
    assert model.predict_quantiles(fresh.iloc[0].to_dict()).shape == (1, 3)
    reasons = model.reasons(fresh.head(2), top=None)
    assert reasons[0]["value"] == pytest.approx(found[0, 1])
    with pytest.raises(DataError):
        model.predict_interval(fresh)


def test_crossing_levels_are_sorted(made, tmp_path):
    shifts = made.shifts_.copy()
    try:
        made.shifts_ = shifts[::-1] + np.array([30.0, 0.0, -30.0])
        found = made.predict_quantiles(table(50, 3))
        assert (np.diff(found, axis=1) >= 0).all()
        made.export(tmp_path / "crossed.onnx")
        np.testing.assert_allclose(load_model(tmp_path / "crossed.onnx").predict_quantiles(table(50, 3)), found)
    finally:
        made.shifts_ = shifts


def test_it_is_opened_again_and_predicted_in_batch(made, exported, tmp_path):
    folder = made.estimators_[0].run_dir.parent
    again, fresh = QuantileRegressor.open(folder), table(40, 4)
    assert again.levels == list(LEVELS)
    np.testing.assert_allclose(again.predict_quantiles(fresh), made.predict_quantiles(fresh), rtol=1e-9)
    fresh.to_csv(tmp_path / "rows.csv", index=False)
    assert main(["predict", str(exported), str(tmp_path / "rows.csv"), "--out", str(tmp_path / "out.csv")]) == 0
    told = pd.read_csv(tmp_path / "out.csv")
    assert list(told.columns) == ["prediction", "q_0.1", "q_0.5", "q_0.9"]
    np.testing.assert_allclose(told["q_0.9"], made.predict_quantiles(fresh)[:, 2], rtol=1e-9)
    assert set(made.leaderboard()["level"]) == set(LEVELS)
    with pytest.raises(RunError, match="no runs of quantiles"):
        QuantileRegressor.open(tmp_path)


def test_one_quantile_as_a_runs_metric(tmp_path):
    frame = table(800, 0)
    options = {**QUICK, "max_models": 6, "include_families": None, "sort_metric": "pinball:0.9"}
    one = AutoMLRegressor(**options, export_checkpoints_dir=tmp_path / "run").fit(frame, target="price")
    board = one.leaderboard()
    assert not set(board["family"]) & {"knn", "extra_trees", "random_forest"}
    assert {"lightgbm", "linear"} <= set(board["family"])
    constant = board[board["model_id"] == "constant"]["score"].iloc[0]
    y = frame["price"].to_numpy()
    assert constant == pytest.approx(find_metric("pinball:0.9", Task.REGRESSION).score(
        y, np.full(len(y), np.quantile(y, 0.9, method="inverted_cdf")), None), rel=1e-9)  # fmt: skip
    assert board["score"].iloc[0] < 0.8 * constant
    assert 0.75 < np.mean(y <= one.predict(frame)) < 0.98
    assert "pinball:0.9" in one.model_performance(frame, "price")
    assert "Pinball loss of the 0.9 quantile" in one.model_card()
    one.export(tmp_path / "m.onnx")
    np.testing.assert_allclose(load_model(tmp_path / "m.onnx").predict(frame), one.predict(frame), rtol=1e-6)
    np.testing.assert_array_equal(AutoMLRegressor.open(tmp_path / "run").predict(frame), one.predict(frame))


@pytest.mark.parametrize("name", ["pinball:", "pinball:0", "pinball:1", "pinball:-1", "pinball:1e400", "pinball:0,9"])
def test_odd_quantiles_are_named(name):
    with pytest.raises(OptionError, match="between 0 and 1"):
        find_metric(name, Task.REGRESSION)


def test_quantiles_are_of_numbers_and_of_families_that_fit_them():
    with pytest.raises(OptionError, match="can't be imported"):
        find_metric("pinball:x", Task.REGRESSION)
    with pytest.raises(OptionError, match="does not score binary"):
        AutoMLClassifier(**{**QUICK, "sort_metric": "pinball:0.9"}).fit(table(50, 0)[["a"]], ["x", "y"] * 25)
    with pytest.raises(OptionError, match="include_families"):
        AutoMLRegressor(**{**QUICK, "sort_metric": "pinball:0.9", "include_families": ["knn"]}).fit(
            table(50, 0), target="price")  # fmt: skip


@pytest.mark.parametrize("levels", [(), (0.5, 0.1), (0.0, 0.5), ("x",), 0.5, (0.5, 0.5)])
def test_odd_levels_are_named(levels):
    with pytest.raises(OptionError, match="levels"):
        QuantileRegressor(AutoMLRegressor(**QUICK), levels).fit(table(50, 0), target="price")


def test_a_template_with_a_metric_is_refused():
    with pytest.raises(OptionError, match="sort_metric"):
        QuantileRegressor(AutoMLRegressor(sort_metric="rmse")).fit(table(50, 0), target="price")


def test_a_usual_file_has_no_quantiles(tmp_path):
    AutoMLRegressor(**{**QUICK, "max_models": 1}).fit(table(200, 0), target="price").export(tmp_path / "m.onnx")
    with pytest.raises(DataError, match="no quantiles"):
        load_model(tmp_path / "m.onnx").predict_quantiles(table(3, 0))
