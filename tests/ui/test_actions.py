"""What is recorded, and the notebooks and scripts that it makes."""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
import sys
from dataclasses import replace

import nbformat
import pytest

from tabwright.cli.main import parser
from tabwright.errors import DataError
from tabwright.ui import recipes
from tabwright.ui.actions import Action, ActionLog, Code, argv, call, notebook, script, variable


@pytest.fixture
def log(workspace):
    return ActionLog(workspace)


def test_sessions_do_not_mix(log):
    log.add("one", Action("A", "a = 1"))
    log.add("two", Action("B", "b = 1"))
    assert [a.title for a in log.of("one")] == ["A"]
    assert [a.title for a in log.of("two")] == ["B"]
    assert log.of("three") == []
    with pytest.raises(DataError):
        log.of("../one")


def test_the_same_twice_in_a_row_is_kept_once(log):
    for title in ("A", "A", "B", "A"):
        log.add("s", Action(title, "1"))
    assert [a.title for a in log.of("s")] == ["A", "B", "A"]


def test_a_torn_line_is_left_out(log, workspace):
    log.add("s", Action("A", "1"))
    with (workspace.root / "actions" / "s.jsonl").open("a") as file:
        file.write('{"title": "half')
    assert [a.title for a in log.of("s")] == ["A"]


def test_cells_begin_with_what_others_made(log):
    log.add("other", Action("Read", "t = 1", makes=("table:t",)))
    log.add("other", Action("Run", "r = t", makes=("run:r",), uses=("table:t",)))
    log.add("mine", Action("Show", "r", uses=("run:r",)))
    log.add("mine", Action("Again", "r + t", uses=("run:r", "table:t")))
    assert [a.title for a in log.cells("mine")] == ["Read", "Run", "Show", "Again"]
    log.clear("mine")
    assert log.cells("mine") == []
    assert {a.title for a in log.every()} == {"Read", "Run", "Show", "Again"}


def test_names_of_columns_and_tables_are_no_code(log):
    title = "Take column x\nimport os as categorical"
    text = script([Action(title, call("f", target='WORK / __import__("os")'))])
    assert "\nimport os" not in text and "target='WORK / " in text
    assert '"### Take column x import os as categorical"' in notebook([Action(title, "1")])
    names = ["sales-2023", "sales_2023", "profile", "pd", "class", "2023", "print"]
    made = [variable(name) for name in names]
    assert len(set(made)) == len(made) and not {"profile", "pd", "class", "print"} & set(made)
    assert all(name.isidentifier() for name in made)


def test_options_that_begin_with_a_dash_and_long_numbers():
    assert argv("fit", "t", target="-x", max_runtime_secs=1234567.0) == [
        "tabwright", "fit", "t", "--target=-x", "--max-runtime-secs", "1234567"]  # fmt: skip


def test_a_notebook_is_one(log):
    log.add("s", Action("Read", "x = math.pi", "tabwright parse 'a b'", ("import math",), ("table:t",)))
    log.add("s", Action("Show", "x * 2", uses=("table:t",)))
    cells = log.cells("s")
    made = nbformat.reads(notebook(cells), as_version=4)
    nbformat.validate(made)
    assert "import math" in made.cells[1].source and "WORK" in made.cells[1].source
    assert "tabwright parse 'a b'" in made.cells[2].source
    text = script(cells)
    ast.parse(text)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("6.28")


@pytest.mark.parametrize(
    ("name", "expected"), [("adult", "adult"), ("a-b.c", "a_b_c"), ("1x", "_1x"), ("class", "_class")]
)
def test_variables_are_names(name, expected):
    assert variable(name) == expected
    assert variable(name).isidentifier()


def test_calls():
    assert call("f", "x", a=None, b="it's", c=Code("WORK / 'r'")) == """f(x, b="it's", c=WORK / 'r')"""
    long = call("f", *[f"argument_{k}" for k in range(12)])
    assert long.count("\n") == 13 and ast.parse(long)


