"""The estimators end to end: real search, real workers, real export."""

import pickle
import shutil
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import PredefinedSplit
from sklearn.utils.estimator_checks import estimator_checks_generator

from tabwright import AutoMLClassifier, AutoMLRegressor, UserError, load_model
from tabwright.errors import DataError, OptionError
from tabwright.leaderboard import COLUMNS
from tabwright.testing.tables import mixed_frame

QUICK = {
    "max_runtime_secs": 60,
    "max_models": 3,
    "include_families": ["lightgbm", "linear", "extra_trees"],
    "nfolds": 2,
    "progress": False,
}
LINEAR = {**QUICK, "max_models": 1, "include_families": ["linear"]}
NOT_MET = {
    "check_sample_weight_equivalence_on_dense_data": "folds of repeated rows differ from folds of weighted rows",
    "check_complex_data": "refused, with the message that every column of a wrong kind gets",
    "check_estimators_empty_data_messages": "refused: 'has no columns' says it better than a shape",
    "check_fit2d_1sample": "refused: at least 10 rows with a target are needed, and that is what is said",
}


def conventions():
    """scikit-learn's checks; what has been passed with a classifier, or on other data, is a slow variant."""
    passed = set()
    for kind in (AutoMLClassifier, AutoMLRegressor):
        estimator = kind(max_runtime_secs=60, max_models=1, include_families=["linear"], nfolds=1, n_jobs=1,
                         progress=False)  # fmt: skip
        for one, check in estimator_checks_generator(estimator):
            name = check.func.__name__
            marks = [pytest.mark.xfail(reason=NOT_MET[name])] if name in NOT_MET else []
            if name in passed:
                marks.append(pytest.mark.slow)
            told = "-".join(f"{k}={v}" for k, v in check.keywords.items() if k != "name")
            yield pytest.param(one, check, marks=marks, id="-".join(filter(None, [kind.__name__, name, told])))
            passed.add(name)


@pytest.mark.parametrize(("estimator", "check"), [*conventions()])
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_conventions(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def frame():
    frame = mixed_frame(600, seed=3)
    signal = np.nan_to_num(frame["amount"].to_numpy(float)) + 4 * (frame["colour"] == "red") + frame["count"] / 10
    frame["price"] = signal + np.random.default_rng(0).normal(size=600)
    frame["grade"] = np.where(signal > np.median(signal), "high", "low")
    frame["level"] = pd.qcut(signal, 3, labels=False) + 1
    return frame


@pytest.fixture(scope="module")
def regressor(frame):
    return AutoMLRegressor(**QUICK).fit(frame.drop(columns=["grade", "level"]), target="price")


@pytest.fixture(scope="module")
def classifier(frame):
    return AutoMLClassifier(**QUICK).fit(frame.drop(columns=["price", "level"]), target="grade")


def test_leaderboard_tells_what_was_found_and_measured(regressor):
    board = regressor.leaderboard("all")
    assert tuple(board.columns) == COLUMNS
    assert list(board["rank"]) == list(range(1, len(board) + 1))
    done = board[board.status == "ok"]
    assert done.score.is_monotonic_increasing
    assert (board.model_id == "constant").sum() == 1
    fitted = done[done.stack_level == 1]
    assert len(fitted) >= 2 and (fitted.latency_p50_us > 0).all() and (fitted.size_mib > 0).all()
    shown = done[done.score_ci_low.notna()]
    assert ((shown.score_ci_low <= shown.score) & (shown.score <= shown.score_ci_high)).all()
    assert board.on_pareto_front.any()


def test_export_predicts_as_python_does(regressor, classifier, frame, tmp_path):
    report = regressor.export(tmp_path / "r.onnx")
    assert report.parity.share_beyond == 0 and report.profile.latency_p50_us > 0
    model = load_model(tmp_path / "r.onnx")
    np.testing.assert_allclose(model.predict(frame), regressor.predict(frame), rtol=1e-6)
    classifier.export(tmp_path / "c.onnx")
    model = load_model(tmp_path / "c.onnx")
    np.testing.assert_allclose(model.predict_proba(frame), classifier.predict_proba(frame), atol=1e-6)
    assert list(model.predict(frame)) == list(classifier.predict(frame))
    assert list(model.classes_) == ["high", "low"]
    assert model.metrics["validation"]["roc_auc"] > 0.8


def test_it_learns_and_tells_its_performance(regressor, classifier, frame):
    assert regressor.model_performance(frame, "price")["r2"] > 0.7
    assert classifier.model_performance(frame, frame["grade"])["roc_auc"] > 0.9


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2, 3], np.int64),
        ([True, False], np.bool_),
        (["a", "b", "c"], object),
        ([0.5, 1.5], np.float64),
    ],
)
def test_classes_come_back_in_their_own_type(values, dtype, tmp_path):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=90), "z": rng.normal(size=90)})
    y = pd.Series([values[k % len(values)] for k in range(90)], name="y")
    X["x"] += pd.factorize(y)[0] * 3
    aml = AutoMLClassifier(
        max_runtime_secs=60, max_models=1, include_families=["linear"], nfolds=2, progress=False
    ).fit(X, y)
    aml.export(tmp_path / "m.onnx")
    for model in (aml, load_model(tmp_path / "m.onnx")):
        assert model.predict(X).dtype == dtype
        assert set(model.predict(X).tolist()) <= set(values)
    assert list(aml.classes_) == sorted(values)


