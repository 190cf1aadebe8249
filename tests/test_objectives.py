"""Limits, the Pareto front and selection, through the estimators and the command line."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLClassifier, AutoMLRegressor, load_model
from tabwright.cli.main import main
from tabwright.errors import OptionError
from tabwright.objectives.measure import measure
from tabwright.pipeline import TEACHER, TEXT, UNSEEN, graph_inputs

# Limits in microseconds are this machine's matter: where it is too slow for them, a run notes it and goes on.
pytestmark = pytest.mark.filterwarnings("ignore:No model with latency_us:UserWarning")


def waves(n=900, seed=0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"a": rng.uniform(-3, 3, n), "b": rng.normal(size=n), "c": rng.choice(list("xyz"), n),
                      "shop": [f"shop {k}" for k in rng.integers(0, 40, n)]})  # fmt: skip
    return X, np.sin(2 * X["a"]) + 0.5 * X["b"] * (X["c"] == "x") + 0.1 * rng.normal(size=n)


@pytest.fixture(scope="module")
def free(tmp_path_factory):
    """A finished run without limits, on disk."""
    X, y = waves()
    made = AutoMLRegressor(max_runtime_secs=None, max_models=6, nfolds=3, progress=False,
                           export_checkpoints_dir=tmp_path_factory.mktemp("free") / "run")  # fmt: skip
    return made.fit(X, y)


@pytest.fixture(scope="module")
def fast():
    """A run that leads with what takes few microseconds, of models that count costs."""
    X, y = waves()
    made = AutoMLRegressor(max_runtime_secs=None, max_models=8, nfolds=3, progress=False,
                           include_families=["lightgbm", "linear", "xgboost"],
                           objectives=("score", "latency_us"),
                           constraints={"latency_us": 60, "size_mib": 2.0})  # fmt: skip
    return made.fit(X, y)


def test_the_front_is_measured_and_no_point_beats_another(free, tmp_path):
    front = free.pareto(tmp_path / "front.svg")
    assert front["measured"].all() and front["leader"].sum() == 1
    assert front["score"].is_monotonic_increasing  # rmse: the best first
    assert front[~front["leader"]]["latency_p50_us"].is_monotonic_decreasing  # the leader is shown even off the front
    assert len(front) >= 3
    assert front["n_models"].nunique() > 1
    picture = (tmp_path / "front.svg").read_text()
    assert picture.count("<circle") == len(front) and picture.count('class="leader"') == 1


def test_a_point_of_the_front_becomes_the_leader_and_is_remembered(free, tmp_path):
    X, y = waves(seed=1)
    before = free.model_performance(X, y)["rmse"]
    front = free.pareto()
    chosen = front.iloc[-1]
    try:
        free.select(design=chosen["design"])
        assert str(free._finished.design) == chosen["design"]
        report = free.export(tmp_path / "small.onnx")
        assert report.profile.size_mib < front["size_mib"].max()
        after = free.model_performance(X, y)["rmse"]
        assert after > before
        again = AutoMLRegressor.open(free.run_dir)
        np.testing.assert_allclose(again.predict(X), free.predict(X), rtol=1e-6)
        np.testing.assert_allclose(load_model(tmp_path / "small.onnx").predict(X), free.predict(X), rtol=1e-6)
        middle = float(front["latency_p50_us"].median())
        free.select(max_latency_us=middle)
        sample = free._finished.sample
        assert free.pareto().query("leader")["latency_p50_us"].iloc[0] <= middle
        again = measure((tmp_path / "small.onnx").read_bytes(), graph_inputs(sample))
        assert again.size_mib == pytest.approx(report.profile.size_mib, rel=0.02)
    finally:
        free.select(design=front.iloc[0]["design"])


def test_what_can_not_be_selected_gets_one_sentence(free):
    for limits, told in (
        ({"max_latency_us": 0.5}, "no model with latency_us <= 0.5: the nearest"),
        ({"design": "mlp_9 x7"}, "which is no point of the front"),
        ({}, "takes either limits or a design"),
        ({"max_size_mib": -1}, "give a number above 0"),
    ):
        with pytest.raises(OptionError, match=told):
            free.select(**limits)


def test_limits_hold_for_the_exported_file(fast, tmp_path):
    X, y = waves(seed=1)
    report = fast.export(tmp_path / "m.onnx")
    assert report.profile.size_mib <= 2.0
    kept = fast.pareto().query("leader")["latency_p50_us"].iloc[0] <= 2 * 60  # measured again
    assert kept or any("latency_us" in note for note in fast._finished.notes)  # a busy machine may have nothing so fast
    assert fast.model_performance(X, y)["rmse"] < 0.4
    origins = {e.candidate.origin for e in fast._finished.state.entries.values()}
    assert "student" in origins
    assert any(e.refitted for e in fast._finished.state.entries.values())
    assert fast.failures().empty


def test_a_student_learns_from_its_teacher(fast):
    students = [e for e in fast._finished.state.finished() if TEACHER in e.candidate.params]
    assert students
    for entry in students:
        assert {m for m, _ in entry.candidate.params[TEACHER]} <= set(fast._finished.state.entries)
        assert entry.score < 0.5 * np.std(waves()[1])


def test_text_is_done_without_where_finding_its_words_takes_longer_than_the_limit():
    rng = np.random.default_rng(0)
    words = np.array(["good", "bad", "fine", "poor", "nice", "awful", "sound", "broken", "lovely", "hated"])
    picked = rng.integers(0, 10, (400, 40))
    X = pd.DataFrame({"review": [" ".join(row) for row in words[picked]], "x": rng.normal(size=400)})
    y = ((picked % 2 == 0).sum(axis=1) - 20 + 3 * X["x"] > 0).astype(int)
    made = AutoMLClassifier(max_runtime_secs=None, max_models=6, nfolds=2, progress=False,
                            include_families=["lightgbm", "mlp"], constraints={"latency_us": 12}).fit(X, y)  # fmt: skip
    lean = [e for e in made._finished.state.finished() if e.candidate.origin == "lean"]
    assert {e.candidate.family for e in lean} == {"lightgbm", "mlp"}
    assert all(e.candidate.params[TEXT] == UNSEEN for e in lean)
    cheap = made._finished.run.cost_path(lean[0].candidate.model_id).read_text("utf-8")
    assert "review" not in cheap


@pytest.mark.parametrize("classes", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_students_of_classes(classes, tmp_path):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=800), "b": rng.normal(size=800)})
    y = np.digitize(X["a"] + X["b"] ** 2 + 0.2 * rng.normal(size=800), [0.4, 1.2, 2.5][: classes - 1])
    made = AutoMLClassifier(max_runtime_secs=None, max_models=6, nfolds=3, progress=False,
                            include_families=["lightgbm", "linear", "xgboost"],
                            constraints={"latency_us": 200}).fit(X, y)  # fmt: skip
    students = [e for e in made._finished.state.entries.values() if TEACHER in e.candidate.params]
    assert students and all(e.status == "ok" for e in students)
    made.export(tmp_path / "m.onnx")
    assert made.failures().empty


def test_limits_that_nothing_keeps_lead_with_the_nearest_and_say_so():
    X, y = waves(300)
    made = AutoMLRegressor(max_runtime_secs=None, max_models=3, nfolds=2, progress=False,
                           include_families=["lightgbm", "linear"],
                           constraints={"latency_us": 0.5, "memory_mib": 500})  # fmt: skip
    told = "No model with latency_us <= 0.5 and memory_mib <= 500 was found: the nearest"
    with pytest.warns(UserWarning, match=told):
        made.fit(X, y)
    assert made.leader.members


def test_a_resumed_run_keeps_what_was_selected_until_it_finds_more(tmp_path):
    X, y = waves(300)
    options = {"max_models": 2, "include_families": ["linear", "lightgbm"], "nfolds": 2, "progress": False}
    made = AutoMLRegressor(**options, max_runtime_secs=60, export_checkpoints_dir=tmp_path / "run").fit(X, y)
    other = next(d for d in made.pareto()["design"] if d != str(made._finished.design))
    made.select(design=other)
    with pytest.warns(UserWarning, match="There was nothing to do"):
        same = AutoMLRegressor.resume(tmp_path / "run", progress=False)
    selected = (tmp_path / "run" / "design.json").read_bytes()
    assert str(same._finished.design) == other and np.array_equal(same.predict(X), made.predict(X))
    stored = json.loads((tmp_path / "run" / "run.json").read_text())
    stored["config"]["max_models"] = 3
    (tmp_path / "run" / "run.json").write_text(json.dumps(stored))
    with pytest.warns(UserWarning, match="What select had made the leader gave way"):
        more = AutoMLRegressor.resume(tmp_path / "run", progress=False)
    assert str(more._finished.design) != other
    assert str(AutoMLRegressor.open(tmp_path / "run")._finished.design) == str(more._finished.design)
    (tmp_path / "run" / "design.json").write_bytes(selected)  # as a kill in the midst of it would have left it
    assert str(AutoMLRegressor.open(tmp_path / "run")._finished.design) == str(more._finished.design)


def test_runs_under_limits_resume_with_their_choice(tmp_path):
    X, y = waves(400)
    options = {"nfolds": 2, "progress": False, "export_checkpoints_dir": tmp_path / "run", "n_jobs": 2,
               "include_families": ["lightgbm", "linear"]}  # fmt: skip
    made = AutoMLRegressor(max_runtime_secs=None, max_models=5, constraints={"latency_us": 80}, **options).fit(X, y)
    opened = AutoMLRegressor.open(tmp_path / "run")
    assert opened._finished.design == made._finished.design
    with pytest.warns(UserWarning, match="nothing to do"):
        resumed = AutoMLRegressor.resume(tmp_path / "run", progress=False)
    assert resumed._finished.design == made._finished.design
    kept = resumed.pareto().query("leader")["latency_p50_us"].iloc[0] <= 2 * 80  # measured again
    assert kept or any("latency_us" in note for note in resumed._finished.notes)


def share_of_high(_y, prediction, X):
    """A user's objective: how many rows of a category are predicted above a half."""
    return float((prediction[:, 1] > 0.5)[X["c"] == "x"].mean())


