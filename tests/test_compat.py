"""Scripts written for other systems run with only their import lines changed."""

import copy
import importlib
import importlib.util
import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_iris
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import cross_val_score

from tabwright import UserError, load_model
from tabwright.compat.options import CAP, budget, settle, used
from tabwright.datasets import CALIFORNIA_HOUSING
from tabwright.errors import OptionError
from tabwright.types import Task

DOCS = Path(__file__).parents[1] / "docs" / "migrate"

AUTOSKLEARN = """
from tabwright.compat import autosklearn
import sklearn.datasets
import sklearn.metrics
from sklearn.model_selection import train_test_split

X, y = sklearn.datasets.load_iris(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=1)
automl = autosklearn.classification.AutoSklearnClassifier(time_left_for_this_task=60, per_run_time_limit=30)
automl.fit(X_train, y_train, dataset_name="iris")
print(automl.leaderboard())
print(automl.show_models())
print(automl.sprint_statistics())
accuracy = sklearn.metrics.accuracy_score(y_test, automl.predict(X_test))
"""
TPOT = """
from tabwright.compat.tpot import TPOTClassifier
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

iris = load_iris()
X_train, X_test, y_train, y_test = train_test_split(iris.data, iris.target, train_size=0.75, random_state=42)
tpot = TPOTClassifier(generations=1, max_time_mins=5, population_size=2, random_state=42, verbosity=0)
tpot.fit(X_train, y_train)
accuracy = tpot.score(X_test, y_test)
tpot.export("tpot_iris_pipeline.py")
"""
H2O = """
from tabwright.compat import h2o
from tabwright.compat.h2o.automl import H2OAutoML

h2o.init()
housing = h2o.import_file(PATH)
train, test = housing.split_frame(ratios=[0.8], seed=1)
y = "MedHouseVal"
x = train.columns
x.remove(y)
aml = H2OAutoML(max_runtime_secs=300, max_models=3, nfolds=3, sort_metric='RMSE', balance_classes=False,
                export_checkpoints_dir='./checkpoints', seed=1)
aml.train(x=x, y=y, training_frame=train)
lb = aml.leaderboard
print(lb.head(rows=lb.nrows))
extra = h2o.automl.get_leaderboard(aml, extra_columns="ALL")
rmse = aml.leader.model_performance(test).rmse()
predictions = aml.leader.predict(test)
mojo = aml.leader.download_mojo(path=".")
"""


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(script, **names):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        exec(compile(script, "script", "exec"), names)  # the script as a user has it
    return names


def test_a_budget_can_be_bounded_from_outside(monkeypatch):
    assert budget(60.0) == 60.0 and budget(None) is None
    monkeypatch.setenv(CAP, "8")
    assert budget(60.0) == budget(None) == 8.0 and budget(5.0) == 5.0


@pytest.mark.usefixtures("folder", "three_candidates")
def test_the_script_of_auto_sklearn(capsys):
    names = run(AUTOSKLEARN)
    assert names["accuracy"] > 0.85
    out = capsys.readouterr().out
    assert "ensemble_weight" in out and "Best validation score" in out


