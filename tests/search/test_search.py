"""Strategy and policy without a process: they ask and tell."""

import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tabwright import AutoMLRegressor
from tabwright.config import Config
from tabwright.errors import MissingExtraError, OptionError
from tabwright.meta.portfolio import Entry, Portfolio, shipped
from tabwright.models import FAMILIES, family
from tabwright.pipeline import AS_IS, FEATURES, FULL, LOGARITHM, PLAIN, SEEN, TARGET, TEXT, UNSEEN
from tabwright.search import loop, policy
from tabwright.search.budget import Budget
from tabwright.search.pace import Pace
from tabwright.search.policy import fold_seconds, folds_for, holdout_share, is_open, measured_folds, training_rows
from tabwright.search.portfolio import MANY_CLASSES_ORDER, ORDER, families_for, like_measured, portfolio
from tabwright.search.strategy import Strategy
from tabwright.space import defaults
from tabwright.store.run_dir import RunDir
from tabwright.stored import load_problem, load_table, store
from tabwright.testing.tables import mixed_frame, mixed_table
from tabwright.types import Task


def always(_family):
    return True


ANOTHER = [("lightgbm", defaults(family("lightgbm").space) | {"num_leaves": 16})]


@pytest.mark.parametrize("task", list(Task))
def test_every_family_is_in_the_portfolio(task):
    assert set(ORDER) == set(MANY_CLASSES_ORDER) == {f.name for f in FAMILIES if f.extra is None}
    learned = [(e.family, e.params) for e in shipped(task).entries]
    made = portfolio(families_for(task, None, None), 0, learned)
    names = [c.model_id for c in made]
    others = [name for name, params in learned if params != defaults(family(name).space)]
    assert len(set(names)) == len(names) == len(ORDER) + 1 + len(others)
    assert set(ORDER) - {"realmlp"} <= {c.family for c in made if c.origin == "default"}
    for candidate in made:
        space = next(f.space for f in FAMILIES if f.name == candidate.family)
        assert set(candidate.params) - {FEATURES} == set(space)


def test_what_was_learned_is_tried_where_it_fits():
    late = ("knn", defaults(family("knn").space))
    strange = [("lightgbm", {"num_leaves": 16}), ("no such family", {})]
    families = families_for(Task.REGRESSION, ["lightgbm", "linear", "knn"], None)
    learned = [late, *strange, *ANOTHER]
    made = portfolio(families, 0, learned, defaults_first=False)
    assert [c.model_id for c in made] == ["lightgbm_1", "knn_1", "lightgbm_3", "linear_1", "lightgbm_2"]
    assert [c.origin for c in made] == ["default", "default", "portfolio", "default", "portfolio"]
    made = portfolio(families, 0, learned, choices=[{TARGET: LOGARITHM}])
    assert [c.model_id for c in made] == ["lightgbm_1", "linear_1", "lightgbm_2", "lightgbm_3", "knn_1", "lightgbm_4"]
    assert like_measured(3000, 2) and not like_measured(30_000, 2) and not like_measured(3000, 12)


def test_entries_are_ranked_by_their_gains_on_tasks_alike():
    tasks = {"small": {"log_rows": 2.0}, "large": {"log_rows": 6.0}}
    one, other = (Entry(n, {}, 1.0, {"small": a, "large": b}) for n, a, b in (("one", 0.2, 0.0), ("other", 0.0, 0.2)))
    dear = Entry("dear", {}, 3.0, {"small": 0.3, "large": 0.3})
    ranked = [[e.family for e in Portfolio([one, dear, other], tasks).ranked({"log_rows": x})] for x in (2.0, 6.0)]
    assert ranked == [["one", "dear", "other"], ["other", "dear", "one"]]


def test_families_are_included_and_excluded_by_name():
    assert [f.name for f in families_for(Task.REGRESSION, ["linear", "knn"], ["knn"])] == ["linear"]
    with pytest.raises(OptionError, match="use one of lightgbm"):
        families_for(Task.REGRESSION, ["svm"], None)


