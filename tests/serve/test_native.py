"""tabwright's own routes over a real server: every form of body, and answers that agree with the runtime."""

from __future__ import annotations

import csv
import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from serving import PROBABILITIES, ROW, ROWS, SUMS

from tabwright import load_model
from tabwright.data.readers import read_table
from tabwright.schema import Column, Schema
from tabwright.serve.bodies import _read_csv
from tabwright.serve.protocols.native import _outcome
from tabwright.types import Kind, Task

COLUMNS = {name: [row[name] for row in ROWS] for name in ROW}
ORDER = list(ROW)
FRAME = pd.DataFrame({
    "x": [1.5, None, -3.25], "n": [2, 0, 1], "flag": pd.array([True, False, None], "boolean"),
    "when": pd.to_datetime(["1970-01-01T00:00:10", None, "1970-01-01T00:00:01"]), "c": ["a", None, "never seen"],
    "t": ["text", "", "é 漢"],
})  # fmt: skip


def parquet(frame=FRAME):
    sink = io.BytesIO()
    frame.to_parquet(sink)
    return sink.getvalue()


def polars_parquet():
    sink = io.BytesIO()
    pl.from_pandas(FRAME).write_parquet(sink)
    return sink.getvalue()


def arrow(form):
    sink, table = io.BytesIO(), pa.Table.from_pandas(FRAME)
    with (pa.ipc.new_stream if form == "stream" else pa.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


@pytest.mark.parametrize("body", [
    ROWS, {"rows": ROWS}, COLUMNS, {"columns": COLUMNS}, [[row[n] for n in ORDER] for row in ROWS],
    {"columns": ORDER, "data": [[row[n] for n in ORDER] for row in ROWS]},
    [row | {"unknown": 1} for row in ROWS],
], ids=["rows", "named rows", "columns", "named columns", "arrays", "split", "extra"])  # fmt: skip
def test_json(server, body):
    answer = server.post("/models/sum/predict", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == SUMS
    assert len(set(answer.json()["ids"])) == 3
    assert answer.headers["x-model"] == "sum/1"


def test_one_row_and_classes(server):
    for body in (ROW, [ROW]):
        answer = server.post("/predict", json=body).json()
        assert (answer["model"], answer["version"], answer["predictions"]) == ("fraud", "1", ["yes"])
        assert answer["classes"] == ["no", "yes"]
        np.testing.assert_allclose(answer["probabilities"], [[1 - PROBABILITIES[0], PROBABILITIES[0]]], atol=1e-12)
    answer = server.post("/models/fraud/versions/1/predict", json=ROWS).json()
    assert answer["predictions"] == ["yes", "yes", "no"]


@pytest.mark.parametrize(("form", "body"), [
    ("application/vnd.apache.parquet", parquet()), ("application/vnd.apache.arrow.stream", arrow("stream")),
    ("application/vnd.apache.arrow.file", arrow("file")),
    ("application/vnd.apache.parquet", polars_parquet()),
    ("text/csv; charset=utf-8", FRAME.to_csv(index=False).encode()),
    ("application/jsonlines", FRAME.to_json(orient="records", lines=True, date_format="iso").encode()),
], ids=["parquet", "arrow stream", "arrow file", "polars parquet", "csv", "json lines"])  # fmt: skip
def test_tables(server, form, body):
    answer = server.post("/models/sum/predict", content=body,
                         headers={"content-type": form, "accept": "application/json"})  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == SUMS


def test_a_csv_with_more_columns_that_are_not_the_models_has_a_header(server):
    sent = FRAME.assign(**{f"other{k}": k for k in range(12)}).to_csv(index=False)
    headers = {"content-type": "text/csv", "accept": "application/json"}
    assert server.post("/models/sum/predict", content=sent, headers=headers).json().get("predictions") == SUMS


@pytest.mark.parametrize("names", [
    {}, {n: f" {n}" for n in ROW}, {n: f"{n} " for n in ROW}, {"flag": " flag"}], ids=str)
def test_spaces_around_a_csvs_names_do_not_matter(server, names):
    sent = FRAME.rename(columns=names).to_csv(index=False)
    headers = {"content-type": "text/csv", "accept": "application/json"}
    assert server.post("/models/sum/predict", content=sent, headers=headers).json().get("predictions") == SUMS


def test_a_csvs_names_are_those_of_training(make_model, tmp_path):
    """Names with spaces, those that repeat and that are empty are read as a file that is trained on."""
    data = b"a, b,b,b,\n1,2,3,4,5\n"
    (tmp_path / "t.csv").write_bytes(data)
    columns = [str(c) for c in read_table(tmp_path / "t.csv").columns]
    schema = Schema(tuple(Column(name, Kind.NUMERIC, example=1.0) for name in columns), "y", Task.REGRESSION)
    (tmp_path / "m.onnx").write_bytes(make_model(schema))
    served = SimpleNamespace(model=load_model(tmp_path / "m.onnx"))
    numbers = _read_csv(data, served, 10)["numbers"]
    assert numbers.tolist() == [[1.0, 2.0, 3.0, 4.0, 5.0]] and " b" in columns


def test_csv_answers_in_csv(server):
    body = FRAME.to_csv(index=False)
    answer = server.post("/models/fraud/predict", content=body, headers={"content-type": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["prediction"] for row in rows] == ["yes", "yes", "no"]
    np.testing.assert_allclose([float(row["p_yes"]) for row in rows], PROBABILITIES, atol=1e-12)
    assert len(rows[0]["id"]) == 48


def test_long_tables(server):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=30_000), "n": 1, "flag": True, "when": None, "c": "a", "t": "w"})
    answer = server.post("/models/sum/predict", content=parquet(frame),
                         headers={"content-type": "application/x-parquet"})  # fmt: skip
    np.testing.assert_allclose(answer.json()["predictions"], frame["x"] + 2, atol=1e-12)


