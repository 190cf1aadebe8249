"""Profiles, parts and comparisons of tables, and tables from databases."""

from __future__ import annotations

import sqlite3

import numpy as np
import pandas as pd
import pytest

from tabwright.data.delimited import ReadOptions
from tabwright.data.parts import compare_tables, split_table, write_table
from tabwright.data.profile import profile
from tabwright.data.readers import read_table
from tabwright.data.sql import read_sql
from tabwright.errors import ColumnError, DataError, OptionError


def frame(rows=1000, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    made = pd.DataFrame({
        "x": x, "noise": rng.normal(size=rows), "c": rng.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1]),
        "when": pd.date_range("2024-01-01", periods=rows, freq="h"), "group": np.arange(rows) // 10,
        "y": (x + 0.3 * rng.normal(size=rows) > 0).astype(int),
    })  # fmt: skip
    made.loc[::10, "noise"] = np.nan
    return made


def test_a_profile_tells_each_column():
    made = profile(frame(), "y")
    assert made.rows == 1000
    assert made.task == "binary"
    columns = {c.name: c for c in made.columns}
    assert list(columns) == ["x", "noise", "c", "when", "group", "y"]
    assert columns["noise"].missing == 100
    assert sum(columns["x"].counts) == 1000
    assert sum(columns["noise"].counts) == 900
    assert columns["c"].labels == ("a", "b", "c") and columns["c"].distinct == 3
    assert sum(columns["c"].counts) + columns["c"].other == 1000
    assert columns["x"].median == pytest.approx(float(frame()["x"].median()))
    assert columns["when"].kind == "datetime" and columns["when"].minimum == 1704067200.0
    assert columns["x"].target_share > 0.3
    assert columns["noise"].target_share < 0.1
    assert columns["y"].target_share is None and sum(columns["y"].counts) == 1000


def test_kinds_change_the_profile_and_may_not_contradict_the_values():
    assert {c.name: c.kind for c in profile(frame(), "y", {"group": "categorical"}).columns}["group"] == "categorical"
    with pytest.raises(ColumnError, match="'c'"):
        profile(frame(), "y", {"c": "numeric"})


def test_a_target_that_cannot_be_used_is_told():
    one = frame().assign(y=1)
    assert "1 in every row" in profile(one, "y").problem
    assert "no column 'z'" in profile(frame(), "z").problem
    assert profile(frame()).notes == ()


def test_quality_stands_beside_the_profile():
    table = frame().assign(leak=lambda t: t["y"] * 2.0)
    assert any(n.level == "warning" and n.column == "leak" for n in profile(table, "y").notes)


@pytest.mark.parametrize("by", [{}, {"target": "y"}, {"group_column": "group"}, {"time_column": "when"}])
def test_a_split_is_a_partition(by):
    table = frame()
    train, test = split_table(table, 0.25, 3, **by)
    assert len(train) + len(test) == len(table)
    assert 0.2 < len(test) / len(table) < 0.3
    assert sorted([*train["x"], *test["x"]]) == sorted(table["x"])
    again = split_table(table, 0.25, 3, **by)
    pd.testing.assert_frame_equal(again[1], test)
    if "target" in by:
        assert test["y"].mean() == pytest.approx(table["y"].mean(), abs=0.01)
    if "group_column" in by:
        assert not set(train["group"]) & set(test["group"])
    if "time_column" in by:
        assert train["when"].max() < test["when"].min()


def test_a_split_keeps_rows_without_a_target():
    table = frame().astype({"y": float})
    table.loc[:50, "y"] = np.nan
    train, test = split_table(table, 0.2, target="y")
    assert int(train["y"].isna().sum() + test["y"].isna().sum()) == 51


@pytest.mark.parametrize(("arguments", "told"), [
    ({"test_share": 1.5}, "test_share"), ({"target": "nope"}, "target"), ({"group_column": "nope"}, "group_column"),
])  # fmt: skip
def test_a_split_that_cannot_be(arguments, told):
    with pytest.raises(OptionError, match=told):
        split_table(frame(), **arguments)


