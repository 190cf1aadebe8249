"""Reason codes of an exported file: which columns moved a prediction, against rows that the file holds.

The rows stand in the metadata under the key ``background``: ``numbers`` and ``strings``, canonical rows of the training
table (null for a missing number), at most ``MAX_ROWS`` and ``MAX_BYTES`` of JSON. Without the key nothing of the
table's rows is in the file, and there are no reasons.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tabwright.errors import DataError, OptionError
from tabwright.schema import Column, Schema
from tabwright.shapley import Rows, Score, Shapley, shapley
from tabwright.types import Floats, Ints, Kind, Strings

MAX_ROWS, MAX_BYTES = 32, 32_768
EVALUATIONS = 2000
"""Rows that are scored to explain one, at most; two orders of the columns where there are more than 1,000."""
MAX_TEXT = 60  # characters of a value in a sentence


def background(numbers: Floats, strings: Strings, n_rows: int = MAX_ROWS) -> dict[str, Any] | None:
    """The metadata's ``background`` entry: rows spread evenly; None where none is asked for, or none small enough.

    Parameters
    ----------
    numbers, strings : shapes (n, P) and (n, Q)
    n_rows : int
    """
    n = min(n_rows, len(numbers), MAX_ROWS)
    while n > 0:
        # in a random order, as wide tables are explained against the first few
        kept = np.random.default_rng(0).permutation(np.linspace(0, len(numbers) - 1, n).astype(np.int64))
        found = {
            "numbers": [[v if math.isfinite(v) else None for v in row] for row in numbers[kept].tolist()],
            "strings": strings[kept].tolist(),
        }
        size = len(json.dumps(found, ensure_ascii=False).encode())
        if size <= MAX_BYTES:
            return found
        n = min(n - 1, n * MAX_BYTES // size)
    return None


def stored_rows(entry: Mapping[str, Any] | None, schema: Schema) -> Rows:
    """The rows of a ``background`` entry; DataError where there is none."""
    if entry is None:
        raise DataError("this file holds no rows to compare with, so it can't give reasons",
                        "export it again, with background rows")  # fmt: skip
    n = len(entry["numbers"])
    numbers = np.array(entry["numbers"], np.float64).reshape(n, len(schema.numeric))
    strings = np.array(entry["strings"], dtype=object).reshape(n, len(schema.strings))
    return Rows(numbers, strings)


def contributions(score: Score, rows: Rows, against: Rows) -> list[Shapley]:
    """Shapley values of each row by itself, so that a row's do not depend on what it is sent with."""
    return [
        shapley(score, rows.take(slice(i, i + 1)), against, max_evaluations=EVALUATIONS) for i in range(len(rows))
    ]


def strongest(values: Floats, top: int | None) -> Ints:
    """Positions of the contributions that are largest, either way; all of them for None."""
    return np.argsort(-np.abs(values), kind="stable")[:top]


def check_top(top: Any) -> None:
    """OptionError unless it is a number of reasons, or None."""
    if top is not None and (isinstance(top, bool) or not isinstance(top, (int, np.integer)) or top < 1):
        raise OptionError("top", f"is {top!r}", "give a whole number from 1, or None for all columns")


def shown(column: Column, value: Any) -> Any:
    """A canonical cell as JSON has it: dates in ISO form, booleans and whole numbers as such, None for missing."""
    if isinstance(value, str):
        return value or None
    if value is None or not math.isfinite(value):
        return None
    if column.kind is Kind.DATETIME:
        text = str(np.datetime64(round(value * 1000), "ms"))
        return text.removesuffix(".000").removesuffix("T00:00:00")
    if column.kind is Kind.BOOLEAN:
        return bool(value)
    return int(value) if column.kind is Kind.INTEGER and float(value).is_integer() else float(value)


def sentence(name: str, value: Any, contribution: float) -> str:
    """One reason as text: the column, its value, and what it added to the prediction."""
    text = "missing" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"{name} = {text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + '…'} ({contribution:+.3g})"


def record(schema: Schema, rows: Rows, i: int, found: Shapley, output: int, top: int | None) -> dict[str, Any]:
    """``value``, ``base`` and ``reasons`` of row i, whose Shapley values are ``found``, for one output."""
    columns = (*schema.numeric, *schema.strings)
    values = found.values[0, :, output]
    cells = [*rows.numbers[i].tolist(), *rows.strings[i].tolist()]
    reasons = [
        {"column": columns[j].name, "value": shown(columns[j], cells[j]), "contribution": float(values[j])}
        for j in strongest(values, top).tolist()
    ]
    base = float(found.base[output])
    return {"value": base + float(values.sum()), "base": base, "reasons": reasons}
