"""Differences, products and quotients of two numeric columns."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from tabwright.data.table import Table
from tabwright.features.base import Encoder, Inputs, TargetInfo
from tabwright.types import Floats

OPERATIONS = ("-", "*", "/")
BOUND = 1e30  # keeps later products finite
Pair = tuple[str, str, str]  # column, operation, column


@dataclass(frozen=True)
class FittedArithmetic:
    """``x[left] operation x[right]``; a quotient by 0 is missing."""

    left: tuple[tuple[int, ...], ...]  # by operation: positions in schema.numeric
    right: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]

    def apply(self, table: Table) -> Floats:
        blocks = []
        with np.errstate(over="ignore"):
            for operation, left, right in zip(OPERATIONS, self.left, self.right, strict=True):
                a, b = table.numbers[:, list(left)], table.numbers[:, list(right)]
                if operation == "/":
                    b = np.where(b == 0.0, np.nan, b)
                blocks.append(a - b if operation == "-" else a * b if operation == "*" else a / b)
        return np.clip(np.concatenate(blocks, axis=1), -BOUND, BOUND)

    def to_onnx(self, inputs: Inputs) -> str:
        graph = inputs.graph
        blocks = []
        for operation, left, right in zip(OPERATIONS, self.left, self.right, strict=True):
            if not left:
                continue
            a, b = inputs.number_columns(left), inputs.number_columns(right)
            if operation == "/":
                b = graph.node("Where", graph.node("Equal", b, graph.const(0.0)), graph.const(np.nan), b)
            blocks.append(graph.node({"-": "Sub", "*": "Mul", "/": "Div"}[operation], a, b))
        x = blocks[0] if len(blocks) == 1 else graph.node("Concat", *blocks, axis=1)
        return graph.node("Clip", x, graph.const(-BOUND), graph.const(BOUND))


def all_pairs(names: list[str]) -> tuple[Pair, ...]:
    """Every pair of columns under every operation, quotients both ways."""
    pairs: list[Pair] = []
    for a, b in itertools.combinations(names, 2):
        pairs += [(a, "-", b), (a, "*", b), (a, "/", b), (b, "/", a)]
    return tuple(pairs)


def fit(
    table: Table, _target: TargetInfo | None = None, *, pairs: tuple[Pair, ...] | None = None
) -> FittedArithmetic | None:
    """The pairs given (column, one of ``-``, ``*``, ``/``, column), or all of the first three columns."""
    position = {c.name: j for j, c in enumerate(table.schema.numeric)}
    wanted = all_pairs(list(position)[:3]) if pairs is None else pairs
    known = [p for p in wanted if p[0] in position and p[2] in position]
    if not known:
        return None
    by_operation = [[p for p in known if p[1] == operation] for operation in OPERATIONS]
    return FittedArithmetic(
        tuple(tuple(position[a] for a, _, _ in group) for group in by_operation),
        tuple(tuple(position[b] for _, _, b in group) for group in by_operation),
        tuple(f"{a} {operation} {b}" for group in by_operation for a, operation, b in group),
    )


ARITHMETIC = Encoder("arithmetic", fit, "Kanter & Veeramachaneni 2015, doi:10.1109/DSAA.2015.7344858")
"""Automated construction of features from pairs."""
