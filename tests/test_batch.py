"""Batch scoring: what a stream gives is what the whole table gives, in order, and interruptions lose nothing."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from tabwright import batch
from tabwright.data import stream
from tabwright.data.delimited import ReadOptions
from tabwright.data.readers import read_table
from tabwright.errors import ColumnError, DataError, OptionError
from tabwright.runtime import load_model
from tabwright.schema import Column, Schema
from tabwright.types import Kind, Task

COLUMNS = (
    Column("x", Kind.NUMERIC, dtype="float64"), Column("n", Kind.INTEGER, dtype="int64"),
    Column("flag", Kind.BOOLEAN, dtype="bool"), Column("when", Kind.DATETIME, datetime_format="iso", dtype="str"),
    Column("price", Kind.NUMERIC, dtype="str", number_style="1,234.5", number_affixes="$"),
    Column("zone", Kind.CATEGORICAL, dtype="int64", values=("1", "2")),
    Column("text", Kind.TEXT, dtype="str"),
)  # fmt: skip
SCHEMA = Schema(COLUMNS, "y", Task.REGRESSION)
BINARY = Schema(COLUMNS, "y", Task.BINARY, (0, 1), "int64")
N = 5000


def table(n=N):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "x": rng.normal(size=n), "ignored": "?", "n": rng.integers(0, 9, n).astype(float), "flag": rng.random(n) < 0.5,
        "when": np.datetime_as_string(np.datetime64("1970-01-01", "s") + rng.integers(0, 9999, n)),
        "price": [f"${v:,.2f}" for v in rng.uniform(0, 9999, n)], "zone": rng.integers(1, 4, n),
        "text": [("a, b", "c\nd", 'say "e"', "é")[k] for k in rng.integers(0, 4, n)],
    })  # fmt: skip
    for name in ("x", "n", "when", "text"):
        frame.loc[rng.random(n) < 0.1, name] = None
    return frame


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks small enough that a small table has many."""
    for module in (stream, batch):
        monkeypatch.setattr(module, "BLOCK_BYTES", 1 << 16)
        monkeypatch.setattr(module, "BLOCK_ROWS", 700)


def written(frame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path, row_group_size=900)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        kind = path.stem.split("_")[-1]
        options = {"comma": {"sep": ";", "decimal": ","}, "utf16": {"encoding": "utf-16"}, "tabs": {"sep": "\t"}}
        frame.to_csv(path, index=False, **options.get(kind, {}))
    return path


FILES = ("t.csv", "t.parquet", "t.csv.gz", "t_comma.csv", "t_utf16.csv", "t_tabs.tsv", "t.jsonl")


@pytest.mark.usefixtures("small_blocks")
def test_folders_and_globs_are_scored_in_order(write_model, tmp_path):
    model, frame, folder = write_model(SCHEMA), table(), tmp_path / "parts"
    folder.mkdir()
    for k in range(3):
        written(frame.iloc[k::3], folder / f"p{k}.csv")
    expected = load_model(model).predict(pd.concat([frame.iloc[k::3] for k in range(3)]))
    for source in (folder, f"{folder}/p*.csv"):
        assert batch.predict_file(model, source, tmp_path / "out.csv", 1, progress=False) == N
        np.testing.assert_allclose(pd.read_csv(tmp_path / "out.csv")["prediction"], expected, rtol=1e-15)
    with pytest.raises(DataError, match="no files"):
        batch.predict_file(model, f"{folder}/q*.csv", tmp_path / "out.csv", 1, progress=False)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.usefixtures("small_blocks")
def test_a_stream_is_scored_as_the_whole(name, write_model, tmp_path):
    model, source = write_model(SCHEMA), written(table(), tmp_path / name)
    assert batch.predict_file(model, source, tmp_path / "out.csv", 1, progress=False) == N
    found = pd.read_csv(tmp_path / "out.csv")["prediction"]
    np.testing.assert_allclose(found, load_model(model).predict(read_table(source)), rtol=1e-15)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.usefixtures("small_blocks")
def test_processes_keep_the_order(write_model, tmp_path):
    model = write_model(BINARY)
    for name in ("t.csv", "t.parquet"):
        source = written(table(), tmp_path / name)
        for out in ("out.csv", "out.parquet"):
            assert batch.predict_file(model, source, tmp_path / out, 2, progress=True) == N
            found = (pd.read_csv if out.endswith("csv") else pd.read_parquet)(tmp_path / out)
            assert list(found) == ["prediction", "p_0", "p_1"]
            np.testing.assert_allclose(found["p_1"], load_model(model).predict_proba(read_table(source))[:, 1])
            np.testing.assert_array_equal(found["prediction"], load_model(model).predict(read_table(source)))


