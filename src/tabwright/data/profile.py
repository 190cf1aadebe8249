"""What each column of a table holds, in figures: the profile that people look at before they model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tabwright.data.infer import infer_schema
from tabwright.data.quality import Note, explained_shares, quality_report
from tabwright.data.table import Table, string_column
from tabwright.data.target import Target, infer_task, make_target
from tabwright.errors import UserError
from tabwright.schema import Column, Schema
from tabwright.types import Floats, Kind, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

BINS = 20
TOP_VALUES = 12
EXACT_DISTINCT = 2_000_000
"""Rows beyond which distinct numbers are counted on a sample of that size."""


@dataclass(frozen=True)
class ColumnProfile:
    """One column in figures.

    Parameters
    ----------
    name, kind, reason, dtype : str
        As in :class:`tabwright.schema.Column`.
    used : bool
    missing : int
        Rows without a value.
    distinct : int
        Different values.
    edges : tuple of float
        Ends of a numeric column's bins of equal width, from the 0.5 % to the 99.5 % quantile (values beyond are
        counted in the outer bins); seconds since 1970 for dates; empty otherwise.
    labels : tuple of str
        A string column's most frequent values.
    counts : tuple of int
        Rows per bin or value.
    other : int
        Rows with a value that is not among ``labels``.
    minimum, maximum, mean, deviation, median : float or None
        Of numbers; in the column's unit.
    target_share : float or None
        Share of the target that the column explains by itself; see :func:`tabwright.data.quality.explained_shares`.
    """

    name: str
    kind: str
    reason: str
    dtype: str
    used: bool
    missing: int
    distinct: int
    edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    other: int = 0
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    deviation: float | None = None
    median: float | None = None
    target_share: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class TableProfile:
    """All columns, and what stands out; ``problem`` says why there is no more, if the target can't be used."""

    rows: int
    columns: tuple[ColumnProfile, ...]
    task: str | None
    notes: tuple[Note, ...]
    problem: str = ""


def profile(frame: pd.DataFrame, target: str | None = None, kinds: Mapping[str, str] | None = None) -> TableProfile:
    """Profile a frame as ``read_table`` returns it.

    Parameters
    ----------
    frame : DataFrame, shape (n_rows, n_columns)
    target : str, optional
        Adds each column's relation to it, and the quality report.
    kinds : mapping of column name to kind, optional
        Overrides, as in ``fit``.

    Raises
    ------
    UserError
        If no column can be learnt from, or ``kinds`` contradict the values. A target that can't be used is told in
        ``problem`` instead.
    """
    kinds = {k: v for k, v in (kinds or {}).items() if k != target}
    y, problem = _target(frame, target)
    features = frame if target is None else frame.drop(columns=[target], errors="ignore")
    schema = infer_schema(features, None, None if y is None else y.task, dict(kinds))
    table = Table.from_frame(features, schema)
    shares: dict[str, float] = {}
    notes: tuple[Note, ...] = ()
    if y is not None:
        kept = table if y.keep.all() else table.take(np.flatnonzero(y.keep))
        shares, notes = explained_shares(kept, y), quality_report(kept, y)
    by_name = {c.name: _column(features[c.name], c, table, shares.get(c.name)) for c in schema.columns}
    if target is not None and target in frame.columns:
        by_name[target] = _of_target(frame[target], target)
    columns = tuple(by_name[str(name)] for name in frame.columns)
    return TableProfile(len(frame), columns, None if y is None else str(y.task), notes, problem)


def _target(frame: pd.DataFrame, target: str | None) -> tuple[Target | None, str]:
    if target is None:
        return None, ""
    if target not in frame.columns:
        return None, f"There is no column {target!r}"
    try:
        task = infer_task(frame[target])
        return make_target(frame[target], target, classification=task is not Task.REGRESSION), ""
    except UserError as error:
        return None, str(error)


def _of_target(series: pd.Series, name: str) -> ColumnProfile:
    only = series.to_frame(name)
    try:
        schema = infer_schema(only, None)
    except UserError:
        return ColumnProfile(name, "constant", "", str(series.dtype), used=False, missing=0, distinct=1)
    return _column(series, schema.columns[0], Table.from_frame(only, schema), None)


def _column(series: pd.Series, column: Column, table: Table, share: float | None) -> ColumnProfile:
    common = (column.name, str(column.kind), column.reason, column.dtype, column.used)
    names = [c.name for c in table.schema.numeric]
    if column.name in names:
        return _numbers(common, table.numbers[:, names.index(column.name)], share)
    strings = string_column(series, column.name)
    counts = strings.counts()
    missing = int(sum(counts[k] for k, level in enumerate(strings.levels) if level == ""))
    order = [k for k in np.argsort(-counts, kind="stable") if strings.levels[k] != "" and counts[k]]
    top = order[:TOP_VALUES] if column.kind not in (Kind.IDENTIFIER, Kind.TEXT) else order[:3]
    shown = tuple(int(counts[k]) for k in top)
    return ColumnProfile(
        *common, missing, len(order), (), tuple(str(strings.levels[k])[:80] for k in top), shown,
        len(strings.index) - missing - sum(shown), target_share=share,
    )  # fmt: skip


def _numbers(common: tuple[str, str, str, str, bool], values: Floats, share: float | None) -> ColumnProfile:
    present = values[np.isfinite(values)]
    missing = len(values) - len(present)
    if len(present) == 0:
        return ColumnProfile(*common, missing, 0, target_share=share)
    distinct = len(np.unique(present[:EXACT_DISTINCT]))
    low, high = (float(q) for q in np.quantile(present, [0.005, 0.995]))
    if distinct <= BINS or low == high:
        low, high = float(present.min()), float(present.max())
    edges = np.linspace(low, high, BINS + 1) if high > low else np.array([low, low + 1.0])
    counts = np.histogram(np.clip(present, edges[0], edges[-1]), edges)[0]
    return ColumnProfile(
        *common, missing, distinct, tuple(edges.tolist()), (), tuple(counts.tolist()), 0, float(present.min()),
        float(present.max()), float(present.mean()), float(present.std()), float(np.median(present)), share,
    )  # fmt: skip


def schema_of(frame: pd.DataFrame, target: str | None, kinds: Mapping[str, str] | None = None) -> Schema:
    """The schema that ``fit`` would find for the features of a frame."""
    features = frame if target is None else frame.drop(columns=[target])
    return infer_schema(features, None, None, dict(kinds or {}))