def test_the_script_of_tpot(folder):
    assert run(TPOT)["accuracy"] > 0.85
    model = load_model(folder / "tpot_iris_pipeline.onnx")
    frame = pd.DataFrame(load_iris().data[:5], columns=[c.name for c in model.schema.columns])
    frame.to_csv(folder / "rows.csv", index=False)
    import subprocess

    command = [sys.executable, "tpot_iris_pipeline.py", "rows.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["prediction", *map(str, model.predict(frame))]


@pytest.mark.usefixtures("folder")
def test_tpots_dask_is_an_engine():
    from tabwright.compat.tpot import TPOTRegressor

    X = np.random.default_rng(0).normal(size=(200, 3))
    made = TPOTRegressor(generations=0, population_size=1, use_dask=True, cv=2, random_state=1).fit(X, X[:, 0])
    assert made._aml.engine == "dask" and len(made._aml._finished.state.finished()) == 1


def test_the_script_of_h2o(folder):
    pd.read_parquet(CALIFORNIA_HOUSING).sample(2000, random_state=1).to_csv(folder / "housing.csv", index=False)
    names = run(H2O, PATH="housing.csv")
    assert names["rmse"] < 0.9  # the constant prediction has 1.15
    board, extra = names["lb"].as_data_frame(), names["extra"].as_data_frame()
    assert list(board.columns[:2]) == ["model_id", "rmse"] and board["rmse"].is_monotonic_increasing
    assert {"training_time_ms", "predict_time_per_row_ms", "algo"} <= set(extra.columns)
    test = names["test"].as_data_frame()
    scored = load_model(names["mojo"]).predict(test)
    np.testing.assert_allclose(scored, names["predictions"].as_data_frame()["predict"], rtol=1e-9)
    assert np.sqrt(np.mean((scored - test["MedHouseVal"]) ** 2)) == pytest.approx(names["rmse"])
    assert len(list((folder / "checkpoints").glob("*/run.json"))) == 1


def test_h2os_frames_and_models_by_name(tmp_path):
    from tabwright.compat import h2o

    (tmp_path / "d.txt").write_text("1;2\n3;4\n")
    frame = h2o.import_file(str(tmp_path / "d.txt"), header=-1, sep=";")
    assert frame.shape == (2, 2) and frame[1, 0] == 3 and frame[0, frame.columns[1]] == 2
    with pytest.raises(OptionError, match="no run of this process"):
        h2o.get_model("nothing")


@pytest.mark.usefixtures("folder")
def test_autogluons_weights_are_a_column_or_a_word():
    frame = pd.DataFrame({"x": np.arange(40.0), "y": [0, 1] * 20})
    predictor = importlib.import_module("tabwright.compat.autogluon").TabularPredictor
    with pytest.raises(OptionError, match="no column of train_data"):
        predictor("y", sample_weight="weihgt").fit(frame)


@pytest.mark.usefixtures("folder")
def test_h2o_classifies_what_is_categorical():
    from tabwright.compat import h2o

    frame = h2o.H2OFrame(load_iris(as_frame=True).frame)
    frame["target"] = frame["target"].asfactor()
    assert frame.types["target"] == "enum" and frame.shape == (150, 5)
    train, test = frame.split_frame([0.7], seed=3)
    aml = h2o.H2OAutoML(max_models=2, max_runtime_secs=200, include_algos=["GLM", "GBM"], nfolds=3, seed=5)
    with pytest.warns(UserWarning, match="accepted without effect: validation_frame"):
        aml.train(y="target", training_frame=train, validation_frame=test, leaderboard_frame=test)
    shown = aml.leaderboard.as_data_frame()
    assert list(shown.columns[:2]) == ["model_id", "logloss"] and "mean_per_class_error" in shown
    best = aml.get_model(shown["model_id"].iloc[0])
    assert best.model_performance(test).logloss() == pytest.approx(shown["logloss"].iloc[0])
    predicted = aml.predict(test).as_data_frame()
    assert list(predicted.columns) == ["predict", "p0", "p1", "p2"]
    assert (predicted["predict"].astype(int) == test.as_data_frame()["target"].astype(int)).mean() > 0.8
    assert aml.leader.varimp(use_pandas=True)["percentage"].sum() == pytest.approx(1.0)
    setosa = frame[frame["petal width (cm)"] < 0.5, ["petal width (cm)", "target"]]
    assert setosa.shape[1] == 2 and 45 < setosa.nrow <= 50
    with pytest.raises(OptionError, match="does not score"):
        aml.leader.model_performance(test).rmse()
    truth, said = test.as_data_frame()["target"].astype(int), predicted["predict"].astype(int)
    matrix = aml.leader.confusion_matrix(test)
    assert matrix.to_list() == confusion_matrix(truth, said).tolist()
    shown = matrix.as_data_frame()
    assert shown.loc["Total", "Error"] == pytest.approx((truth != said).mean()) and shown.columns[0] == "0"


def test_h2os_performance_of_two_classes():
    from tabwright.compat.h2o.model import ModelPerformance

    y, p = np.array([0, 0, 1, 1]), np.array([[0.1], [0.6], [0.4], [0.8]])
    found = ModelPerformance(Task.BINARY, y, p, 0.5, weight=np.array([1.0, 2.0, 1.0, 4.0]), classes=["no", "yes"])
    assert found.confusion_matrix().to_list() == [[1.0, 2.0], [1.0, 4.0]]
    assert found.confusion_matrix().table.loc["no", "Rate"] == "2 / 3"
    assert [m.to_list() for m in found.confusion_matrix(thresholds=[0.7])] == [[[3.0, 0.0], [1.0, 4.0]]]
    assert found.gini() == pytest.approx(2 * found.auc() - 1) and found.nobs == 4
    with pytest.raises(OptionError, match="metrics"):
        found.confusion_matrix("f1")
    with pytest.raises(OptionError, match="does not score this task"):
        ModelPerformance(Task.REGRESSION, y.astype(float), p).confusion_matrix()


@pytest.mark.parametrize(("module", "name", "given"), [
    ("h2o", "H2OAutoML", {}), ("autogluon", "TabularPredictor", {"label": "y"}), ("flaml", "AutoML", {}),
    ("tpot", "TPOTRegressor", {}), ("autosklearn.classification", "AutoSklearnClassifier", {}),
])  # fmt: skip
def test_what_has_no_counterpart_ends_with_a_sentence(module, name, given):
    made = getattr(importlib.import_module(f"tabwright.compat.{module}"), name)(**given)
    with pytest.raises(UserError, match=rf"{name}\.of_no_system has no counterpart here\. Fix: see \.automl"):
        _ = made.of_no_system
    assert not hasattr(made, "of_no_system") and not hasattr(made, "_repr_of_no_system_")
    assert type(copy.copy(made)) is type(pickle.loads(pickle.dumps(made))) is type(made)


@pytest.mark.usefixtures("folder")
def test_h2os_folds_can_be_given():
    from tabwright.compat import h2o

    table = load_iris(as_frame=True).frame.rename(columns=str.lower)
    table["part"], table.loc[::30, "target"] = np.arange(150) % 3, np.nan
    aml = h2o.H2OAutoML(max_models=1, max_runtime_secs=200, include_algos=["GLM"])
    aml.train(y="target", training_frame=h2o.H2OFrame(table), fold_column="part")
    problem, known = aml.automl._finished.problem, table[table["target"].notna()]
    assert "part" not in [c.name for c in aml.automl._finished.schema.columns]
    given = {tuple(np.flatnonzero(known["part"] == k)) for k in range(3)}
    assert {tuple(np.sort(rows)) for rows in problem.valid} == given


@pytest.mark.usefixtures("folder")
def test_h2os_models_are_explained_and_scored_each_by_itself_with_weights():
    from tabwright.compat import h2o

    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=240), "b": rng.normal(size=240), "part": np.arange(240) % 3})
    table["y"] = table["a"] + np.sin(3 * table["b"]) + 0.1 * rng.normal(size=240)
    table["w"] = np.where(np.arange(240) % 12 == 0, 0.0, np.where(table["a"] > 0, 9.0, 1.0))
    aml = h2o.H2OAutoML(max_models=2, max_runtime_secs=200, include_algos=["GLM", "XGBoost"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # rows of weight 0 are left out
        aml.train(y="y", training_frame=h2o.H2OFrame(table), fold_column="part", weights_column="w")
    finished = aml.automl._finished
    kept = table[table["w"] > 0].reset_index(drop=True)
    assert {tuple(np.flatnonzero(kept["part"] == k)) for k in range(3)} == {tuple(v) for v in finished.problem.valid}
    entry = finished.state.entries["linear_1"]
    shown = aml.leaderboard.as_data_frame().set_index("model_id")
    rows = finished.problem.evaluation_rows()
    error = entry.prediction[:, 0] - kept["y"].to_numpy()[rows]
    weighted = np.sqrt(np.average(error**2, weights=kept["w"].to_numpy()[rows]))
    assert shown.loc["linear_1", "rmse"] == pytest.approx(weighted)
    linear = aml.get_model("linear_1")
    assert linear.model_performance().rmse() == pytest.approx(weighted)
    other = aml.get_model(next(m for m in finished.state.entries if m != "linear_1"))
    by_model = [m.varimp(use_pandas=True).set_index("variable")["percentage"] for m in (linear, other)]
    assert by_model[0]["b"] < 0.2 < by_model[1]["b"]


@pytest.mark.usefixtures("folder", "three_candidates")
def test_autogluon():
    from tabwright.compat.autogluon import TabularDataset, TabularPredictor

    frame = TabularDataset(load_iris(as_frame=True).frame)
    frame["kind"] = frame.pop("target").map({0: "setosa", 1: "versicolor", 2: "virginica"})
    train, test = frame.iloc[::2], frame.iloc[1::2]
    with pytest.warns(UserWarning, match="presets"):
        predictor = TabularPredictor(label="kind", path="ag", verbosity=0).fit(
            train, time_limit=100, presets="best_quality", num_bag_folds=2
        )
    assert predictor.problem_type == "multiclass" and predictor.class_labels == ["setosa", "versicolor", "virginica"]
    assert predictor.evaluate(test)["accuracy"] > 0.85 and predictor.evaluate(test)["log_loss"] < 0
    assert (predictor.predict(test).index == test.index).all()
    assert predictor.predict_proba(test).columns.tolist() == predictor.class_labels
    board = predictor.leaderboard(test)
    assert sorted(board["model"]) == sorted(predictor.model_names())
    scored, every = board.dropna(subset="score_test"), predictor.predict_multi(test)
    finished = {e.candidate.model_id for e in predictor.automl._finished.state.finished()}
    assert finished <= set(scored["model"]) == every.keys() and scored["score_test"].is_monotonic_decreasing
    for name, reached in scored.set_index("model")["score_test"].items():
        assert (every[name] == test["kind"]).mean() == pytest.approx(reached)
    assert predictor.predict_proba_multi(test, [name])[name].idxmax(axis=1).equals(every[name].rename(None))
    assert TabularPredictor.load("ag").predict(test).equals(predictor.predict(test))
    with pytest.raises(OptionError, match="no models"):
        predictor.predict(test, model="NeuralNetTorch")
    with pytest.raises(OptionError, match="only the leader"):
        predictor.feature_importance(model="NeuralNetTorch")


@pytest.mark.usefixtures("three_candidates")
def test_autogluons_predictor_outlives_its_process_and_takes_its_methods_parameters(folder):
    from tabwright.compat.autogluon import TabularPredictor

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=200), "b": rng.normal(size=200)})
    frame["y"] = np.where(frame["a"] + rng.normal(size=200) > 0.5, "yes", "no")
    predictor = TabularPredictor("y", verbosity=0).fit(frame, time_limit=60, num_bag_folds=2)
    (made,) = (folder / "AutogluonModels").glob("ag-*")
    assert predictor.save() == predictor.path == str(made.relative_to(folder))
    assert TabularPredictor.load(predictor.path).predict(frame).equals(predictor.predict(frame))
    p = predictor.predict_proba(frame, as_multiclass=False)
    assert p.equals(predictor.predict_proba(frame)["yes"].rename("y"))
    low = predictor.predict(frame, decision_threshold=0.05)
    assert ((low == "yes") == (p >= 0.05)).all() and (low != predictor.predict(frame)).any()
    assert predictor.feature_importance(frame, features=["b"]).index.tolist() == ["b"]
    for call in (lambda: predictor.leaderboard(frame, extra_metrics=["f1"]), lambda: predictor.predict(frame, tresh=1),
                 lambda: predictor.feature_importance(frame, features=["c"])):  # fmt: skip
        with pytest.raises(OptionError):
            call()