def test_a_network_comes_before_catboost_where_few_columns_are_categories():
    numeric = [f.name for f in families_for(Task.REGRESSION, None, None, share_categorical=0.2)]
    usual = [f.name for f in families_for(Task.REGRESSION, None, None)]
    assert numeric.index("mlp") < numeric.index("catboost")
    assert usual.index("catboost") < usual.index("mlp")
    assert sorted(numeric) == sorted(usual)


def test_a_family_whose_extra_is_missing_is_refused_where_it_is_asked_for(monkeypatch):
    assert [f.name for f in families_for(Task.REGRESSION, ["realmlp"], None)] == ["realmlp"]
    monkeypatch.setitem(sys.modules, "torch", None)  # as where it is not installed
    assert "linear" in [f.name for f in families_for(Task.REGRESSION, None, ["realmlp"])]
    made = AutoMLRegressor(include_families=["linear", "realmlp"], max_models=1, progress=False)
    with pytest.raises(MissingExtraError, match=r"^PyTorch, which trains the family 'realmlp', is not installed\. "
                       r"Fix: pip install 'tabwright\[neural\]'\.$"):
        made.fit(np.arange(40.0).reshape(20, 2), np.arange(20.0))


def told(seed, n=20, order=1):
    """Model ids and parameters that a repeatable strategy proposes, told in batches of three in a given order."""
    strategy = Strategy(families_for(Task.REGRESSION, ["lightgbm", "linear"], None), seed, n, repeatable=True)
    strategy.interactions.found = True
    out = []
    while batch := [c for c in (strategy.ask(always) for _ in range(3)) if c is not None]:
        out += [(c.model_id, tuple(sorted(c.params.items()))) for c in batch]
        for candidate in batch[::order]:
            strategy.tell(candidate, float(abs(hash(repr(sorted(candidate.params.items())))) % 1000), time.monotonic())
    return out


def test_a_repeatable_strategy_proposes_the_same_for_the_same_losses():
    first = told(3)
    assert len(first) == 20
    assert first == told(3) and first != told(4)
    portfolio_length = len(portfolio(families_for(Task.REGRESSION, ["lightgbm", "linear"], None), 0))
    assert told(3, order=-1)[: portfolio_length + 1] == first[: portfolio_length + 1]


def first_asked(strategy, n):
    return [c for _ in range(n) if (c := strategy.ask(always)) is not None]


def test_the_twin_waits_for_the_screen_and_its_loss_decides_on_interactions():
    for worse, choice in ((False, FULL), (True, PLAIN)):
        families = families_for(Task.REGRESSION, ["lightgbm", "linear", "xgboost"], None)
        strategy = Strategy(families, 0, None, learned=ANOTHER)
        early = first_asked(strategy, 3)
        assert [c.model_id for c in early] == ["lightgbm_1", "linear_1", "xgboost_1"]
        assert {c.params.get(FEATURES, PLAIN) for c in early} == {PLAIN}
        reference = early[0]
        assert strategy.needs_results
        strategy.tell(reference, 1.0, 0.1)
        strategy.interactions.found = True
        twin = strategy.ask(always)
        assert (twin.model_id, twin.params) == ("lightgbm_2", reference.params | {FEATURES: FULL})
        strategy.tell(twin, 1.1 if worse else 0.9, 0.1)
        assert strategy.ask(always).params[FEATURES] == choice


def test_without_interactions_there_is_no_twin():
    strategy = Strategy(families_for(Task.REGRESSION, ["lightgbm"], None), 0, None, learned=ANOTHER)
    strategy.tell(strategy.ask(always), 1.0, 0.1)
    strategy.interactions.found = False
    assert strategy.ask(always).model_id == "lightgbm_3"


def test_a_family_that_only_fails_is_set_aside():
    strategy = Strategy(families_for(Task.REGRESSION, ["linear", "knn"], None), 0, None)
    for _ in range(30):
        candidate = strategy.ask(always)
        assert candidate is not None
        strategy.tell(candidate, None if candidate.family == "knn" else 1.0, 0.1)
    assert strategy.set_aside == ["knn"]
    assert strategy.ask(always).family == "linear"