def test_score_reads_the_target_as_training_did(frame):
    """Missing cells are left out, blanks and the type of numbers do not matter, unknown classes are wrong."""
    from sklearn.metrics import accuracy_score, r2_score

    options = {**QUICK, "max_models": 1, "include_families": ["linear"]}
    X = frame[["amount", "colour", "count"]]
    grades = " " + frame["grade"]
    made = AutoMLClassifier(**options).fit(X, grades)
    assert made.score(X, grades) == accuracy_score(grades, made.predict(X)) > 0.8
    assert made.score(X, frame["grade"]) == made.score(X, grades) == made.score(X.assign(t=grades), "t")
    some = grades.where(frame.index >= 100)
    assert made.score(X, some) == accuracy_score(grades[100:], made.predict(X[100:]))
    assert made.score(X, grades.where(frame.index >= 300, "other")) == pytest.approx(
        accuracy_score(grades[300:], made.predict(X[300:])) / 2)  # fmt: skip
    weight = np.where(frame.index < 50, 3.0, 1.0)
    assert made.score(X, grades, weight) == pytest.approx(accuracy_score(grades, made.predict(X), sample_weight=weight))
    halves = frame["level"].to_numpy() / 2
    of_floats = AutoMLClassifier(**options).fit(X, np.array(halves.tolist(), object))
    assert of_floats.score(X, halves) == (of_floats.predict(X) == halves).mean() > 0.5
    priced = AutoMLRegressor(**options).fit(X, frame["price"])
    assert priced.score(X, frame["price"]) == pytest.approx(r2_score(frame["price"], priced.predict(X)))
    cut = priced.score(X, frame["price"].where(frame.index < 400))
    assert cut == pytest.approx(priced.score(X[:400], frame["price"][:400]))
    with pytest.raises(DataError, match="no row has a target 'price'"):
        priced.model_performance(X, frame["price"].where(frame.index < 0))


def test_limits_and_paths_that_are_none_are_named(regressor):
    with pytest.raises(UserError, match="Option max_latency_us is -1"):
        regressor.select(max_latency_us=-1)
    with pytest.raises(UserError, match="Option path is None"):
        regressor.report(None)
    with pytest.raises(UserError, match="None is no path"):
        load_model(None)
    model = AutoMLRegressor(**LINEAR)
    model.fit(np.arange(60.0).reshape(30, 2), np.arange(30.0))
    with pytest.raises(UserError, match="pass an array, as in training"):
        model.predict(pd.DataFrame(np.zeros((2, 2))))


def test_every_kind_of_frame_predicts_alike(regressor, frame):
    X = frame.drop(columns=["grade", "level", "price"])
    expected = regressor.predict(X)
    for other in (pl.from_pandas(X), pa.Table.from_pandas(X), X[X.columns[::-1]], X.assign(extra=1), dict(X.items()),
                  pl.from_pandas(X).lazy()):  # fmt: skip
        np.testing.assert_array_equal(regressor.predict(other), expected)


@pytest.mark.parametrize("kind", [float, int])
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_what_lies_under_a_mask_is_no_value(kind, tmp_path):
    rng = np.random.default_rng(0)
    A = (100 * rng.normal(size=(200, 2))).astype(kind)
    made = AutoMLRegressor(**LINEAR).fit(A, A[:, 0] + A[:, 1])
    made.export(tmp_path / "m.onnx")
    model = load_model(tmp_path / "m.onnx")
    masked = np.ma.masked_less(A, 0)
    empty = np.where(A < 0, np.nan, A.astype(float))
    for predicts in (made, model):
        np.testing.assert_allclose(predicts.predict(masked), made.predict(empty), rtol=1e-9)
        np.testing.assert_allclose(predicts.predict(np.asmatrix(A)), made.predict(A), rtol=1e-9)


