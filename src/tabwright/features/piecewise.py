"""Piecewise-linear encoding: each number as how far it has come through each of its quantile bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabwright.features.base import Step
from tabwright.onnx.graph import Graph
from tabwright.types import Floats, Ints


@dataclass(frozen=True)
class FittedPiecewise:
    """``clip((x[source] - start) * factor, 0, 1)``, one output per bin."""

    source: Ints  # (n_outputs,) input column
    start: Floats  # (n_outputs,), the column's unit
    factor: Floats  # (n_outputs,), one over the bin's width

    def apply(self, X: Floats) -> Floats:
        return np.clip((X[:, self.source] - self.start) * self.factor, 0.0, 1.0)

    def rename(self, names: tuple[str, ...]) -> tuple[str, ...]:
        seen: dict[int, int] = {}
        out = []
        for k in self.source.tolist():
            seen[k] = seen.get(k, -1) + 1
            out.append(f"{names[k]}.bin{seen[k]}")
        return tuple(out)

    def to_onnx(self, graph: Graph, x: str) -> str:
        x = graph.node("Gather", x, graph.const(self.source.astype(np.int64)), axis=1)
        x = graph.node("Mul", graph.node("Sub", x, graph.const(self.start[None, :])), graph.const(self.factor[None, :]))
        return graph.node("Clip", x, graph.const(0.0), graph.const(1.0))


def fit(X: Floats, *, n_bins: int = 48, max_outputs: int = 1000) -> FittedPiecewise:
    """Bins between quantiles of each column; fewer bins where there are many columns, one for a flag.

    References
    ----------
    Gorishniy et al. 2022, arXiv:2203.05556.
    """
    n_bins = int(np.clip(max_outputs // max(X.shape[1], 1), 2, n_bins))
    source: list[int] = []
    start: list[float] = []
    factor: list[float] = []
    for k, column in enumerate(X.T):
        edges = np.unique(np.quantile(column, np.linspace(0.0, 1.0, n_bins + 1)))
        if len(edges) < 2:
            continue
        source.extend([k] * (len(edges) - 1))
        start.extend(edges[:-1])
        factor.extend(1.0 / np.diff(edges))
    finite = np.isfinite(factor)
    return FittedPiecewise(np.array(source, np.int64)[finite], np.array(start)[finite], np.array(factor)[finite])


PIECEWISE = Step("piecewise", fit, "arXiv:2203.05556")
