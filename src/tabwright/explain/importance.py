"""Permutation importance of raw columns, alone and in groups of columns that tell much the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tabwright.explain.subject import Subject
from tabwright.metrics import find_metric, score
from tabwright.shapley import Rows, scored
from tabwright.types import Array, Floats

RELATED = 0.7
"""Rank correlation from which two columns count as telling much the same."""
REPEATS, BOOTSTRAPS = 5, 40
MAX_EVALUATIONS = 300_000
COLUMNS = ("columns", "importance", "low", "high", "is_group")


def importance(
    subject: Subject, rows: Rows, y: Array | None, *, aligned: bool = False, seed: int = 0
) -> pd.DataFrame:
    """How much worse the score gets when a column's values are dealt out anew.

    Parameters
    ----------
    subject : Subject
    rows : Rows
    y : shape (n_rows,), optional
        True values or class codes. Without them: the mean absolute change of the prediction.
    aligned : bool
        Whether ``subject.score`` must get all of ``rows`` at once, in their order (out-of-fold scoring).
    seed : int

    Returns
    -------
    DataFrame
        One row per column and per group of related columns (permuted together), most important first: columns
        (names joined by " + "), importance (in the metric's unit, or the prediction's), low, high (95 %: dealing and
        sampling of rows), is_group.

    References
    ----------
    Fisher, Rudin & Dominici 2019, jmlr.org/papers/v20/18-760.
    """
    rng = np.random.default_rng(seed)
    run = subject.score if aligned else lambda part: scored(subject.score, part)
    before = run(rows)
    groups: list[tuple[int, ...]] = [(j,) for j in range(rows.n_columns)]
    groups += [tuple(g) for g in related(subject, rows, before) if len(g) > 1]
    n = len(rows)
    repeats = int(np.clip(MAX_EVALUATIONS // max(n * len(groups), 1), 1, REPEATS))
    samples = [np.arange(n), *(rng.integers(0, n, n) for _ in range(BOOTSTRAPS))]
    base = [_value(subject, y, before, before, s) for s in samples]
    found = []
    for group in groups:
        drops = np.zeros((repeats, len(samples)))
        for r in range(repeats):
            after = run(rows.mix(_dealt(rng.permutation(n), group, rows.n_columns)))
            drops[r] = [_value(subject, y, before, after, s) - b for s, b in zip(samples, base, strict=True)]
        low, high = np.nanquantile(drops[:, 1:], [0.025, 0.975])
        names = " + ".join(subject.names[j] for j in group)
        found.append((names, float(drops[:, 0].mean()), float(low), float(high), len(group) > 1))
    out = pd.DataFrame(found, columns=list(COLUMNS))
    return out.sort_values("importance", ascending=False, kind="stable").reset_index(drop=True)


def _dealt(order: Array, group: Sequence[int], n_columns: int) -> Array:
    source = np.tile(np.arange(len(order))[:, None], (1, n_columns))
    source[:, list(group)] = order[:, None]
    return source


def _value(subject: Subject, y: Array | None, before: Floats, after: Floats, rows: Array) -> float:
    """The loss of the predictions ``after`` on some rows; without a target their distance from ``before``."""
    if y is None:
        return float(np.abs(after[rows] - before[rows]).sum(axis=1).mean()) / (1 if after.shape[1] == 1 else 2)
    metric = find_metric(subject.metric, subject.task)
    value = score(metric, y[rows], subject.canonical(after)[rows], None, subject.threshold)
    return -value if metric.greater_is_better else value


def related(subject: Subject, rows: Rows, prediction: Floats) -> list[list[int]]:
    """Columns in groups of rank correlation 0.7 and more (average linkage), each column in one group.

    Categories are ranked by the mean prediction of their rows; texts are left alone.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    m = rows.n_columns
    if m < 2 or len(rows) < 10:
        return [[j] for j in range(m)]
    ranks = np.column_stack([_ranks(subject, rows, j, prediction[:, -1]) for j in range(m)])
    ranks = ranks - ranks.mean(axis=0)
    length = np.sqrt((ranks**2).sum(axis=0))
    unit = np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)
    distance = 1.0 - np.abs(unit.T @ unit)
    np.fill_diagonal(distance, 0.0)
    labels = fcluster(linkage(squareform(np.clip(distance, 0, 1), checks=False), "average"), 1 - RELATED, "distance")
    return [np.flatnonzero(labels == k).tolist() for k in np.unique(labels)]


def _ranks(subject: Subject, rows: Rows, j: int, prediction: Floats) -> Floats:
    from scipy.stats import rankdata

    cells = subject.cells(rows, j)
    if cells.dtype.kind == "O":
        levels, position = np.unique(cells.astype(str), return_inverse=True)
        if len(levels) > len(cells) / 4:
            return np.zeros(len(cells))
        counts = np.bincount(position)
        cells = (np.bincount(position, weights=prediction) / counts)[position]
    missing = np.isnan(cells)
    if missing.all():
        return np.zeros(len(cells))
    return np.asarray(rankdata(np.where(missing, np.nanmedian(cells), cells)))
