"""Warm starts by an earlier run and by the experience store; what the store holds, and that it can be switched off."""

import json

import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLClassifier, AutoMLRegressor
from tabwright.cli.main import main
from tabwright.errors import DataError, OptionError, RunError
from tabwright.features.screen import Interactions
from tabwright.meta.experience import VARIABLE, Experience, Result, parse
from tabwright.meta.features import SCALES, distance, meta_features
from tabwright.pipeline import FEATURES, FULL, PLAIN
from tabwright.testing.tables import mixed_table, target_for
from tabwright.types import Task

SECRETS = ("Zurich", "salary_of_boss", "Paris")


def people(n=400, seed=0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"salary_of_boss": rng.normal(size=n), "town": rng.choice(["Zurich", "Paris"], n)})
    return X, X["salary_of_boss"] * (X["town"] == "Paris") + 0.1 * rng.normal(size=n)


def fit(**options):
    X, y = people()
    families = ["linear", "knn"]  # that take no time
    return AutoMLRegressor(
        max_runtime_secs=60.0, nfolds=2, include_families=families, progress=False, **options
    ).fit(X, y)  # fmt: skip


@pytest.fixture
def store(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "experience.sqlite"
    monkeypatch.setenv(VARIABLE, str(path))
    return path


def test_runs_are_learned_from_and_tell_nothing_of_the_data(store, capsys):
    first = fit()
    learned = Experience(str(store))
    (run,) = learned.all()
    assert run.task == "regression" and run.metric == "rmse" and len(run.results) >= 2
    assert max(r.gain for r in run.results) == pytest.approx(1.0)
    assert any(r.weight > 0 for r in run.results)
    learned.close()
    content = store.read_bytes() + b"".join(p.read_bytes() for p in store.parent.glob("*-wal"))
    for secret in SECRETS:
        assert secret.encode() not in content
    assert all(e.candidate.origin != "experience" for e in first._finished.state.entries.values())
    second = fit()
    suggested = [e for e in second._finished.state.entries.values() if e.candidate.origin == "experience"]
    assert suggested
    known = [(r.family, r.params) for r in run.results]
    assert all((e.candidate.family, {k: v for k, v in e.candidate.params.items() if k != "features"}) in known
               for e in suggested)  # fmt: skip
    assert main(["experience", "show"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("regression") == 2 and "400 rows" in shown


def test_forests_are_learned_from(store):
    X, y = people()
    options = {"max_runtime_secs": None, "max_models": 1, "nfolds": 2, "progress": False}
    AutoMLRegressor(include_families=["extra_trees"], **options).fit(X, y)
    learned = Experience(str(store))
    (run,) = learned.all()
    learned.close()
    assert {r.family for r in run.results} == {"extra_trees"} and "n_estimators" in run.results[0].params


def test_it_can_be_switched_off(store, monkeypatch, capsys):
    fit(warm_start=False)
    assert not store.exists()
    monkeypatch.setenv(VARIABLE, "off")
    fit()
    assert not store.exists()
    assert main(["experience", "show"]) == 2
    assert f"{VARIABLE} is off" in capsys.readouterr().err


def test_a_named_start_does_without_it_where_the_command_is_told(store, tmp_path):
    """Both options together: the earlier run is begun with, and nothing is told of this one."""
    X, y = people()
    X.assign(y=y).to_csv(tmp_path / "t.csv", index=False)
    words = ["fit", str(tmp_path / "t.csv"), "--target", "y", "--max-runtime-secs", "60", "--nfolds", "2", "--quiet",
             "--include-families", "linear,knn", "--no-experience"]  # fmt: skip
    assert main([*words, "--out", str(tmp_path / "first")]) == 0
    assert main([*words, "--out", str(tmp_path / "second"), "--warm-start", str(tmp_path / "first")]) == 0
    assert not store.exists()
    run = AutoMLRegressor.open(tmp_path / "second")._finished
    assert any(e.candidate.origin == "warm" for e in run.state.entries.values())


def test_a_store_that_can_not_be_used_is_no_fault_of_the_run(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    for place in (str(tmp_path / "file" / "e.sqlite"), "postgresql://nobody@127.0.0.1:9/none"):
        monkeypatch.setenv(VARIABLE, place)
        assert fit().leader.members


def test_export_import_and_clear(store, tmp_path, capsys):
    held = Experience(str(store))
    held.add(Task.BINARY, "roc_auc", {"log_rows": 3.0}, [Result("linear", {"C": 1.0}, 1.0, 0.5, 1.0)])
    assert main(["experience", "export", str(tmp_path / "e.jsonl")]) == 0
    assert main(["experience", "import", str(tmp_path / "e.jsonl")]) == 0
    assert "0 new run(s)" in capsys.readouterr().out
    assert main(["experience", "clear"]) == 0
    assert held.all() == []
    assert main(["experience", "import", str(tmp_path / "e.jsonl")]) == 0
    (back,) = held.all("binary")
    assert back.results == [Result("linear", {"C": 1.0}, 1.0, 0.5, 1.0)] and held.all("regression") == []
    held.close()
    (tmp_path / "bad.jsonl").write_text('{"id": 1}\n')
    bad = str(tmp_path / "bad.jsonl")
    for wrong in (["import", bad], ["import", str(tmp_path / "none")], ["export"], ["show", "x"]):
        assert main(["experience", *wrong]) == 2
    with pytest.raises(DataError, match="Line 2 of f is no stored run"):
        list(parse([json.dumps(back.to_json()), "[]"], "f"))


def test_suggestions_are_near_good_and_varied(tmp_path):
    held = Experience(str(tmp_path / "e.sqlite"))
    near, far = dict.fromkeys(SCALES, 1.0), dict.fromkeys(SCALES, 9.0)
    held.add(Task.BINARY, "roc_auc", near, [
        Result("lightgbm", {"k": k}, gain, 1.0, weight) for k, gain, weight in
        ((1, 1.0, 0.6), (2, 0.99, 0.4), (3, 0.98, 0.0), (4, 0.5, 0.0))
    ])  # fmt: skip
    held.add(Task.BINARY, "roc_auc", far, [Result("mlp", {"k": 9}, 1.0, 1.0, 1.0)])
    held.add(Task.REGRESSION, "rmse", near, [Result("mlp", {"k": 8}, 1.0, 1.0, 1.0)])
    found = held.suggest(Task.BINARY, near, ["lightgbm", "mlp"], 9)
    assert [r.params["k"] for r in found] == [1, 2]
    assert held.suggest(Task.BINARY, near, ["mlp"], 9) == []
    held.close()


@pytest.mark.parametrize("task", list(Task))
def test_meta_features_are_numbers_and_tell_tasks_apart(task):
    small, large = mixed_table(300), mixed_table(3000, seed=1)
    a, b, c = (
        meta_features(t, target_for(task, t).y, task, target_for(task, t).n_classes)
        for t in (small, mixed_table(300, seed=2), large)
    )
    assert set(a) == set(SCALES) and all(np.isfinite(list(a.values())))
    assert distance(a, a) == 0 < distance(a, b) < distance(a, c)
    assert distance(a, {}) == float("inf")


def test_warm_start_from_an_earlier_run(tmp_path):
    X, y = people(600)
    options = {"nfolds": 2, "progress": False}
    old = AutoMLRegressor(max_runtime_secs=None, max_models=4, export_checkpoints_dir=tmp_path / "old", **options)
    old.fit(X.iloc[:300], y[:300])
    new = AutoMLRegressor(max_runtime_secs=None, max_models=2, warm_start=tmp_path / "old", **options)
    told = r"Warm start from .*old: 600 rows \(then 300\); its leader had rmse .*new columns: age"
    with pytest.warns(UserWarning, match=told):
        new.fit(X.assign(age=np.arange(600) % 7), y)
    tried = [e.candidate for e in new._finished.state.entries.values()]
    winner = old._finished.state.entries[old.leader.members[0].model_id].candidate
    assert tried[0].origin == "warm" and tried[0].family == winner.family
    assert FEATURES not in tried[0].params or tried[0].params[FEATURES] == PLAIN
    with pytest.raises(RunError, match="no run"):
        AutoMLRegressor(max_models=1, warm_start=str(tmp_path / "nothing"), **options).fit(X, y)
    with pytest.raises(OptionError, match="a regression run, and this is one of binary"):
        AutoMLClassifier(max_models=1, warm_start=str(tmp_path / "old"), **options).fit(X, y > 0)
    with pytest.raises(OptionError, match="warm_start is 3"):
        AutoMLRegressor(warm_start=3, **options).fit(X, y)


def test_a_warm_start_takes_over_interactions(tmp_path):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.uniform(1, 9, 3000), "b": rng.uniform(1, 9, 3000), "c": rng.normal(size=3000)})
    y = np.floor(4 * X["a"] / X["b"]) % 3 + 0.05 * rng.normal(size=3000)
    options = {"max_runtime_secs": None, "nfolds": 2, "progress": False, "include_families": ["lightgbm", "linear"]}
    old = AutoMLRegressor(max_models=3, export_checkpoints_dir=tmp_path / "old", **options).fit(X[:2000], y[:2000])
    found = Interactions.load(old._finished.run.interactions_file)
    assert found
    leading = old._finished.state.entries[old._finished.state.leader.weights[0][0]].candidate
    assert leading.params[FEATURES] == FULL
    with pytest.warns(UserWarning, match="Warm start from"):
        new = AutoMLRegressor(max_models=1, warm_start=tmp_path / "old", **options).fit(X, y)
    (tried,) = [e.candidate for e in new._finished.state.entries.values()]
    assert (tried.origin, tried.family, tried.params[FEATURES]) == ("warm", leading.family, FULL)
    assert Interactions.load(new._finished.run.interactions_file) == found
    with pytest.warns(UserWarning, match="columns gone: c"):
        other = AutoMLRegressor(max_models=1, warm_start=tmp_path / "old", **options).fit(X[["a", "b"]], y)
    assert FEATURES not in next(iter(other._finished.state.entries.values())).candidate.params or not Interactions.load(
        other._finished.run.interactions_file)  # fmt: skip


def test_the_interface_lists_what_is_stored(tmp_path):
    from tabwright.ui.pages.machine_experience import _row

    store = Experience(str(tmp_path / "e.sqlite"))
    made = [("catboost", 0.2), ("lightgbm", 0.8), ("knn", 0.0)]
    results = [Result(family, {}, 0.9, 1.0, weight) for family, weight in made]
    store.add(Task.BINARY, "roc_auc", {"log_rows": 4.0, "log_columns": 1.0}, results)
    shown = _row(store.all()[0])
    store.close()
    assert (shown["task"], shown["rows"], shown["columns"], shown["results"]) == ("binary", "10,000", "10", 3)
    assert shown["leader"] == "lightgbm, catboost"
