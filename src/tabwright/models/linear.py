"""Linear and (multinomial) logistic regression with elastic-net penalty, by L-BFGS-B."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabwright.errors import FitError
from tabwright.models.base import Family, FitContext, Link, Sample, View
from tabwright.models.fitting import blas_threads, prior, usable, with_defaults
from tabwright.models.lightgbm import LINKS
from tabwright.onnx.graph import Graph, matrix_to_double
from tabwright.space import Choice, Real, Space
from tabwright.types import Array, Floats, Params, Task

SPACE: Space = {
    "alpha": Real(1e-6, 10.0, 1e-3, log=True),
    "l1_ratio": Choice((0.0, 0.25, 0.5, 1.0), 0.0),
}
MAX_STEPS, MEMORY = 300, 20
SMOOTH = 0.05  # standard deviations of the target, within which the pinball loss is rounded off
MAX_NORMAL = 4000  # features up to which the normal equations are solved: 128 MB


@dataclass(frozen=True)
class FittedLinear:
    """Scores ``X @ weights + intercept`` in double."""

    weights: Floats  # (n_features, n_outputs)
    intercept: Floats  # (n_outputs,)
    link: Link

    def predict(self, X: Floats) -> Floats:
        return np.asarray(X.astype(np.float64) @ self.weights + self.intercept)

    def to_onnx(self, graph: Graph, x: str) -> str:
        scores = graph.node("MatMul", matrix_to_double(graph, x), graph.const(self.weights))
        return graph.node("Add", scores, graph.const(self.intercept[None, :]))


def _ridge(train: Sample, weight: Floats, alpha: float) -> tuple[Floats, Floats]:
    """Minimise ``mean(weight * (y - Xw - b)**2) + alpha * |w|**2`` by the normal equations."""
    from scipy import linalg

    share = weight / weight.sum()
    X = train.X.astype(np.float64)
    centre, offset = share @ X, float(share @ train.y)
    X -= centre
    X *= np.sqrt(share)[:, None]
    y = (train.y - offset) * np.sqrt(share)
    gram = X.T @ X
    # 1e-10 of the mean variance keeps the matrix positive with repeated columns
    gram[np.diag_indices_from(gram)] += alpha + 1e-10 * max(float(np.trace(gram)) / len(gram), 1e-300)
    coefficients = linalg.solve(gram, X.T @ y, assume_a="pos")
    return coefficients[:, None], np.array([offset - float(centre @ coefficients)])


def _pinball(gap: Floats, quantile: float) -> tuple[Floats, Floats]:
    """Pinball loss of ``gap = y - score`` and its slope; rounded off near 0, so that it has one there."""
    half = np.clip(gap / (2 * SMOOTH), -0.5, 0.5)
    corner = np.where(np.abs(gap) < SMOOTH, (gap**2 / SMOOTH + SMOOTH) / 4, np.abs(gap) / 2)
    return corner + (quantile - 0.5) * gap, quantile - 0.5 + half


def _loss(
    context: FitContext, X: Floats, y: Array, share: Floats, shape: tuple[int, int]
) -> Callable[[Floats], Any]:  # fmt: skip
    """The data's loss and gradient by (weights, intercept), as one flat vector; ``X`` float32 for speed."""
    rows, targets, task = np.arange(len(y)), y.astype(np.float64), context.task
    width, outputs = shape

    def residual(scores: Floats) -> tuple[float, Floats]:
        if context.quantile is not None:
            losses, slopes = _pinball(targets - scores[:, 0], context.quantile)
            return float(share @ losses), -(share * slopes)[:, None]
        if task is Task.REGRESSION:
            gap = scores[:, 0] - targets
            return float(share @ gap**2) / 2, (share * gap)[:, None]
        if task is Task.BINARY:
            z = scores[:, 0]
            loss = np.logaddexp(0.0, z) - targets * z
            return float(share @ loss), (share * (1 / (1 + np.exp(-np.clip(z, -500, 500))) - targets))[:, None]
        scores = scores - scores.max(axis=1, keepdims=True)
        p = np.exp(scores)
        total = p.sum(axis=1)
        loss = np.log(total) - scores[rows, y]
        p /= total[:, None]
        p[rows, y] -= 1.0
        return float(share @ loss), p * share[:, None]

    def loss_and_gradient(flat: Floats) -> tuple[float, Floats]:
        matrix = flat.reshape(width + 1, outputs)
        scores = (X @ matrix[:-1].astype(np.float32)).astype(np.float64) + matrix[-1]
        value, gap = residual(scores)
        slope = (X.T @ gap.astype(np.float32)).astype(np.float64)
        return value, np.concatenate([slope.ravel(), gap.sum(axis=0)])

    return loss_and_gradient


