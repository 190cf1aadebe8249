"""Scoring of exported files, and their checksum."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading

import numpy as np
import onnx
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from onnx import helper

from tabwright import rows, runtime, seal
from tabwright.data.readers import read_table
from tabwright.errors import ColumnError, DataError, ModelFileError
from tabwright.runtime import load_model
from tabwright.schema import Column, Schema
from tabwright.types import Kind, Task

COLUMNS = (
    Column("x", Kind.NUMERIC), Column("id", Kind.IDENTIFIER, used=False),
    Column("flag", Kind.BOOLEAN, values=("no", "yes")), Column("when", Kind.DATETIME, datetime_format="iso"),
    Column("c", Kind.CATEGORICAL, values=("a", "b")), Column("t", Kind.TEXT),
)  # fmt: skip
SCHEMA = Schema(COLUMNS, "y", Task.REGRESSION)
ROWS = [
    {"x": 1.5, "flag": True, "when": "1970-01-01T00:00:10", "c": "a", "t": "some text"},
    {"x": None, "flag": "no", "when": None, "c": None, "t": " "},
    {"x": "2.25", "flag": 1, "when": "1970-01-02", "c": " NA", "t": "é"},
    {"x": -3, "flag": None, "when": "", "c": "never seen", "t": float("nan")},
]
EXPECTED = [1.5 + 1 + 10, 2.0, 2.25 + 1 + 86400 + 1, -3 + 1.0]


@pytest.fixture
def model(write_model):
    return load_model(write_model(SCHEMA))


def by_column(rows=ROWS):
    return {name: [row[name] for row in rows] for name in rows[0]}


def frame(rows=ROWS):
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in by_column(rows).items()})


def test_facts(model, tmp_path):
    assert model.schema == SCHEMA
    assert model.metrics == {"rmse": 1.5}
    assert model.metadata["target"] == "y"
    assert model.classes_ is None
    assert model.path == tmp_path / "model.onnx"
    assert len(model.sha256) == 64
    assert repr(model) == "<tabwright model of 'y' (regression), 5 columns>"


@pytest.mark.parametrize("k", range(len(ROWS)))
def test_one_row_of_any_form(model, k):
    row, values = ROWS[k], [ROWS[k][n] for n in ("x", "flag", "when", "c", "t")]
    every = [values[0], "ignored", *values[1:]]
    array = np.empty((1, 5), object)
    array[0] = values
    forms = [row, row | {"extra": [1]}, [row], [values], [every], array, frame([row]), by_column([row]),
             frame([row])[["t", "c", "when", "flag", "x"]]]  # fmt: skip
    for form in forms:
        assert model.predict(form).tolist() == [EXPECTED[k]]


TYPED = {
    "x": [1.5, None, 2.25, -3.0], "flag": [True, False, True, None], "c": ["a", None, "NA", "never seen"],
    "when": pd.to_datetime(["1970-01-01T00:00:10", None, "1970-01-02T00:00:00", None]),
    "t": ["some text", "", "é", None],
}  # fmt: skip


def test_tables_of_any_form(model):
    typed = pd.DataFrame(TYPED)
    forms = [
        ROWS, by_column(), frame(), frame().to_numpy(), typed, pl.from_pandas(typed), pa.Table.from_pandas(typed),
        pl.from_pandas(typed).to_dict(as_series=True), typed.assign(when=typed["when"].dt.tz_localize("UTC"), extra=0),
        [list(row.values()) for row in ROWS], typed.assign(c=typed["c"].astype("category")), {**typed},
    ]  # fmt: skip
    for form in forms:
        np.testing.assert_array_equal(model.predict(form), EXPECTED)
    for k in range(4):  # one row of a typed frame is scored as it is among others
        assert model.predict(typed.iloc[[k]]).tolist() == [EXPECTED[k]]


def test_numbers_alone_and_strings_alone(write_model):
    columns = (Column("0", Kind.NUMERIC), Column("1", Kind.INTEGER))
    numbers = load_model(write_model(Schema(columns, "y", Task.REGRESSION)))
    whole = [[1, 2], [3, 0]]
    for values in (np.array([[1.0, 2.0], [3.0, np.inf]]), np.array(whole, np.float32), pd.DataFrame(whole)):
        assert numbers.predict(values).tolist() == [3.0, 3.0]
        assert numbers.predict(values[:1]).tolist() == [3.0]
    assert numbers.predict([[float("inf"), 1]]).tolist() == [1.0]
    structured = np.array([(1.0, 2)], dtype=[("0", "f8"), ("1", "i8")])
    assert numbers.predict(structured).tolist() == [3.0]
    strings = load_model(write_model(Schema((Column("a", Kind.TEXT),), "y", Task.REGRESSION)))
    assert strings.predict({"a": ["", "b"]}).tolist() == [1.0, 0.0]
    assert strings.predict({"a": "b"}).tolist() == [0.0]


@pytest.mark.parametrize(
    ("classes", "dtype"),
    [((False, True), "bool"), ((3, 7), "int64"), ((3, 7), "uint8"), (("no", "yes"), "str"), ((0.5, 1.5), "float64")],
)
def test_classes_come_back_in_the_users_type(write_model, classes, dtype):
    schema = Schema((Column("x", Kind.NUMERIC),), "y", Task.BINARY, classes, dtype)
    model = load_model(write_model(schema))
    for values in ([1.0, -1.0], [-2.0], [5.0]):
        labels, proba = model.predict({"x": values}), model.predict_proba({"x": values})
        assert labels.dtype == (object if dtype == "str" else dtype)
        assert labels.tolist() == [classes[v > 0] for v in values]
        assert proba.shape == (len(values), 2)
        np.testing.assert_allclose(proba[:, 1], 1 / (1 + np.exp(-np.array(values))))
    assert model.classes_.tolist() == list(classes)
    assert model.predict({"x": []}).tolist() == []
    assert model.predict_proba({"x": []}).shape == (0, 2)


def test_long_tables_are_scored_in_parts(write_model):
    model = load_model(write_model(Schema((Column("x", Kind.NUMERIC), Column("c", Kind.TEXT)), "y", Task.REGRESSION)))
    x = np.arange(2 * runtime.CHUNK_ROWS + 7.0)
    np.testing.assert_array_equal(model.predict({"x": x, "c": ["w"] * len(x)}), x)
    assert model.predict(pd.DataFrame({"x": [], "c": []})).shape == (0,)


def test_a_long_text_is_scored_with_few_others(write_model, monkeypatch):
    model = load_model(write_model(Schema((Column("x", Kind.NUMERIC), Column("t", Kind.TEXT)), "y", Task.REGRESSION)))
    run, sizes = model._run, []

    def spied(outputs, feeds):
        sizes.append((len(feeds["strings"]), max(map(len, feeds["strings"][:, 0]))))
        return run(outputs, feeds)

    monkeypatch.setattr(model, "_run", spied)
    x, texts = np.arange(4000.0), ["a few words", "and more words"] * 2000
    texts[7] = "word " * (rows.MAX_CHARS // 100)
    np.testing.assert_array_equal(model.predict({"x": x, "t": texts}), x)
    assert all(n * longest <= rows.MAX_CHARS for n, longest in sizes) and len(sizes) == 2


def test_threads_share_a_model(model):
    results = []
    threads = [threading.Thread(target=lambda: results.append(model.predict(ROWS).tolist())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [EXPECTED] * 8


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ({"x": 1.0, "Flag": True}, DataError, "lacks 4 columns that the model was trained on: 'flag', 'when',"),
        (pd.DataFrame({"x": [1.0, 2.0]}), DataError, "lacks 4 columns"),
        ([{"x": 1}, {"y": 2}], DataError, "lacks 4 columns"),
        (ROWS[0] | {"x": "abc"}, ColumnError, "has 1 of 1 values that are not numbers, first 'abc' in row 0"),
        (ROWS[0] | {"flag": "maybe"}, ColumnError, "not true or false"),
        (ROWS[0] | {"when": "soon"}, ColumnError, "not dates"),
        (ROWS[0] | {"c": ["a"]}, ColumnError, "holds a list in row 0"),
        ([*ROWS, ROWS[0] | {"x": "z"}], ColumnError, "in row 4"),
        (np.zeros((2, 3)), DataError, "have 3 values and the model was trained on 6 (or 5, those it uses) columns"),
        (np.zeros(5), DataError, "1 dimensions and a table has 2. Fix: pass X.reshape(1, -1) for one row"),
        ([[1, 2], [1]], DataError, "between 1 and 2 values"), (42, DataError, "a int of this form is not a table"),
        ([1, 2], DataError, "a list of this form is not a table"),
        ("x", DataError, "a str of this form is not a table"),
    ],
)  # fmt: skip
def test_careless_input(model, X, error, message):
    with pytest.raises(error) as raised:
        model.predict(X)
    assert message in str(raised.value)


def test_no_probabilities_of_numbers(model):
    with pytest.raises(DataError, match="predicts a number and has no classes"):
        model.predict_proba(ROWS)


class TestFile:
    def message(self, path):
        with pytest.raises(ModelFileError) as error:
            load_model(path)
        return str(error.value)

    def test_absent(self, tmp_path):
        assert "there is no model file" in self.message(tmp_path / "none.onnx")
        assert "is a directory" in self.message(tmp_path)

    def test_not_onnx(self, tmp_path):
        (tmp_path / "m.onnx").write_bytes(b"\x08nonsense")
        assert "is not an ONNX file that can be run" in self.message(tmp_path / "m.onnx")

    def test_another_programs_onnx(self, tmp_path):
        value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
        out = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
        graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [out])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        onnx.save(model, tmp_path / "m.onnx")
        assert "was not exported by tabwright" in self.message(tmp_path / "m.onnx")

    def test_a_later_format(self, write_model):
        assert "has format 2 and this program reads up to 1" in self.message(write_model(SCHEMA, format=2))

    def test_every_altered_byte_is_noticed(self, write_model, tmp_path):
        data = write_model(SCHEMA).read_bytes()
        assert seal.verify(data) == data[data.rfind(b"\x12\x40") + 2 :][:64].decode()
        for position in np.linspace(0, len(data) - 1, 200).astype(int):
            altered = bytearray(data)
            altered[position] ^= 1
            with pytest.raises(ModelFileError, match=r"was altered, damaged or cut short|no tabwright_sha256"):
                seal.verify(bytes(altered))
        (tmp_path / "cut.onnx").write_bytes(data[:-1])
        assert "cut.onnx' was altered, damaged or cut short" in self.message(tmp_path / "cut.onnx")

    def test_sealing_twice_changes_nothing(self, write_model):
        data = write_model(SCHEMA).read_bytes()
        assert seal.seal(data) == data

    def test_no_place_for_a_checksum(self):
        assert not seal.is_sealed(b"abc")
        with pytest.raises(ModelFileError, match="has no tabwright_sha256 entry"):
            seal.seal(b"abc")


SCORING_ALONE = """
    import importlib.abc, sys

    ALLOWED = {"numpy", "onnxruntime", "tabwright", "google", "flatbuffers", "packaging"}
    STANDARD = set(sys.stdlib_module_names) | set(sys.builtin_module_names)
    before = set(sys.modules)

    class Block(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] not in ALLOWED | STANDARD:
                raise ImportError(f"{name} is blocked")
            return None

    sys.meta_path.insert(0, Block())
    from tabwright.runtime import load_model
    model = load_model(sys.argv[1])
    row = {"x": 1.5, "flag": "yes", "when": "1970-01-01T00:00:10", "c": "a", "t": "b"}
    print(model.predict(row)[0], model.predict([row, row])[1])
    ours = sorted(m for m in set(sys.modules) - before if m.startswith("tabwright."))
    print(" ".join(ours))
    import os
    print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


