"""Calibration of an ensemble's probabilities: a mean of several models is less sure than it has reason to be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabwright.onnx.graph import Graph
from tabwright.subsample import subsample
from tabwright.types import Array, Floats, Task

LEAST = 1e-12  # probabilities are not told apart below
MIN_ROWS, MAX_ROWS = 500, 20_000
MIN_OF_A_CLASS = 10  # in either half, of two classes: of fewer, a shift of all odds can't be told from chance
MAX_CELLS = 400_000  # rows x classes
WORTHWHILE = 0.002  # of the log loss, that it must lower on rows that it was not fitted to
SLOPES = (0.3, 3.0)


@dataclass(frozen=True)
class Calibration:
    """The log-odds times ``slope``, plus ``shift`` with two classes; with more, the logarithms times ``slope``.

    The order of the classes stays, and with two that of the rows.

    References
    ----------
    Platt 1999, "Probabilistic outputs for support vector machines"; Guo et al. 2017 (temperature), arXiv:1706.04599;
    Rahaman and Thiery 2021 (ensembles), arXiv:2007.08792.
    """

    slope: float
    shift: float = 0.0

    def apply(self, prediction: Floats) -> Floats:
        """Canonical probabilities, float64 (n_rows, 1) P(second class) or (n_rows, n_classes), calibrated."""
        if prediction.shape[1] == 1:
            p = np.clip(prediction, LEAST, 1.0 - LEAST)
            z = (np.log(p) - np.log(1.0 - p)) * self.slope + self.shift
            return np.asarray(1.0 / (1.0 + np.exp(-z)))
        z = np.log(np.clip(prediction, LEAST, 1.0)) * self.slope
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    def to_onnx(self, graph: Graph, prediction: str, task: Task) -> str:
        """Emit :meth:`apply`."""
        if task is Task.MULTICLASS:
            logs = graph.node("Log", graph.node("Clip", prediction, graph.const(LEAST), graph.const(1.0)))
            return graph.node("Softmax", graph.node("Mul", logs, graph.const(self.slope)), axis=1)
        p = graph.node("Clip", prediction, graph.const(LEAST), graph.const(1.0 - LEAST))
        odds = graph.node("Sub", graph.node("Log", p), graph.node("Log", graph.node("Sub", graph.const(1.0), p)))
        z = graph.node("Mul", odds, graph.const(self.slope))
        return graph.node("Sigmoid", graph.node("Add", z, graph.const(self.shift)))


def calibrate(y: Array, prediction: Floats, weight: Floats | None = None, seed: int = 0) -> Calibration | None:
    """The calibration that lowers the log loss of out-of-fold probabilities; None where it does not pay.

    It pays if, fitted to either half of the rows, it lowers the log loss of the other by a fifth of a percent.

    Parameters
    ----------
    y : int64, shape (n_rows,)
        Class codes.
    prediction : float64, shape (n_rows, 1) or (n_rows, n_classes)
        Canonical probabilities.
    weight : float64, shape (n_rows,), optional
    seed : int
    """
    if len(y) < MIN_ROWS:
        return None
    rows, weight = subsample(y, max(MIN_ROWS, min(MAX_ROWS, MAX_CELLS // prediction.shape[1])), weight, seed)
    y, prediction = y[rows], prediction[rows]
    order = np.random.default_rng(seed).permutation(len(y))
    halves = order[: len(y) // 2], order[len(y) // 2 :]
    if prediction.shape[1] == 1 and min(np.bincount(y[half], minlength=2).min() for half in halves) < MIN_OF_A_CLASS:
        return None
    before = after = 0.0
    for own, other in (halves, halves[::-1]):
        found = _fit(*_take(own, y, prediction, weight))
        before += _loss(*_take(other, y, prediction, weight))
        taken = _take(other, y, prediction, weight)
        after += _loss(taken[0], found.apply(taken[1]), taken[2])
    if not after < (1.0 - WORTHWHILE) * before:
        return None
    return _fit(y, prediction, weight)


def _take(rows: Array, y: Array, prediction: Floats, weight: Floats | None) -> tuple[Array, Floats, Floats | None]:
    return y[rows], prediction[rows], None if weight is None else weight[rows]


def _fit(y: Array, prediction: Floats, weight: Floats | None) -> Calibration:
    from scipy.optimize import minimize

    binary = prediction.shape[1] == 1

    def loss(x: Floats) -> float:
        return _loss(y, Calibration(float(x[0]), float(x[1]) if binary else 0.0).apply(prediction), weight)

    bounds = [SLOPES, (-3.0, 3.0)] if binary else [SLOPES]
    found = minimize(loss, [1.0, 0.0] if binary else [1.0], method="L-BFGS-B", bounds=bounds)
    return Calibration(float(found.x[0]), float(found.x[1]) if binary else 0.0)


def _loss(y: Array, prediction: Floats, weight: Floats | None) -> float:
    return float(np.average(-np.log(np.clip(of_truth(prediction, y), LEAST, 1.0)), weights=weight))


def of_truth(prediction: Floats, y: Array) -> Floats:
    """The probability of each row's true class in canonical predictions, float64 (n_rows,)."""
    if prediction.shape[1] > 1:
        return np.asarray(prediction[np.arange(len(y)), y])
    return np.where(y == 1, prediction[:, 0], 1.0 - prediction[:, 0])
