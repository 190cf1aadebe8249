"""Programs beside an export that score it in other languages, with rows to try and what must come out."""

from __future__ import annotations

import json
import math
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tabwright.codec import write_for_user
from tabwright.coerce import as_array
from tabwright.errors import OptionError
from tabwright.runtime import Model, load_model
from tabwright.schema import Column
from tabwright.types import Array, Floats, Kind, Strings

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAMS = ("score.py", "score.mjs", "browser.html", "Score.java", "Score.cs", "README.md")
ROWS = 20
_EPOCH = np.datetime64("1970-01-01", "us")


def write_examples(path: str | Path, numbers: Floats, strings: Strings, seed: int = 0) -> Path:
    """Fill the folder ``examples`` beside an exported file.

    Parameters
    ----------
    path : str or Path
        The exported file.
    numbers : float64, shape (n_rows, P)
    strings : object array of str, shape (n_rows, Q)
        Canonical rows to draw values from. Each column is drawn by itself, so no row of the table is told.

    Raises
    ------
    OptionError
        If the folder can't be written.
    """
    model = load_model(path)
    rng = np.random.default_rng(seed)
    n = min(ROWS, len(numbers))
    drawn = [rng.integers(0, len(numbers), n) for _ in range(numbers.shape[1] + strings.shape[1])]
    numbers = np.column_stack([numbers[d, j] for j, d in enumerate(drawn[: numbers.shape[1]])] or [np.empty((n, 0))])
    strings = np.column_stack(
        [strings[d, j] for j, d in enumerate(drawn[numbers.shape[1] :])] or [np.empty((n, 0), object)]
    )
    folder = Path(path).resolve().parent / "examples"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OptionError("--examples", f"can't be written ({error.strerror})", "export to another folder") from None
    for name in PROGRAMS:
        text = (files("tabwright.examples") / name).read_text("utf-8")
        write_for_user(folder / name, text.replace("@MODEL@", Path(path).name).encode(), "--examples")
    for name, content in _data(model, numbers, strings).items():
        write_for_user(folder / name, json.dumps(content, ensure_ascii=False, indent=1).encode(), "--examples")
    return folder


def _data(model: Model, numbers: Floats, strings: Strings) -> dict[str, Any]:
    """The schema that the programs need, rows, and the model's outputs for them."""
    schema = model.schema
    rows: list[dict[str, Any]] = [{} for _ in range(len(numbers))]
    for j, column in enumerate(schema.numeric):
        for row, value in zip(rows, numbers[:, j].tolist(), strict=True):
            row[column.name] = _readable(column, value)
    for j, column in enumerate(schema.strings):
        for row, text in zip(rows, strings[:, j].tolist(), strict=True):
            row[column.name] = text or None
    feeds: dict[str, Array] = {}
    if schema.numeric:
        feeds["numbers"] = numbers
    if schema.strings:
        feeds["strings"] = strings
    outputs = {name: as_array(values.tolist()).tolist() for name, values in model.run(feeds).items()}
    inputs = {"numbers": _facts(schema.numeric), "strings": _facts(schema.strings)}
    facts = {"target": schema.target, "classes": model.metadata.get("classes"), "inputs": inputs}
    return {"schema.json": facts, "rows.json": rows, "expected.json": outputs}


def _facts(columns: Sequence[Column]) -> list[dict[str, str]]:
    return [{"name": c.name, "kind": str(c.kind)} for c in columns]


def _readable(column: Column, value: float) -> Any:
    if math.isnan(value):
        return None
    if column.kind is Kind.BOOLEAN:
        return bool(value)
    if column.kind is Kind.DATETIME:
        return str(_EPOCH + np.timedelta64(round(value * 1e6), "us")) + "Z"
    return value
