"""Targets, folds and the quality report."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabwright.data.infer import infer_schema
from tabwright.data.quality import quality_report
from tabwright.data.splits import make_folds
from tabwright.data.table import Table
from tabwright.data.target import infer_task, make_target, read_target
from tabwright.errors import ColumnError, DataError, OptionError
from tabwright.types import Task

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("values", "classes", "dtype"),
    [
        ([True, False] * 10, (False, True), "bool"), (np.array([3, 1] * 10), (1, 3), "int64"),
        ([3, 1] * 10, (1, 3), "int64"),
        (np.array([1, 2] * 10, np.uint8), (1, 2), "uint8"), ([0.5, 1.5] * 10, (0.5, 1.5), "float64"),
        (["b", "a "] * 10, ("a ", "b"), "str"), (pd.Series(["b", "a"] * 10, dtype="category"), ("a", "b"), "str"),
        ([1.0, None, 2.0] * 10, (1, 2), "int64"), (pd.array([1, None, 2] * 10, dtype="Int64"), (1, 2), "int64"),
        ([True, None, False] * 10, (False, True), "bool"), (["None", "NA", "a"] * 10, ("NA", "None", "a"), "str"),
        (pd.array([True, None, False] * 10, dtype="boolean"), (False, True), "bool"),
        (np.array([3, 1] * 10, object), (1, 3), "int64"), (np.array([3, None, 1] * 10, object), (1, 3), "int64"),
        (np.array([0.5, 2] * 10, object), (0.5, 2.0), "float64"), ([Decimal(0), Decimal(10)] * 10, (0, 10), "int64"),
        (np.array([0.5, None, 2] * 10, object), (0.5, 2.0), "float64"), ([1, "a"] * 10, ("1", "a"), "str"),
        (np.array([2**60, None, 5] * 10, object), (str(2**60), "5"), "str"),
    ],
)  # fmt: skip
def test_classes_come_back_in_their_own_type(values, classes, dtype):
    target = make_target(values, classification=True)
    assert target.classes == classes
    assert [type(c) for c in target.classes] == [type(c) for c in classes]
    assert target.class_dtype == dtype
    back = target.restore(target.y)
    assert back.dtype == (object if dtype == "str" else dtype)
    kept = [v for v, k in zip(list(values), target.keep, strict=True) if k]
    assert back.tolist() == [str(v) if dtype == "str" else v for v in kept]
    assert target.task is (Task.BINARY if len(classes) == 2 else Task.MULTICLASS)
    assert len(target.y) == target.keep.sum()


def test_spellings_of_one_class():
    """Blanks around it are part of a class's name where all its rows have them; they never make another class."""
    target = make_target([" b", "a", "a "] * 10, classification=True)
    assert target.classes == (" b", "a") and target.y.tolist() == [0, 1, 1] * 10
    y, keep = read_target(["b ", " b", "a", "c"], "t", target.classes, unknown="leave out")
    assert y.tolist() == [0, 0, 1] and keep.tolist() == [True, True, True, False]
    assert read_target(["c", "a"], "t", target.classes, unknown="mark")[0].tolist() == [-1, 1]
    assert read_target([1, 0, 1.0, "true"], "t", (False, True))[0].tolist() == [1, 0, 1, 1]


def test_regression_targets():
    target = make_target(["1", " 2.5", None, "?"] + [3] * 10, "price", classification=False)
    assert target.y.tolist()[:3] == [1.0, 2.5, 3.0]
    assert target.notes == ("2 of 14 rows have no target 'price' and were left out.",)
    np.testing.assert_allclose(target.standard.mean(), 0, atol=1e-12)
    np.testing.assert_allclose(target.standard.std(), 1)
    np.testing.assert_allclose(target.standard * target.scale + target.mean, target.y)
    assert target.n_classes == 1
    assert target.class_dtype is None


@pytest.mark.parametrize(
    ("values", "classification", "error", "message"),
    [
        ([1.0] * 20, False, DataError, "the target 'y' is 1 in every row"),
        (["a"] * 20, True, DataError, "the target 'y' is 'a' in every row"),
        ([1, 2] * 3, True, DataError, "only 6 of 6 rows have a target 'y'"),
        ([None] * 20, False, DataError, "only 0 of 20 rows have a target 'y'"),
        (["a", 1] * 10, False, ColumnError, "has 10 of 20 values that are not numbers, first 'a' in row 0"),
        ([1.0, np.inf] * 10, False, ColumnError, "has 10 infinite values, first in row 1"),
        ([1, 1e400, 2] * 10, False, ColumnError, "has 10 infinite values, first in row 1"),
        (pd.Series([1.5, np.inf] * 10, dtype=object), True, ColumnError, "has 10 infinite values, first in row 1"),
        ([1e308, -1e308] * 10, False, ColumnError, "has values as large as 1e+308"),
        (pd.date_range("2020", periods=20), False, ColumnError, "holds dates"),
        (RNG.normal(size=100), True, DataError, "has 100 classes in 100 rows"),
        (list(range(1001)) * 3, True, DataError, "has 1,001 classes, more than 1,000"),
    ],
)
def test_targets_that_are_no_use(values, classification, error, message):
    with pytest.raises(error) as raised:
        make_target(values, "y", classification=classification)
    assert message in str(raised.value)


