"""Rows to learn from and rows to score on: stratified, grouped, ordered in time, or one hold-out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tabwright.coerce import as_array, strings
from tabwright.errors import DataError, OptionError
from tabwright.types import Array, Floats, Ints, Task


@dataclass(frozen=True)
class Folds:
    """Row positions of each fold, int64, ascending.

    In cross-validation every row is in one ``valid``; with a time order or a hold-out some rows are in none.
    """

    train: tuple[Ints, ...]
    valid: tuple[Ints, ...]

    def __len__(self) -> int:
        return len(self.valid)


def make_folds(
    n: int, y: Array, task: Task, n_folds: int, seed: int, *, groups: Any = None, time: Any = None, holdout: float = 0.2
) -> Folds:
    """Folds that depend on nothing but the arguments.

    Parameters
    ----------
    n : int
        Rows.
    y : shape (n,)
        Class codes, or values whose quantiles are spread evenly over the folds.
    task : Task
    n_folds : int
        1 means one hold-out of the share ``holdout``. Fewer come back where there are fewer rows or groups.
    seed : int
    groups : array-like, shape (n,), optional
        Rows of one group are never on both sides.
    time : array-like, shape (n,), optional
        Sortable. Each fold learns from what lies before its validation rows, and rows of one time stay together.
    holdout : float
        Share of rows, 0 to 1.

    Raises
    ------
    OptionError
        If both ``groups`` and ``time`` are given, or ``n_folds`` is below 1.
    DataError
        With fewer than two groups or times.
    """
    if groups is not None and time is not None:
        raise OptionError("group_column", "can't be combined with time_column", "choose one of them")
    if n_folds < 1:
        raise OptionError("nfolds", f"is {n_folds}", "use 1 for a hold-out, or 2 and more")
    if n < 2:
        raise DataError(f"{n} rows can't be split", "pass more rows")
    if time is not None:
        return _in_time(as_array(time), n_folds, holdout)
    strata = np.asarray(y) if task.is_classification else _quantile_bins(np.asarray(y, dtype=np.float64))
    rng = np.random.default_rng(seed)
    parts = np.array([holdout, 1.0 - holdout]) if n_folds == 1 else np.full(n_folds, 1.0 / n_folds)
    if groups is not None:
        fold = _grouped(group_codes(groups), strata, parts, rng)
    elif n_folds == 1:
        fold = _held_out(strata if task.is_classification else np.asarray(y, dtype=np.float64), holdout, rng)
    elif task.is_classification:
        fold = _stratified(strata, min(n_folds, n), rng)
    else:
        fold = _by_quantile(np.asarray(y, dtype=np.float64), min(n_folds, n), rng)
    used = range(int(fold.max()) + 1) if n_folds > 1 else range(1)
    return Folds(tuple(np.flatnonzero(fold != k) for k in used), tuple(np.flatnonzero(fold == k) for k in used))


def forward(folds: Folds) -> bool:
    """Whether each of several folds learns from all that the one before it does, and from more."""
    return len(folds) > 1 and all(len(a) < len(b) and np.isin(a, b).all() for a, b in pairwise(folds.train))


def group_codes(groups: Any) -> Ints:
    """Groups of rows as numbers from 0, int64 (n_rows,)."""
    names = as_array(groups)
    names = strings(names, "groups") if names.dtype == object else names
    return np.asarray(np.unique(names, return_inverse=True)[1], np.int64)


def is_splitter(value: Any) -> bool:
    """Whether a value splits rows as scikit-learn's splitters do (texts have a ``split`` too, of another sort)."""
    return hasattr(value, "split") and not isinstance(value, (str, bytes))


def users_folds(splitter: Any, n: int, y: Array, groups: Array | None) -> Folds:
    """Folds of an object with scikit-learn's ``split(X, y, groups)``.

    Raises
    ------
    OptionError
        If it gives no folds, rows that are not there, or a row to validate on twice.
    """
    parts = [(np.sort(np.asarray(a, np.int64)), np.sort(np.asarray(b, np.int64)))
             for a, b in splitter.split(np.zeros((n, 1)), y, groups)]  # fmt: skip
    name = type(splitter).__name__
    if not parts or any(not len(a) or not len(b) for a, b in parts):
        raise OptionError("nfolds", f"{name}.split gives no folds, or an empty one", "give rows to both sides of each")
    every = np.concatenate([b for _, b in parts])
    if min(a.min() for a, _ in parts) < 0 or max(a.max() for a, _ in parts) >= n or every.min() < 0 or every.max() >= n:
        raise OptionError("nfolds", f"{name}.split gives rows beyond the {n} of the table", "give positions from 0")
    if len(np.unique(every)) < len(every) or any(np.intersect1d(a, b).size for a, b in parts):
        raise OptionError("nfolds", f"{name}.split gives a row to validate on twice, or to both sides of a fold",
                          "take a splitter without repetitions")  # fmt: skip
    return Folds(tuple(a for a, _ in parts), tuple(b for _, b in parts))


