"""Tables in blocks: files, folders, globs, stores and databases, and samples of them."""

from __future__ import annotations

import gzip
import sqlite3
import time

import duckdb
import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tabwright.data import sql, stream
from tabwright.data.readers import ReadOptions, read_table
from tabwright.data.sampling import draw
from tabwright.data.spool import spool
from tabwright.data.stream import Blocks, Stream
from tabwright.errors import ColumnError, DataError, MissingExtraError
from tabwright.schema import Column, Schema
from tabwright.types import Kind

NEVER = float("inf")


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    n = 1000
    return pd.DataFrame({
        "row": np.arange(n), "x": rng.normal(size=n).round(6), "c": rng.choice(["a", "b, c", 'd"e'], n),
        "maybe": np.where(rng.random(n) < 0.2, np.nan, rng.integers(0, 9, n)),
    })  # fmt: skip


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(stream, "BLOCK_ROWS", 64)
    monkeypatch.setattr(stream, "BLOCK_BYTES", 4096)


def parquet_folder(frame, folder, parts=4):
    for k, piece in enumerate(np.array_split(np.arange(len(frame)), parts)):
        pq.write_table(pa.Table.from_pandas(frame.iloc[piece], preserve_index=False), folder / f"p{k}.parquet",
                       row_group_size=100)  # fmt: skip


def csv_folder(frame, folder, parts=4):
    for k, piece in enumerate(np.array_split(np.arange(len(frame)), parts)):
        frame.iloc[piece].to_csv(folder / f"p{k}.csv", index=False)


def packed_file(frame, folder):
    (folder / "p.csv.gz").write_bytes(gzip.compress(frame.to_csv(index=False, sep=";", decimal=",").encode()))


@pytest.mark.parametrize("write", [parquet_folder, csv_folder, packed_file])
def test_all_rows_come_in_blocks(frame, tmp_path, small_blocks, write):
    write(frame, tmp_path)
    (tmp_path / "_SUCCESS").touch()
    found = Stream(str(tmp_path))
    assert found.names == list(frame.columns)
    assert found.n_rows == pytest.approx(1000, rel=0.05)
    blocks = list(found.blocks(["x", "row"]))
    assert len(blocks) > 3 and all(t.column_names == ["x", "row"] for t, _ in blocks)
    assert [int(v) for t, _ in blocks for v in t.column("row").to_pylist()] == list(range(1000))
    shares = [share for _, share in blocks]
    assert shares == sorted(shares) and 0 < shares[0] <= 1 and shares[-1] == pytest.approx(1.0)
    pd.testing.assert_frame_equal(read_table(str(tmp_path)), frame, check_dtype=False)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=st.integers(1, 1200), seed=st.integers(0, 5), text=st.booleans())
def test_a_sample_is_of_rows_that_are_there_and_known_by_place(frame, tmp_path_factory, n, seed, text):
    folder = tmp_path_factory.mktemp("rows")
    (csv_folder if text else parquet_folder)(frame, folder)
    found = Stream(str(folder))
    drawn = draw(found, found.names, n, seed, NEVER)
    assert drawn.n_rows == 1000 and drawn.share == pytest.approx(1.0)
    assert len(drawn.frame) == min(n, 1000) and (np.diff(drawn.positions) > 0).all()
    order = [int(v) for t, _ in found.blocks(["row"], seed) for v in t.column("row").to_pylist()]
    assert drawn.frame["row"].tolist() == [order[p] for p in drawn.positions]
    expected = frame.iloc[drawn.frame["row"].to_numpy()].reset_index(drop=True)
    pd.testing.assert_frame_equal(drawn.frame, expected, check_dtype=False)


def test_every_row_is_as_likely_as_any_other(frame, tmp_path, small_blocks):
    parquet_folder(frame, tmp_path)
    found = Stream(str(tmp_path))
    counts = np.zeros(1000)
    for seed in range(200):
        counts[draw(found, ["row"], 100, seed, NEVER).frame["row"]] += 1
    assert abs(counts.mean() - 20) < 1e-9
    assert counts.std() == pytest.approx(np.sqrt(200 * 0.1 * 0.9), rel=0.1)  # as of independent draws


def test_reading_ends_at_its_deadline_with_a_fair_part(frame, tmp_path, small_blocks):
    parquet_folder(frame, tmp_path)
    found = Stream(str(tmp_path))
    drawn = draw(found, found.names, 500, 0, time.monotonic() - 1)
    assert 0 < drawn.n_rows < 1000 and 0 < drawn.share < 1


def test_folders_named_for_values_are_columns(frame, tmp_path):
    for year in (2023, 2024):
        (tmp_path / f"year={year}").mkdir()
        frame.to_parquet(tmp_path / f"year={year}" / "a.parquet")
    found = read_table(str(tmp_path))
    assert list(found.columns) == [*frame.columns, "year"]
    assert found["year"].value_counts().to_dict() == {"2023": 1000, "2024": 1000}