def test_a_parquet_bomb_is_stopped(server):
    table = pa.table({name: pa.array([None] * 200_000, pa.string()) for name in ROW})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    assert len(sink.getvalue()) < 100_000
    answer = server.post("/models/sum/predict", content=sink.getvalue(),
                         headers={"content-type": "application/x-parquet"})  # fmt: skip
    assert answer.status_code == 413
    assert "this server takes 100000" in answer.json()["error"]


def test_models_are_listed(server, models):
    listed = server.get("/models").json()["models"]
    assert [m["name"] for m in listed] == ["fraud", "sum"]
    assert [c["name"] for c in listed[0]["columns"]] == ORDER
    assert str(models) not in server.get("/models").text


WRONG = [
    ([ROW, ROW | {"x": "abc"}], 422, "x", 1, "'x' has 1 of 2 values that are not numbers, first 'abc' in row 1"),
    (ROW | {"flag": "maybe"}, 422, "flag", 0, "not true or false"),
    (ROW | {"when": "soon"}, 422, "when", 0, "not dates"),
    (ROW | {"c": ["a"]}, 422, "c", 0, "holds a list in row 0"),
    ([ROW, {k: v for k, v in ROW.items() if k != "n"}], 422, "n", 1, "row 1 lacks the column 'n'"),
    ({k: v for k, v in ROW.items() if k != "n"}, 422, None, None, "lacks 1 column that the model was trained on: 'n'"),
    ([], 422, None, None, "holds no rows"), (42, 422, None, None, "is a int, not rows"),
    ([ROW, 3], 422, None, 1, "row 1 is no row like the others"), ([[1], [1, 2]], 422, None, 1, "row 1 has 2 values"),
    ([[1, 2]], 422, None, None, "have 2 values and the model was trained on 7 (or 6, those it uses) columns"),
    ({"columns": COLUMNS | {"x": [1.0]}}, 422, None, None, "different numbers of rows"),
    ({"columns": ORDER, "data": [[1, 2]]}, 422, None, 0, "row 0 has 2 values and there are 6 columns"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "column", "row", "message"), WRONG)
def test_faults_are_named(server, body, status, column, row, message):
    answer = server.post("/models/sum/predict", json=body)
    assert answer.status_code == status
    told = answer.json()
    assert message in told["error"]
    assert "Fix: " in told["error"]
    assert (told.get("column"), told.get("row")) == (column, row)


@pytest.mark.parametrize(("body", "status", "message"), [
    (b'[{"x": 1}, {"x": NaN}]', 422, "column 'x' holds NaN or an infinity in row 1, which JSON has no word for"),
    (b'{"columns": {"x": [1, NaN]}}', 422, "column 'x' holds NaN or an infinity in row 1"),
    (b'{"columns": ["x", "n"], "data": [[1, 2], [1, NaN]]}', 422, "column 'n' holds NaN or an infinity in row 1"),
    (b'{"x": -Infinity}', 422, "column 'x' holds NaN"), (b"{not json", 400, "is not JSON"), (b"", 400, "is not JSON"),
    (b"[" * 100_000, 400, "is not JSON"),
    (b'{"rows":' * 1000 + b"[]" + b"}" * 1000, 422, "no rows"), (b'{"x": "\xff"}', 400, "is not JSON"),
])  # fmt: skip
def test_what_is_no_json(server, body, status, message):
    answer = server.post("/models/sum/predict", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, message in answer.json()["error"]) == (status, True), answer.text


