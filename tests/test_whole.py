"""Tables that memory does not hold: a search on a sample, then the best candidates on all rows, block by block."""

from __future__ import annotations

import sqlite3

import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLClassifier, AutoMLRegressor, inputs, load_model, whole_source
from tabwright.cli.main import main
from tabwright.data import stream
from tabwright.data.table import Table
from tabwright.engine.everything import Facts, everything
from tabwright.engine.shelf import Shelf, load_fold_model
from tabwright.errors import DataError, OptionError
from tabwright.models.base import Sample
from tabwright.pipeline import EVERYTHING
from tabwright.store.origin import Origin, matrices_dir

QUICK = {"max_runtime_secs": 120, "max_models": 1, "nfolds": 2, "include_families": ["lightgbm"], "progress": False,
         "seed": 3}  # fmt: skip
N = 12_000
pytestmark = pytest.mark.filterwarnings("ignore:The search sees:UserWarning")


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    n = N
    made = pd.DataFrame({"a": rng.normal(size=n), "c": rng.choice(["red", "green", "blue"], n), "w": rng.random(n)})
    made["y"] = np.sin(3 * made["a"]) + (made["c"] == "red") + rng.normal(size=n) * 0.2
    made["k"] = np.where(made["y"] > 0.9, "high", "low")
    return made


@pytest.fixture
def folder(frame, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "BLOCK_ROWS", 256)
    path = tmp_path / "rows"
    path.mkdir()
    for k, piece in enumerate(np.array_split(np.arange(len(frame)), 3)):
        frame.iloc[piece].to_parquet(path / f"{k}.parquet", index=False)
    return str(path)


@pytest.fixture
def sample_alone(monkeypatch):
    """Runs that end with the search on the sample."""
    monkeypatch.setattr(whole_source, "_on_the_whole", lambda search, *_: search.state)


def whole(made):
    return [e for e in made._finished.state.entries.values() if e.candidate.origin == "whole"]


def test_the_best_are_fitted_on_all_rows(folder, frame, tmp_path):
    made = AutoMLRegressor(**QUICK, export_checkpoints_dir=tmp_path / "run").fit(
        folder, target="y", weights_column="w", search_rows=800, kinds={"k": "identifier"}
    )
    found = whole(made)
    assert found and all(e.status == "ok" and e.candidate.params[EVERYTHING] == N for e in found)
    assert made._finished.problem.n_folds == 1 and len(made._finished.problem.y) == 800
    own = [e for e in made._finished.state.finished() if e.candidate.origin != "whole"]
    assert min(e.score for e in found) < min(e.score for e in own)  # fifteen times the rows
    assert {e.candidate.model_id for e in found} & set(dict(made._finished.state.leader.weights))
    assert not matrices_dir(made._finished.run).exists()
    report = made.export(tmp_path / "model.onnx")
    np.testing.assert_allclose(load_model(report.path).predict(frame), made.predict(frame), rtol=1e-6)
    again = AutoMLRegressor.open(tmp_path / "run")
    np.testing.assert_allclose(again.predict(frame), made.predict(frame), rtol=1e-6)
    with pytest.warns(UserWarning, match="nothing to do"):
        resumed = AutoMLRegressor.resume(tmp_path / "run", progress=False)
    assert len(whole(resumed)) == len(found)


def test_rows_that_judge_are_not_learned_from(folder, sample_alone, tmp_path):
    made = AutoMLClassifier(**QUICK, balance_classes=True, export_checkpoints_dir=tmp_path / "r")
    made.fit(folder, target="k", search_rows=800, kinds={"y": "identifier"})
    run, problem = made._finished.run, made._finished.problem
    origin = Origin.load(run)
    assert origin is not None and origin.n_rows == N
    assert run.load_array("origin", "sampled").shape == (800,)
    table = Table.load(run.table_dir)
    features = load_fold_model(run, made._finished.state.finished()[0].candidate.model_id, 0, Shelf()).features
    facts = Facts(table.schema, 0.0, 1.0, run.load_array("origin", "class_weights"))
    train = problem.train[0]
    own = Sample(features.apply(table.take(train)), problem.y[train], np.ones(len(train)))
    sample = everything(run, origin, facts, features, own, N, float("inf"))
    assert len(sample.y) == N - len(problem.valid[0])
    rows = {x.tobytes() for x in sample.X}
    judging = features.apply(table.take(problem.valid[0]))
    assert not any(x.tobytes() in rows for x in judging)
    np.testing.assert_array_equal(sample.X[: len(train)], own.X)  # as the fold has them, not encoded by themselves
    assert not any(x.tobytes() in rows - {x.tobytes() for x in own.X} for x in own.X)
    # classes as in the whole table, weighed so that both count the same
    rest = slice(len(train), None)
    shares = np.bincount(sample.y[rest], weights=sample.weight[rest])
    assert shares / shares.sum() == pytest.approx([0.5, 0.5], abs=0.05)
    few = everything(run, origin, facts, features, own, 3000, float("inf"))
    assert len(few.y) == 3000  # the first of the same matrix