def test_nothing_affordable_is_nothing_asked():
    strategy = Strategy(families_for(Task.REGRESSION, None, None), 0, None)
    assert strategy.ask(lambda family: family == "linear").family == "linear"
    assert strategy.ask(lambda _family: False) is None


def test_folds_follow_table_and_budget():
    table = mixed_table()
    assert folds_for(table, Task.BINARY, 2, "auto", 2, Budget(600)) == 10  # it is small
    assert folds_for(table, Task.BINARY, 2, "auto", 2, Budget(5)) == 5
    assert folds_for(table, Task.BINARY, 2, "auto", 2, Budget(0.3)) == 1
    assert folds_for(mixed_table(2500), Task.BINARY, 2, "auto", 2, Budget(600)) == 5
    assert folds_for(table, Task.BINARY, 2, 4, 2, Budget(0.3)) == 4
    assert fold_seconds(100_000, 30, Task.MULTICLASS, 10) > fold_seconds(100_000, 30, Task.BINARY, 2) > 1
    assert training_rows(table, Task.BINARY, 2, 1, Budget(60)) == table.n_rows
    assert holdout_share(1000) == 0.2 and 0.05 <= holdout_share(300_000) < 0.06
    assert 10_000_000 * holdout_share(10_000_000) == 50_000


def test_where_the_guess_is_a_hold_out_a_fold_is_measured():
    table = mixed_table()
    second = fold_seconds(table.n_rows, len(table.schema.used), Task.BINARY, 2)
    assert not is_open(table, Task.BINARY, 2, 2, Budget(600)) and not is_open(table, Task.BINARY, 2, 2, Budget(0.01))
    assert is_open(table, Task.BINARY, 2, 2, Budget(2 * second))
    assert not is_open(table, Task.BINARY, 2, 2, Budget(np.inf))
    assert [measured_folds(60.0, s, 2) for s in (2.0, 6.0, 30.0)] == [5, 3, 1]


@pytest.mark.parametrize(("seconds", "n_folds"), [(0.1, 5), (5.0, 3), (1000.0, 1)])
def test_the_first_fold_decides_how_many_there_are(seconds, n_folds, tmp_path, monkeypatch):
    """The guess is made so large that one is measured, and what is measured is changed to ``seconds``."""
    monkeypatch.setattr(policy, "SECONDS_PER_FOLD", 25.0)
    counted, show = [], loop.Search._show

    def folds(left_s, fold_s, workers):
        assert fold_s > 0
        counted.append(measured_folds(left_s, seconds, workers))
        return counted[-1]

    def show_until_two_are_done(search):
        show(search)
        if len(search.state.finished()) > 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "measured_folds", folds)
    monkeypatch.setattr(loop.Search, "_show", show_until_two_are_done)
    X = mixed_frame(400).drop(columns=["review"])
    y = X["count"] + X["flag"]
    made = AutoMLRegressor(max_runtime_secs=60, include_families=["lightgbm", "linear"], progress=False, n_jobs=2,
                           export_checkpoints_dir=tmp_path / "run").fit(X, y)  # fmt: skip
    state, problem = made._finished.state, made._finished.problem
    assert counted == [n_folds] and problem.n_folds == made._finished.run.config()["n_folds"] == n_folds
    assert state.finished() and all(len(e.scores) == problem.n_folds for e in state.finished())
    assert state.leader.prediction.shape == (sum(map(len, problem.valid)), 1)
    again = AutoMLRegressor.open(tmp_path / "run")
    np.testing.assert_array_equal(again.predict(X), made.predict(X))
    assert again._finished.problem.n_folds == problem.n_folds
    assert not again._finished.problem.is_open
    ended = [{m: s for m, s in a.leaderboard().set_index("model_id").status.items() if s in ("ok", "pruned")}
             for a in (made, again)]  # fmt: skip
    assert ended[0] == ended[1]
    # a run that was killed before goes on as one that is to decide
    other = RunDir.create(tmp_path / "other")
    store(other, load_table(again._finished.run), replace(problem, is_open=True), [], Config())
    assert load_problem(other).is_open
    other.release()