def test_rare_classes_are_told():
    assert make_target(["a"] * 9 + ["b"], "y", classification=True).notes == (
        "1 of 2 classes of 'y' have a single row: 'b'.",)  # fmt: skip


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([True, False] * 50, Task.BINARY), ([True, None, False] * 50, Task.BINARY), (["a", "b"] * 50, Task.BINARY),
        (["a", "b", "c"] * 50, Task.MULTICLASS), ([0, 1] * 50, Task.BINARY), ([0.0, 1.0] * 50, Task.BINARY),
        ([0, 1, 2] * 50, Task.MULTICLASS), ([0, 1, None, 2] * 50, Task.MULTICLASS),
        ([0.0, 1.0, 2.0] * 50, Task.REGRESSION),
        (list(range(20)) * 5, Task.REGRESSION), (list(range(30)) * 50, Task.REGRESSION),
        (["1", "2.5", "3"] * 50, Task.REGRESSION),
        (RNG.normal(size=50), Task.REGRESSION),
    ],
)  # fmt: skip
def test_the_task_that_a_column_suggests(values, task):
    assert infer_task(values) is task


def is_partition(folds, n):
    assert sorted(np.concatenate(folds.valid)) == list(range(n))
    for train, valid in zip(folds.train, folds.valid, strict=True):
        assert sorted([*train, *valid]) == list(range(n))


@given(st.lists(st.integers(0, 5), min_size=4, max_size=80), st.integers(2, 6), st.integers(0, 3))
def test_stratified_folds(y, k, seed):
    codes = np.unique(y, return_inverse=True)[1]
    folds = make_folds(len(codes), codes, Task.MULTICLASS, k, seed)
    is_partition(folds, len(codes))
    assert len(folds) == min(k, len(codes))
    counts = np.array([np.bincount(codes[v], minlength=codes.max() + 1) for v in folds.valid])
    assert np.ptp(counts, axis=0).max() <= 1  # each class as even as can be
    assert np.ptp(counts.sum(axis=1)) <= 1
    again = make_folds(len(codes), codes, Task.MULTICLASS, k, seed)
    assert all((a == b).all() for a, b in zip(folds.valid, again.valid, strict=True))


@given(st.integers(2, 200), st.integers(2, 6))
def test_regression_folds(n, k):
    y = np.random.default_rng(n).lognormal(size=n)
    folds = make_folds(n, y, Task.REGRESSION, k, 0)
    is_partition(folds, n)
    assert np.ptp([len(v) for v in folds.valid]) <= 1
    ranks = np.argsort(np.argsort(y))
    assert np.ptp([ranks[v].mean() for v in folds.valid]) <= 2 * k


@given(st.lists(st.integers(0, 9), min_size=4, max_size=80).filter(lambda g: len(set(g)) > 1), st.integers(2, 5))
def test_groups_stay_whole(groups, k):
    y = np.arange(len(groups)) % 2
    folds = make_folds(len(groups), y, Task.BINARY, k, 0, groups=[f"g{g}" for g in groups])
    is_partition(folds, len(groups))
    assert len(folds) == min(k, len(set(groups)))
    for train, valid in zip(folds.train, folds.valid, strict=True):
        assert len(valid)
        assert not {groups[i] for i in train} & {groups[i] for i in valid}


def test_grouped_folds_are_even_in_size_and_classes():
    groups = np.random.default_rng(0).integers(0, 200, 5000)
    y = (groups % 10 == 0).astype(np.int64)
    folds = make_folds(5000, y, Task.BINARY, 5, 0, groups=groups)
    shares = np.array([y[v].mean() for v in folds.valid])
    assert abs(shares - y.mean()).max() < 0.02
    assert np.ptp([len(v) for v in folds.valid]) < 100


