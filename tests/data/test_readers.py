"""Files and objects as frames."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from datetime import time

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import feather

from tabwright.data.infer import infer_schema
from tabwright.data.readers import NOTES, ReadOptions, read_table
from tabwright.errors import DataError
from tabwright.names import clean_names
from tabwright.types import Kind, Task

FRAME = pd.DataFrame({"a": [1, 2, 3], "naïve": [0.5, None, -2.25], "c": ["x", "y, z", 'q"t']})


def check(frame):
    assert list(frame.columns) == ["a", "naïve", "c"]
    assert frame["a"].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(frame["naïve"].to_numpy(dtype=float), [0.5, np.nan, -2.25])
    assert frame["c"].tolist() == ["x", "y, z", 'q"t']
    assert list(frame.index) == [0, 1, 2]


words = st.text(st.sampled_from("abcxyz ,;|\t'äéß€\"."), min_size=1, max_size=6).map(lambda s: f"w{s}w")
rows = st.lists(st.tuples(st.integers(-999, 10**6), st.floats(-1e6, 1e6), words), min_size=2, max_size=12)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows, st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252", "utf-16-le"]),
    st.booleans(), st.booleans(), st.sampled_from(["\n", "\r\n"]),
)  # fmt: skip
def test_delimited_text_comes_back(tmp_path, records, delimiter, encoding, comma, quote_all, newline):
    buffer = io.StringIO()
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=newline, quoting=quoting)
    writer.writerow(["number", "real", "Wörter"])
    comma = comma and delimiter != ","
    for number, real, word in records:
        text = f"{real:.6f}"
        writer.writerow([number, text.replace(".", ",") if comma else text, word])
    path = tmp_path / "table.csv"
    path.write_bytes(buffer.getvalue().encode(encoding))
    frame = read_table(path)
    assert list(frame.columns) == ["number", "real", "Wörter"]
    assert frame["number"].tolist() == [r[0] for r in records]
    np.testing.assert_allclose(frame["real"].to_numpy(dtype=float), [round(r[1], 6) for r in records], atol=1e-6)
    assert frame["Wörter"].tolist() == [r[2] for r in records]


def test_single_quotes(tmp_path):
    (tmp_path / "q.csv").write_text("a,b\n1,'x, y'\n2,'z'\n")
    assert read_table(tmp_path / "q.csv")["b"].tolist() == ["x, y", "z"]


def test_options_overrule_what_is_found(tmp_path):
    (tmp_path / "o.txt").write_bytes("a b\n1,5 é\n".encode("latin-1"))
    frame = read_table(tmp_path / "o.txt", ReadOptions(delimiter=" ", decimal=",", encoding="latin-1"))
    assert frame.to_dict("list") == {"a": [1.5], "b": ["é"]}


def test_types_that_change_late_fall_back(tmp_path):
    body = "a,b\n" + "1,2\n" * 3_000_000 + "x,3\n"
    path = tmp_path / "late.csv"
    path.write_text(body)
    frame = read_table(path)
    assert frame["a"].iloc[-1] == "x"
    assert frame["b"].iloc[-1] == 3


def write(path):
    suffix = "".join(path.suffixes)
    text = FRAME.to_csv(index=False)
    records = json.loads(FRAME.to_json(orient="records"))
    table = pa.Table.from_pandas(FRAME, preserve_index=False)
    if suffix == ".parquet":
        pq.write_table(table, path)
    elif suffix == ".feather":
        FRAME.to_feather(path)
    elif suffix == ".arrow":
        with pa.ipc.new_stream(str(path), table.schema) as stream:
            stream.write_table(table)
    elif suffix == ".xlsx":
        FRAME.to_excel(path, index=False)
    elif suffix == ".json":
        path.write_text(json.dumps(records))
    elif suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, records)) + "\n")
    elif suffix == ".csv.zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inner.csv", text)
    elif suffix == ".tsv":
        FRAME.to_csv(path, sep="\t", index=False)
    else:
        import bz2
        import lzma

        pack = {".csv.gz": gzip.compress, ".csv.bz2": bz2.compress, ".csv.xz": lzma.compress}
        pack[".csv.zst"] = lambda data: pa.compress(data, "zstd", asbytes=True)
        path.write_bytes(pack[suffix](text.encode()))


@pytest.mark.parametrize(
    "name",
    ["t.parquet", "t.feather", "t.arrow", "t.xlsx", "t.json", "t.jsonl", "t.csv.zip", "t.tsv", "t.csv.gz", "t.csv.bz2",
     "t.csv.xz", "t.csv.zst"],
)  # fmt: skip
def test_file_formats(tmp_path, name):
    write(tmp_path / name)
    check(read_table(tmp_path / name))
    check(read_table(str(tmp_path / name)))


def test_a_directory_of_parquet_files_and_stored_indexes(tmp_path):
    FRAME.set_index(pd.Index([7, 8, 9])).to_parquet(tmp_path / "part.parquet")
    check(read_table(tmp_path))
    check(read_table((tmp_path / "part.parquet").as_uri()))


def test_json_of_other_shapes(tmp_path):
    shapes = [{"data": [{"a": 1}, {"a": 2}], "n": [1]}, {"a": [1, 2]}, [[1], [2]]]
    for k, shape in enumerate(shapes):
        (tmp_path / f"{k}.json").write_text(json.dumps(shape))
        assert read_table(tmp_path / f"{k}.json").iloc[:, 0].tolist() == [1, 2]
    (tmp_path / "l.json").write_text('{"a": 1}\n{"a": 2}\n')
    assert read_table(tmp_path / "l.json")["a"].tolist() == [1, 2]


OBJECTS = {
    "pandas": lambda: FRAME.set_index(pd.Index([5, 5, 6])),
    "polars": lambda: pl.from_pandas(FRAME),
    "lazy": lambda: pl.from_pandas(FRAME).lazy(),
    "arrow": lambda: pa.Table.from_pandas(FRAME),
    "dict": lambda: FRAME.to_dict("list"),
    "tuples": lambda: {k: tuple(v) for k, v in FRAME.to_dict("list").items()},
    "records": lambda: FRAME.to_dict("records"),
    "structured": lambda: FRAME.to_records(index=False),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_objects(name):
    check(read_table(OBJECTS[name]()))


def test_objects_without_names():
    for source in (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]], [(1, 2), (3, 4)]):
        assert read_table(source).to_dict("list") == {"column_1": [1, 3], "column_2": [2, 4]}
    assert read_table(pd.Series([1, 2], name="s")).to_dict("list") == {"s": [1, 2]}
    assert read_table({"a": 1, "b": "x"}).to_dict("list") == {"a": [1], "b": ["x"]}
    assert read_table(np.array([[1, "x"]], dtype=object))["column_1"].dtype == np.int64


def test_the_callers_frame_stays_as_it_was():
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"], index=[9])
    read_table(frame)
    assert list(frame.columns) == ["a", "a"]
    assert list(frame.index) == [9]


def test_names_are_mended_and_told(tmp_path):
    (tmp_path / "n.csv").write_text("x,,x,x.2,\n1,2,3,4,5\n")
    frame = read_table(tmp_path / "n.csv")
    assert list(frame.columns) == ["x", "column_2", "x.3", "x.2", "column_5"]
    notes = frame.attrs[NOTES]
    assert len(notes) == 3
    assert "Column 3 has the same name as another, 'x', and is called 'x.3'." in notes
    assert clean_names([1, None, ("a", "b"), "Unnamed: 0"])[0] == ["1", "column_2", "a_b", "column_4"]


def test_names_of_very_wide_tables():
    names = clean_names([*(f"c{k}" for k in range(20_000)), *["twice"] * 20_000, "twice.3"])[0]
    assert len(set(names)) == 40_001 and names[20_000:20_003] == ["twice", "twice.2", "twice.4"]


def test_numbers_in_place_of_a_header_are_told(tmp_path):
    (tmp_path / "n.csv").write_text("1,2\n3,4\n")
    assert "add a header" in read_table(tmp_path / "n.csv").attrs[NOTES][0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.csv", b"", "is empty"), ("b.csv", b"\n\n", "is empty"), ("h.csv", b"a,b\n", "has column names but no rows"),
        ("r.csv", b"a,b\n1,2\n1,2,3\n", "is not an even table: Expected 2 fields"),
        ("i.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x01\x02\x03\x04\x05\x06\x07" * 9, "is not text"),
        ("p.parquet", b"nonsense", "can't be read as Parquet"), ("x.xlsx", b"nonsense", "can't be read as .xlsx"),
        ("z.csv.gz", b"nonsense", "can't be read as gzip"), ("z.zip", b"nonsense", "can't be read as zip"),
        ("j.json", b"{nonsense", "can't be read as .json"), ("j.jsonl", b'{"a": 1}\n{]\n', "line 2 is not JSON"),
        ("j.jsonl", b"[1]\n", "line 1 is not a JSON object"), ("u.sav", b"abc", "unknown suffix '.sav'"),
        ("s.json", b"[1, 2]", "holds neither rows (lists) nor records (dicts)"),
    ],
)  # fmt: skip
def test_files_without_a_table(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        read_table(tmp_path / name)
    assert message in str(error.value)


def test_a_zip_of_several_files(tmp_path):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", "a\n1\n")
        archive.writestr("b.csv", "a\n1\n")
    with pytest.raises(DataError, match="holds 2 files"):
        read_table(tmp_path / "two.zip")


def test_files_that_are_not_there(tmp_path):
    (tmp_path / "train.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match=r"there is no file .*trian\.csv.*train\.csv"):
        read_table(tmp_path / "trian.csv")
    with pytest.raises(DataError, match=r"the directory .* does not exist either"):
        read_table(tmp_path / "no" / "x.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="there are no files in"):
        read_table(tmp_path / "empty")
    with pytest.raises(DataError, match="s3:// need s3fs"):
        read_table("s3://bucket/x.csv")
    with pytest.raises(DataError, match="nope:// can't be read"):
        read_table("nope://bucket/x.csv")
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:9/x\.csv can't be read"):
        read_table("http://127.0.0.1:9/x.csv")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros(3), "has 1 dimensions"), ([[1, 2], [3]], "between 1 and 2 values"), ([1, 2], "neither rows"),
        ({"a": [1], "b": [1, 2]}, "different numbers of rows ('a': 1, 'b': 2)"), (42, "a int is not a table"),
        (pd.DataFrame(), "has no columns"), ({"a": []}, "has column names but no rows"),
    ],
)  # fmt: skip
def test_objects_that_are_no_tables(source, message):
    with pytest.raises(DataError) as error:
        read_table(source)
    assert message in str(error.value)


def test_a_polars_name_with_a_null_character_is_refused():
    with pytest.raises(DataError, match=r"null character.*rename the column"):
        read_table(pl.DataFrame({"a\0b": [1, 2]}))


def test_rows_with_names_as_r_writes_them(tmp_path):
    (tmp_path / "r.tsv").write_text('a\tb\n"1"\t10\t20\n"2"\t30\t40\n"3"\t5\t6\n')
    frame = read_table(tmp_path / "r.tsv")
    assert frame["a"].tolist() == [10, 30, 5] and frame["b"].tolist() == [20, 40, 6] and frame.shape == (3, 3)
    (tmp_path / "w.csv").write_text("a,b\n1,2,3\n4,5\n6,7\n")
    with pytest.raises(DataError, match="has 3 fields, and the header 2"):
        read_table(tmp_path / "w.csv")
    (tmp_path / "blank.csv").write_text("\na,b\n1,2\n3\n")
    assert read_table(tmp_path / "blank.csv").columns.tolist() == ["a", "b"]


def test_thousands_are_no_decimals(tmp_path):
    (tmp_path / "t.tsv").write_text("city\tpop\nA\t999\nB\t1,000\nC\t12,345\n")
    frame = read_table(tmp_path / "t.tsv")
    column = infer_schema(frame, None, Task.REGRESSION).columns[1]
    assert column.numbers(frame["pop"]).tolist() == [999.0, 1000.0, 12345.0]
    frame = pd.DataFrame({"x": ["0,125", "0,250", "0,500"] * 10})
    column = infer_schema(frame, None, Task.REGRESSION).columns[0]
    assert column.kind is not Kind.NUMERIC or column.numbers(frame["x"])[0] == 0.125


def test_times_of_day_are_spelt_alike_wherever_they_come_from(tmp_path):
    (tmp_path / "t.csv").write_text("t,y\n09:30,1\n12:30,2\n")
    assert read_table(tmp_path / "t.csv")["t"].tolist() == ["09:30", "12:30"]
    times = pa.table({"t": pa.array([time(9, 30), time(12, 30)], pa.time64("us"))})
    assert read_table(times)["t"].tolist() == ["09:30:00", "12:30:00"]


def test_json_lines_keep_other_separators_of_lines(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"t":"a\\u2028b"}\n{"t":"c\u2028d"}\n', "utf-8")
    assert read_table(tmp_path / "t.jsonl")["t"].tolist() == ["a\u2028b", "c\u2028d"]


def test_excel_keeps_the_word_none(tmp_path):
    pd.DataFrame({"sleep": ["None", "Apnea", "", "NA"]}).to_excel(tmp_path / "t.xlsx", index=False)
    assert read_table(tmp_path / "t.xlsx")["sleep"].fillna("-").tolist()[:2] == ["None", "Apnea"]


def test_a_file_that_asks_for_too_much_memory_is_named(tmp_path, monkeypatch):
    def too_large(*_given, **_options):
        raise pa.ArrowMemoryError("malloc of size 9223372036854775807 failed")

    path = tmp_path / "odd.feather"
    pd.DataFrame({"a": [1.0]}).to_feather(path)
    monkeypatch.setattr(feather, "read_table", too_large)
    with pytest.raises(DataError, match=r"'.*odd\.feather' needs more memory than there is, or is damaged"):
        read_table(path)