def test_globs_and_stores(frame, tmp_path):
    csv_folder(frame, tmp_path)
    assert len(read_table(str(tmp_path / "p[01].csv"))) == 500
    (tmp_path / "old").mkdir()
    frame.to_csv(tmp_path / "old" / "p1.csv", index=False)
    assert len(read_table(str(tmp_path / "*1.csv"))) == 250  # a star stays within its folder
    assert len(read_table(str(tmp_path / "**" / "*1.csv"))) > 250
    memory = fsspec.filesystem("memory")
    for k in range(2):
        with memory.open(f"/bucket/day/p{k}.csv", "wb") as file:
            frame.to_csv(file, index=False)
    assert len(read_table("memory://bucket/day")) == 2000
    assert len(read_table("memory://bucket/day/*1.csv")) == 1000


def test_a_folder_of_rows_without_a_value_is_a_missing_one(frame, tmp_path):
    for year in ("2023", "__HIVE_DEFAULT_PARTITION__"):
        (tmp_path / f"year={year}").mkdir()
        frame.to_csv(tmp_path / f"year={year}" / "a.csv", index=False)
    assert read_table(str(tmp_path))["year"].isna().sum() == 1000


def test_a_store_whose_package_is_absent():
    with pytest.raises((DataError, MissingExtraError), match="s3fs"):
        read_table("s3://bucket/folder")


def test_what_does_not_fit_together_is_told(frame, tmp_path):
    with pytest.raises(DataError, match="no files"):
        Stream(str(tmp_path))
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"several forms: .csv, .parquet"):
        Stream(str(tmp_path))
    (tmp_path / "b.parquet").unlink()
    frame.drop(columns="x").to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(DataError, match=r"b.csv' lacks the columns 'x'"):
        read_table(str(tmp_path))


def test_words_for_missing_values_hold_in_blocks(frame, tmp_path):
    csv_folder(frame.assign(c=frame["c"].where(frame["row"] % 2 == 0, "unknown")), tmp_path)
    found = read_table(str(tmp_path), ReadOptions(null_values=("unknown",)))
    assert found["c"].isna().sum() == 500


@pytest.fixture
def databases(frame, tmp_path):
    with sqlite3.connect(tmp_path / "t.db") as made:
        frame.to_sql("rows", made, index=False)
    made.close()
    connection = duckdb.connect(str(tmp_path / "t.duckdb"))
    connection.register("given", frame)
    connection.execute("CREATE TABLE rows AS SELECT * FROM given")
    connection.close()
    return [f"sqlite:///{tmp_path}/t.db", f"duckdb:///{tmp_path}/t.duckdb"]


def test_databases_answer_in_blocks(frame, databases, monkeypatch):
    monkeypatch.setattr(sql, "BLOCK_ROWS", 300)
    for url in databases:
        blocks = list(sql.blocks(url, "rows"))
        assert len(blocks) > 1 or "duckdb" in url
        pd.testing.assert_frame_equal(sql.read_sql(url, "SELECT * FROM rows ORDER BY row"), frame, check_dtype=False)
        with pytest.raises(DataError, match=r"does not answer|no table"):
            sql.read_sql(url, "nothing")
        assert len(sql.read_sql(url, "SELECT x FROM rows LIMIT 3")) == 3
    with pytest.raises(DataError, match="no DuckDB file"):
        sql.read_sql("duckdb:///nowhere.duckdb", "rows")


def test_postgresql_answers_in_blocks(frame, postgres, monkeypatch, tmp_path):
    from sqlalchemy import create_engine

    engine = create_engine(postgres.replace("postgresql://", "postgresql+psycopg://"))
    frame.assign(day=pd.Timestamp("2024-05-01")).to_sql("rows", engine, index=False, if_exists="replace")
    engine.dispose()
    monkeypatch.setattr(sql, "BLOCK_ROWS", 300)
    assert spool(sql.blocks(postgres, "rows"), tmp_path / "kept") == 1000
    assert len(list((tmp_path / "kept").iterdir())) == 4
    found = read_table(str(tmp_path / "kept"))
    assert found["day"].iloc[0] == pd.Timestamp("2024-05-01")
    pd.testing.assert_frame_equal(found.drop(columns="day"), frame, check_dtype=False)


def test_blocks_of_other_types_are_kept_as_they_are(tmp_path):
    mixed = [pd.DataFrame({"a": [1, 2], "b": [None, None]}), pd.DataFrame({"a": [0.5, None], "b": ["x", 3]})]
    assert spool(mixed, tmp_path) == 4
    found = read_table(str(tmp_path))
    np.testing.assert_array_equal(found["a"].to_numpy(float), [1, 2, 0.5, np.nan])
    assert found["b"].tolist()[2:] == ["x", "3"] and found["b"].isna().tolist() == [True, True, False, False]
    with pytest.raises(DataError, match="selects no rows"):
        spool([pd.DataFrame({"a": []})], tmp_path / "none")


