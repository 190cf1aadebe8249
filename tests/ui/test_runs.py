"""What pages read of real runs: views, leaderboards, out-of-fold predictions, curves, models."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
import time
from dataclasses import replace

import numpy as np
import pytest
from people import census, tabwright
from sklearn.metrics import average_precision_score, roc_auc_score

from tabwright.config import Config
from tabwright.errors import DataError, ModelFileError, OptionError, UserError
from tabwright.runtime import load_model
from tabwright.store.journal import Journal
from tabwright.types import Task
from tabwright.ui import charts, curves, models, options, runs
from tabwright.ui.estimate import estimate
from tabwright.ui.jobs import Jobs
from tabwright.ui.models import Models
from tabwright.ui.pages.front import points


@pytest.fixture
def run(workspace, binary_run):
    """The run as one of the workspace."""
    shutil.copytree(binary_run, workspace.root / "runs" / "r")
    return workspace.root / "runs" / "r"


def test_a_finished_run(workspace, run):
    view = runs.view(workspace, Jobs(workspace), "r")
    assert (view.state, view.task, view.metric, view.n_folds) == ("finished", Task.BINARY, "roc_auc", 3)
    assert not view.is_live and 0.7 < view.score < 1 and view.budget_s == 100 and view.design == ""
    over_time = runs.scores_over_time(view.audit)
    assert [s for _, s, _ in over_time] == sorted(s for _, s, _ in over_time)
    assert sum(f["folds"] for f in runs.families(view.audit)) == 6
    assert runs.failures(view.audit) == [] and runs.running_now(view) == []


def test_states_of_runs_that_are_not_finished(workspace, run, binary_run):
    jobs = Jobs(workspace)
    with pytest.raises(DataError, match="there is no runs/none"):
        runs.view(workspace, jobs, "none")
    workspace.reserve("runs", "empty")
    assert runs.view(workspace, jobs, "empty").state == "not begun"
    with sqlite3.connect(run / "journal.sqlite") as journal:
        journal.execute("DELETE FROM events")
    journal.close()
    assert runs.view(workspace, jobs, "r").state == "broken off"
    from tabwright.store.run_dir import RunDir

    held = RunDir(run)
    held.acquire()
    assert runs.view(workspace, jobs, "r").state == "running"
    held.release()


def test_a_run_that_is_refused_at_its_start_says_why(workspace, tmp_path):
    census(60).assign(weight=-1.0).to_parquet(tmp_path / "table.parquet")
    jobs, out = Jobs(workspace), workspace.path("runs", workspace.reserve("runs", "r"))
    words = ["tabwright", "fit", str(tmp_path / "table.parquet"), "--target", "income", "--weights-column", "weight",
             "--max-models", "1", "--out", str(out)]  # fmt: skip
    job, end = jobs.start("Fit", "run:r", words), time.monotonic() + 60
    while jobs.get(job.id).state == "running":
        assert time.monotonic() < end, jobs.log(job)
        time.sleep(0.05)
    view = runs.view(workspace, jobs, "r")
    assert not out.exists() and view.state == "failed" and "weights_column" in view.told


def test_a_live_run_tells_what_it_does(binary_run):
    status = json.loads((binary_run / "status.json").read_text())
    assert {"left_s", "running", "leader", "time"} <= set(status)


def test_the_board_agrees_with_the_full_one(workspace, run):
    view = runs.view(workspace, Jobs(workspace), "r")
    board = runs.candidates(view.audit)
    assert {r["family"] for r in board} >= {"lightgbm", "linear"}
    assert [r["rank"] for r in board] == list(range(1, len(board) + 1))
    assert sum(r["status"] == "leader" for r in board) == 1
    extra = runs.measured(tabwright("leaderboard", run, "--csv"))
    full = runs.merged(board, extra)
    assert [r["model_id"] for r in full] == list(extra)
    leader = next(r for r in full if r["status"] == "leader")
    assert leader["latency_p50_us"] > 0 and leader["score_ci_low"] < leader["score"] < leader["score_ci_high"]
    assert any(r["model_id"] == "constant" for r in full)


def test_out_of_fold_predictions_score_as_the_search_said(run, workspace):
    view = runs.view(workspace, Jobs(workspace), "r")
    leader = view.audit.leaders[-1]
    found = runs.out_of_fold(run, leader.name)
    assert len(found.y) == 900 and found.classes == ("<=50K", ">50K")
    assert curves.metrics(found)["roc_auc"] == pytest.approx(leader.score)
    assert "900 rows" in found.told
    with pytest.raises(DataError, match="no model 'x'"):
        runs.out_of_fold(run, "x")
    candidate = view.audit.candidates[0].model_id
    (run / "folds" / f"{candidate}.0.npy").unlink()
    (run / "journal.sqlite").touch()
    with pytest.raises(DataError, match="no out-of-fold predictions"):
        runs.out_of_fold(run, candidate)


def area(curve):
    x, y = np.array(curve).T
    return float(((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2).sum())


def test_curves_of_two_classes(binary_run):
    found = runs.out_of_fold(binary_run, "lightgbm_1")
    p, y = found.prediction[:, 0], found.y
    assert area(curves.roc(found)) == pytest.approx(roc_auc_score(y, p), abs=0.01)
    assert area(curves.precision_recall(found)) == pytest.approx(average_precision_score(y, p), abs=0.02)
    made = curves.gains(found)
    assert made.gains[0] == (0.0, 0.0) and made.gains[-1] == (1.0, 1.0)
    assert made.lift[0][1] > 1.5 and made.lift[-1][1] == pytest.approx(1.0)
    bins = curves.calibration(found)
    assert len(bins) == 10 and sum(n for _, _, n in bins) == 900
    assert sum(share * n for _, share, n in bins) == pytest.approx(y.sum())
    matrix = curves.confusion(found, 0.3)
    assert matrix.sum() == 900 and matrix[1, 1] == int(((p >= 0.3) & (y == 1)).sum())
    told = curves.at_threshold(found, 0.3)
    assert told["recall"] == pytest.approx(matrix[1, 1] / matrix[1].sum())
    assert curves.at_threshold(found, 1.1)["precision"] == 0.0
    assert curves.metrics(found, 0.3)["accuracy"] == pytest.approx(told["accuracy"])


def test_curves_of_a_regression(regression_run):
    found = runs.out_of_fold(regression_run, "linear_1")
    assert len(curves.predicted_against_true(found)) == 900
    assert np.mean([r for _, r in curves.residuals(found)]) == pytest.approx(0, abs=2.0)
    assert sum(curves.residual_histogram(found)[1]) == 900


def test_curves_of_many_classes():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    proba = np.eye(3)[y] * 0.6 + rng.dirichlet(np.ones(3), 300) * 0.4
    found = runs.Outcomes(Task.MULTICLASS, y, proba, None, ("a", "b", "c"), "")
    assert curves.confusion(found).shape == (3, 3)
    assert area(curves.roc(found, 2)) > 0.9


@pytest.mark.parametrize(("value", "shown"), [
    (-74712.3, "-74,700"), (0.0012345, "0.00123"), (0.0, "0"), (12.0, "12"), (1.5e6, "1,500,000"), (2e-9, "2e-09"),
])  # fmt: skip
def test_marks_of_bars_are_numbers_as_people_write_them(value, shown):
    assert charts.rounded(value) == shown


def test_charts_are_plain_json(binary_run):
    found = runs.out_of_fold(binary_run, "lightgbm_1")
    made = [
        charts.lines({"a": curves.roc(found)}, "x", "y", diagonal=True), charts.bars(["a"], [1.0], sideways=True),
        charts.points([(1.0, 2.0)], "x", "y", diagonal=True, level=True),
        charts.matrix(curves.confusion(found).tolist(), found.classes),
        charts.ensemble([("a_1", "a", 0.6), ("b_1", "b", 0.4)], 5, "y", {"b_1": ("a_1", "c_1")}),
        charts.front([{"design": "a x1", "us": 5.0, "score": 0.9}], "us", "score", ("x", "y"), ""),
    ]  # fmt: skip
    assert all(json.loads(json.dumps(m))["series"] for m in made)


@pytest.fixture(scope="session")
def exported(binary_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    tabwright("export", binary_run, "--out", path, "--examples")
    return path


def test_models_are_brought_in_and_asked(workspace, exported, tmp_path):
    shelf = Models(workspace)
    shutil.copy(exported, tmp_path / "up.onnx")
    name = shelf.bring("My model.onnx", tmp_path / "up.onnx")
    assert name == "My-model" and shelf.names() == ["My-model"] and shelf.examples(name) == []
    model = shelf.load(name)
    asked = models.fields(model)
    assert {f.name: f.kind.value for f in asked}["education"] == "categorical"
    row = {f.name: f.value for f in asked}
    first = dict(models.answer(model, row))
    assert sum(first.values()) == pytest.approx(1.0)
    better = dict(models.answer(model, row | {"education": "Masters", "education-num": 14, "age": 60}))
    assert better[">50K"] > first[">50K"]
    assert models.answer(model, row | {"age": "", "workclass": ""})
    with pytest.raises(DataError, match="lacks"):
        models.answer(model, {"age": 3})
    found = models.outcomes(model, census(500, seed=5), "500 rows")
    assert curves.metrics(found)["roc_auc"] > 0.8
    with pytest.raises(DataError, match="no column 'income'"):
        models.outcomes(model, census().drop(columns="income"), "")


def test_what_is_no_model_is_refused(workspace, exported, tmp_path):
    data = bytearray(exported.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "up.onnx").write_bytes(data)
    with pytest.raises(ModelFileError):
        Models(workspace).bring("m.onnx", tmp_path / "up.onnx")
    assert Models(workspace).names() == []


def test_a_number_is_answered_as_one(regression_run, tmp_path):
    tabwright("export", regression_run, "--out", tmp_path / "m.onnx")
    model = load_model(tmp_path / "m.onnx")
    ((name, value),) = models.answer(model, {f.name: f.value for f in models.fields(model)})
    assert name == "hours-per-week" and math.isfinite(value)


def test_the_front_is_read_from_the_log(binary_run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(binary_run, copy)
    found = points(f"note: hello\n{tabwright('select', copy, '--json')}")
    assert found and {"design", "score", "latency_p50_us", "leader"} <= set(found[0])
    smallest = min(found, key=lambda r: r["latency_p50_us"])["design"]
    again = tabwright("select", copy, "--design", smallest, "--json")
    assert next(r["design"] for r in points(again) if r["leader"]) == smallest
    assert runs.View("r", copy, "finished", "", None, None, {}).design == smallest
    assert points("nothing") == []


def test_options_become_parameters():
    given = {o.name: o.default for g in (options.TIME, options.VALIDATION, options.MODELS, options.LIMITS,
                                         options.PLACES, options.DELIVERED) for o in g}  # fmt: skip
    assert options.parameters(given) == {}
    made = options.parameters(given | {
        "max_runtime_secs": 20, "nfolds": "3", "include_families": ["linear"], "latency_us": 50, "seed": 3.0,
        "objectives": ["size_mib"], "sort_metric": "log_loss", "max_models": "",
        "monotone_constraints": "age=1, hours per week=-1", "warm_start": "nothing", "engine": "dask",
    })  # fmt: skip
    assert made == {
        "max_runtime_secs": 20.0, "nfolds": 3, "include_families": ["linear"], "constraints": {"latency_us": 50.0},
        "seed": 3, "objectives": ["score", "size_mib"], "sort_metric": "log_loss",
        "monotone_constraints": {"age": 1, "hours per week": -1}, "warm_start": False, "engine": "dask",
    }  # fmt: skip
    for bad in ({"max_runtime_secs": -1}, {"max_runtime_secs": None}, {"seed": 1.5}, {"nfolds": "99"},
                {"latency_us": -3}, {"monotone_constraints": "age=2"}, {"engine": "nowhere"}):  # fmt: skip
        with pytest.raises(OptionError):
            options.parameters(given | bad)
    assert "roc_auc" in options.metric_names("binary") and "rmse" not in options.metric_names("binary")


def test_stackers_are_told(workspace, run):
    with sqlite3.connect(run / "journal.sqlite") as journal:
        journal.execute("UPDATE candidates SET params = json_set(params, '$.stack', json('[\"lightgbm_1\"]')) "
                        "WHERE model_id = 'linear_1'")  # fmt: skip
    journal.close()
    board = {r["model_id"]: r for r in runs.candidates(runs.view(workspace, Jobs(workspace), "r").audit)}
    assert board["linear_1"]["stacked_on"] == "lightgbm_1" and board["lightgbm_1"]["stacked_on"] == ""
    series = charts.ensemble([("a_1", "a", 0.6), ("b_1", "b", 0.4)], 5, "y", {"b_1": ("a_1", "c_1")})["series"][0]
    assert [n["name"] for n in series["data"]] == ["prediction", "a", "b", "a_1", "b_1", "c_1"]
    learned = [(link["source"], link["value"]) for link in series["links"] if link["target"] == "b_1"]
    assert learned == [("a_1", 0.2), ("c_1", 0.2)]


def test_a_journal_is_read_once_until_it_changes(workspace, run):
    first = runs.view(workspace, Jobs(workspace), "r").audit
    assert runs.view(workspace, Jobs(workspace), "r").audit is first
    journal = Journal(run / "journal.sqlite")
    journal.add_event("note", "something new")
    assert runs.view(workspace, Jobs(workspace), "r").audit.events[-1][1:] == ("note", "something new")
    journal.close()


def test_estimates_grow_with_the_time():
    short, long = (estimate(census(), "income", "classification", Config(max_runtime_secs=s), {}) for s in (5, 500))
    assert long.candidates > short.candidates >= 1
    assert (short.rows, short.columns, short.n_classes, short.metric) == (900, 6, 2, "roc_auc")
    assert short.trivial == pytest.approx(0.5) and long.folds == 10
    bounded = estimate(census(), "income", "classification", replace(Config(), max_models=3), {})
    assert bounded.candidates == 3
    with pytest.raises(DataError, match="in every row"):
        estimate(census().assign(income="x"), "income", "classification", Config(), {})
    with pytest.raises(OptionError, match="target"):
        estimate(census(), "none", "classification", Config(), {})


@pytest.mark.parametrize(("columns", "n_columns", "folds"), [
    ({"weights_column": "zone"}, 5, 10), ({"group_column": "zone", "weights_column": ""}, 5, 5),
    ({"time_column": "zone"}, 6, 4), ({"weights_column": "hours-per-week", "time_column": "zone"}, 5, 4),
])  # fmt: skip
def test_an_estimate_knows_the_columns_that_have_a_part_of_their_own(columns, n_columns, folds):
    found = estimate(census(), "income", "classification", Config(max_runtime_secs=500), {"zone": "integer"}, columns)
    assert (found.columns, found.folds) == (n_columns, folds)


def test_an_estimate_leaves_rows_of_weight_0_out():
    table = census().assign(w=np.arange(900) % 2)
    found = estimate(table, "income", "classification", Config(), {}, {"weights_column": "w"})
    assert found.rows == 450


@pytest.mark.parametrize(("columns", "config", "told"), [
    ({"group_column": "zone", "time_column": "age"}, Config(), "can't be combined with time_column"),
    ({"weights_column": "workclass"}, Config(), "weights_column"), ({"group_column": "one"}, Config(), "group"),
    ({"time_column": "workclass"}, Config(), "workclass"), ({"weights_column": "income"}, Config(), "weights_column"),
    ({}, Config(monotone_constraints={"workclass": 1}), "no numeric feature"),
])  # fmt: skip
def test_what_would_stop_a_run_is_told_before_it(columns, config, told):
    with pytest.raises(UserError, match=told):
        estimate(census().assign(one=1), "income", "classification", config, {}, columns)


def test_a_cell_that_the_leaderboard_leaves_empty_is_none():
    found = runs.measured("rank,model_id,score,score_ci_low,on_pareto_front,status\n31,constant,0.5,,False,ok\n")
    assert found == {"constant": {"rank": 31, "model_id": "constant", "score": 0.5, "score_ci_low": None,
                                  "on_pareto_front": False, "status": "ok"}}  # fmt: skip


def test_a_level_line_has_an_axis_close_to_it():
    for level in (0.8909, -3.2, 0.0, 41234.0):
        axis = charts.lines({"leader": [(0.0, level), (2.0, level)]}, "seconds", "score", scale=True)["yAxis"]
        assert axis["min"] < level < axis["max"]
        assert axis["max"] - axis["min"] <= max(2.0, 0.06 * abs(level))
    axis = charts.lines({"leader": [(0.0, 1.0), (2.0, 2.0)]}, "seconds", "score", scale=True)["yAxis"]
    assert "min" not in axis
