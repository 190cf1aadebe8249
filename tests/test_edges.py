"""Tables and options at the edges: noise, zeros, weights of zero, groups, an order of time, odd targets."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLClassifier, AutoMLRegressor, load_model
from tabwright.cli.main import main
from tabwright.data.splits import make_folds
from tabwright.errors import ColumnError, DataError, OptionError
from tabwright.evaluation import evaluate_model
from tabwright.features.base import TargetInfo
from tabwright.objectives.design import ALL_ROWS
from tabwright.onnx.parity import compare
from tabwright.pipeline import TARGET
from tabwright.replay import replay
from tabwright.types import Task

QUICK = {"max_runtime_secs": 60, "max_models": 1, "include_families": ["linear"], "nfolds": 3, "progress": False,
         "n_jobs": 1}  # fmt: skip


def frame(rows=300, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"x": rng.normal(size=rows), "z": rng.normal(size=rows)})


def quiet(made, *data, **options):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        made.fit(*data, **options)
    return [str(w.message) for w in told]


def test_the_constant_leads_until_something_beats_it(tmp_path):
    X = frame(120)
    y = np.random.default_rng(9).normal(size=120)  # linear models of two columns of noise are worse than the mean
    made = AutoMLRegressor(**QUICK | {"max_models": 2, "include_families": ["knn", "extra_trees"]})
    notes = quiet(made, X, y)
    board = made.leaderboard().set_index("model_id")
    assert board.score["knn_1"] > board.score["constant"]
    assert not made.leader.members and any("No candidate beats a constant" in n for n in notes)
    made.export(tmp_path / "model.onnx")
    assert np.ptp(load_model(tmp_path / "model.onnx").predict(X)) == 0.0


def test_the_leaderboard_stands_in_the_order_of_its_scores():
    X = frame()
    made = AutoMLRegressor(**QUICK | {"max_models": 4, "include_families": ["linear", "lightgbm"], "nfolds": 1})
    made.fit(X, X.x * 3 + X.z)
    board = made.leaderboard()
    shown = board.score[board.status == "ok"].to_numpy()
    assert (np.diff(shown) >= 0).all() and board["rank"].tolist() == list(range(1, len(board) + 1))
    assert np.isfinite(board.set_index("model_id").score_ci_low[made.leader.name])


def test_zeros_of_a_target_stay_zeros():
    y = np.tile([0, 1, 2, 3, 4, 5, 6, 7, 8, 34], 20).astype(float)  # 0 comes back as -9e-16 from mean 7, scale 87 ** .5
    X = pd.DataFrame({"x": y + np.random.default_rng(0).normal(size=200)})
    made = AutoMLRegressor(**QUICK | {"sort_metric": "rmsle"}).fit(X, y)
    assert len(made.failures()) == 0 and made.leader.members
    assert (made._finished.problem.user_y(np.arange(200)) == 0).sum() == 20


@pytest.mark.parametrize("family", ["linear", "lightgbm"])
def test_the_absolute_error_asks_for_medians(family):
    X = frame(1500)
    y = X.x + np.random.default_rng(4).exponential(3.0, 1500) - 2.0
    found = {}
    for metric in ("mae", "rmse"):
        made = AutoMLRegressor(**QUICK | {"include_families": [family], "sort_metric": metric, "nfolds": 2})
        quiet(made, X, y)
        found[metric] = made.predict(X)
    assert abs(np.mean(y < found["mae"]) - 0.5) < 0.06 < abs(np.mean(y < found["rmse"]) - 0.5)
    assert np.abs(y - found["mae"]).mean() < 0.97 * np.abs(y - found["rmse"]).mean()


def test_the_unit_of_weights_changes_nothing():
    X = frame(600).assign(town=[f"town {k}" for k in np.random.default_rng(5).integers(0, 60, 600)])
    y = X.x + (X.town.str[-1] == "1")
    weight = np.random.default_rng(6).uniform(0.5, 1.5, 600)
    options = QUICK | {"max_models": 2, "include_families": ["linear", "xgboost"], "nfolds": 2}
    made = [AutoMLRegressor(**options) for _ in range(2)]
    for one, unit in zip(made, (1.0, 2.0**-14), strict=True):
        quiet(one, X, y, sample_weight=unit * weight)
    np.testing.assert_allclose(made[0].predict(X), made[1].predict(X), rtol=1e-6, atol=1e-6)


def test_rows_of_weight_0_are_as_good_as_absent():
    X, weight = frame(200), np.ones(200)
    y = X.x * 2 + X.z
    weight[150:] = 0.0
    y[150:] = 1e6
    one = AutoMLRegressor(**QUICK | {"nfolds": 5})
    notes = quiet(one, X.assign(day=np.arange(200)), y, sample_weight=weight, time_column="day")
    other = AutoMLRegressor(**QUICK | {"nfolds": 5}).fit(X[:150].assign(day=np.arange(150)), y[:150], time_column="day")
    assert "50 of 200 rows have weight 0 and were left out." in notes
    np.testing.assert_allclose(one.predict(X.assign(day=9)), other.predict(X.assign(day=9)))


def test_given_again_a_table_with_weights_of_0_is_the_same(tmp_path):
    data = frame(200).assign(w=np.r_[np.zeros(20), np.ones(180)], y=np.arange(200.0))
    made = AutoMLRegressor(**QUICK, export_checkpoints_dir=tmp_path / "run")
    quiet(made, data, target="y", weights_column="w")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        AutoMLRegressor.resume(tmp_path / "run", data=data.drop(columns="w"), progress=False)
    assert any("nothing to do" in str(w.message) for w in told)


def test_inner_folds_keep_groups_together():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 40, 500)
    inner = TargetInfo(Task.REGRESSION, 1, rng.normal(size=500), group=group).inner_folds(5)
    assert pd.Series(inner).groupby(group).nunique().max() == 1 and set(inner) == set(range(5))
    few = TargetInfo(Task.REGRESSION, 1, rng.normal(size=500), group=group % 2).inner_folds(5)
    assert set(few) == set(range(5))


def test_what_goes_with_a_group_is_not_encoded_from_the_group_itself():
    """Each patient has a device of its own and one outcome: the device tells nothing of new patients."""
    rng = np.random.default_rng(1)
    patient = np.repeat(np.arange(60), 20)
    X = pd.DataFrame({"device": [f"d{p}" for p in patient], "x": rng.normal(size=1200), "patient": patient})
    y = rng.normal(size=60)[patient] * 3 + X.x
    made = AutoMLRegressor(**QUICK | {"include_families": ["lightgbm"]})
    made.fit(X, y, group_column="patient")
    board = made.leaderboard().set_index("model_id")
    assert board.score["lightgbm_1"] < board.score["constant"] * 1.02


def test_in_an_order_of_time_the_model_that_knows_most_is_delivered():
    X = frame(400).assign(day=np.arange(400))
    y = np.where(X.day < 300, X.x, -X.x) * 3  # what held once holds no more
    made = AutoMLRegressor(**QUICK | {"nfolds": 4}).fit(X, y, time_column="day")
    assert [share.folds for share in made._finished.design.shares] == [(ALL_ROWS,)]
    assert made.explain(max_rows=100).importance.shape[0]
    early, late = (np.sqrt(np.mean((made.predict(X) - y)[part] ** 2)) for part in (slice(300), slice(300, None)))
    alone = AutoMLRegressor(**QUICK | {"nfolds": 4}).fit(X[:320], y[:320], time_column="day")
    assert np.sqrt(np.mean((alone.predict(X) - y)[300:] ** 2)) > late  # it has not seen the latest rows
    assert early < 3.0


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.8])
def test_a_hold_out_has_the_share_that_is_asked_for(share):
    y = np.repeat([0, 1, 2], [600, 300, 100])
    (held,) = make_folds(1000, y, Task.MULTICLASS, 1, 0, holdout=share).valid
    assert len(held) == round(1000 * share)
    assert np.abs(np.bincount(y[held]) - np.array([600, 300, 100]) * share).max() <= 1
    groups = np.repeat(np.arange(6), [900, 20, 20, 20, 20, 20])
    (held,) = make_folds(1000, y, Task.MULTICLASS, 1, 0, groups=groups, holdout=share).valid
    assert 20 <= len(held) <= (980 if share > 0.5 else 100)


def test_a_correction_by_few_rows_is_a_small_one():
    rng = np.random.default_rng(3)
    y = np.exp(rng.normal(size=30) * 2.0)
    made = AutoMLRegressor(max_runtime_secs=60, max_models=3, nfolds=10, include_families=["lightgbm"], progress=False)
    quiet(made, frame(30), y)
    logs = [e for e in made._finished.state.finished() if TARGET in e.candidate.params]
    # of three rows a fold, the factor alone would give the truth
    assert logs and all(e.score > 0.05 * y.std() for e in logs)


def test_labels_beyond_int64(tmp_path):
    X = frame(200)
    y = np.where(X.x > 0, np.uint64(2**63), np.uint64(2**63 + 1))
    made = AutoMLClassifier(**QUICK).fit(X, y)
    made.export(tmp_path / "model.onnx")
    assert made.predict(X).dtype == np.uint64 and (made.predict(X) == y).mean() > 0.9
    assert (load_model(tmp_path / "model.onnx").predict(X) == made.predict(X)).all()


def test_faults_in_one_sentence(tmp_path):
    X = frame(50)
    with pytest.raises(ColumnError, match="lists or other containers"):
        AutoMLClassifier(**QUICK).fit(X, pd.Series([[1], [2]] * 25))
    families = ["lightgbm", "tabwright.models.lightgbm:LIGHTGBM"]
    with pytest.raises(OptionError, match="same names"):
        AutoMLRegressor(**QUICK | {"include_families": families}).fit(X, X.x + X.z)
    made = AutoMLRegressor(**QUICK).fit(X, X.x + X.z)
    made.export(tmp_path / "model.onnx")
    with pytest.raises(DataError, match="no row has a target"):
        evaluate_model(load_model(tmp_path / "model.onnx"), X, pd.Series([np.nan] * 50, name="y"))


def test_an_encoding_that_is_wrong_or_unknown(tmp_path, capsys):
    (tmp_path / "d.csv").write_text("a,ö\n" + "1,2\n3,4\n" * 20, "utf-8")
    for encoding in ("foo", "ascii"):
        command = ["fit", str(tmp_path / "d.csv"), "--target", "a", "--encoding", encoding]
        assert main([*command, "--out", str(tmp_path / "run")]) == 2
        told = capsys.readouterr().err
        assert "can't be decoded" in told and told.count("\n") == 1, told


def test_a_selected_design_is_replayed(tmp_path):
    X = frame(400)
    y = X.x * X.z + X.x
    made = AutoMLRegressor(**QUICK | {"max_models": 4, "include_families": ["lightgbm", "linear"], "n_jobs": 2},
                           constraints={"latency_us": 60}, export_checkpoints_dir=tmp_path / "run")  # fmt: skip
    made.fit(X, y)
    folds = [share.folds for share in made._finished.design.shares]
    again = replay(tmp_path / "run", tmp_path / "again")
    assert again.identical, (folds, again.largest_difference)
    assert [s.folds for s in again.finished.design.shares] == folds
    stored = json.loads((tmp_path / "again" / "run.json").read_text())
    assert stored["replay_of"] == str(tmp_path / "run")
    warm = AutoMLRegressor(**QUICK | {"max_models": 1, "include_families": ["linear"]}, warm_start=tmp_path / "again")
    with pytest.warns(UserWarning, match="Warm start from"):
        assert warm.fit(X, y).leader.members


def test_absurd_dates_are_no_fault_and_the_same_in_both_back_ends(tmp_path):
    when = pd.date_range("2020-01-01", periods=200, freq="7h")
    X = frame(200).assign(when=when)
    y = when.hour + X.x
    made = AutoMLRegressor(**QUICK).fit(X, y)
    made.export(tmp_path / "model.onnx")
    model = load_model(tmp_path / "model.onnx")
    for number in (1e24, -2e14, -1e15, 1e13):
        row = {"x": 0.0, "z": 0.0, "when": number}
        np.testing.assert_allclose(model.predict(row), made.predict(pd.DataFrame([row])), rtol=1e-9)


def test_monotone_constraints_where_they_can_not_hold():
    X = frame(60)
    options = QUICK | {"monotone_constraints": {"x": 1}}
    with pytest.raises(OptionError, match="more than two classes"):
        AutoMLClassifier(**options).fit(X, np.arange(60) % 3)
    with pytest.raises(OptionError, match="with a quantile"):
        AutoMLRegressor(**options | {"sort_metric": "pinball:0.9"}).fit(X, X.x + X.z)


def test_fairness_needs_a_column_that_models_see():
    X = frame(60).assign(sex=["m", "f"] * 30)
    options = QUICK | {"constraints": {"demographic_parity:sex": 0.1}}
    with pytest.raises(OptionError, match="no column 'sex' that models see"):
        AutoMLClassifier(**options).fit(X, X.x > 0, kinds={"sex": "identifier"})


def test_a_target_too_small_to_be_squared():
    with pytest.raises(ColumnError, match="scale it up"):
        AutoMLRegressor(**QUICK).fit(frame(60), np.array([1e-200, 2e-200] * 30))


def test_parity_is_judged_by_the_spread_of_the_target():
    python = 1e9 + np.random.default_rng(0).normal(size=(50, 1))
    assert compare(python + 1e-7, python, 1e9, 1.0).share_beyond == 0.0
    assert compare(python + 1e-3, python, 1e9, 1.0).share_beyond == 1.0
    assert compare(np.full((5, 30), 4e-7), np.zeros((5, 30))).share_beyond == 0.0