@given(st.lists(st.integers(0, 30), min_size=3, max_size=80).filter(lambda t: len(set(t)) > 1), st.integers(1, 5))
def test_time_runs_forward(times, k):
    folds = make_folds(len(times), np.zeros(len(times)), Task.REGRESSION, k, 0, time=times)
    assert 1 <= len(folds) <= k
    for train, valid in zip(folds.train, folds.valid, strict=True):
        assert max(times[i] for i in train) < min(times[i] for i in valid)
    assert len(folds.train[-1]) + len(folds.valid[-1]) == len(times)
    covered = np.concatenate(folds.valid)
    assert len(covered) == len(np.unique(covered))


def test_times_of_other_types():
    days = pd.date_range("2020", periods=10)
    for time in (days, list(days), days.strftime("%Y-%m-%d").tolist(), np.arange(10).astype(object)):
        folds = make_folds(10, np.zeros(10), Task.REGRESSION, 1, 0, time=time)
        assert folds.valid[0].tolist() == [8, 9]


def test_hold_out():
    y = np.array([0] * 90 + [1] * 10)
    folds = make_folds(100, y, Task.BINARY, 1, 0)
    assert len(folds) == 1
    assert len(folds.valid[0]) == 20
    assert y[folds.valid[0]].sum() == 2
    assert len(make_folds(100, y, Task.BINARY, 1, 0, holdout=0.1).valid[0]) == 10
    grouped = make_folds(100, y, Task.BINARY, 1, 0, groups=np.arange(100) // 5)
    assert len(grouped.valid[0]) == 20


def test_folds_that_can_not_be():
    y = np.zeros(10)
    with pytest.raises(OptionError, match="can't be combined with time_column"):
        make_folds(10, y, Task.REGRESSION, 2, 0, groups=y, time=y)
    with pytest.raises(OptionError, match="nfolds is 0"):
        make_folds(10, y, Task.REGRESSION, 0, 0)
    with pytest.raises(DataError, match="single group"):
        make_folds(10, y, Task.REGRESSION, 2, 0, groups=y)
    with pytest.raises(DataError, match="single time"):
        make_folds(10, y, Task.REGRESSION, 2, 0, time=y)
    with pytest.raises(DataError, match="1 rows can't be split"):
        make_folds(1, y[:1], Task.REGRESSION, 2, 0)


def report(frame, y, *, classification):
    target = make_target(y, "y", classification=classification)
    frame = frame[target.keep]
    return [str(n) for n in quality_report(Table.from_frame(frame, infer_schema(frame, None)), target)]


def test_quality_of_a_good_table():
    X = RNG.normal(size=(500, 3))
    assert report(pd.DataFrame(X, columns=list("abc")), X[:, 0] + RNG.normal(size=500), classification=False) == []


def test_quality_notes():
    n = 3000
    y = RNG.normal(size=n)
    flag = (y > 0).astype(int)
    frame = pd.DataFrame({
        "leak": np.exp(y), "code": np.where(flag, "yes!", "no!"), "fine": RNG.normal(size=n), "c": 1,
        "holes": np.where(RNG.random(n) < 0.9, np.nan, RNG.normal(size=n)), "id": range(n),
        "many": [f"v{k // 2}" for k in range(n)],
    })  # fmt: skip
    regression = report(frame, y, classification=False)
    assert regression[0].startswith("Column 'leak' alone explains")
    assert "Column 'c' is left out: 1 in every row" in regression
    assert "Column 'id' is left out: a different number in every row, and named like an identifier" in regression
    assert any("Column 'holes' is missing in 9" in n for n in regression)
    assert "Column 'many' has 1,500 categories, 2.0 rows each on average" in regression
    assert not any("'fine'" in n or "'code'" in n for n in regression)
    binary = report(frame, flag, classification=True)
    assert [n.split(" alone")[0] for n in binary[:2]] == ["Column 'leak'", "Column 'code'"]


def test_quality_of_targets_and_rows():
    n = 1000
    frame = pd.DataFrame({"x": np.arange(n) % 10, "w": ["a", "b"] * (n // 2)})
    notes = report(frame, np.arange(n) % 2, classification=True)
    assert any("990 rows repeat an earlier one in all columns" in note for note in notes)
    rare = report(pd.DataFrame({"x": RNG.normal(size=n)}), [1] * 5 + [0] * (n - 5), classification=True)
    assert rare == ["The class 1 has 5 of 1,000 rows (0.50%)."]
    skewed = report(pd.DataFrame({"x": RNG.normal(size=n)}), np.exp(3 * RNG.normal(size=n)), classification=False)
    assert "The target is skewed" in skewed[0]
    gaps = report(pd.DataFrame({"x": RNG.normal(size=n)}), [None, *RNG.normal(size=n - 1)], classification=False)
    assert gaps == ["1 of 1,000 rows have no target 'y' and were left out."]