@pytest.mark.usefixtures("folder", "three_candidates")
def test_autogluons_quantiles():
    from tabwright.compat.autogluon import TabularPredictor

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.uniform(size=300)})
    frame["y"] = frame["a"] * (1 + rng.normal(size=300))
    predictor = TabularPredictor("y", problem_type="quantile", quantile_levels=[0.2, 0.8], path="q", verbosity=0)
    predictor.fit(frame, time_limit=100, num_bag_folds=2)
    found = predictor.predict(frame)
    assert found.columns.tolist() == [0.2, 0.8] and (np.diff(found.to_numpy(), axis=1) >= 0).all()
    assert predictor.problem_type == "quantile" and list(predictor.evaluate(frame)) == ["pinball_loss"]
    assert "score_test" in predictor.leaderboard(frame)
    assert TabularPredictor.load("q").predict(frame).equals(found) and predictor.path.endswith("q")
    with pytest.raises(OptionError, match="quantile_levels"):
        TabularPredictor("y", problem_type="quantile").fit(frame)
    with pytest.raises(OptionError, match="eval_metric"):
        TabularPredictor("y", problem_type="quantile", quantile_levels=[0.5], eval_metric="rmse").fit(frame)


@pytest.mark.usefixtures("folder")
def test_flaml():
    from tabwright.compat.flaml import AutoML

    X, y = load_iris(return_X_y=True, as_frame=True)
    automl = AutoML(seed=3)
    automl.fit(X_train=X, y_train=y, task="classification", time_budget=200, max_iter=2,
               estimator_list=["lgbm", "lrl1"],
               metric="log_loss", verbose=0, n_splits=3)  # fmt: skip
    assert automl.best_estimator in ("lgbm", "lrl1") and automl.best_loss < 0.5 and automl.best_config
    assert automl.score(X, y) > 0.9 and automl.predict_proba(X).shape == (150, 3)
    losses, best = automl.best_loss_per_estimator, automl.best_estimator
    assert losses.keys() == automl.best_config_per_estimator.keys() == {"lgbm", "lrl1"}
    assert best == min(losses, key=losses.get) and automl.best_config_per_estimator[best] == automl.best_config
    assert automl.best_iteration in (0, 1) and automl.best_config_train_time > 0 < automl.time_to_find_best_model
    assert list(automl.feature_names_in_) == list(X.columns) and automl.n_features_in_ == 4
    with pytest.raises(OptionError, match="y_val"):
        automl.fit(X, y, y_val=y)


