"""What a transformer is. Python (``apply``) and ONNX (``to_onnx``) stand side by side in each file.

There are two sorts. An *encoder* reads the table and yields float64 columns; a *step* maps such columns to
others. Everything is computed in float64 and cast to float32 once, where features leave this layer: the two
back ends then agree to the bit, for all but values within 1e-16 of a rounding boundary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from onnx import TensorProto

from tabwright.data.table import Table
from tabwright.onnx.graph import ML, Graph
from tabwright.schema import Schema
from tabwright.types import Array, Floats, Ints, Kind, Task


@dataclass(frozen=True)
class TargetInfo:
    """What supervised encoders may know of the target; ``y`` as in ``models.base.Sample``, weights of mean 1."""

    task: Task
    n_classes: int
    y: Array
    weight: Floats | None = None
    seed: int = 0
    group: Ints | None = None  # codes of groups of rows that are kept together, (n_rows,)

    def __post_init__(self) -> None:
        if self.weight is not None and (mean := float(np.mean(self.weight))) > 0:
            object.__setattr__(self, "weight", self.weight / mean)  # smoothing counts rows, whatever the weights' unit

    @property
    def n_columns(self) -> int:
        """How many :meth:`as_columns` gives."""
        return self.n_classes if self.task is Task.MULTICLASS else 1

    def inner_folds(self, n: int) -> Ints:
        """Each row's inner fold, 0 to ``n`` - 1: it is encoded from the others. Rows of a group share theirs."""
        rng = np.random.default_rng(self.seed)
        if self.group is not None:
            names, code = np.unique(self.group, return_inverse=True)
            if len(names) >= n:
                return np.asarray((rng.permutation(len(names)) % n)[code])
        return np.asarray(rng.permutation(len(self.y)) % n)

    def take(self, rows: Ints) -> TargetInfo:
        """Of some of the rows."""
        weight = None if self.weight is None else self.weight[rows]
        group = None if self.group is None else self.group[rows]
        return replace(self, y=self.y[rows], weight=weight, group=group)

    def as_columns(self) -> Floats:
        """The target as float64 columns: itself, or P(second class), or one indicator per class."""
        if self.task is Task.MULTICLASS:
            return np.eye(self.n_classes)[self.y]
        return self.y.astype(np.float64)[:, None]


class Inputs:
    """The graph's two inputs and what encoders derive from them in common."""

    def __init__(self, graph: Graph, schema: Schema) -> None:
        self.graph, self.schema = graph, schema
        self.emitted: dict[tuple[int, ...], str] = {}  # outputs of members, by the identities of their models
        n_numbers, n_strings = len(schema.numeric), len(schema.strings)
        self.numbers = graph.input("numbers", TensorProto.DOUBLE, n_numbers) if n_numbers else ""
        self.strings = graph.input("strings", TensorProto.STRING, n_strings) if n_strings else ""
        self._coded = [j for j, c in enumerate(schema.strings) if c.kind is Kind.CATEGORICAL]

    def number_columns(self, columns: tuple[int, ...]) -> str:
        """Columns of ``numbers``, float64 (rows, len(columns)); no node where that is all of them."""
        return take_columns(self.graph, self.numbers, columns, len(self.schema.numeric))

    def string_column(self, column: int) -> str:
        """One column of ``strings``, shape (rows,)."""
        return self.graph.node("Gather", self.strings, self.graph.const(np.int64(column)), axis=1)

    def codes(self, columns: tuple[int, ...]) -> str:
        """Category codes of string columns, int64 (rows, len(columns)); see ``Table.codes``."""
        positions = tuple(self._coded.index(j) for j in columns)
        return take_columns(self.graph, self._all_codes(), positions, len(self._coded))

    def _all_codes(self) -> str:
        graph, schema = self.graph, self.schema
        coded = take_columns(graph, self.strings, tuple(self._coded), len(schema.strings))
        vocabularies = [{"": 0} | {v: k + 1 for k, v in enumerate(schema.strings[j].values)} for j in self._coded]
        union = list(dict.fromkeys(v for vocabulary in vocabularies for v in vocabulary))
        if (len(union) + 1) * len(vocabularies) > MAX_SHARED_CODE_CELLS:
            return graph.node("Concat", *(self._own_codes(coded, k, v) for k, v in enumerate(vocabularies)), axis=1)
        # One dictionary for all columns, then a small table from (word, column) to the column's own code: two
        # nodes however many columns there are, where a dictionary each would cost a node or three per column.
        word = _label_encoder(graph, coded, union, list(range(len(union))), len(union))
        table = np.array([[v.get(w, len(v)) for v in vocabularies] for w in union] + [[len(v) for v in vocabularies]])
        width = len(vocabularies)
        flat = graph.node("Mul", word, graph.const(np.int64(width))) if width > 1 else word
        if width > 1:
            flat = graph.node("Add", flat, graph.const(np.arange(width, dtype=np.int64)[None, :]))
        return graph.node("Gather", graph.const(table.astype(np.int64).ravel()), flat)

    def _own_codes(self, coded: str, position: int, vocabulary: dict[str, int]) -> str:
        column = self.graph.node("Gather", coded, self.graph.const(np.array([position], np.int64)), axis=1)
        return _label_encoder(self.graph, column, list(vocabulary), list(vocabulary.values()), len(vocabulary))