def fails(_y, _prediction, _X):
    return 1 / 0


def fails_for_what_has_learned(y, prediction, _X):
    return 1 / int(abs(np.corrcoef(y, prediction)[0, 1]) < 0.5)


def tenths(_y, prediction, _X):
    """Needs predictions that differ."""
    return float(pd.qcut(prediction, 10, labels=False).mean())


def share_by_row(_y, prediction, _X):
    return prediction > 0.5


def of_nothing(_y, _prediction, _X):
    return np.nan


def test_objectives_that_read_predictions():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=900), "group": rng.choice(["m", "f"], 900),
                      "c": rng.choice(["x", "y"], 900)})  # fmt: skip
    y = np.where(X["a"] + 1.2 * (X["group"] == "m") + 0.7 * rng.normal(size=900) > 0.6, "yes", "no")
    options = {"max_runtime_secs": None, "max_models": 4, "nfolds": 2, "progress": False,
               "include_families": ["lightgbm", "linear", "xgboost"]}  # fmt: skip
    made = AutoMLClassifier(objectives=("score", "demographic_parity:group", share_of_high), **options).fit(X, y)
    front = made.pareto()
    own = f"{__name__}:share_of_high"
    assert front[["demographic_parity:group", own]].notna().all(axis=None)
    assert front["demographic_parity:group"].nunique() > 1
    fairest = float(front["demographic_parity:group"].min())
    limited = AutoMLClassifier(constraints={"demographic_parity:group": fairest * 1.15}, **options).fit(X, y)
    chosen = limited.predict(X) == "yes"
    gap = abs(chosen[X["group"] == "m"].mean() - chosen[X["group"] == "f"].mean())
    assert limited.pareto().query("leader")["demographic_parity:group"].iloc[0] <= fairest * 1.15
    assert gap < 1.5 * fairest + 0.05


