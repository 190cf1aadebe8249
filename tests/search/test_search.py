"""Strategy and policy without a process: they ask and tell."""

import time

import numpy as np
import pytest

from tabwright.errors import OptionError
from tabwright.models import FAMILIES
from tabwright.pipeline import FEATURES, FULL, PLAIN
from tabwright.search.budget import Budget
from tabwright.search.policy import fold_seconds, folds_for, holdout_share, training_rows
from tabwright.search.portfolio import ORDER, families_for, portfolio
from tabwright.search.strategy import Strategy
from tabwright.testing.tables import mixed_table
from tabwright.types import Task


def always(_family):
    return True


def test_every_family_is_in_the_portfolio():
    assert set(ORDER) == {f.name for f in FAMILIES}
    names = [c.model_id for c in portfolio(families_for(Task.BINARY, None, None), 0)]
    assert len(set(names)) == len(names) > len(FAMILIES)
    for candidate in portfolio(families_for(Task.BINARY, None, None), 0):
        space = next(f.space for f in FAMILIES if f.name == candidate.family)
        assert set(candidate.params) - {FEATURES} == set(space)


def test_families_are_included_and_excluded_by_name():
    assert [f.name for f in families_for(Task.REGRESSION, ["linear", "knn"], ["knn"])] == ["linear"]
    with pytest.raises(OptionError, match="use one of lightgbm"):
        families_for(Task.REGRESSION, ["svm"], None)


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
        strategy = Strategy(families_for(Task.REGRESSION, ["lightgbm", "linear", "xgboost"], None), 0, None)
        reference, linear, early = first_asked(strategy, 3)
        assert [c.model_id for c in (reference, linear, early)] == ["lightgbm_1", "linear_1", "xgboost_1"]
        assert {c.params.get(FEATURES, PLAIN) for c in (reference, linear, early)} == {PLAIN}
        assert strategy.needs_results
        strategy.tell(reference, 1.0, 0.1)
        strategy.interactions.found = True
        twin = strategy.ask(always)
        assert (twin.model_id, twin.params) == ("lightgbm_2", reference.params | {FEATURES: FULL})
        strategy.tell(twin, 1.1 if worse else 0.9, 0.1)
        assert strategy.ask(always).params[FEATURES] == choice


def test_without_interactions_there_is_no_twin():
    strategy = Strategy(families_for(Task.REGRESSION, ["lightgbm"], None), 0, None)
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
    assert folds_for(table, Task.BINARY, 2, "auto", 2, Budget(600)) == 5
    assert folds_for(table, Task.BINARY, 2, "auto", 2, Budget(0.3)) == 1
    assert folds_for(table, Task.BINARY, 2, 4, 2, Budget(0.3)) == 4
    assert fold_seconds(100_000, 30, Task.MULTICLASS, 10) > fold_seconds(100_000, 30, Task.BINARY, 2) > 1
    assert training_rows(table, Task.BINARY, 2, 1, Budget(60)) == table.n_rows
    assert holdout_share(1000) == 0.2 and 0.05 <= holdout_share(300_000) < 0.06


def test_the_budget_counts_down_and_keeps_its_reserve():
    budget = Budget(10.0, reserve_s=2.0)
    assert 9.5 < budget.left() <= 10.0 and budget.left() - budget.left_for_search() == pytest.approx(2.0, abs=1e-3)
    assert np.isinf(Budget(float("inf")).left())


def test_a_family_that_is_stopped_is_given_up_but_boosting_goes_on():
    strategy = Strategy(families_for(Task.REGRESSION, ["lightgbm", "linear"], None), 0, None)
    for _ in range(25):
        candidate = strategy.ask(always)
        assert candidate is not None
        strategy.tell(candidate, 1.0, 0.1)
        strategy.stopped(candidate)
    asked = [strategy.ask(always).family for _ in range(5)]
    assert set(asked) == {"lightgbm"}
