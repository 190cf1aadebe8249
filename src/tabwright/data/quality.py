"""What a data scientist would notice about a table before modelling it; cheap, on a sample where need be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tabwright.data.table import Table
from tabwright.data.target import Target
from tabwright.schema import Column
from tabwright.types import Array, Floats, Ints, Kind, Task

SAMPLE_ROWS = 20_000
LEAK_R2 = 0.98
"""A column that alone explains this share of the target's variance, out of sample, is called a leak."""
_SAMPLE_CELLS = 600_000
_DUPLICATE_CELLS = 8_000_000


@dataclass(frozen=True)
class Note:
    """One observation: ``level`` is ``info`` or ``warning``; ``column`` is None for the table as a whole."""

    level: str
    column: str | None
    message: str

    def __str__(self) -> str:
        return self.message if self.column is None else f"Column {self.column!r} {self.message}"


def quality_report(table: Table, target: Target) -> tuple[Note, ...]:
    """Notes on a table and its target, warnings first.

    Parameters
    ----------
    table : Table
        Of the rows in ``target.keep`` (or of all rows, when none is dropped).
    target : Target

    Returns
    -------
    tuple of Note
        On columns left out, mostly missing or of many categories, duplicate rows, few examples of a class, a
        skewed target, and columns that alone explain the target.
    """
    notes = [*_column_notes(table), *_target_notes(target)]
    if len(target.y) == table.n_rows:
        notes += [*_leaks(table, target), *_duplicates(table, target)]
    return tuple(sorted(notes, key=lambda n: n.level != "warning"))


def _column_notes(table: Table) -> list[Note]:
    notes = []
    for column in table.schema.columns:
        if not column.used:
            notes.append(Note("info", column.name, f"is left out: {column.reason}"))
        elif column.missing_share >= 0.5:
            notes.append(Note("info", column.name, f"is missing in {column.missing_share:.0%} of the rows"))
        if column.used and column.kind is Kind.CATEGORICAL and len(column.values) > 1000:
            per_value = f"{table.n_rows / len(column.values):.1f} rows each on average"
            notes.append(Note("info", column.name, f"has {len(column.values):,} categories, {per_value}"))
    return notes


def _target_notes(target: Target) -> list[Note]:
    notes = [Note("info", None, text) for text in target.notes]
    if target.task.is_classification:
        counts = np.bincount(target.y, minlength=target.n_classes)
        rarest = int(np.argmin(counts))
        if counts[rarest] < 0.05 * len(target.y) / max(target.n_classes - 1, 1):
            share = f"{counts[rarest]:,} of {len(target.y):,} rows ({counts[rarest] / len(target.y):.2%})"
            message = f"The class {target.classes[rarest]!r} has {share}."
            notes.append(Note("warning" if counts[rarest] < 20 else "info", None, message))
        return notes
    skew = float((target.standard**3).mean())
    if abs(skew) > 3:
        side = "large" if skew > 0 else "small"
        message = f"The target is skewed ({skew:.1f}): a few very {side} values weigh most in RMSE."
        notes.append(Note("info", None, message))
    return notes


def _sample(n_rows: int, n_columns: int) -> Ints:
    size = max(1000, min(SAMPLE_ROWS, _SAMPLE_CELLS // max(n_columns, 1)))
    if n_rows <= size:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(0).choice(n_rows, size, replace=False))


def explained_shares(table: Table, target: Target) -> dict[str, float]:
    """How much of the target each column explains by itself, by name.

    Shares of the target's variance (of its ranks in regression; of the indicators of its classes otherwise) on
    rows other than those that the bins' means were taken over; about 0 for a column that tells nothing. Columns of
    text are left out, and a table of fewer than 100 rows gives none.
    """
    columns: Sequence[Column] = (*table.schema.numeric, *table.schema.strings)
    rows = _sample(table.n_rows, len(columns))
    if len(rows) < 100:
        return {}
    y = _target_columns(target, rows)
    # Alternate rows in a random order learn and score, so that a sorted table is no problem.
    learn = np.random.default_rng(1).permutation(len(rows)) < len(rows) // 2
    return {
        column.name: _explained(_bins(table, position, rows), y, learn)
        for position, column in enumerate(columns) if column.kind is not Kind.TEXT
    }  # fmt: skip


def _leaks(table: Table, target: Target) -> list[Note]:
    return [
        Note("warning", name, f"alone explains {r2:.1%} of the target: is it known before the target is? "
             "If not, leave it out")
        for name, r2 in explained_shares(table, target).items() if r2 >= LEAK_R2
    ]  # fmt: skip


def _target_columns(target: Target, rows: Ints) -> Floats:
    if target.task is Task.REGRESSION:
        ranks = np.argsort(np.argsort(target.y[rows], kind="stable"), kind="stable")  # outliers must not decide
        return np.asarray(ranks[:, None] / len(rows), dtype=np.float64)
    codes = target.y[rows]
    common = np.argsort(-np.bincount(codes))[:10]
    indicators: Floats = (codes[:, None] == common[None, :]).astype(np.float64)
    return indicators


def _bins(table: Table, position: int, rows: Ints) -> Ints:
    """Bin numbers of one column's sampled rows: categories as they are, numbers by quantile."""
    n_numbers = len(table.schema.numeric)
    if position >= n_numbers:
        return table.codes(position - n_numbers)[rows]
    values = table.numbers[rows, position]
    edges = np.unique(np.nanquantile(values, np.linspace(0, 1, 101))) if not np.isnan(values).all() else np.zeros(1)
    return np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="left"))


def _explained(bins: Ints, y: Floats, learn: Array) -> float:
    """R² on the rows that are not in ``learn`` of predicting each bin's mean over the rows that are."""
    size = int(bins.max()) + 1
    count = np.bincount(bins[learn], minlength=size)
    residual = total = 0.0
    for column in y.T:
        mean = column[learn].mean()
        sums = np.bincount(bins[learn], weights=column[learn], minlength=size)
        predicted = np.where(count > 0, sums / np.maximum(count, 1), mean)[bins[~learn]]
        residual += float(((column[~learn] - predicted) ** 2).sum())
        total += float(((column[~learn] - mean) ** 2).sum())
    return 1.0 - residual / total if total > 0 else 0.0


def _duplicates(table: Table, target: Target) -> list[Note]:
    n_columns = table.numbers.shape[1] + len(table.strings) + 1
    size = min(table.n_rows, max(1000, _DUPLICATE_CELLS // n_columns))
    rng = np.random.default_rng(2)
    # One random odd multiplier per column and 64-bit wrap-around: equal rows have equal sums.
    key = target.y[:size].astype(np.float64).view(np.uint64).copy()
    with np.errstate(over="ignore"):
        key = _mix(key, rng)
        for j in range(table.numbers.shape[1]):
            key += _mix(np.ascontiguousarray(table.numbers[:size, j]).view(np.uint64), rng)
        for column in table.strings:
            key += _mix(column.index[:size].astype(np.uint64), rng)
    repeated = size - len(np.unique(key))
    if repeated < max(2, 0.001 * size):
        return []
    where = "" if size == table.n_rows else f" of the first {size:,}"
    message = f"{repeated:,}{where} rows repeat an earlier one in all columns, so scores may be a little too good."
    return [Note("warning" if repeated > 0.05 * size else "info", None, message)]


def _mix(bits: Array, rng: np.random.Generator) -> Array:
    """A column's bits spread over 64 (the finaliser of SplitMix64), so that sums of columns do not collide."""
    z = bits + np.uint64(rng.integers(1, 2**63))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = z ^ (z >> np.uint64(31))
    return mixed