def test_the_nearest_leads_where_no_limit_on_predictions_is_kept():
    rng = np.random.default_rng(3)
    X = pd.DataFrame({"a": rng.normal(size=600), "b": rng.normal(size=600), "sex": rng.choice(["m", "f"], 600)})
    X["a"] += 1.5 * (X["sex"] == "m")
    y = (X["a"] + 0.3 * X["b"] + 0.2 * rng.normal(size=600) > 0.7).astype(int)
    limit = "demographic_parity:sex"
    with pytest.warns(UserWarning, match=rf"the nearest, .* has {limit} .*; allow more$"):
        made = AutoMLClassifier(max_runtime_secs=None, max_models=4, nfolds=3, progress=False,
                                include_families=["lightgbm", "linear"],
                                constraints={limit: 0.01}).fit(X, y)  # fmt: skip
    frontier, led = made._finished.frontier, made._finished.design
    frontier.names = (limit,)
    frontier.measure_parts()
    of_each = [frontier.point(frontier._single_fold(((e.candidate.model_id, 1.0),))) for e in frontier.candidates()]
    assert frontier.point(led).costs[limit] <= min(p.costs[limit] for p in of_each)
    assert led.n_models == 3  # all its folds, which predict alike and better


def test_faults_of_such_objectives():
    X, y = waves(60)
    for wrong, told in (
        (["score", "equalised_odds:nobody"], "no column 'nobody'"),
        (["score", "equalised_odds:c"], "a class of two"),
        (["score", "no_such_module:f"], "can't be imported"),
        (["score", f"{__name__}:waves_"], "can't be imported"),
        (["score", lambda y, p, X: 0.0], "could not import"),
    ):
        with pytest.raises(OptionError, match=told):
            AutoMLRegressor(max_models=2, progress=False, objectives=wrong).fit(X, y)
    with pytest.warns(UserWarning, match="of_nothing inf, and leads"):  # no limit takes what is no number
        AutoMLRegressor(max_runtime_secs=None, max_models=1, nfolds=2, include_families=["linear"], progress=False,
                        constraints={of_nothing: 1.0}).fit(X, y)  # fmt: skip
    for function in (fails, share_by_row):
        with pytest.raises(OptionError, match=rf"Option constraints holds '.*:{function.__name__}', which fails with"):
            AutoMLRegressor(max_models=2, progress=False, constraints={function: 1.0}).fit(X, y)


