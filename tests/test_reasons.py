"""Reasons for predictions, of exported files alone: they add up, are few, bounded, and can be left out."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLClassifier, AutoMLRegressor, load_model
from tabwright.cli.main import main
from tabwright.errors import DataError, OptionError
from tabwright.reasons import MAX_BYTES, MAX_ROWS, background, sentence, shown
from tabwright.schema import Column, Schema
from tabwright.types import Kind, Task

QUICK = {"max_runtime_secs": 60, "max_models": 2, "include_families": ["lightgbm", "linear"], "nfolds": 2,
         "progress": False}  # fmt: skip


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame({
        "a": rng.normal(size=n), "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D"),
        "shop": rng.choice(["x", "y", "z"], n), "flag": rng.random(n) < 0.5,
    })  # fmt: skip
    frame.loc[rng.random(n) < 0.1, "a"] = np.nan
    frame["price"] = 3 * frame["a"].fillna(0) + 2 * (frame["shop"] == "x") + 0.1 * rng.normal(size=n)
    frame["kind"] = np.select([frame["price"] > 2, frame["price"] > 0], ["dear", "fair"], "cheap")
    return frame


@pytest.fixture(scope="module")
def prices(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("prices") / "m.onnx"
    made = AutoMLRegressor(**QUICK).fit(frame.drop(columns=["kind"]), target="price")
    made.export(path)
    made.export(path.with_name("private.onnx"), background_rows=0)
    return path


@pytest.fixture(scope="module")
def kinds(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("kinds") / "m.onnx"
    AutoMLClassifier(**QUICK).fit(frame.drop(columns=["price"]), target="kind").export(path)
    return path


def test_contributions_add_up_to_the_number(prices, frame):
    model, rows = load_model(prices), frame.head(6)
    predicted = model.predict(rows)
    found = model.reasons(rows, top=None)
    for row, value in zip(found, predicted, strict=True):
        assert (row["prediction"], row["value"]) == (value, pytest.approx(value, rel=1e-9))
        assert len(row["reasons"]) == 4
        assert row["base"] + sum(r["contribution"] for r in row["reasons"]) == pytest.approx(value, rel=1e-9)
    stored = model.metadata["background"]
    assert len(stored["numbers"]) == len(stored["strings"]) == MAX_ROWS
    assert found[0]["reasons"][0]["column"] in ("a", "shop")


def test_contributions_add_up_to_the_predicted_classs_probability(kinds, frame):
    model, rows = load_model(kinds), frame.head(6)
    proba, predicted = model.predict_proba(rows), model.predict(rows)
    for k, row in enumerate(model.reasons(rows, top=None)):
        own = proba[k, list(model.classes_).index(predicted[k])]
        assert row["prediction"] == predicted[k] and row["value"] == pytest.approx(own, rel=1e-9)
        assert row["base"] + sum(r["contribution"] for r in row["reasons"]) == pytest.approx(own, rel=1e-9)


def test_a_row_alone_is_as_among_others(prices, frame):
    model = load_model(prices)
    alone = model.reasons(frame.drop(columns=["price", "kind"]).iloc[3].to_dict(), top=2)
    among = model.reasons(frame.head(5), top=2)[3]
    assert [r["column"] for r in alone[0]["reasons"]] == [r["column"] for r in among["reasons"]]
    for one, other in zip(alone[0]["reasons"], among["reasons"], strict=True):
        assert one["contribution"] == pytest.approx(other["contribution"], rel=1e-9)
    assert model.reasons(frame.head(0)) == []
    json.dumps(model.reasons(frame.head(5), top=None))


def test_wide_tables_are_sampled_and_add_up_still(make_model, tmp_path):
    names = [f"c{k}" for k in range(40)]
    schema = Schema(tuple(Column(n, Kind.NUMERIC) for n in names), "y", Task.REGRESSION)
    rng = np.random.default_rng(0)
    X, stored = rng.normal(size=(3, 40)), rng.normal(size=(50, 40))
    entry = background(stored, np.empty((50, 0), object))
    path = tmp_path / "m.onnx"
    path.write_bytes(make_model(schema, background=entry))
    model = load_model(path)
    kept = np.array(entry["numbers"])
    for x, row in zip(X, model.reasons(X, top=None), strict=True):
        told = {r["column"]: r["contribution"] for r in row["reasons"]}
        used = 2000 // 78  # background rows that 2,000 evaluations suffice for
        np.testing.assert_allclose([told[n] for n in names], x - kept[:used].mean(axis=0), rtol=1e-9)
        assert row["value"] == pytest.approx(x.sum())


def test_no_row_of_the_table_where_none_may_be_seen(prices, frame):
    model = load_model(prices.with_name("private.onnx"))
    assert model.metadata["background"] is None
    with pytest.raises(DataError, match="holds no rows"):
        model.reasons(frame.head(2))
    np.testing.assert_array_equal(model.predict(frame), load_model(prices).predict(frame))


@pytest.mark.parametrize("rows", [-1, 33, 1.5, "x", True])
def test_odd_numbers_of_rows_are_named(rows, tmp_path, frame):
    with pytest.raises(OptionError, match="from 0 to 32"):
        AutoMLRegressor(**QUICK).export(tmp_path / "m.onnx", background_rows=rows)


@pytest.mark.parametrize("top", [0, -1, 1.5, "x", True])
def test_odd_numbers_of_reasons_are_named(prices, frame, top):
    with pytest.raises(OptionError, match="top"):
        load_model(prices).reasons(frame.head(1), top=top)


def test_what_is_stored_is_bounded():
    numbers = np.full((100, 3), np.nan)
    texts = np.array([["é" * 600] for _ in range(100)], object)
    kept = background(numbers, texts)
    assert kept is not None and 20 < len(kept["strings"]) < 32
    assert len(json.dumps(kept, ensure_ascii=False).encode()) <= MAX_BYTES
    assert kept["numbers"][0] == [None, None, None]
    assert background(numbers, np.array([["x" * 40_000]] * 100, object)) is None
    assert background(numbers, texts, 0) is None


def test_values_as_json_and_as_text():
    when = Column("d", Kind.DATETIME)
    assert shown(when, 86400.0) == "1970-01-02" and shown(when, 86401.5) == "1970-01-02T00:00:01.500"
    assert shown(Column("n", Kind.INTEGER), 3.0) == 3 and shown(Column("b", Kind.BOOLEAN), 1.0) is True
    assert shown(when, np.nan) is None and shown(Column("c", Kind.CATEGORICAL), "") is None
    assert sentence("c", None, -0.5) == "c = missing (-0.5)" and len(sentence("c", "x" * 99, 1.0)) == 4 + 60 + 5


def test_on_the_command_line(prices, kinds, frame, tmp_path, capsys):
    rows = tmp_path / "rows.csv"
    frame.head(7).to_csv(rows, index=False)
    for suffix in (".csv", ".parquet"):
        out = tmp_path / f"out{suffix}"
        assert main(["predict", str(kinds), str(rows), "--out", str(out), "--reasons", "5", "--quiet"]) == 0
        told = pd.read_csv(out, keep_default_na=False) if suffix == ".csv" else pd.read_parquet(out)
        reasons = [f"reason_{k}" for k in range(1, 6)]
        assert list(told.columns) == ["prediction", "p_cheap", "p_dear", "p_fair", *reasons]
        assert told["reason_1"].str.contains(r"^(?:a|shop|when|flag) = .* \([+-]").all()
        assert (told["reason_5"] == "").all()
    private = str(prices.with_name("private.onnx"))
    assert main(["predict", private, str(rows), "--out", str(out), "--reasons", "3"]) == 2
    assert main(["predict", private, str(rows), "--out", str(out), "--reasons", "-3"]) == 2
    assert "holds no rows" in (told := capsys.readouterr().err) and "--reasons is -3" in told


def test_it_needs_nothing_but_numpy_and_onnxruntime(prices):
    code = (f"import tabwright, sys; m = tabwright.load_model({str(prices)!r});"
            "r = m.reasons({'a': 1.0, 'when': '2020-03-01', 'shop': 'x', 'flag': True});"
            "print(len(r[0]['reasons']), sorted({'pandas', 'sklearn', 'scipy', 'onnx', 'pyarrow'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3 []"