@pytest.mark.parametrize(("form", "body", "status"), [
    ("application/pdf", b"x", 415), ("text/csv", b"\xff\xfe", 400), ("text/csv", b"", 422),
    ("text/csv", b"x,n\n1,2", 422), ("text/csv", b"x,n,c\n", 422),
    ("application/x-parquet", b"PAR1 nonsense", 400), ("application/vnd.apache.arrow.stream", b"\0" * 64, 400),
    ("text/csv", b'"a', 400), ("application/x-parquet", b"", 400), ("application/jsonlines", b"", 422),
])  # fmt: skip
def test_other_broken_bodies(server, form, body, status):
    answer = server.post("/models/sum/predict", content=body, headers={"content-type": form})
    assert answer.status_code == status, answer.text
    assert answer.json()["fix"]


def test_unknown_paths_models_and_methods(server):
    assert server.post("/models/none/predict", json=ROW).status_code == 404
    assert server.post("/models/sum/versions/9/predict", json=ROW).json()["problem"] == "model 'sum' has no version '9'"
    assert server.get("/nothing").status_code == 404
    assert server.get("/predict").status_code == 405
    assert server.post("/models/..%2f..%2fetc/predict", json=ROW).status_code == 404


def test_reasons_of_each_row(server):
    """Of a sum, a column's reason is its value less the mean of the two rows that the file holds."""
    answer = server.post("/models/sum/predict?reasons=6", json=ROWS).json()
    assert answer["predictions"] == SUMS
    first = {r["column"]: (r["value"], r["contribution"]) for r in answer["reasons"][0]["reasons"]}
    expected = {"x": (1.5, 1.0), "n": (2, 1.0), "flag": (True, 1.0), "when": ("1970-01-01T00:00:10", 8.0),
                "c": ("a", -0.5), "t": ("text", 0.0)}  # fmt: skip
    assert first.keys() == expected.keys()
    for name, (value, contribution) in expected.items():
        assert first[name] == (value, pytest.approx(contribution))
    for row, total in zip(answer["reasons"], SUMS, strict=True):
        assert row["value"] == pytest.approx(total)
        assert row["base"] + sum(r["contribution"] for r in row["reasons"]) == pytest.approx(total)


def test_reasons_are_of_the_predicted_class_and_in_every_form(server):
    answer = server.post("/predict?reasons=1", json=ROW).json()
    assert answer["predictions"] == ["yes"] and [r["column"] for r in answer["reasons"][0]["reasons"]] == ["when"]
    assert answer["reasons"][0]["value"] == pytest.approx(PROBABILITIES[0])
    table = server.post("/models/sum/predict?reasons=2", json=ROWS, headers={"accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert rows[0]["reason_1"] == "when = 1970-01-01T00:00:10 (+8)" and len(rows) == 3
    assert "reasons" not in server.post("/predict", json=ROW).json()


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1.5", "101", "9" * 40, "²"])
def test_odd_numbers_of_reasons_are_refused(server, text):
    answer = server.post("/predict", params={"reasons": text}, json=ROW)
    assert answer.status_code == 422 and "from 1 to 100" in answer.json()["error"]


def test_reasons_are_for_few_rows(server):
    assert server.post("/models/sum/predict?reasons=1", json=[ROW] * 16).status_code == 200
    answer = server.post("/models/sum/predict?reasons=1", json=[ROW] * 17)
    assert answer.status_code == 413 and "tabwright predict --reasons" in answer.json()["error"]


@pytest.mark.parametrize(("outcome", "classes", "position"), [
    (1, [0.0, 1.0], 1.0),  # as a browser writes 1.0
    (1.0, [0, 1], 1.0),
    ("1", ["0", "1"], 1.0),
])  # fmt: skip
def test_an_outcome_is_read_as_the_class_that_it_names(outcome, classes, position):
    assert _outcome(outcome, {"classes": classes}, 0) == position


def test_empty_cells_of_a_row_are_no_names(make_model, tmp_path):
    """Reading a file would name the columns of an empty header so."""
    schema = Schema(tuple(Column(f"column_{k}", Kind.NUMERIC, example=1.0) for k in (1, 2, 3)), "y", Task.REGRESSION)
    (tmp_path / "m.onnx").write_bytes(make_model(schema))
    served = SimpleNamespace(model=load_model(tmp_path / "m.onnx"))
    for first in ([np.nan] * 3, [np.nan, np.nan, 5.0]):
        body = ",".join("" if np.isnan(v) else f"{v}" for v in first) + "\n1,2,3\n"
        np.testing.assert_array_equal(_read_csv(body.encode(), served, 10)["numbers"], [first, [1.0, 2.0, 3.0]])