@pytest.mark.usefixtures("folder")
def test_scores_have_the_sign_and_unit_of_what_was_asked_for():
    from tabwright.compat.autosklearn.regression import AutoSklearnRegressor
    from tabwright.compat.flaml import AutoML
    from tabwright.compat.tpot import TPOTRegressor

    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 2))
    y = 3 * X[:, 0] + rng.normal(size=150)

    def made(estimator, **fit):
        estimator.fit(X, y, **fit)
        (entry,) = estimator.automl._finished.state.finished()
        return estimator, entry.score

    tpot, rmse = made(TPOTRegressor(generations=0, population_size=1, cv=2))
    (shown,) = tpot.evaluated_individuals_.values()
    assert shown["internal_cv_score"] == pytest.approx(-(rmse**2)) and tpot.score(X, y) < 0
    few = {"task": "regression", "max_iter": 1, "time_budget": 100, "n_splits": 2, "estimator_list": ["lrl2"],
           "verbose": 0}  # fmt: skip
    flaml, rmse = made(AutoML(metric="mse", **few))
    assert flaml.best_loss == pytest.approx(rmse**2)
    flaml, r2 = made(AutoML(**few))
    assert flaml.automl.sort_metric == "r2" and flaml.best_loss == pytest.approx(1 - r2)
    asked = AutoSklearnRegressor(8, metric="mean_squared_error")
    asked._aml = tpot.automl  # a run by RMSE, as this one would be
    cost = asked.leaderboard(ensemble_only=False)["cost"]
    assert cost.tolist() == pytest.approx([-shown["internal_cv_score"]])
    results = asked.cv_results_
    assert results["mean_test_score"].tolist() == pytest.approx(cost.tolist()) and results["status"] == ["Success"]
    assert results["rank_test_scores"].tolist() == [1] and results["mean_fit_time"][0] > 0 and results["params"][0]


