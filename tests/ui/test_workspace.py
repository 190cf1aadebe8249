"""Names, folders and tables of the workspace."""

from __future__ import annotations

import gzip
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from people import census

from tabwright.data.delimited import ReadOptions
from tabwright.errors import ColumnError, DataError, OptionError
from tabwright.ui.tables import Source, Tables, texts
from tabwright.ui.workspace import Workspace, check_name, read_json, slug

BAD = ("..", ".", "", "a/b", "../x", "/etc/passwd", ".hidden", "a\0b", "x" * 200, "a b", "-x", "ä")


@pytest.mark.parametrize("name", BAD)
def test_no_name_leads_out(workspace, name):
    with pytest.raises(DataError):
        check_name(name)
    with pytest.raises(DataError):
        workspace.path("tables", name)
    with pytest.raises(DataError):
        workspace.path("models", "m", "examples", name)


def test_no_link_leads_out(workspace, tmp_path):
    (tmp_path / "secret").mkdir()
    (workspace.root / "models" / "m").symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match="out of the workspace"):
        workspace.path("models", "m", "model.onnx")
    with pytest.raises(DataError, match="'secrets'"):
        workspace.path("secrets", "m")


@pytest.mark.parametrize("text", [*BAD, "My table (final).csv", "naïve"])
def test_slugs_are_names(text):
    assert check_name(slug(text))


def test_two_users_get_two_names(workspace):
    assert [workspace.reserve("runs", "a b") for _ in range(3)] == ["a-b", "a-b-2", "a-b-3"]


def test_the_secret_is_kept_and_private(workspace):
    first = workspace.secret()
    assert len(first) == 64
    assert workspace.secret() == first
    assert (workspace.root / "secret").stat().st_mode & 0o077 == 0


def test_a_workspace_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="--workspace"):
        Workspace.open(tmp_path / "file" / "inside")
    (tmp_path / "broken").write_text("{")
    assert read_json(tmp_path / "broken") == {}


def test_an_upload_is_parsed_and_kept(people, tables, workspace):
    assert people.rows == 900 and people.columns[-1] == "income" and people.is_text
    again = Tables(workspace).get("people")
    assert again == people
    assert Tables(workspace).every() == [people]
    frame = tables.frame("people")
    assert frame["workclass"].isna().sum() > 50
    assert frame["education"].tolist() == census()["education"].tolist()


def test_an_uploaded_name_is_only_a_name(tables, tmp_path):
    path = tmp_path / "x"
    census(20).to_csv(path, index=False)
    entry = tables.upload("../../etc/über table.csv", path)
    assert Path(entry.file).parent.parent == tables.workspace.root / "tables"
    assert entry.source.value == "über table.csv"


def test_a_broken_upload_leaves_nothing(tables, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"\x00\x01\x02" * 50)
    with pytest.raises(DataError):
        tables.upload("x.csv", path)
    assert tables.every() == [] and tables.workspace.names("tables") == []


@pytest.mark.parametrize(("name", "data", "told"), [
    ("data", b"a,b\n1,2\n", "the file 'data' has the unknown suffix"), ("my b.xls", b"x", "the file 'my b.xls' has"),
    ("wrong.parquet", b"x" * 50, "'wrong.parquet' can't be read"), ("none.csv", b"", "the file 'none.csv' is empty"),
    ("it's.csv.gz", gzip.compress(b"a,b\n1,2\n3,4,5\n", mtime=0), '"it\'s.csv" is not an even table'),
])  # fmt: skip
def test_a_fault_of_an_upload_names_the_users_file(tables, tmp_path, name, data, told):
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        tables.upload(name, path)
    assert told in str(caught.value)
    assert "source" not in str(caught.value).replace("input source", "") and str(tmp_path) not in str(caught.value)


def test_a_note_on_an_upload_names_the_users_file(tables, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"1,2\n3,4\n")
    entry = tables.upload("my numbers.csv", path)
    assert "'my numbers.csv' holds only numbers" in entry.notes[0]


def test_set_up_changes_preview_and_table(tables, people):
    odd = replace(people, options=ReadOptions(delimiter=","))
    assert tables.preview(odd).shape[1] == 1
    assert tables.preview(people).shape == (30, 7)
    made = tables.parse(replace(people, options=ReadOptions(header=False), kinds={"age": "numeric"}))
    assert made.columns[0] == "column_1" and made.rows == 901
    assert made.kinds == {} and made.target is None  # they named columns that are gone


