"""A worker's view of a run whose folds use only a part of its rows."""

import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLClassifier, AutoMLRegressor
from tabwright.data.table import Table
from tabwright.engine.fold import Session
from tabwright.engine.shelf import Shelf, load_fold_model
from tabwright.models.base import apply_link


class Third:
    """Two folds of every third row: the rest is in none."""

    def split(self, X, y=None, groups=None):
        used = np.arange(0, len(X), 3)
        yield used[::2], used[1::2]
        yield used[1::2], used[::2]


@pytest.mark.parametrize("text", [False, True])
def test_rows_that_no_fold_uses_are_left_out_of_the_features(tmp_path, text):
    rng = np.random.default_rng(0)
    n = 900
    X = pd.DataFrame({"a": rng.normal(size=n), "c": rng.choice(list("xyz"), n)})
    X.loc[np.arange(n) % 3 != 0, "a"] = 1e6  # what would move a scale
    if text:
        words = rng.choice(["good", "bad", "fine", "poor", "nice", "awful"], (n, 7))
        X["t"] = [" ".join(row) for row in words]
    y = X["a"].clip(-5, 5) + (X["c"] == "x") + 0.1 * rng.normal(size=n)
    made = AutoMLRegressor(include_families=["linear", "mlp"], max_runtime_secs=None, max_models=2, nfolds=Third(),
                           progress=False, export_checkpoints_dir=tmp_path / "run")  # fmt: skip
    run = made.fit(X, y)._finished.run
    session, table = Session(str(run.path)), Table.load(run.table_dir)
    assert session.table.n_rows == 300
    problem = made._finished.problem
    for entry in made._finished.state.finished():
        for k in range(2):
            there, here = problem.valid[k], session.rows(k)[1]
            pd.testing.assert_frame_equal(pd.DataFrame(table.numbers[there]), pd.DataFrame(session.table.numbers[here]))
            model = load_fold_model(run, entry.candidate.model_id, k, Shelf())
            again = apply_link(model.model.predict(model.features.apply(table.take(there))), model.model.link,
                               problem.task)  # fmt: skip
            np.testing.assert_allclose(run.prediction(entry.candidate.model_id, k), again, rtol=1e-6, atol=1e-9)
    assert made._finished.state.leader.score < 0.5 * y[::3].std()


def test_a_table_too_large_for_its_time_is_learned_in_part(monkeypatch):
    monkeypatch.setattr("tabwright.framing.training_rows", lambda *_: 400)
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(3000, 4)), columns=list("abcd"))
    y = (X["a"] + rng.normal(size=3000) > 0).astype(int)
    made = AutoMLClassifier(include_families=["linear"], max_models=1, nfolds=1, progress=False).fit(X, y)
    assert [len(rows) for rows in made._finished.problem.train] == [400]
    assert Session(str(made._finished.run.path)).table.n_rows == 400 + len(made._finished.problem.valid[0])
    assert made.model_performance(X, y)["roc_auc"] > 0.7


def test_rows_of_a_rare_class_are_all_learned_from_where_others_are_left_out(monkeypatch):
    monkeypatch.setattr("tabwright.framing.training_rows", lambda *_: 400)
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(3000, 2)), columns=list("ab"))
    y = (X["a"] + 0.5 * rng.normal(size=3000) > 2.8).astype(int)
    made = AutoMLClassifier(include_families=["linear"], max_models=1, nfolds=1, progress=False).fit(X, y)
    problem = made._finished.problem
    (train,), (valid,) = problem.train, problem.valid
    assert len(train) == 400
    assert problem.y[train].sum() == y.sum() - problem.y[valid].sum()
    common = train[problem.y[train] == 0]
    assert problem.weight[common].sum() == pytest.approx((y == 0).sum() - (problem.y[valid] == 0).sum())
    # so that probabilities are those of all rows
    assert made.predict_proba(X)[:, 1].mean() == pytest.approx(y.mean(), rel=0.3)