def _sorted_by(y: Array, rng: np.random.Generator) -> Ints:
    """Positions in the order of ``y``, those that are equal in a random one."""
    order = rng.permutation(len(y))
    return np.asarray(order[np.argsort(y[order], kind="stable")])


def _stratified(codes: Ints, k: int, rng: np.random.Generator) -> Ints:
    """Fold numbers: each class dealt out in turn, the next class going on where the last one stopped."""
    order = _sorted_by(codes, rng)
    fold = np.empty(len(codes), np.int64)
    fold[order] = np.arange(len(codes)) % k
    return fold


def _by_quantile(y: Floats, k: int, rng: np.random.Generator) -> Ints:
    """Fold numbers: of each ``k`` neighbours in the order of ``y``, one goes to each fold."""
    order = _sorted_by(y, rng)
    blocks = -(-len(y) // k)
    deal = rng.permuted(np.tile(np.arange(k), (blocks, 1)), axis=1).ravel()[: len(y)]
    fold = np.empty(len(y), np.int64)
    fold[order] = deal
    if len(np.bincount(fold, minlength=k).nonzero()[0]) < k:  # only with fewer rows than folds in the last block
        fold[order] = np.arange(len(y)) % k
    return fold


def _quantile_bins(y: Floats, bins: int = 10) -> Ints:
    edges = np.unique(np.quantile(y, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, y, side="right")


def _held_out(y: Array, share: float, rng: np.random.Generator) -> Ints:
    """0 for rows held out, 1 for the others: evenly spaced in the order of ``y``, so of each class its share."""
    order = _sorted_by(y, rng)
    n_out = min(len(y) - 1, max(1, round(share * len(y))))
    fold = np.ones(len(y), np.int64)
    fold[order[((np.arange(n_out) + rng.random()) * len(y) / n_out).astype(np.int64)]] = 0
    return fold


def _grouped(group: Ints, strata: Ints, parts: Floats, rng: np.random.Generator) -> Ints:
    """Fold numbers for folds of the sizes ``parts``: the largest groups first, each to the fold that lacks it most."""
    n_groups = int(group.max()) + 1
    if n_groups < 2:
        raise DataError("the group column has a single group", "leave it out, or name another column")
    parts = parts[:n_groups]
    n_strata = int(strata.max()) + 1
    counts = np.bincount(group * n_strata + strata, minlength=n_groups * n_strata).reshape(n_groups, n_strata)
    # rows as one more stratum keep the folds of one size; shares make rare strata count as much as common ones
    shares = np.column_stack([counts, counts.sum(axis=1)]) / np.append(np.maximum(counts.sum(axis=0), 1), len(group))
    order = rng.permutation(n_groups)
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    load = np.zeros((len(parts), n_strata + 1))
    fold_of_group = np.empty(n_groups, np.int64)
    for g in order:
        chosen = int(np.argmin((2.0 * load + shares[g]) @ shares[g] / parts))  # least rise of the sum of load**2 / part
        load[chosen] += shares[g]
        fold_of_group[g] = chosen
    for empty in np.flatnonzero(load[:, -1] == 0.0):  # the smallest groups of the fold that has most of them
        most = np.bincount(fold_of_group, minlength=len(parts)).argmax()
        fold_of_group[next(g for g in order[::-1] if fold_of_group[g] == most)] = empty
    fold: Ints = fold_of_group[group]
    return fold


def _in_time(time: Array, n_folds: int, holdout: float) -> Folds:
    """Forward chaining: the rows in order, cut into blocks at changes of time; each block is scored by those before."""
    if time.dtype == object:
        typed = np.array(time.tolist())
        time = np.array([str(t) for t in time]) if typed.dtype == object else typed
    order = np.argsort(time, kind="stable")
    ordered = time[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    if len(starts) < 2:
        raise DataError("the time column has a single time", "leave it out, or name another column")
    n = len(time)
    wanted = [(i + 1) * n / (n_folds + 1) for i in range(n_folds)] if n_folds > 1 else [n * (1.0 - holdout)]
    cuts = sorted({int(starts[1:][np.argmin(np.abs(starts[1:] - w))]) for w in wanted})
    ends = [*cuts[1:], n]
    return Folds(
        tuple(np.sort(order[:cut]) for cut in cuts),
        tuple(np.sort(order[cut:end]) for cut, end in zip(cuts, ends, strict=True)),
    )