def test_an_objective_that_fails_for_some_model_is_one_that_it_does_not_keep():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(80, 2)), columns=["a", "b"])
    made = AutoMLRegressor(max_runtime_secs=None, max_models=1, nfolds=2, include_families=["linear"], progress=False,
                           constraints={fails_for_what_has_learned: 2.0, tenths: 5.0})  # fmt: skip
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made.fit(X, X["a"] - X["b"])
    told = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    assert any("fails_for_what_has_learned inf, and leads" in t for t in told)
    assert any("fails_for_what_has_learned', which fails with ZeroDivisionError" in t for t in told)
    assert made.leader.members


def test_command_line(tmp_path, capsys):
    X, y = waves(400)
    data = tmp_path / "t.csv"
    X.assign(y=y).to_csv(data, index=False)
    run = str(tmp_path / "run")
    fit = ["fit", str(data), "--target", "y", "--out", run, "--max-models", "4", "--nfolds", "2", "--quiet",
           "--max-runtime-secs", "60", "--max-size-mib", "3", "--objectives", "score,latency_us",
           "--include-families", "lightgbm,linear"]  # fmt: skip
    assert main(fit) == 0
    capsys.readouterr()
    assert main(["select", run, "--json", "--plot", str(tmp_path / "f.svg")]) == 0
    slowest = max(point["latency_p50_us"] for point in json.loads(capsys.readouterr().out))
    assert (tmp_path / "f.svg").exists()
    assert main(["select", run, "--max-latency-us", str(slowest)]) == 0
    shown = capsys.readouterr().out
    assert "leader: " in shown and "design" in shown and "* " in shown
    assert json.loads((tmp_path / "run/design.json").read_text())["design"]
    assert main(["select", run, "--max-latency-us", "0.1"]) == 2
    assert "the nearest" in capsys.readouterr().err
    assert main(["fit", str(data), "--target", "y", "--out", run + "2", "--objectives", "score,beauty"]) == 2
    assert "holds 'beauty'" in capsys.readouterr().err