def test_arrays_stand_for_the_columns_of_training(classifier, frame):
    rows = frame[[c.name for c in classifier._finished.schema.columns]].head(50)
    array = rows.to_numpy(object)
    np.testing.assert_array_equal(classifier.predict_proba(array), classifier.predict_proba(rows))
    grades = frame["grade"].head(50)
    assert classifier.model_performance(array, grades) == classifier.model_performance(rows, grades)
    assert len(classifier.explain(array, grades.to_numpy()).importance) == rows.shape[1]


def test_whole_numbers_name_classes_that_are_floats():
    X = pd.DataFrame({"x": np.linspace(-1, 1, 90)})
    y = (X["x"] > 0).astype(float)
    made = AutoMLClassifier(max_models=1, include_families=["linear"], nfolds=2, progress=False).fit(X, y)
    assert made.classes_.tolist() == [0.0, 1.0]
    assert made.model_performance(X, y.astype(int)) == made.model_performance(X, y)


@pytest.mark.parametrize("dtypes", ["as they are", "nullable", "objects"])
def test_one_row_is_scored_as_among_others(regressor, frame, dtypes):
    X = frame.drop(columns=["grade", "level", "price"]).head(40)
    X = X.convert_dtypes() if dtypes == "nullable" else X.astype(object) if dtypes == "objects" else X
    alone = [regressor.predict(X.iloc[[k]]) for k in range(len(X))]
    np.testing.assert_allclose(np.concatenate(alone), regressor.predict(X), rtol=1e-12)
    with pytest.raises(UserError, match=r"'amount'.*'shop'"):
        regressor.predict(X.head(1)[["count"]])


def test_missing_columns_are_named(regressor, frame):
    with pytest.raises(UserError, match=r"'amount'.*'shop'"):
        regressor.predict(frame.drop(columns=["amount", "shop"]))


def test_text_in_a_numeric_column_is_told_with_column_and_row(regressor, frame):
    bad = frame.copy()
    bad["amount"] = bad["amount"].astype(object)
    bad.loc[7, "amount"] = "much"
    with pytest.raises(UserError, match=r"'amount'.*'much'.*row 7"):
        regressor.predict(bad)


def test_unseen_categories_and_missing_values_are_fine(regressor, frame):
    odd = frame.head(20).copy()
    odd["colour"], odd["shop"], odd["review"] = "infrared", None, "漢字"
    odd["amount"] = np.nan
    assert np.isfinite(regressor.predict(odd)).all()


def test_missing_targets_are_dropped_and_told(frame):
    y = frame["price"].where(frame.index % 10 != 0)
    with pytest.warns(UserWarning, match="60"):
        aml = AutoMLRegressor(max_runtime_secs=60, max_models=1, include_families=["linear"], progress=False).fit(
            frame[["amount"]], y
        )
    assert np.isfinite(aml.predict(frame[["amount"]])).all()


