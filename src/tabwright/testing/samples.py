"""Small made-up samples for the contract suites: seeded, with every trap that a family must stand."""

from __future__ import annotations

import numpy as np

from tabwright.models.base import Columns, FitContext, Sample, View
from tabwright.types import Array, Floats, Task

N_CLASSES = {Task.REGRESSION: 1, Task.BINARY: 2, Task.MULTICLASS: 4}
CARDINALITY = 12


def columns(view: View) -> Columns:
    """The columns of :func:`matrix`: the last one is categorical in the native view."""
    if view is View.NATIVE:
        return Columns(6, categorical=(5,), cardinality=(CARDINALITY,))
    return Columns(6)


def allows_missing(view: View) -> bool:
    """Whether matrices of this view may hold NaN."""
    return view in (View.NATIVE, View.TREES)


def matrix(view: View, rows: int, rng: np.random.Generator) -> Floats:
    """Six float32 columns: normal, skewed, rounded (ties), large and far from 0, constant, codes."""
    X = np.column_stack([
        rng.normal(size=rows), rng.exponential(size=rows), np.round(rng.normal(size=rows), 1),
        rng.normal(1e4, 10.0, size=rows), np.full(rows, 3.0), rng.integers(CARDINALITY, size=rows),
    ])
    if not allows_missing(view):
        X[:, 3] = (X[:, 3] - 1e4) / 10.0
        X[:, 5] = X[:, 5] % 2
    else:
        X[rng.random(rows) < 0.1, 1] = np.nan
        X[rng.random(rows) < 0.05, 5] = np.nan
    return np.ascontiguousarray(X, np.float32)


def target(X: Floats, task: Task, rng: np.random.Generator) -> Array:
    """A learnable target: standardised values, or class codes of unequal frequency."""
    signal = 2.0 * X[:, 0] + np.sin(3 * X[:, 2]) + np.nan_to_num(X[:, 1]) + 0.5 * (np.nan_to_num(X[:, 5]) % 3)
    signal = signal + rng.normal(scale=0.5, size=len(X))
    if task is Task.REGRESSION:
        return np.asarray((signal - signal.mean()) / signal.std())
    shares = (0.7, 0.3) if task is Task.BINARY else (0.5, 0.3, 0.15, 0.05)
    return np.asarray(np.digitize(signal, np.quantile(signal, np.cumsum(shares)[:-1])), np.int64)


def sample(view: View, task: Task, rows: int, seed: int = 0, *, weighted: bool = False) -> Sample:
    """``rows`` rows of a view and task; with weights of mean 1 if ``weighted``."""
    rng = np.random.default_rng(seed)
    X = matrix(view, rows, rng)
    y = target(X, task, rng)
    weight = rng.exponential(size=rows) if weighted else None
    return Sample(X, y, None if weight is None else weight / weight.mean())


def hard_rows(view: View) -> Floats:
    """Rows that serving may meet and training did not: extremes, zeros of both signs, missing, unseen codes."""
    top = np.finfo(np.float32).max
    rows = [np.full(6, value) for value in (0.0, -0.0, 1e-38, -1e-38, 1e30, -1e30, top, -top, 3.0)]
    if allows_missing(view):
        rows += [np.full(6, np.nan), np.array([np.nan, 0.0, np.nan, 1e4, np.nan, 1.0])]
    X = np.array(rows, np.float32)
    X[:, 5] = np.where(np.isnan(X[:, 5]), np.nan, np.arange(len(X)) % 3)
    if view is View.NATIVE:
        codes = np.tile(X[:1], (6, 1))
        codes[:, 5] = [CARDINALITY, CARDINALITY + 1, 31, 32, 64, 1e6]
        X = np.concatenate([X, codes])
    return np.ascontiguousarray(X, np.float32)


def context(view: View, task: Task, seed: int = 0, deadline: float = float("inf")) -> FitContext:
    """The context that goes with :func:`sample`."""
    return FitContext(task, N_CLASSES[task], columns(view), seed=seed, deadline=deadline)
