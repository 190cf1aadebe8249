"""The screen finds interactions that are there, and none where there are none."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from tabwright.data.infer import infer_schema
from tabwright.data.table import Table
from tabwright.features import deviation
from tabwright.features.base import TargetInfo
from tabwright.features.gains import freed
from tabwright.features.keys import find_keys
from tabwright.features.screen import Interactions, screen
from tabwright.types import Task


def make(rows=3000, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "price": rng.lognormal(3, 0.5, rows), "area": rng.lognormal(2, 0.5, rows), "noise": rng.normal(size=rows),
        "shop": rng.choice([f"shop {k}" for k in range(12)], rows), "colour": rng.choice(list("abcdef"), rows),
    })  # fmt: skip
    return rng, frame, Table.from_frame(frame, infer_schema(frame, None))


def screened(signal, table, rng, task=Task.REGRESSION):
    y = signal + rng.normal(size=len(signal))
    y = (y > np.median(y)).astype(np.int64) if task is Task.BINARY else (y - y.mean()) / y.std()
    target = TargetInfo(task, 2 if task is Task.BINARY else 1, y)
    residual = target.as_columns() - target.as_columns().mean()
    return screen(table, target, residual, seconds=60.0)


@pytest.mark.parametrize("task", [Task.REGRESSION, Task.BINARY])
def test_a_quotient_is_found(task):
    rng, frame, table = make()
    found = screened(3.0 * np.log(frame["price"] / frame["area"]).to_numpy(), table, rng, task)
    assert {(a, b) for a, operation, b in found.arithmetic if operation == "/"} & {("price", "area"), ("area", "price")}


def test_a_deviation_from_the_group_is_found():
    rng, frame, table = make()
    shift = frame["shop"].map({f"shop {k}": 40.0 * k for k in range(12)})
    frame["price"] += shift
    table = Table.from_frame(frame, infer_schema(frame, None))
    found = screened((frame["price"] - shift).to_numpy() / 5.0, table, rng)
    assert any((number, group) == ("price", "shop") for number, _, group in found.deviation)


def test_a_cross_of_categories_is_found():
    rng, frame, table = make()
    pair = frame["shop"] + frame["colour"]
    effect = dict(zip(pair.unique(), rng.normal(size=pair.nunique()), strict=True))
    found = screened(2.0 * pair.map(effect).to_numpy(), table, rng)
    assert ("shop", "colour") in found.cross_mean


def test_a_group_that_turns_a_numbers_effect_around_is_found():
    rng, frame, table = make()
    turn = frame["shop"].map({f"shop {k}": (-1.0) ** k for k in range(12)})
    found = screened((turn * frame["noise"]).to_numpy(), table, rng)
    assert ("shop", "noise") in found.cross_mean


def test_a_ratio_to_the_usual_size_of_the_group_is_found_in_logarithms():
    rng, frame, table = make()
    level = frame["shop"].map({f"shop {k}": 4.0**k for k in range(12)})
    ratio = rng.lognormal(0, 1.0, len(frame))
    frame["price"] = level * ratio
    table = Table.from_frame(frame, infer_schema(frame, None))
    found = screened(2.0 * np.log(ratio), table, rng)
    assert ("price", "log from", "shop") in found.deviation or ("price", "log over", "shop") in found.deviation


def test_nothing_is_found_in_noise():
    for seed in range(5):
        rng, frame, table = make(seed=seed)
        assert not screened(np.zeros(len(frame)), table, rng)


def test_interactions_survive_json():
    found = Interactions((("a", "-", "b"),), (("a", "from", "c"),), (("c", "d"),))
    assert Interactions.from_json(found.to_json()) == found


def test_groups_of_whole_numbers_have_codes_for_missing_and_unseen():
    frame = pd.DataFrame({"n": [3.0, 5.0, np.nan, 3.0, 7.0, 5.0] * 10, "x": np.linspace(0.1, 9.9, 60)})
    table = Table.from_frame(frame, infer_schema(frame, None, overrides={"n": "numeric", "x": "numeric"}))
    key = find_keys(table, ["n"])["n"]
    rows = Table(table.schema, np.array([[3.0, 0], [np.nan, 0], [4.0, 0], [7.9, 0], [1e300, 0]]), ())
    assert key.codes(rows).tolist() == [1, 0, 4, 3, 4]
    assert find_keys(table, ["x"]) == {}


def test_ranges_of_a_number_hold_about_as_many_rows_and_missing_apart():
    frame = pd.DataFrame({"x": [*np.linspace(0.1, 9.9, 79), np.nan]})
    table = Table.from_frame(frame, infer_schema(frame, None, overrides={"x": "numeric"}))
    key = find_keys(table, ["x"], ranges=True)["x"]
    codes = key.codes(table)
    assert codes[-1] == 0 and codes.max() == key.size - 1
    assert np.ptp(np.bincount(codes)[1:]) <= 2 and (np.diff(codes[:-1]) >= 0).all()


def test_freed_means_have_nothing_left_of_the_others():
    rng = np.random.default_rng(0)
    others = [rng.normal(size=(500, 2)) for _ in range(3)]
    means = 2.0 * others[0] - others[2] + 1.0 + 0.1 * rng.normal(size=(500, 2))
    left = freed(means, others)
    assert np.abs(left).max() < 0.5
    assert max(abs(float(left[:, k] @ o[:, k])) for k in range(2) for o in others) < 1e-8


def test_deviations_of_earlier_runs_are_read_as_plain_ones():
    _, _, table = make(rows=200)
    fitted = deviation.fit(table, pairs=(("price", "over", "shop"),))
    stored = {f.name: getattr(fitted, f.name) for f in fields(fitted) if f.name != "unit"}
    np.testing.assert_array_equal(type(fitted)(**stored).apply(table), fitted.apply(table))
