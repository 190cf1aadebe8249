"""One indicator per frequent category."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from tabwright.data.table import Table
from tabwright.features.base import Encoder, Inputs, TargetInfo, categorical_columns
from tabwright.types import Floats, Ints


@dataclass(frozen=True)
class FittedOneHot:
    """1 where column ``columns[k]`` has the code ``wanted[k]``; rare and unseen values are all zeros."""

    columns: tuple[int, ...]  # positions in schema.strings, one per output
    wanted: Ints  # (n_outputs,)
    names: tuple[str, ...]

    def apply(self, table: Table) -> Floats:
        out = np.empty((table.n_rows, len(self.columns)))
        codes = {j: table.codes(j) for j in dict.fromkeys(self.columns)}
        for k, (j, code) in enumerate(zip(self.columns, self.wanted.tolist(), strict=True)):
            np.equal(codes[j], code, out=out[:, k])
        return out

    def to_onnx(self, inputs: Inputs) -> str:
        graph = inputs.graph
        equal = graph.node("Equal", inputs.codes(self.columns), graph.const(self.wanted.astype(np.int64)[None, :]))
        return graph.node("Cast", equal, to=TensorProto.DOUBLE)


def fit(
    table: Table, _target: TargetInfo | None = None, *, min_count: int = 5, max_values: int = 30
) -> FittedOneHot | None:
    """The ``max_values`` most frequent values of each categorical column, and "missing" where it occurs."""
    columns, wanted, names = [], [], []
    for j in categorical_columns(table.schema):
        column = table.schema.strings[j]
        counts = np.bincount(table.codes(j), minlength=len(column.values) + 2)
        by_count = np.argsort(-counts[: len(column.values) + 1], kind="stable")
        kept = [int(k) for k in by_count if counts[k] >= min_count][:max_values]
        if len(kept) == 2 and counts[kept].sum() == table.n_rows:
            kept = kept[:1]  # the second of two values says nothing new
        for code in kept:
            columns.append(j)
            wanted.append(code)
            names.append(f"{column.name}={column.values[code - 1] if code else '(missing)'}")
    return FittedOneHot(tuple(columns), np.array(wanted, np.int64), tuple(names)) if columns else None


ONE_HOT = Encoder("one_hot", fit, "indicator coding, rare values grouped")