def test_a_seed_and_max_models_give_the_same_predictions_again(frame):
    X = frame[["amount", "colour", "count"]]
    first, second = (AutoMLRegressor(**QUICK, seed=5).fit(X, frame["price"]).predict(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_conventions(regressor, frame):
    assert clone(regressor).get_params() == regressor.get_params()
    copy = pickle.loads(pickle.dumps(regressor))
    np.testing.assert_array_equal(copy.predict(frame), regressor.predict(frame))
    with pytest.raises(NotFittedError):
        AutoMLRegressor().predict(frame)


def test_folds_keep_groups_together_and_respect_time(frame):
    rng = np.random.default_rng(0)
    X = frame[["amount", "count"]].assign(who=rng.integers(0, 40, 600), day=np.arange(600))
    one = {"max_runtime_secs": 60, "max_models": 1, "include_families": ["linear"], "nfolds": 3, "progress": False}
    grouped = AutoMLRegressor(**one).fit(X.assign(y=frame["price"]), target="y", group_column="who")
    for train, valid in zip(grouped._finished.problem.train, grouped._finished.problem.valid, strict=True):
        assert not set(X["who"][train]) & set(X["who"][valid])
    timed = AutoMLRegressor(**one).fit(X.assign(y=frame["price"]), target="y", time_column="day")
    for train, valid in zip(timed._finished.problem.train, timed._finished.problem.valid, strict=True):
        assert train.max() < valid.min()


CARELESS = [
    ({"max_runtime_secs": 0}, "max_runtime_secs is 0. Fix: give a number above 0"),
    ({"max_runtime_secs": None}, "would never end"),
    ({"sort_metric": "auc"}, "does not score regression"),
    ({"include_families": ["lightbgm"]}, "names no model family: 'lightbgm'"),
    ({"nfolds": 0}, "nfolds is 0"),
    ({"n_jobs": 0}, "n_jobs is 0"),
    ({"seed": -1}, "seed is -1"),
    ({"engine": "ray"}, "engine is 'ray'. Fix: give 'local', 'dask', a scheduler's address"),
    ({"constraints": {"latency": 1}}, "names 'latency', which is no cost that is measured"),
    ({"constraints": {"latency_us": 0}}, "has 0 for 'latency_us'. Fix: give a number above 0"),
    ({"objectives": ("latency_us",)}, "'score' followed by some of latency_us"),
    ({"objectives": ("score", "speed")}, "holds 'speed', which is no cost that is measured"),
]


@pytest.mark.parametrize(("options", "answer"), CARELESS)
def test_careless_options_get_one_sentence(options, answer, frame):
    with pytest.raises(UserError, match=answer.replace("(", r"\(")) as caught:
        AutoMLRegressor(progress=False, **options).fit(frame[["amount", "count"]], frame["price"])
    assert "Fix:" in str(caught.value)


def test_monotone_constraints_hold_in_the_exported_file(frame, tmp_path):
    X = frame[["amount", "count", "colour"]]
    aml = AutoMLRegressor(**QUICK | {"include_families": None}, monotone_constraints={"amount": -1})
    aml.fit(X, frame["price"])
    aml.export(tmp_path / "m.onnx")
    rows = pd.DataFrame({"amount": np.linspace(0, 60, 200), "count": 5, "colour": "red"})
    for model in (aml, load_model(tmp_path / "m.onnx")):
        assert (np.diff(model.predict(rows)) <= 1e-9).all()
    assert {m.family for m in aml.leader.members} <= {"lightgbm", "xgboost", "catboost"}
    with pytest.raises(UserError, match="'colour', which is no numeric feature"):
        AutoMLRegressor(progress=False, monotone_constraints={"colour": 1}).fit(X, frame["price"])


def test_a_metric_of_labels_gets_its_threshold_and_the_file_uses_it(tmp_path):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=800)})
    y = pd.Series(np.where(rng.random(800) < 1 / (1 + np.exp(3 - X["x"])), "rare", "common"), name="y")
    aml = AutoMLClassifier(
        max_runtime_secs=60, max_models=1, include_families=["linear"], sort_metric="f1", progress=False
    )
    aml.fit(X, y)
    assert aml.leader.threshold < 0.45
    aml.export(tmp_path / "m.onnx")
    assert list(load_model(tmp_path / "m.onnx").predict(X)) == list(aml.predict(X))
    usual = aml.predict_proba(X)[:, 1] >= 0.5
    assert (aml.predict(X) == "rare").sum() > usual.sum()


def test_quality_tells_what_stands_out():
    rng = np.random.default_rng(0)
    y = pd.Series(rng.normal(size=3000), name="y")
    X = pd.DataFrame({"x": rng.normal(size=3000), "one": 1, "leak": 2 * y})
    aml = AutoMLRegressor(**QUICK).fit(X, y)
    told = aml.quality
    assert "one" in set(told.column) and "leak" in set(told.column[told.level == "warning"])


SMALL = {"max_runtime_secs": 60, "max_models": 1, "include_families": ["linear"], "nfolds": 2, "n_jobs": 1,
         "progress": False}  # fmt: skip


def test_columns_may_be_named_by_numbers():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(120, 3))).assign(**{"3": np.arange(120) % 6}).rename(columns={"3": 3})
    table[4] = 2 * table[0] + table[1]
    made = AutoMLRegressor(**SMALL | {"seed": np.int64(3), "include_families": np.array(["linear"])})
    made.fit(table.abs(), target=4, group_column=np.int64(3), weights_column=2, kinds={0: "numeric"})
    assert list(made.feature_names_in_) == ["0", "1"] and made._finished.schema.target == "4"
    assert len(set(made._finished.problem.group)) == 6