def recorded(tables, people, workspace):
    """Each recipe once, with its command."""
    parquet = tables.parquet("people")
    run, model = workspace.path("runs", "r"), workspace.path("models", "m") / "model.onnx"
    kinds = replace(people, kinds={"zone": "categorical", "education-num": "numeric"})
    columns = {"weights_column": "education-num", "time_column": ""}
    options = {"task": "classification", "target": "income", "columns": columns,
               "parameters": {"max_runtime_secs": 20.0, "include_families": ["linear", "lightgbm"], "nfolds": 3,
                              "monotone_constraints": {"age": 1}, "warm_start": False, "engine": "dask",
                              "objectives": ["score", "size_mib"],
                              "constraints": {"latency_us": 200.0, "memory_mib": 50.0}}}  # fmt: skip
    train, test = tables.split("people", 0.25, 1, {"target": "income", "group_column": None, "time_column": None})
    parts = (parquet, tables.parquet(train.name), tables.parquet(test.name))
    by = {"target": "income", "group_column": None, "time_column": None}
    keys = {"on": ["age", "zone"], "how": "left", "right_on": ["zone", "age"]}
    return [
        recipes.join(kinds, (train, test), keys, (*parts[1:], parquet)),
        recipes.append(kinds, (train, test), "rows", (*parts[1:], parquet), fill=True),
        recipes.bring(people, parquet), recipes.describe(kinds, parquet),
        recipes.split(people, (train, test), 0.25, 1, by, parts), recipes.compare(train, test, parts[1:]),
        recipes.fit("r", kinds, options, (parquet, run))[0], recipes.resume("r", "classification", run, 5.0)[0],
        recipes.select("r", run, None, {})[0], recipes.select("r", run, "a x1 + b refit", {})[0],
        recipes.select("r", run, None, {"max_latency_us": 50.0, "max_memory_mib": 9.0})[0],
        recipes.export("r", "m", (run, model))[0], recipes.predict("m", people, (model, parquet, run / "p.csv"))[0],
        recipes.evaluate("m", people, "income", (model, parquet)), recipes.serve("m", model)[0],
        recipes.imported("m", model), recipes.explain("m", people, (model, parquet)),
    ]  # fmt: skip


def test_every_cell_compiles_and_every_command_is_one(tables, people, workspace):
    """Commands are parsed by the real command line, so that none can name an option that is not there."""
    for action in recorded(tables, people, workspace):
        ast.parse(action.python)
        assert "{" not in action.python.replace("{'", "").replace("{\n", "") or action.python.count("{") <= 2, action
        for line in action.imports:
            exec(line, {})
        if action.command:
            words = shlex.split(action.command)
            assert words[0] == "tabwright"
            parser().parse_args(words[1:])


def test_fit_says_the_same_in_both(tables, people, workspace):
    made = next(a for a in recorded(tables, people, workspace) if a.makes == ("run:r",))
    assert "AutoMLClassifier(" in made.python and "kinds={'zone': 'categorical'}" in made.python
    assert "constraints={'latency_us': 200.0, 'memory_mib': 50.0}" in made.python
    given = parser().parse_args(shlex.split(made.command)[1:])
    assert (given.target, given.max_runtime_secs, given.nfolds) == ("income", 20.0, "3")
    assert given.kind == ["zone=categorical"]
    assert (given.max_latency_us, given.max_model_memory_mib, given.max_memory_mib) == (200.0, 50.0, None)
    assert (given.objectives, given.include_families) == ("score,size_mib", "linear,lightgbm")
    assert given.weights_column == "education-num" and given.time_column is None


def test_what_users_call_things_stays_as_it_is(workspace):
    assert recipes.on_run("r", "Look", "x = '{run}'").python == "x = '{run}'"
    assert recipes.on_model("m", "Look", "x = '{model}'").python == "x = '{model}'"
    assert "'{run} x1'" in recipes.select("r", workspace.root, "{run} x1", {})[0].python


def test_a_password_stands_in_no_notebook(tables):
    from tabwright.ui.tables import Entry, Source

    entry = Entry("t", Source("sql", "postgresql://me:hunter2@h/d", "SELECT 1"), "x")
    made = recipes.bring(entry, tables.workspace.root)
    assert "hunter2" not in json.dumps([made.python, made.command])
    assert 'os.environ["DATABASE_URL"]' in made.python and "import os" in made.imports
