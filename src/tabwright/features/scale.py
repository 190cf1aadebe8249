"""Robust scaling with a smooth bound on outliers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabwright.features.base import Step
from tabwright.onnx.graph import Graph
from tabwright.types import Floats


@dataclass(frozen=True)
class FittedScale:
    """``z / sqrt(1 + (z / 3)^2)`` of ``z = (x - centre) * factor``: near-linear inside, bounded by 3."""

    centre: Floats  # (n_columns,), each column's unit
    factor: Floats  # (n_columns,), one over that unit

    def apply(self, X: Floats) -> Floats:
        Z = np.clip((X - self.centre) * self.factor, -1e9, 1e9)
        third = Z / 3.0
        return np.asarray(Z / np.sqrt(1.0 + third * third))

    def rename(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return names

    def to_onnx(self, graph: Graph, x: str) -> str:
        z = graph.node("Sub", x, graph.const(self.centre[None, :]))
        z = graph.node("Mul", z, graph.const(self.factor[None, :]))
        z = graph.node("Clip", z, graph.const(-1e9), graph.const(1e9))
        third = graph.node("Div", z, graph.const(3.0))
        root = graph.node("Sqrt", graph.node("Add", graph.node("Mul", third, third), graph.const(1.0)))
        return graph.node("Div", z, root)


def fit(X: Floats) -> FittedScale:
    """Median and interquartile range; where that is 0, the range of the data.

    References
    ----------
    Holzmüller et al. 2024, arXiv:2407.04491 (robust scaling with smooth clipping).
    """
    low, centre, high = np.quantile(X, [0.25, 0.5, 0.75], axis=0)
    spread = high - low
    full = X.max(axis=0) - X.min(axis=0)
    width = np.where(spread > 0, spread, full / 2.0)
    return FittedScale(centre, np.divide(1.0, width, out=np.zeros_like(width), where=width > 0))


SCALE = Step("scale", fit, "arXiv:2407.04491")