MAX_SHARED_CODE_CELLS = 200_000  # 1.6 MB of int64


def _label_encoder(graph: Graph, strings: str, keys: list[str], values: list[int], default: int) -> str:
    return graph.node(
        "LabelEncoder", strings, domain=ML, keys_strings=keys, values_int64s=values, default_int64=default
    )


def take_columns(graph: Graph, x: str, columns: tuple[int, ...], width: int) -> str:
    """Columns of a matrix tensor in the given order; the tensor itself where that changes nothing."""
    if columns == tuple(range(width)):
        return x
    return graph.node("Gather", x, graph.const(np.array(columns, np.int64)), axis=1)


class FittedEncoder(Protocol):
    """A fitted encoder: frozen dataclass of arrays and plain values."""

    @property
    def names(self) -> tuple[str, ...]:
        """One readable name per output column."""

    def apply(self, table: Table) -> Floats:
        """float64 (n_rows, n_outputs)."""

    def to_onnx(self, inputs: Inputs) -> str:
        """The same, as a float64 tensor."""


class FittedStep(Protocol):
    """A fitted step: frozen dataclass of arrays and plain values."""

    def apply(self, X: Floats) -> Floats:
        """float64 (n_rows, n_inputs) to float64 (n_rows, n_outputs)."""

    def rename(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the output columns, given those of the input columns."""

    def to_onnx(self, graph: Graph, x: str) -> str:
        """The same, on a float64 tensor."""


@dataclass(frozen=True)
class Encoder:
    """One encoder's facts. ``fit(table, target, **options)`` returns None where it has nothing to encode.

    An encoder that is ``supervised`` reads the target, is fitted in each fold anew, and returns a pair: the
    fitted encoder, and the training rows encoded out of fold.
    """

    name: str
    fit: Callable[..., Any]
    source: str
    supervised: bool = False
    fitted: tuple[type, ...] = ()  # of encoders outside this package: the dataclasses that they are made of when fitted


@dataclass(frozen=True)
class Step:
    """One step's facts. ``fit(X, **options)`` never sees the target."""

    name: str
    fit: Callable[..., FittedStep]
    source: str


def categorical_columns(schema: Schema, low: int = 0) -> tuple[int, ...]:
    """Positions in ``schema.strings`` of categorical columns with ``low`` values or more."""
    return tuple(j for j, c in enumerate(schema.strings) if c.kind is Kind.CATEGORICAL and low <= len(c.values))


def code_matrix(table: Table, columns: tuple[int, ...]) -> Ints:
    """Codes of several categorical columns, int64 (n_rows, len(columns))."""
    return np.stack([table.codes(j).astype(np.int64) for j in columns], axis=1)
