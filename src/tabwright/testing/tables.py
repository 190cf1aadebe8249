"""Small tables with a column of every kind, for contract suites and examples."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tabwright.data.infer import infer_schema
from tabwright.data.table import Table
from tabwright.features.base import TargetInfo
from tabwright.types import Array, Task


def mixed_frame(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """Numbers, whole numbers, booleans, categories, text, dates, coordinates; missing values in most."""
    rng = np.random.default_rng(seed)
    words = np.array(["red", "Green", "blue", "coat", "DRESS", "fits", "small", "größe", "zu", "it's", "x1"])
    frame = pd.DataFrame({
        "amount": rng.lognormal(2, 1, rows),
        "count": rng.integers(0, 50, rows),
        "account": 9_007_199_254_000_000 + rng.integers(0, 1000, rows).astype(float),
        "flag": rng.random(rows) < 0.3,
        "colour": rng.choice(["red", "green", "blue", "ünï"], rows, p=[0.5, 0.3, 0.15, 0.05]),
        "shop": [f"shop {k}" for k in rng.zipf(1.6, rows) % 60],
        "review": [" ".join(rng.choice(words, rng.integers(3, 12))) + "!" for _ in range(rows)],
        "when": pd.Timestamp("1999-12-25") + pd.to_timedelta(rng.integers(0, 10_000_000, rows), unit="min"),
        "latitude": rng.uniform(32, 42, rows),
        "longitude": rng.uniform(-124, -114, rows),
    })  # fmt: skip
    for name in ("amount", "colour", "review", "when", "latitude"):
        frame.loc[rng.random(rows) < 0.1, name] = None
    return frame


def mixed_table(rows: int = 400, seed: int = 0) -> Table:
    """:func:`mixed_frame` in canonical form."""
    frame = mixed_frame(rows, seed)
    return Table.from_frame(frame, infer_schema(frame, None, overrides={"review": "text", "account": "numeric"}))


def target_for(task: Task, table: Table, seed: int = 0) -> TargetInfo:
    """A target that depends on the table: standardised values, or class codes."""
    signal = (
        np.nan_to_num(table.numbers[:, 0])
        + 3.0 * table.codes(0)
        + np.random.default_rng(seed).normal(size=table.n_rows)
    )
    y: Array = (signal - signal.mean()) / signal.std()
    n_classes = {Task.REGRESSION: 1, Task.BINARY: 2, Task.MULTICLASS: 3}[task]
    if task is not Task.REGRESSION:
        y = np.searchsorted(np.quantile(y, np.arange(1, n_classes) / n_classes), y)
    return TargetInfo(task, n_classes, y)