def _descend(train: Sample, weight: Floats, alpha: float, l1_ratio: float, context: FitContext) -> Array:
    """L-BFGS-B on the penalised loss. The lasso part splits weights into two parts >= 0, so zeros are exact."""
    from scipy import optimize

    shape = (train.X.shape[1], context.n_outputs)
    n_weights = shape[0] * shape[1]
    data_loss = _loss(context, train.X, train.y, weight / weight.sum(), shape)
    l1, l2 = alpha * l1_ratio, alpha * (1.0 - l1_ratio)
    intercept = np.zeros(shape[1])
    if context.task is not Task.REGRESSION:
        shares = prior(train.y, context.n_classes, train.weight)
        intercept = np.log(shares[1:] / shares[:1]) if shape[1] == 1 else np.log(shares)

    def plain(flat: Floats) -> tuple[float, Floats]:
        value, slope = data_loss(flat)
        w = flat[:n_weights]
        slope[:n_weights] += l2 * w
        return value + l2 / 2 * float(w @ w), slope

    def split(flat: Floats) -> tuple[float, Floats]:
        up, down, rest = flat[:n_weights], flat[n_weights : 2 * n_weights], flat[2 * n_weights :]
        value, slope = plain(np.concatenate([up - down, rest]))
        inner = slope[:n_weights]
        return value + l1 * float(up.sum() + down.sum()), np.concatenate([inner + l1, l1 - inner, slope[n_weights:]])

    def watch(intermediate_result: Any) -> None:  # noqa: ARG001  # SciPy goes by the name
        if context.seconds_left() <= 0:
            raise StopIteration

    options: Any = {"maxiter": MAX_STEPS, "maxcor": MEMORY, "ftol": 1e-8, "gtol": 1e-6}
    lowest = np.concatenate([np.zeros(2 * n_weights), np.full(shape[1], -np.inf)])
    found = optimize.minimize(
        split if l1 > 0 else plain,
        np.concatenate([np.zeros(n_weights * (2 if l1 > 0 else 1)), intercept]), jac=True, method="L-BFGS-B",
        bounds=optimize.Bounds(lowest, np.inf) if l1 > 0 else None, callback=watch, options=options,
    ).x
    if l1 > 0:
        found = np.concatenate([found[:n_weights] - found[n_weights : 2 * n_weights], found[2 * n_weights :]])
    return np.asarray(found).reshape(shape[0] + 1, shape[1])


def solve(train: Sample, alpha: float, l1_ratio: float, context: FitContext) -> tuple[Floats, Floats]:
    """Weights (n_features, n_outputs) and intercepts (n_outputs,) of the task's loss and quantile.

    Raises
    ------
    FitError
        If they are not finite.
    """
    weight = np.ones(len(train.y)) if train.weight is None else train.weight
    with blas_threads(context.n_threads):
        squared = context.task is Task.REGRESSION and context.quantile is None
        if squared and l1_ratio == 0 and train.X.shape[1] <= MAX_NORMAL:
            weights, intercept = _ridge(train, weight, alpha)
        else:
            found = _descend(train, weight, alpha, l1_ratio, context)
            weights, intercept = found[:-1], found[-1]
    if context.quantile is not None and np.isfinite(weights).all():  # exact, where the loss was rounded off
        rest = train.y - (train.X.astype(np.float64) @ weights)[:, 0]
        intercept = np.array([np.quantile(rest, context.quantile, weights=weight, method="inverted_cdf")])
    if not (np.isfinite(weights).all() and np.isfinite(intercept).all()):
        raise FitError("the weights are not finite numbers")
    return np.ascontiguousarray(weights), np.ascontiguousarray(intercept)


def fit(train: Sample, valid: Sample | None, params: Params, context: FitContext) -> FittedLinear:  # noqa: ARG001
    settings = with_defaults(SPACE, params)
    found = solve(usable(train, context), float(settings["alpha"]), float(settings["l1_ratio"]), context)
    return FittedLinear(*found, LINKS[context.task])


LINEAR = Family(
    "linear", "Linear and logistic regression", frozenset(Task), View.DENSE, SPACE, fit,
    source="Zou and Hastie 2005, doi:10.1111/j.1467-9868.2005.00503.x; Byrd et al. 1995, doi:10.1137/0916069; "
    "Fernandes et al. 2021, Smoothing quantile regressions, doi:10.1080/07350015.2019.1660177",
    quantile=True,
)