def test_cells_of_several_types_are_text_in_blocks_and_lists_are_refused(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a": 5.0, "b": [1]}\n{"a": null, "b": 2}\n{"a": "unknown", "b": 3}\n')
    found = Stream(str(tmp_path / "t.jsonl"))
    assert [t.column("a").to_pylist() for t, _ in found.blocks(["a"])] == [["5", None, "unknown"]]
    with pytest.raises(ColumnError, match="holds a list in row 0"):
        list(found.blocks(["b"]))


def test_a_query_may_answer_with_several_columns_of_one_name(tmp_path):
    with sqlite3.connect(tmp_path / "t.db") as made:
        made.execute("CREATE TABLE a (id INTEGER, x REAL)")
        made.execute("INSERT INTO a VALUES (1, 0.5), (2, 1.5)")
    made.close()
    joined = "SELECT * FROM a JOIN a AS b ON a.id = b.id"
    assert spool(sql.blocks(f"sqlite:///{tmp_path}/t.db", joined), tmp_path / "kept") == 2
    found = read_table(str(tmp_path / "kept"))
    assert found.to_dict("list") == {"id": [1, 2], "x": [0.5, 1.5], "id.2": [1, 2], "x.2": [0.5, 1.5]}


def test_headers_longer_than_what_is_looked_at(tmp_path):
    names = [f"a_long_name_of_a_column_{k}" for k in range(8000)]
    (tmp_path / "t.csv").write_text(",".join(names) + "\n" + ",".join(map(str, range(8000))) + "\n")
    found = Stream(str(tmp_path / "t.csv"))
    assert found.names == names
    assert [t.to_pylist() for t, _ in found.blocks(names[-1:])] == [[{names[-1]: "7999"}]]


LINES = "".join(f"{k},w{k},{k / 2}\n" for k in range(2000))
ODD_FILES = {
    "two bytes a character": ("a,b,y\n" + LINES).encode("utf-16-le"),
    "accents far down": ("a,b,y\n" + LINES + "7,é,1\n" + LINES + "8,ü,2\n").encode("cp1252"),
    "names of rows": ("b,y\n" + LINES).encode(),
    "blank lines first": ("\n\r\n\na,b,y\n" + LINES).encode(),
    "a header of two lines": ('"a\nx",b,y\n' + LINES).encode(),
}


@pytest.mark.parametrize("name", ODD_FILES)
def test_blocks_hold_what_reading_the_whole_gives(name, tmp_path, small_blocks, monkeypatch):
    monkeypatch.setattr(stream, "HEAD_BYTES", 4096)
    (tmp_path / "t.csv").write_bytes(ODD_FILES[name])
    whole, found = read_table(tmp_path / "t.csv"), Stream(str(tmp_path / "t.csv"))
    assert found.names == list(whole.columns)
    blocks = [t.to_pandas() for t, _ in found.blocks(found.names)]
    assert len(blocks) > 3
    joined = pd.concat(blocks, ignore_index=True).astype({"y": float})
    pd.testing.assert_frame_equal(joined, whole.astype(dict.fromkeys(found.names[:-1], "str")), check_dtype=False)


def test_two_encodings_in_one_file_are_told(tmp_path, small_blocks, monkeypatch):
    monkeypatch.setattr(stream, "HEAD_BYTES", 4096)
    (tmp_path / "t.csv").write_bytes(("a,b,y\n" + LINES + "7,é,1\n").encode() + (LINES + "8,ü,2\n").encode("cp1252"))
    with pytest.raises(DataError, match="name its encoding"):
        list(Stream(str(tmp_path / "t.csv")).blocks(["b"]))


def test_categories_of_whole_numbers_keep_their_digits(tmp_path):
    (tmp_path / "t.csv").write_text(f"k,f\n{2**53 + 1},1.50\n 07,2.0\n,\n")
    columns = Column("k", Kind.CATEGORICAL, dtype="int64"), Column("f", Kind.CATEGORICAL, dtype="float64")
    table = next(iter(Blocks(str(tmp_path / "t.csv"), Schema(columns))))[0]
    assert table.to_pydict() == {"k": [str(2**53 + 1), "7", None], "f": [1.5, 2.0, None]}


def test_a_header_with_half_a_quote_is_told(tmp_path):
    (tmp_path / "t.csv").write_text('"id,target\n' + "1,2\n" * 40_000)
    with pytest.raises(DataError, match=r"the file 't\.csv' is not an even table"):
        _ = Stream(str(tmp_path / "t.csv")).names
