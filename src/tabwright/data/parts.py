"""Tables cut in two, compared, and written."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tabwright import reference
from tabwright.codec import write_for_user
from tabwright.data.infer import infer_schema
from tabwright.data.splits import make_folds
from tabwright.data.table import Table
from tabwright.data.target import infer_task, make_target
from tabwright.errors import OptionError
from tabwright.schema import encode
from tabwright.types import Ints, Task

if TYPE_CHECKING:
    import pandas as pd

MIN_ROWS = 200
SHIFTED = 0.2
"""Population stability index from which a column is said to be shifted."""


def split_table(
    frame: pd.DataFrame, test_share: float = 0.2, seed: int = 0, *, target: str | None = None,
    group_column: str | None = None, time_column: str | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Cut a table into a part to train on and a part to test on.

    Parameters
    ----------
    frame : DataFrame, shape (n_rows, n_columns)
    test_share : float
        Share of the rows in the second part, above 0 and below 1.
    seed : int
    target : str, optional
        Its classes, or its quantiles, have the same shares in both parts.
    group_column : str, optional
        Rows of one group stay together.
    time_column : str, optional
        The second part holds the latest rows.

    Returns
    -------
    train, test : DataFrame
        Rows in the table's order. Each is there once.

    Raises
    ------
    OptionError
        For a share outside 0 to 1, or a column that is not there.
    """
    if not 0.0 < test_share < 1.0:
        raise OptionError("test_share", f"is {test_share:g}", "give a number above 0 and below 1")
    for option, name in (("target", target), ("group_column", group_column), ("time_column", time_column)):
        if name is not None and name not in frame.columns:
            raise OptionError(option, f"is {name!r}, which is no column of the table", "name a column that is there")
    n = len(frame)
    test: Ints
    if target is None and group_column is None and time_column is None:
        order = np.random.default_rng(seed).permutation(n)
        test = np.sort(order[: max(1, min(n - 1, round(n * test_share)))])
    else:
        task, y = _strata(frame, target)
        test = make_folds(
            n, y, task, 1, seed, holdout=test_share,
            groups=None if group_column is None else frame[group_column],
            time=None if time_column is None else frame[time_column],
        ).valid[0]  # fmt: skip
    chosen = np.zeros(n, bool)
    chosen[test] = True
    return frame[~chosen].reset_index(drop=True), frame[chosen].reset_index(drop=True)


def _strata(frame: pd.DataFrame, target: str | None) -> tuple[Task, Any]:
    """What to spread evenly: the target's values, with its mean or a class of its own where it is missing."""
    if target is None:
        return Task.REGRESSION, np.zeros(len(frame))
    task = infer_task(frame[target])
    found = make_target(frame[target], target, classification=task is not Task.REGRESSION)
    y = np.full(len(frame), found.n_classes if task.is_classification else found.mean)
    y[found.keep] = found.y
    return task, y.astype(np.int64) if task.is_classification else y


@dataclass(frozen=True)
class Shift:
    """How far a column's values in one table are from those in another; ``psi`` in nats, 0 or more."""

    column: str
    psi: float
    shifted: bool


def compare_tables(first: pd.DataFrame, second: pd.DataFrame, target: str | None = None) -> tuple[Shift, ...]:
    """The shift of each column that both tables have, largest first.

    Measured as the server measures drift: bins from the first table, population stability index of the second's
    counts. Fewer than 200 rows in either tell nothing, and give nothing.

    References
    ----------
    Yurdakul and Naranjo 2020, doi:10.21314/JRMV.2020.227.
    """
    names = [n for n in first.columns if n in second.columns and n != target]
    if min(len(first), len(second)) < MIN_ROWS or not names:
        return ()
    schema = infer_schema(first[names], None)
    table = Table.from_frame(first[names], schema)
    made = reference.build(schema, table.numbers, [c.values() for c in table.strings], None)["columns"]
    numbers, strings = encode({n: second[n] for n in names}, schema)
    values: dict[str, Any] = {c.name: numbers[:, j] for j, c in enumerate(schema.numeric)}
    values |= {c.name: strings[:, j] for j, c in enumerate(schema.strings)}
    found = []
    for name, record in made.items():
        histogram = reference.Histogram.from_json(record)
        value = reference.psi(np.asarray(histogram.counts), histogram.count(values[name]))
        found.append(Shift(name, value, value > SHIFTED))
    return tuple(sorted(found, key=lambda s: -s.psi))


def write_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a frame as Parquet or CSV, by the path's suffix, whole or not at all.

    Columns whose cells are of several types are written as text in Parquet, which has one type per column.

    Raises
    ------
    OptionError
        For another suffix, or a path that can't be written.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in (".parquet", ".csv"):
        raise OptionError("--out", f"is {str(path)!r}", "name a file that ends in .parquet or .csv")
    if not target.resolve().parent.is_dir():
        raise OptionError("--out", f"is {str(path)!r}, in a folder that does not exist", "name a folder that exists")
    if suffix == ".csv":
        write_for_user(target, frame.to_csv(index=False).encode(), "--out")
        return
    buffer = io.BytesIO()
    plain = frame.copy(deep=False)
    plain.attrs = {}  # notes are for people, and no part of the table
    for name in plain.columns:
        if plain[name].dtype == object and len({type(v) for v in plain[name].dropna()}) > 1:
            plain[name] = plain[name].map(str, na_action="ignore").astype("str")
    plain.to_parquet(buffer, index=False)
    write_for_user(target, buffer.getvalue(), "--out")