def test_tables_come_from_paths_databases_and_the_package(tables, tmp_path):
    census(50).to_parquet(tmp_path / "p.parquet")
    assert tables.bring(Source("path", str(tmp_path / "p.parquet"))).name == "p"
    with sqlite3.connect(tmp_path / "d.db") as database:
        census(30).to_sql("census", database)
    database.close()
    made = tables.bring(Source("sql", f"sqlite:///{tmp_path / 'd.db'}", "census"))
    assert (made.name, made.rows) == ("census", 30) and not made.is_text
    assert tables.bring(Source("demo", "demo")).rows == 20640
    with pytest.raises(DataError, match="no path"):
        tables.bring(Source("path", "  "))
    with pytest.raises(DataError, match="there is no file"):
        tables.bring(Source("path", str(tmp_path / "none.csv")))


def test_a_database_password_is_not_stored(tables):
    from tabwright.ui.tables import Entry

    entry = Entry(tables.workspace.reserve("tables", "t"), Source("sql", "postgresql://me:hunter2@h/d", "t"), "x")
    tables.save(entry)
    assert "hunter2" not in (tables.workspace.root / "tables" / "t" / "table.json").read_text()


def test_pages_of_rows(tables, people):
    first = tables.page("people", 0, 5)
    assert [r["#"] for r in first] == ["0", "1", "2", "3", "4"]
    age = f"c{list(tables.frame('people')).index('age')}"
    assert first[0][age] == str(census()["age"][0])
    oldest = tables.page("people", 0, 3, "age", descending=True)
    assert [int(r[age]) for r in oldest] == sorted(census()["age"], reverse=True)[:3]
    assert len(tables.page("people", 895, 50)) == 5
    assert list(tables.page("people", 0, 1, columns=2)[0]) == ["#", "c0", "c1"]


def test_cells_as_text():
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": ["x" * 500, None], "c": pd.to_datetime(["2024-01-01", None])})
    made = texts(frame)
    assert made[0]["c0"] == "1" and made[1]["c0"] == "" and made[1]["c1"] == "" and made[1]["c2"] == ""
    assert len(made[0]["c1"]) == 201
    assert texts(pd.DataFrame({"#": ["x"]}, index=[7])) == [{"#": "7", "c0": "x"}]


def test_a_profile_follows_kinds_and_target(tables, people):
    first = tables.profile("people")
    assert first.task == "binary"
    assert tables.profile("people") == first  # read back from the disk
    tables.save(replace(people, kinds={"zone": "categorical"}, target="age"))
    second = tables.profile("people")
    assert second.task == "regression"
    assert {c.name: c.kind for c in second.columns}["zone"] == "categorical"
    tables.save(replace(people, kinds={"workclass": "numeric"}))
    with pytest.raises(ColumnError, match="workclass"):
        tables.profile("people")


def test_joined_and_appended(tables, people, tmp_path):
    pd.DataFrame({"zone": [1, 2, 3], "region": ["n", "s", "e"]}).to_csv(tmp_path / "zones.csv", index=False)
    tables.bring(Source("path", str(tmp_path / "zones.csv")))
    tables.save(replace(people, kinds={"zone": "categorical"}))
    made = tables.join("people", "zones", {"on": ["zone"], "how": "left"})
    assert (made.name, made.rows, made.columns[-1]) == ("people-zones", 900, "region")
    assert (made.target, made.kinds, made.source.value) == ("income", {"zone": "categorical"}, "people and zones")
    assert tables.get("people-zones") == made
    more = tables.append(["people", "people-zones"], "rows", fill=True)
    assert (more.name, more.rows, more.columns) == ("people-more", 1800, made.columns)
    with pytest.raises(ColumnError, match="'region' is not in people"):
        tables.join("people", "zones", {"on": ["region"], "how": "inner"})


def test_split_and_compare(tables, people):
    train, test = tables.split("people", 0.3, 0, {"target": "income"})
    assert (train.name, test.name) == ("people-train", "people-test")
    assert train.rows + test.rows == 900 and train.target == "income"
    assert max(s.psi for s in tables.compare("people-train", "people-test")) < 0.2
