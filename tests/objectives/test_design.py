"""Designs, their limits, what they are predicted to cost, and what averaging their fold models gains."""

import numpy as np
import pytest

from tabwright.data.munge import munge
from tabwright.ensemble.averaging import Averaging
from tabwright.ensemble.greedy import select
from tabwright.errors import OptionError
from tabwright.metrics import find_metric
from tabwright.models.base import Link
from tabwright.objectives.cost import CostModel, Single
from tabwright.objectives.design import ALL_ROWS, Design, Share, fold_name
from tabwright.objectives.limits import check_constraints, check_objectives, excess, told
from tabwright.objectives.measure import Profile
from tabwright.testing.tables import mixed_table
from tabwright.types import Task

TWO = Design((Share("a_1", 0.6, (0,)), Share("b_1", 0.4, (0, 1))))


def test_designs_grow_refit_and_survive_json():
    assert str(TWO) == "a_1 x1 + b_1 x2"
    assert str(Design()) == "constant"
    assert TWO.n_models == 3
    assert TWO.with_fold(0, range(2)).shares[0].folds == (0, 1)
    assert TWO.with_fold(1, range(2)) is None
    refitted = TWO.refitted(["a_1", "b_1"])
    assert [s.folds for s in refitted.shares] == [(ALL_ROWS,), (0, 1)]
    assert refitted.with_fold(0, range(5)) is None
    assert str(refitted) == "a_1 refit + b_1 x2"
    assert Design.from_json(refitted.to_json()) == refitted
    assert Design.whole(TWO.weights, range(3)).n_models == 6
    assert (fold_name(0), fold_name(ALL_ROWS)) == ("fold 1", "all rows")


def test_limits():
    assert check_objectives(["score", "size_mib"]) == ("score", "size_mib")
    assert check_constraints({"latency_us": 5}) == {"latency_us": 5.0}
    assert excess({"latency_us": 98.0}, {"latency_us": 100.0}, margin=False) == pytest.approx(-0.02)
    assert excess({"latency_us": 98.0}, {"latency_us": 100.0}, margin=True) > 0  # too near to be sure of
    assert excess({"size_mib": 3.0}, {"size_mib": 3.0}, margin=True) == 0
    assert excess({}, {}, margin=True) == 0
    assert told({"latency_us": 50.0, "size_mib": 2.0}) == "latency_us <= 50 and size_mib <= 2"
    for bad in ("score", [], ["latency_us"], ["score", "score"], ["score", "price"], 3):
        with pytest.raises(OptionError):
            check_objectives(bad)
    for bad in ([1], {"price": 1}, {"latency_us": -1}, {"latency_us": "5"}, {"latency_us": True},
                {"latency_us": float("inf")}):  # fmt: skip
        with pytest.raises(OptionError):
            check_constraints(bad)


def test_costs_add_up_but_for_shared_features_and_learn_from_measurements():
    model = CostModel(6.0, {"a_1": Single(50.0, 26.0, 1.5, 0.5, "x|y"), "b_1": Single(30.0, 26.0, 1.0, 0.5, "x|y")})
    alone = Design((Share("a_1", 1.0, (0,)),))
    both = Design((Share("a_1", 0.5, (0,)), Share("b_1", 0.5, (0,))))
    assert model.latency_us(alone) == pytest.approx(50.0)
    assert model.latency_us(both) == pytest.approx(6 + 20 + 24 + 4)
    assert model.size_mib(both) == pytest.approx(0.5 + 1.0 + 0.5)
    assert model.latency_us(TWO) > model.latency_us(both)
    model.learn(both, Profile(66.0, 70.0, 1e4, 2.0))
    assert model.error == pytest.approx(12 / 66)
    assert model.latency_us(both) == pytest.approx(6 + 48 * 66 / 54)
    assert model.latency_us(alone) == pytest.approx(50.0)  # was measured itself


def averaging(task, metric, raws, residuals=None):
    links = {Task.REGRESSION: Link.IDENTITY, Task.BINARY: Link.SIGMOID, Task.MULTICLASS: Link.SOFTMAX}
    made = Averaging(task, find_metric(metric, task), lambda p: p, residuals)
    for name, raw in raws.items():
        made.add(name, links[task], raw)
    return made


@pytest.mark.parametrize(
    ("task", "metric", "width"),
    [(Task.REGRESSION, "rmse", 1), (Task.BINARY, "roc_auc", 1), (Task.BINARY, "log_loss", 1),
     (Task.MULTICLASS, "log_loss", 4)],
)  # fmt: skip
def test_the_gain_of_averaging_is_what_labels_would_show(task, metric, width):
    """Members with independent errors about a truth: the estimate, without labels, against truth's own labels."""
    rng = np.random.default_rng(0)
    truth = 1.5 * rng.normal(size=(4000, width))
    folds = [truth + 0.5 * rng.normal(size=truth.shape) for _ in range(5)]
    made = averaging(task, metric, {"a_1": folds}, residuals=0.5 * rng.normal(size=4000))
    whole = Design.whole((("a_1", 1.0),), range(5))
    estimate = made.gain(whole)
    true = averaging(task, metric, {"a_1": [truth] * 5}, residuals=0.5 * rng.normal(size=4000))
    labels = true._labels(true.predict(whole))
    singles = [made._mean_score(labels, made.predict(Design.single((("a_1", 1.0),), k))) for k in range(5)]
    seen = abs(made._mean_score(labels, made.predict(whole)) - np.mean(singles))
    assert estimate == pytest.approx(seen, rel=0.35)
    assert estimate > made.gain(Design((Share("a_1", 1.0, (0, 1)),))) > 0
    assert made.gain(Design.single((("a_1", 1.0),))) == 0


def test_made_up_rows_hold_values_of_the_table_and_keep_what_belongs_together():
    table = mixed_table(rows=600, seed=0)
    rows = munge(table, 1500, seed=1)
    assert rows.n_rows == 1500
    for j in range(table.numbers.shape[1]):
        known = table.numbers[:, j]
        made = rows.numbers[:, j]
        assert np.isin(made[~np.isnan(made)], known).all()
        assert np.isnan(made).mean() == pytest.approx(np.isnan(known).mean(), abs=0.08)
    for mine, theirs in zip(rows.strings, table.strings, strict=True):
        assert set(mine.values()) <= set(theirs.values())
    np.testing.assert_array_equal(rows.numbers, munge(table, 1500, seed=1).numbers)
    one = table.take([0])
    assert munge(one, 3).n_rows == 3


def test_ensembles_are_chosen_among_those_that_fit():
    rng = np.random.default_rng(0)
    y = rng.normal(size=500)
    predictions = [(y + rng.normal(size=500) * s)[:, None] for s in (0.3, 0.3, 0.6)]
    metric = find_metric("rmse", Task.REGRESSION)
    costs = np.array([10.0, 10.0, 1.0])
    assert (select(predictions, y, metric)[:2] > 0).all()
    within = select(predictions, y, metric, fits=lambda members: costs[members].sum() <= 12)
    assert ((within > 0) * costs).sum() <= 12
    np.testing.assert_array_equal(select(predictions, y, metric, fits=lambda members: members.sum() < 1), np.zeros(3))