def test_scoring_needs_numpy_and_onnxruntime_alone(write_model):
    path = write_model(SCHEMA)
    command = [sys.executable, "-c", textwrap.dedent(SCORING_ALONE), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    predictions, modules, telemetry_off = done.stdout.splitlines()
    assert telemetry_off == "1"
    assert predictions == "12.5 12.5"
    assert set(modules.split()) == {
        f"tabwright.{m}"
        for m in ["coerce", "conformal", "errors", "names", "ort", "reasons", "rows", "runtime", "schema", "seal",
                  "shapley", "timestamps", "types"]
    }


@pytest.mark.parametrize("columns", [
    ["a", "a"], [1, 1.0], pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]), [None, ""], ["Unnamed: 0", "b"],
], ids=["repeated", "numbers", "levels", "none", "unnamed"])  # fmt: skip
def test_names_are_made_distinct_as_in_training(columns, write_model):
    frame = pd.DataFrame([[1.0, 20.0], [3.0, 40.0]], columns=columns)
    names = read_table(frame).columns
    model = load_model(write_model(Schema(tuple(Column(n, Kind.NUMERIC) for n in names), "y", Task.REGRESSION)))
    assert model.predict(frame).tolist() == [21.0, 43.0]
    assert model.predict(frame.iloc[[1]]).tolist() == [43.0]
    table = pa.table([pa.array([1.0]), pa.array([20.0]), pa.array([7])], names=["a", "a", "__index_level_0__"])
    if list(names) == ["a", "a.2"]:
        assert model.predict(table).tolist() == [21.0]
