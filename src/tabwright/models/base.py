"""What a model family is: a frozen record, a ``fit`` function, and the fitted thing that it returns."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.util import find_spec
from typing import Any, Protocol, runtime_checkable

import numpy as np

from tabwright.onnx.graph import Graph
from tabwright.space import Space
from tabwright.types import Array, Columns, Floats, Ints, Params, Task, View


class Link(StrEnum):
    """How raw scores become predictions. Fold models of one candidate are averaged before it is applied."""

    IDENTITY = "identity"
    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"


@dataclass(frozen=True)
class Sample:
    """Rows to learn from or to stop by.

    X : float32 (n_rows, n_features), C-contiguous. y : float64 (n_rows,) in regression (mean 0, deviation 1),
    int64 class codes in classification. weight : float64 (n_rows,) with mean 1, or None.
    """

    X: Floats
    y: Array
    weight: Floats | None = None


@dataclass(frozen=True)
class Parts:
    """Rows to learn from that the workers of a Dask cluster hold: Dask arrays, alike in their chunks.

    ``own``: those of them that are here, too.
    """

    client: Any  # distributed.Client
    X: Any
    y: Any
    weight: Any  # or None
    own: Sample


@dataclass(frozen=True)
class FitContext:
    """Everything around the data of one fit."""

    task: Task
    n_classes: int  # 1 in regression
    columns: Columns
    seed: int = 0
    n_threads: int = 1
    deadline: float = field(default=float("inf"))  # time.monotonic() by which fit should have returned
    quantile: float | None = None  # in regression: what to fit instead of the mean; only families with ``quantile``

    @property
    def n_outputs(self) -> int:
        """Columns of a raw score: 1 in regression and binary, n_classes in multiclass."""
        return self.n_classes if self.task is Task.MULTICLASS else 1

    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()


@runtime_checkable
class Fitted(Protocol):
    """A fitted model: a frozen dataclass of arrays, numbers, strings and bytes (see ``store.codec``)."""

    @property
    def link(self) -> Link: ...

    def predict(self, X: Floats) -> Floats:
        """Raw scores, float64 (n_rows, n_outputs)."""

    def to_onnx(self, graph: Graph, x: str) -> str:
        """Emit the same raw scores, float64 (rows, n_outputs), from the float32 matrix ``x``."""


@dataclass(frozen=True)
class Extra:
    """What a family's ``fit`` needs beyond the package's own dependencies."""

    name: str  # of the extra of this package that brings it
    module: str  # that is imported
    title: str

    @property
    def installed(self) -> bool:
        return find_spec(self.module) is not None


@dataclass(frozen=True)
class Family:
    """One model family. Tests, docs, CLI and UI read these facts and no others.

    ``fit(train, valid, params, context)`` trains on ``train``; ``valid`` (or None) is only for early stopping.
    It returns by ``context.deadline`` with what it has by then, or raises ``FitError``.
    """

    name: str
    title: str
    tasks: frozenset[Task]
    view: View
    space: Space
    fit: Callable[[Sample, Sample | None, Params, FitContext], Fitted]
    source: str  # the literature
    max_rows: int | None = None  # not offered for larger tables
    monotone: bool = False  # honours Columns.monotone
    fitted: tuple[type, ...] = ()  # of families outside this package: the dataclasses that their models are made of
    exportable: bool = True  # whether models have ``to_onnx``; without, they run and predict in Python only
    quantile: bool = False  # fits the quantile of ``FitContext.quantile`` in regression
    single_precision: bool = False  # sums in float32, so that back ends agree to some 1e-6 and not to the last bit
    extra: Extra | None = None  # that fit needs; what it fits scores without
    fit_parts: Callable[[Parts, Sample | None, Params, FitContext], Fitted] | None = None  # as ``fit``, on a cluster


def apply_link(raw: Floats, link: Link, task: Task) -> Floats:
    """Predictions from raw scores: (n, 1) values or P(second class), or (n, n_classes) probabilities."""
    if link is Link.IDENTITY:
        return raw if task is Task.REGRESSION else np.clip(raw, 0.0, 1.0)
    if link is Link.SIGMOID:
        return 1.0 / (1.0 + np.exp(-np.clip(raw, -700, 700)))
    shifted = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def link_to_onnx(graph: Graph, raw: str, link: Link, task: Task) -> str:
    """Emit :func:`apply_link`."""
    if link is Link.IDENTITY:
        if task is Task.REGRESSION:
            return raw
        return graph.node("Clip", raw, graph.const(0.0), graph.const(1.0))
    if link is Link.SIGMOID:
        return graph.node("Sigmoid", raw)
    return graph.node("Softmax", raw, axis=1)


def class_counts(y: Ints, n_classes: int, weight: Floats | None) -> Floats:
    """Weighted rows per class, shape (n_classes,)."""
    return np.bincount(y, weights=weight, minlength=n_classes).astype(np.float64)


__all__ = [
    "Columns", "Extra", "Family", "FitContext", "Fitted", "Link", "Sample", "View", "apply_link", "class_counts",
    "link_to_onnx",
]  # fmt: skip