@pytest.mark.usefixtures("small_blocks")
def test_parts_that_are_there_are_not_scored_again(write_model, tmp_path, monkeypatch):
    model, source, out = write_model(SCHEMA), written(table(), tmp_path / "t.csv"), tmp_path / "out.csv"
    done = []
    write = batch._write_part

    def failing(loaded, block, path, *rest):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(path)
        write(loaded, block, path, *rest)

    monkeypatch.setattr(batch, "_write_part", failing)
    with pytest.raises(KeyboardInterrupt):
        batch.predict_file(model, source, out, 1, progress=False)
    assert not out.exists()
    first = list(done)
    done.clear()
    monkeypatch.setattr(batch, "_write_part", lambda *a: (done.append(a[2]), write(*a)))
    assert batch.predict_file(model, source, out, 1, progress=False) == N
    assert not set(first) & set(done) and len(done) > 1
    np.testing.assert_allclose(pd.read_csv(out)["prediction"], load_model(model).predict(read_table(source)))
    # another input under the same name: parts of the old one are of no use
    written(table(800), source)
    assert batch.predict_file(model, source, out, 1, progress=False) == 800


def test_the_command_killed_and_run_again(make_model, tmp_path):
    model = tmp_path / "model.onnx"
    model.write_bytes(make_model(SCHEMA))
    source = tmp_path / "t.csv"
    big = pd.concat([table(20_000)] * 10)
    big.to_csv(source, index=False)
    out = tmp_path / "out.csv"
    command = [sys.executable, "-m", "tabwright.cli.main", "predict", str(model), str(source), "--out", str(out),
               "--workers", "2"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    parts = tmp_path / ".out.csv.parts"
    while not any(parts.glob("0*.csv")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = {p.name: p.stat().st_mtime_ns for p in parts.glob("0*.csv")}
    assert kept and not out.exists()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "200000 predictions" in done.stdout
    expected = load_model(model).predict(read_table(source))
    np.testing.assert_allclose(pd.read_csv(out)["prediction"], expected)
    assert not parts.exists()


FAULTS = [
    ("x", "abc", ColumnError, r"first 'abc' in row 4000"), ("when", "soon", ColumnError, r"'soon' in row 4000"),
]  # fmt: skip


@pytest.mark.parametrize(("column", "value", "error", "message"), FAULTS)
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("small_blocks")
def test_faults_name_the_row_of_the_file(column, value, error, message, workers, write_model, tmp_path):
    frame = table().astype({column: object})
    frame.loc[4000, column] = value
    source = written(frame, tmp_path / "t.csv")
    with pytest.raises(error, match=message):
        batch.predict_file(write_model(SCHEMA), source, tmp_path / "out.csv", workers, progress=False)
    assert not (tmp_path / "out.csv").exists()


def test_careless_files(write_model, tmp_path):
    model = write_model(SCHEMA)

    def predict(source, out="out.csv"):
        batch.predict_file(model, tmp_path / source, tmp_path / out, 1, progress=False)

    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "ragged.csv").write_text("x,n,flag,when,price,zone,text\n1,2\n")
    (tmp_path / "bad.parquet").write_text("x")
    (tmp_path / "other.csv").write_text("x,y\n1,2\n")
    for source, message in (("empty.csv", "is empty"), ("ragged.csv", "not an even table"), ("none.csv", "no file"),
                            ("bad.parquet", "as Parquet"), ("other.csv", "lacks 6 columns")):  # fmt: skip
        with pytest.raises(DataError, match=message):
            predict(source)
    for out in ("out.txt", "no/out.csv"):
        with pytest.raises(OptionError, match="--out"):
            predict("other.csv", out)
    (tmp_path / "folder").mkdir()
    for source, out, message in (("other.csv", "other.csv", "which is read"), ("*.csv", "more.csv", "which is read"),
                                 ("folder", "folder/p.csv", "inside the folder")):  # fmt: skip
        with pytest.raises(OptionError, match=rf"--out is .*{out}', {message}"):
            predict(source, out)
    assert (tmp_path / "other.csv").read_text() == "x,y\n1,2\n"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
@pytest.mark.parametrize("out", ["out.parquet", "out.csv"])
def test_a_table_without_rows_gives_one_without_rows(name, out, write_model, tmp_path):
    model, source = write_model(BINARY), written(table(10)[:0], tmp_path / name)
    assert batch.predict_file(model, source, tmp_path / out, 1, progress=False) == 0
    found = (pd.read_csv if out.endswith("csv") else pd.read_parquet)(tmp_path / out)
    assert list(found) == ["prediction", "p_0", "p_1"] and len(found) == 0


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("small_blocks")
def test_words_for_missing_values_hold_in_every_form(workers, write_model, tmp_path):
    frame = table().astype({"x": object})
    frame["x"] = frame["x"].map(lambda v: str(v) if v == v else "unknown")  # noqa: PLR0124
    options = ReadOptions(null_values=("unknown",))
    for name in ("t.csv", "t.parquet"):
        source, out = written(frame, tmp_path / name), tmp_path / "out.csv"
        assert batch.predict_file(write_model(SCHEMA), source, out, workers, progress=False, options=options) == N
        np.testing.assert_allclose(pd.read_csv(out)["prediction"], load_model(write_model(SCHEMA)).predict(table()))