def test_the_target_may_be_named_in_second_place(tmp_path):
    table = pd.DataFrame({"x": np.arange(60.0), "t": np.arange(60.0) * 2 + 1})
    table.to_csv(tmp_path / "t.csv", index=False)
    for source in (table, tmp_path / "t.csv", str(tmp_path / "t.csv")):
        made = AutoMLRegressor(**SMALL).fit(source, "t")
        assert list(made.feature_names_in_) == ["x"] and made._finished.schema.target == "t"
    with pytest.raises(UserError, match="There is no column 'u' in the table"):
        AutoMLRegressor(**SMALL).fit(table, "u")
    with pytest.raises(UserError, match=r"y is 3, one value. Fix: give one target value per row, or a column's name"):
        AutoMLRegressor(**SMALL).fit(table, 3)
    with pytest.raises(UserError, match="pass y, or name the target column"):
        AutoMLRegressor(**SMALL).fit(tmp_path / "t.csv")
    with pytest.raises(UserError, match="weights_column is 't', which is the target"):
        AutoMLRegressor(**SMALL).fit(table[["x"]], table["t"], weights_column="t")


def test_monotone_constraints_that_leave_no_family_are_named():
    table = pd.DataFrame({"x": np.arange(60.0), "t": np.arange(60.0) * 2 + 1})
    with pytest.raises(UserError, match=r"monotone_constraints can't be kept by linear. Fix: .*include lightgbm"):
        AutoMLRegressor(**SMALL, monotone_constraints={"x": 1}).fit(table, target="t")


def test_an_estimator_whose_run_is_gone_says_so():
    table = pd.DataFrame({"x": np.arange(60.0), "t": np.arange(60.0) ** 2})
    made = AutoMLRegressor(**SMALL).fit(table, target="t")
    again = pickle.loads(pickle.dumps(made))
    shutil.rmtree(made.run_dir)  # as where its process has ended
    np.testing.assert_array_equal(again.predict(table), made.predict(table))
    for call in (again.pareto, again.explain, again.failures, lambda: again.select(max_size_mib=5)):
        with pytest.raises(UserError, match=r"is gone.* Fix: fit with export_checkpoints_dir"):
            call()


def test_a_predefined_split_loses_the_rows_that_are_left_out():
    rng = np.random.default_rng(0)
    X, fold = rng.normal(size=(60, 2)), np.arange(60) % 3
    y, weight = X[:, 0] + 0.1 * rng.normal(size=60), np.where(np.arange(60) % 7 == 0, 0.0, 1.0)
    y[[4, 11, 30]] = np.nan
    made = AutoMLRegressor(**LINEAR | {"nfolds": PredefinedSplit(fold)})
    for given in (None, weight):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # rows were left out
            made.fit(X, y, sample_weight=given)
        kept = fold[~np.isnan(y) & (given is None or weight > 0)]
        for k, valid in enumerate(made._finished.problem.valid):
            assert valid.tolist() == np.flatnonzero(kept == k).tolist()


def test_arrays_may_hold_their_target():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 4))
    X[:, 3] = 10 + X[:, 0] - X[:, 1] + 0.1 * rng.normal(size=80)
    made = AutoMLRegressor(**LINEAR).fit(X, "column_4")
    apart = X[:, :3], X[:, 3]
    for rows in (X, X.tolist()):
        assert made.score(rows, "column_4") == made.score(*apart)
        assert made.model_performance(rows, "column_4") == made.model_performance(*apart)
        assert made.explain(rows, "column_4").importance.equals(made.explain(*apart).importance)


@pytest.mark.parametrize(("weight", "told"), [
    (np.ones(59), "has the shape"), (["a"] * 60, "no numbers"), (np.zeros(60), "only zero weights"),
    (np.r_[1.0, np.zeros(59)], "is 0 in all rows that have a target"),
], ids=["too few", "text", "zero", "zero where it counts"])  # fmt: skip
def test_weights_of_scores_are_checked(linear, weight, told):
    X, y = np.zeros((60, 2)), np.r_[np.nan, np.ones(59)]
    with pytest.raises(OptionError, match=rf"sample_weight .*{told}"):
        linear.score(X, y, sample_weight=weight)


@pytest.fixture(scope="module")
def linear():
    X = np.random.default_rng(0).normal(size=(60, 2))
    return AutoMLRegressor(**LINEAR).fit(X, X[:, 0])