def test_shifts_are_found_where_they_are():
    first, second = frame(2000, 0), frame(2000, 1)
    assert not any(s.shifted for s in compare_tables(first, second, "y") if s.column in ("x", "noise", "c"))
    moved = second.assign(x=second["x"] + 2, c=np.where(second["x"] > 0, "d", second["c"]))
    found = compare_tables(first, moved, "y")
    assert {s.column for s in found if s.shifted} >= {"x", "c"}
    assert found[0].psi == max(s.psi for s in found)
    assert compare_tables(first.head(100), second) == ()


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_written_tables_come_back(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    write_table(frame(), path)
    back = read_table(path)
    assert list(back.columns) == list(frame().columns) and len(back) == 1000
    assert back["c"].tolist() == frame()["c"].tolist()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_cells_of_several_types_are_written_as_text(tmp_path):
    mixed = pd.DataFrame({"a": [1, "x", None, 2.5]}, dtype=object)
    write_table(mixed, tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet")["a"].tolist()[:2] == ["1", "x"]


@pytest.mark.parametrize("path", ["t.xlsx", "none/t.csv"])
def test_paths_that_cannot_be_written(tmp_path, path):
    with pytest.raises(OptionError, match="--out"):
        write_table(frame(10), tmp_path / path)


def test_set_up_of_a_delimited_text(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("1:a:?\n2:b:4,5\n3:?:6,5\n")
    made = read_table(path, ReadOptions(":", ",", header=False, null_values=("?",)))
    assert list(made.columns) == ["column_1", "column_2", "column_3"]
    assert made["column_3"].tolist()[1:] == [4.5, 6.5] and np.isnan(made["column_3"][0])
    assert made["column_2"].isna().tolist() == [False, False, True]
    ragged = tmp_path / "r.csv"
    ragged.write_text("1,a\n2,b\n-,?\n" * 3)
    again = read_table(ragged, ReadOptions(header=False, null_values=("?", "-")))
    assert len(again) == 9 and again["column_1"].isna().sum() == 3 and again["column_2"].isna().sum() == 3
    with pytest.raises(OptionError, match="delimiter"):
        ReadOptions("::")


def test_words_for_empty_cells_of_other_formats(tmp_path):
    pd.DataFrame({"a": ["x", "?", "y"], "n": [1, 2, 3]}).to_parquet(tmp_path / "t.parquet")
    made = read_table(tmp_path / "t.parquet", ReadOptions(null_values=("?",)))
    assert made["a"].isna().tolist() == [False, True, False] and made["n"].tolist() == [1, 2, 3]


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE sales (day TEXT, amount REAL)")
        made.executemany("INSERT INTO sales VALUES (?, ?)", [("2024-01-01", 1.5), ("2024-01-02", 2.5)])
    made.close()
    return f"sqlite:///{path}"


def test_tables_come_from_databases(database):
    assert read_sql(database, "sales")["amount"].tolist() == [1.5, 2.5]
    assert read_sql(database, "SELECT amount * 2 AS twice FROM sales WHERE day > '2024-01-01'")["twice"].tolist() == [5]


@pytest.mark.parametrize(("query", "told"), [
    ("nosuch", "no table 'nosuch'"), ("SELECT * FROM nosuch", "does not answer"), ("sales; DROP", "does not answer"),
    ("CREATE TABLE t (a REAL)", "selects no rows"),
])  # fmt: skip
def test_databases_that_refuse(database, query, told):
    with pytest.raises(DataError, match=told):
        read_sql(database, query)


def test_addresses_that_are_none():
    with pytest.raises(OptionError, match="url"):
        read_sql("no address", "t")
    with pytest.raises(OptionError, match="url"):
        read_sql("nosuch://x/y", "t")
    with pytest.raises(DataError, match="no SQLite file"):
        read_sql("sqlite:////none/there.db", "t")


def test_a_password_is_never_told():
    with pytest.raises(DataError) as told:
        read_sql("postgresql://me:hunter2@127.0.0.1:1/none", "t")
    assert "hunter2" not in str(told.value) and "***" in str(told.value)