def test_the_budget_counts_down_and_keeps_its_reserve():
    budget = Budget(10.0, reserve_s=2.0)
    assert 9.5 < budget.left() <= 10.0 and budget.left() - budget.left_for_search() == pytest.approx(2.0, abs=1e-3)
    assert np.isinf(Budget(float("inf")).left())


def test_a_folds_limit_counts_the_folds_that_run():
    pace = Pace(3, SimpleNamespace(n_workers=2), Budget(1000.0), None)
    assert pace.limit(2, running=1) == pytest.approx(pace.limit(2) / 2.0, rel=0.01)
    assert pace.limit(1, running=1) == pytest.approx(pace.limit(1), rel=0.01)


def test_a_family_that_is_stopped_is_given_up_but_boosting_goes_on():
    strategy = Strategy(families_for(Task.REGRESSION, ["lightgbm", "linear"], None), 0, None)
    for _ in range(25):
        candidate = strategy.ask(always)
        assert candidate is not None
        strategy.tell(candidate, 1.0, 0.1)
        strategy.stopped(candidate)
    asked = [strategy.ask(always).family for _ in range(5)]
    assert set(asked) == {"lightgbm"}


def test_the_twin_that_learns_logarithms_decides_whether_others_do():
    for worse, choice in ((False, LOGARITHM), (True, AS_IS)):
        families = families_for(Task.REGRESSION, ["lightgbm", "linear", "xgboost"], None)
        strategy = Strategy(families, 0, None, choices=[{TARGET: LOGARITHM}], learned=ANOTHER)
        reference, linear = first_asked(strategy, 2)
        assert TARGET not in reference.params and linear.params[TARGET] == AS_IS
        strategy.tell(reference, 1.0, 0.1)
        strategy.interactions.found = False
        twin = strategy.ask(always)
        assert (twin.model_id, twin.params[TARGET], twin.params[FEATURES]) == ("lightgbm_3", LOGARITHM, PLAIN)
        assert strategy.needs_results
        strategy.tell(twin, 1.1 if worse else 0.9, 0.1)
        assert not strategy.logarithms.pending
        assert strategy.ask(always).params[TARGET] == choice
    plain = Strategy(families, 0, None)
    assert all(TARGET not in c.params for c in first_asked(plain, 5))


def test_the_twin_that_reads_no_texts_decides_whether_others_do():
    for worse, choice in ((False, UNSEEN), (True, SEEN)):
        families = families_for(Task.REGRESSION, ["lightgbm", "linear", "xgboost"], None)
        strategy = Strategy(families, 0, None, choices=[{TEXT: UNSEEN}, {TARGET: LOGARITHM}], learned=ANOTHER)
        reference, linear = first_asked(strategy, 2)
        assert TEXT not in reference.params and linear.params[TEXT] == SEEN
        strategy.tell(reference, 1.0, 0.1)
        strategy.interactions.found = False
        twin, other = first_asked(strategy, 2)
        assert (twin.params[TEXT], twin.params[FEATURES], twin.params[TARGET]) == (UNSEEN, PLAIN, AS_IS)
        assert (other.params[TEXT], other.params[TARGET]) == (SEEN, LOGARITHM)
        assert strategy.needs_results
        strategy.tell(other, 1.2, 0.1)
        strategy.tell(twin, 1.1 if worse else 0.9, 0.1)
        assert strategy.ask(always).params[TEXT] == choice
        stacker = strategy.add("linear", {}, "stack")
        assert stacker is not None and stacker.params.get(TEXT, SEEN) == choice
        strategy._queue.clear()
        assert strategy.ask(always).params[TEXT] in (SEEN, UNSEEN)


def test_something_leads_before_interactions_are_looked_for(tmp_path):
    X = mixed_frame(300).drop(columns=["review"])
    AutoMLRegressor(max_models=2, max_runtime_secs=200, include_families=["lightgbm"], nfolds=2, progress=False,
                    export_checkpoints_dir=tmp_path / "run").fit(X, X["count"] + X["flag"])  # fmt: skip
    journal = RunDir.open(tmp_path / "run").read_journal()
    (looked,) = [began for name, began, _ in journal.stages() if name == "features"]
    assert journal.leaders()[0][0] <= looked
    journal.close()