def test_odd_cells_outside_the_sample_cost_their_rows_only(folder, frame, sample_alone, tmp_path):
    made = AutoMLRegressor(**QUICK, export_checkpoints_dir=tmp_path / "r")
    made.fit(folder, target="y", search_rows=800, kinds={"k": "identifier"})
    run = made._finished.run
    odd = frame.assign(a=frame["a"].astype(object), y=frame["y"].where(frame.index != 7))
    odd.loc[[5, 3000], "a"] = "not a number"
    path = tmp_path / "odd.csv"
    odd.to_csv(path, index=False)
    table = Table.load(run.table_dir)
    features = load_fold_model(run, made._finished.state.finished()[0].candidate.model_id, 0, Shelf()).features
    origin = Origin(str(path), "y", None, N, 3, {})
    run.save_arrays("origin", sampled=np.array([0, 1]))
    own = Sample(np.zeros((3, len(features.names)), np.float32), np.zeros(3))
    sample = everything(run, origin, Facts(table.schema, 0.0, 1.0, None), features, own, 2 * N, float("inf"))
    assert len(sample.y) == 3 + N - 2 - 2 - 1


def test_databases_are_sampled_too(frame, tmp_path):
    with sqlite3.connect(tmp_path / "t.db") as database:
        frame.to_sql("rows", database, index=False)
    database.close()
    url = f"sqlite:///{tmp_path}/t.db"
    made = AutoMLRegressor(**QUICK).fit(url, target="y", query="SELECT a, c, y FROM rows", search_rows=500)
    assert whole(made)[0].status == "ok"
    made = AutoMLRegressor(**QUICK).fit(url, target="y", query="SELECT a, c, y FROM rows")  # small enough to hold
    assert not whole(made) and len(made._finished.problem.y) == N


def test_memory_decides_where_nothing_is_said(folder, sample_alone, monkeypatch):
    monkeypatch.setattr(inputs, "CELL_BYTES", 1e6)  # as if the table had as many more rows
    with pytest.warns(UserWarning, match=r"The search sees .* of 12,000 rows"):
        made = AutoMLRegressor(**{**QUICK, "max_memory_mib": 16_000}).fit(folder, target="y", kinds={"k": "identifier"})
    assert len(made._finished.problem.y) < N


def test_groups_have_no_fair_hold_out_in_the_whole(folder):
    with pytest.warns(UserWarning, match="Nothing is fitted on all rows"):
        made = AutoMLRegressor(**QUICK).fit(folder, target="y", group_column="c", search_rows=500)
    assert not whole(made)


@pytest.mark.parametrize(("options", "told"), [
    ({"search_rows": 5}, "search_rows"), ({"search_rows": True}, "search_rows"), ({"query": "rows"}, "query"),
    ({"search_rows": 500, "target": "nope"}, "no column 'nope'"), ({"search_rows": 500, "y": [0.0] * N}, "in memory"),
])  # fmt: skip
def test_what_can_not_be_is_told(folder, options, told, tmp_path):
    run = tmp_path / "run"
    with pytest.raises((OptionError, DataError), match=told):
        AutoMLRegressor(**QUICK, export_checkpoints_dir=run).fit(folder, **{"target": "y", **options})
    assert not run.exists()


def test_the_command_takes_folders_and_samples(folder, tmp_path, capsys):
    model = tmp_path / "m.onnx"
    assert main(["fit", folder, "--target", "y", "--out", str(tmp_path / "run"), "--search-rows", "800", "--max-models",
                 "1", "--include-families", "lightgbm", "--quiet", "--kind", "k=identifier", "--export", str(model)
                 ]) == 0  # fmt: skip
    assert "The search sees 800 of 12,000 rows" in capsys.readouterr().err
    out = tmp_path / "p.parquet"
    assert main(["predict", str(model), folder, "--out", str(out)]) == 0
    assert len(pd.read_parquet(out)) == N