@pytest.mark.usefixtures("folder")
def test_look_alikes_are_estimators_of_scikit_learn():
    from tabwright.compat.autosklearn.classification import AutoSklearnClassifier
    from tabwright.compat.flaml import AutoML
    from tabwright.compat.tpot import TPOTClassifier, TPOTRegressor

    for one in (TPOTRegressor(3, cv=4), AutoSklearnClassifier(seed=7), AutoML(task="regression", seed=2)):
        assert clone(one).get_params() == one.get_params() and repr(one)
        assert is_classifier(one) == isinstance(one, AutoSklearnClassifier) != is_regressor(one)
    assert clone(TPOTRegressor(3)).set_params(cv=7).get_params()["cv"] == 7
    with pytest.raises(OptionError, match="no parameter"):
        TPOTRegressor().set_params(folds=3)
    X, y = load_iris(return_X_y=True)
    found = cross_val_score(TPOTClassifier(generations=0, population_size=1, cv=2, max_time_mins=2), X, y, cv=2)
    assert (found > 0.8).all()


def test_what_would_mislead_is_refused_and_the_rest_is_told_once():
    from tabwright.compat.h2o import H2OAutoML
    from tabwright.compat.tpot import TPOTRegressor

    with pytest.raises(OptionError, match="distribution"):
        H2OAutoML(distribution="poisson")
    with pytest.raises(OptionError, match="no parameter of H2OAutoML"):
        H2OAutoML(max_model=3)
    with pytest.warns(UserWarning, match="accepted without effect") as caught:
        TPOTRegressor(5, 20, mutation_rate=0.5, crossover_rate=0.5)
    assert len(caught) == 1 and "mutation_rate" in str(caught[0].message) and "crossover" in str(caught[0].message)
    assert "scipy" not in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TPOTRegressor(5, 20, crossover_rate=0.1)  # their own default
    with pytest.raises(UserError, match="at most 1"):
        settle("X", {"a": used(1, "a")}, {}, (1, 2))


def test_pages_hold_the_tables_of_the_code():
    spec = importlib.util.spec_from_file_location("write_tables", DOCS / "write_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in module.TABLES:
        assert (DOCS / f"{name}.md").read_text("utf-8").endswith(module.section(name)), f"run {DOCS}/write_tables.py"
