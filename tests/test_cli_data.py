"""Commands on tables: parse, describe, split, join, append, and fit with a set-up."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tabwright.cli.main import main


@pytest.fixture
def text(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    made = pd.DataFrame({"x": x, "code": rng.integers(1, 4, 400), "y": 2 * x + rng.normal(size=400) * 0.1})
    path = tmp_path / "t.csv"
    made.astype(str).replace({"code": {"3": "?"}}).to_csv(path, sep="|", index=False)
    return path


def test_parse_writes_the_table_as_told(text, tmp_path, capsys):
    out = tmp_path / "t.parquet"
    assert main(["parse", str(text), "--delimiter", "|", "--null-value", "?", "--out", str(out)]) == 0
    made = pd.read_parquet(out)
    assert list(made.columns) == ["x", "code", "y"] and made["code"].isna().sum() > 50
    assert "400 rows and 3 columns" in capsys.readouterr().out


def test_parse_without_a_header(text, tmp_path):
    out = tmp_path / "t.parquet"
    assert main(["parse", str(text), "--no-header", "--out", str(out)]) == 0
    assert list(pd.read_parquet(out).columns) == ["column_1", "column_2", "column_3"]
    assert len(pd.read_parquet(out)) == 401


def test_describe_tells_columns_and_what_stands_out(text, capsys):
    assert main(["describe", str(text), "--null-value", "?", "--target", "y", "--kind", "code=categorical",
                 "--against", str(text)]) == 0  # fmt: skip
    told = capsys.readouterr().out
    assert "400 rows, 3 columns" in told and "categorical" in told and "shift of 'x': 0.000" in told
    assert main(["describe", str(text), "--target", "y", "--json"]) == 0
    assert {c["name"] for c in json.loads(capsys.readouterr().out)["columns"]} == {"x", "code", "y"}


def test_split_writes_two_files(text, tmp_path, capsys):
    outs = [str(tmp_path / "a.parquet"), str(tmp_path / "b.csv")]
    assert main(["split", str(text), "--test-share", "0.25", "--target", "y", "--out", *outs]) == 0
    assert len(pd.read_parquet(outs[0])) == 300 and len(pd.read_csv(outs[1])) == 100
    assert "100 rows in" in capsys.readouterr().out


def test_join_and_append_write_a_file(text, tmp_path, capsys):
    codes, out = tmp_path / "codes.csv", tmp_path / "joined.parquet"
    pd.DataFrame({"number": [1, 2, 5], "word": ["one", "two", "five"]}).to_csv(codes, index=False)
    main(["parse", str(text), "--delimiter", "|", "--null-value", "?", "--out", str(tmp_path / "t.parquet")])
    table = str(tmp_path / "t.parquet")
    keys = ["--on", "code", "--right-on", "number", "--how", "left"]
    assert main(["join", table, str(codes), *keys, "--out", str(out)]) == 0
    made = pd.read_parquet(out)
    assert len(made) == 400 and list(made.columns) == ["x", "code", "y", "word"]
    assert made["word"].isna().equals(made["code"].isna())
    assert main(["append", table, str(codes), "--fill", "--out", str(out)]) == 0
    assert pd.read_parquet(out).shape == (403, 5)
    assert main(["append", table, table, "--by", "columns", "--out", str(out)]) == 0
    assert list(pd.read_parquet(out).columns) == ["x", "code", "y", "x.2", "code.2", "y.2"]
    capsys.readouterr()
    assert main(["append", table, str(codes), "--out", str(out)]) == 2
    assert f"Column 'x' is in {table} and not in {codes}" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "told"), [
    (("describe", "{t}", "--kind", "code"), "--kind"), (("describe", "{t}", "--target", "nope"), "no column 'nope'"),
    (("split", "{t}", "--test-share", "2", "--out", "a.csv", "b.csv"), "test_share"),
    (("join", "{t}", "{t}", "--on", "z", "--out", "a.csv"), "'z' is not in"),
    (("join", "{t}", "{t}", "--on", "code", "--max-rows", "500", "--out", "a.csv"), "rows, of 400 and 400"),
    (("parse", "{t}", "--out", "a.txt"), "--out"), (("ui", "--host", "0.0.0.0"), "--token"),
    (("parse", "{t}", "--delimiter", "ab", "--out", "a.csv"), "delimiter"), (("ui", "--token", "short"), "--token"),
    (("ui", "--port", "99999"), "--port"),
])  # fmt: skip
def test_faults_are_one_sentence(text, capsys, arguments, told):
    assert main([a.format(t=text) for a in arguments]) == 2
    error = capsys.readouterr().err
    assert told in error and "Traceback" not in error


def test_fit_takes_kinds_and_a_set_up(text, tmp_path, capsys):
    run = tmp_path / "run"
    code = main(["fit", str(text), "--target", "y", "--null-value", "?", "--kind", "code=categorical",
                 "--max-runtime-secs", "30", "--max-models", "1", "--include-families", "linear", "--quiet",
                 "--out", str(run)])  # fmt: skip
    assert code == 0
    schema = json.loads((run / "schema.json").read_text())
    code = next(c for c in schema["columns"] if c["name"] == "code")
    assert code["kind"] == "categorical" and code["missing_share"] > 0.1
    assert "linear_1" in capsys.readouterr().out
