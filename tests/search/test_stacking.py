"""Stackers: proposed late, kept only where they clearly help, exported exactly with what they are stacked on."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLClassifier, AutoMLRegressor, load_model
from tabwright.ensemble.honest import clearly_better
from tabwright.metrics import find_metric
from tabwright.objectives.design import Design
from tabwright.pipeline import STACK, Candidate, as_scores
from tabwright.replay import replay
from tabwright.search.disk import DiskLimit
from tabwright.search.stacking import LEAST_MODELS, STACKERS, chosen_bases, stackable
from tabwright.stored import load_table
from tabwright.types import Task

OPTIONS = {"max_runtime_secs": None, "max_models": LEAST_MODELS, "nfolds": 3, "progress": False,
           "include_families": ["lightgbm", "linear", "xgboost", "mlp"]}  # fmt: skip
TASKS = ("regression", "binary", pytest.param("multiclass", marks=pytest.mark.slow))


def waves(task, n=1200, seed=0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"a": rng.uniform(-3, 3, n), "b": rng.normal(size=n), "c": rng.choice(list("xyz"), n),
                      "shop": [f"shop {k}" for k in rng.integers(0, 30, n)]})  # fmt: skip
    y = np.sin(2 * X["a"]) + 0.5 * X["b"] * (X["c"] == "x") + 0.3 * rng.normal(size=n)
    if task == "regression":
        return X, y.rename("y")
    return X, pd.Series(pd.cut(y, 2 if task == "binary" else 3, labels=False), name="y").map("class {}".format)


@pytest.fixture(scope="module", params=TASKS)
def run(request, tmp_path_factory):
    """A finished run with stackers, on disk."""
    X, y = waves(request.param)
    kind = AutoMLRegressor if request.param == "regression" else AutoMLClassifier
    made = kind(**OPTIONS, export_checkpoints_dir=tmp_path_factory.mktemp("stack") / "run")
    return made.fit(X, y), X, y


def stackers(made):
    return [e for e in made._finished.state.finished() if e.candidate.bases]


def led_by(made, *ids):
    """The estimator with an ensemble of these candidates as its leader."""
    made._finished.deliver(Design.whole(tuple((m, 1.0 / len(ids)) for m in ids), made._finished.problem.delivered))
    return made


def test_the_last_candidates_are_stacked_on_those_before_them(run):
    made, _, _ = run
    state = made._finished.state
    assert len(state.entries) == LEAST_MODELS
    found = {e.candidate.family: e.candidate for e in stackers(made)}
    assert set(found) <= {name for name, _ in STACKERS} and "lightgbm" in found
    for candidate in found.values():
        assert len(set(candidate.bases)) > 1
        assert not any(state.entries[m].candidate.bases for m in candidate.bases)
    # trees fall another way for less than what single precision leaves undetermined
    assert not any(m.startswith(("xgboost", "mlp")) for m in found["lightgbm"].bases)
    board = made.leaderboard().set_index("model_id")
    assert (board.loc[[c.model_id for c in found.values()], "stack_level"] == 2).all()


def test_a_stacker_is_exported_exactly_with_what_it_reads(run, tmp_path):
    made, X, _ = run
    for entry in stackers(made):
        base = entry.candidate.bases[0]
        led_by(made, entry.candidate.model_id, base)
        report = made.export(tmp_path / "model.onnx")
        assert report.parity.max_relative < 1e-5
        model = load_model(report.path)
        regression = made._finished.problem.task is Task.REGRESSION
        found, expected = (m.predict(X) if regression else m.predict_proba(X) for m in (model, made))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
        members = {m["model_id"]: m for m in model.metadata["members"]}
        assert tuple(members[entry.candidate.model_id]["stacked_on"]) == entry.candidate.bases
        assert members[base]["stacked_on"] == []
        # one of the bases is a member itself: its models are the same objects, and in the file once
        stacked = next(m for m in made._finished.ensemble.members if m.stacked_on)
        alone = next(m for m in made._finished.ensemble.members if not m.stacked_on)
        twin = next(m for m in stacked.folds[0].stacked if m.model_id == base)
        assert all(a is b for a, b in zip(alone.folds, twin.folds, strict=True))
    led_by(made, entry.candidate.model_id)
    alone = made.export(tmp_path / "alone.onnx")
    assert alone.profile.size_mib == pytest.approx(report.profile.size_mib, rel=0.02)


def test_out_of_fold_a_stacker_predicts_from_what_its_bases_did(run):
    made, _, _ = run
    finished = made._finished
    problem, state = finished.problem, finished.state
    entry = stackers(made)[0]
    led_by(made, entry.candidate.model_id)
    table = load_table(finished.run)
    member = finished.ensemble.members[0]
    for k in range(problem.n_folds):
        rows = problem.valid[k]
        again = member.of_fold(k).predict(table.take(rows), problem.task)
        start = sum(len(v) for v in problem.valid[:k])
        stored = state.entries[entry.candidate.model_id].prediction[start : start + len(rows)]
        np.testing.assert_allclose(problem.user_prediction(again), stored, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("run", [pytest.param("regression", marks=pytest.mark.slow), *TASKS[1:]], indirect=True)
def test_a_leader_with_stackers_is_opened_and_replayed(run, tmp_path):
    made, X, _ = run
    finished = made._finished
    entry = stackers(made)[0]
    led_by(made, entry.candidate.model_id)
    journal = finished.run.journal()
    leader = finished.state.leader
    journal.add_leader(leader.name, leader.score, leader.weights)
    journal.close()
    again = type(made).open(finished.run.path)
    np.testing.assert_array_equal(again.predict(X), made.predict(X))
    repeated = replay(finished.run.path, tmp_path / "again")
    assert repeated.identical, repeated.largest_difference


def test_what_a_leading_stacker_reads_is_not_removed(run):
    made, _, _ = run
    finished = made._finished
    entry = stackers(made)[0]
    led_by(made, entry.candidate.model_id)
    limit = DiskLimit(finished.run, None, 1.0)
    kept = finished.state.with_bases([entry.candidate.model_id])
    victims = {remove.args[0].candidate.model_id for remove in limit._victims(finished.state)}
    assert victims and not victims & kept


def test_stackers_need_rows_and_out_of_fold_predictions_of_all_that_is_learned_from(run):
    made, _, _ = run
    problem = made._finished.problem
    assert stackable(problem)
    assert not stackable(replace(problem, valid=problem.valid[:1], train=problem.train[:1]))  # a hold-out
    assert not stackable(replace(problem, valid=problem.valid[1:], train=problem.train[1:]))  # rows in no fold
    state = made._finished.state
    bases = chosen_bases(state, [e for e in state.finished() if not e.candidate.bases], exact=True)
    assert {state.entries[m].candidate.family for m in bases} <= {"lightgbm", "linear"}


def test_a_run_with_few_models_has_none_that_are_stacked():
    X, y = waves("regression")
    made = AutoMLRegressor(**OPTIONS | {"max_models": 4, "include_families": ["lightgbm", "linear"]}).fit(X, y)
    assert not stackers(made)
    assert set(made.leaderboard().set_index("family")["stack_level"].drop("ensemble", errors="ignore")) == {0, 1}


def test_a_difference_within_chance_is_not_clear():
    rng = np.random.default_rng(0)
    y = rng.normal(size=2000)
    metric = find_metric("rmse", Task.REGRESSION)
    old = (y + rng.normal(size=2000))[:, None]
    assert clearly_better(metric, y, 0.5 * old + 0.5 * y[:, None], old)
    assert not clearly_better(metric, y, old, 0.5 * old + 0.5 * y[:, None])
    same = np.array([clearly_better(metric, y, (y + rng.normal(size=2000))[:, None], old, seed=k) for k in range(20)])
    assert same.mean() < 0.5


def test_scores_of_certain_predictions_are_finite():
    assert np.isfinite(as_scores(np.array([[0.0], [1.0]]), Task.BINARY)).all()
    assert np.isfinite(as_scores(np.array([[0.0, 1.0, 0.0]]), Task.MULTICLASS)).all()
    assert Candidate("a_1", "a", {STACK: ["b_1", "c_1"]}).bases == ("b_1", "c_1")
