"""A multilayer perceptron trained with AdamW and scored in float32: products in double took twice as long a row."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from onnx import TensorProto

from tabwright.errors import FitError
from tabwright.models.base import Family, FitContext, Link, Sample, View
from tabwright.models.epochs import SCHEDULE, Best, Schedule, in_blocks, run_epochs, within
from tabwright.models.fitting import (
    ROUNDS,
    blas_threads,
    log_loss,
    pinball_loss,
    prior,
    usable,
    usable_valid,
    with_defaults,
)  # fmt: skip
from tabwright.models.lightgbm import LINKS
from tabwright.onnx.graph import Graph
from tabwright.space import Choice, Integer, Real, Space
from tabwright.types import Array, Floats, Params, Task

SPACE: Space = {
    "width": Choice((64, 128, 192, 256, 384), 192),
    "depth": Integer(1, 4, 2),
    "activation": Choice(("relu", "silu"), "silu"),
    "learning_rate": Real(3e-4, 1e-2, 2e-3, log=True),
    "weight_decay": Real(1e-4, 1.0, 0.2, log=True),
    "dropout": Real(0.0, 0.4, 0.2),
    "epochs": Integer(15, 120, 40, log=True),
}
PATIENCE = 8  # epochs without a gain after which the learning rate falls, and then training ends
COOLING = 0.6  # the share of the schedule at which the fall starts
BOUND = np.float32(100.0)  # of an input: those of the recipe lie within 3, and large ones would cancel in float32
Layers = list[tuple[Floats, Floats]]


@dataclass(frozen=True)
class FittedMLP:
    """Layers ``activation(X @ weights + bias)``, the last without activation, in float32."""

    weights: tuple[Floats, ...]  # (n_in, n_out) each
    biases: tuple[Floats, ...]  # (n_out,) each
    activation: str  # "relu" or "silu"
    n_iterations: int
    link: Link
    schedule: Schedule = ()  # of the learning rate, to train again alike

    def predict(self, X: Floats) -> Floats:
        layers = list(zip(self.weights, self.biases, strict=True))
        return in_blocks(lambda block: _scores(layers, within(block, BOUND), self.activation), X, len(self.biases[-1]))

    def to_onnx(self, graph: Graph, x: str) -> str:
        h = graph.node("Clip", x, graph.const(-BOUND), graph.const(BOUND))
        last = len(self.weights) - 1
        for i, (weights, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = graph.node("Gemm", h, graph.const(weights), graph.const(bias))
            if i < last:
                h = graph.node("Relu", h) if self.activation == "relu" else (
                    graph.node("Mul", h, graph.node("Sigmoid", h)))
        return graph.node("Cast", h, to=TensorProto.DOUBLE)


def _sigmoid(z: Floats) -> Floats:
    # tanh does not overflow, and NumPy has it vectorised
    half = z.dtype.type(0.5)
    return np.asarray(half * np.tanh(half * z) + half)


def _activate(z: Floats, activation: str) -> tuple[Floats, Floats]:
    """The activation and its slope."""
    if activation == "relu":
        return np.maximum(z, 0), (z > 0).astype(z.dtype)
    s = _sigmoid(z)
    h = z * s
    return h, s + h * (1 - s)


def _scores(layers: Layers, X: Floats, activation: str) -> Floats:
    for weights, bias in layers[:-1]:
        X = _activate(X @ weights + bias, activation)[0]
    return np.asarray(X @ layers[-1][0] + layers[-1][1])


def _slope(scores: Floats, y: Array, weight: Floats | None, context: FitContext) -> Floats:
    """Gradient of the batch's mean loss by its scores."""
    task = context.task
    if context.quantile is not None:
        gap = np.float32(1.0 - context.quantile) - (scores < y[:, None]).astype(np.float32)
    elif task is Task.REGRESSION:
        gap = scores - y[:, None].astype(np.float32)
    elif task is Task.BINARY:
        gap = _sigmoid(scores) - y[:, None].astype(np.float32)
    else:
        gap = np.exp(scores - scores.max(axis=1, keepdims=True))
        gap /= gap.sum(axis=1, keepdims=True)
        gap[np.arange(len(y)), y] -= 1
    if weight is not None:
        gap = gap * weight[:, None]
    return np.asarray(gap / np.float32(len(y)))


class _Trainer:
    """Layers with their Adam moments; one ``epoch`` after the other."""

    def __init__(self, train: Sample, settings: Params, context: FitContext) -> None:
        self.rng = np.random.default_rng(context.seed)
        self.train, self.context, self.settings = train, context, settings
        self.activation = str(settings["activation"])
        self.weight = None if train.weight is None else train.weight.astype(np.float32)
        self.batch = int(2 ** np.clip(round(math.log2(max(len(train.y), 1) / 64)), 4, 10))
        sizes = [train.X.shape[1], *[int(settings["width"])] * int(settings["depth"]), context.n_outputs]
        self.layers: Layers = [
            (self.rng.normal(0.0, math.sqrt(2.0 / max(a, 1)), (a, b)).astype(np.float32), np.zeros(b, np.float32))
            for a, b in pairwise(sizes)
        ]
        last, bias = self.layers[-1]
        last *= 0.1  # starts near the prior
        if context.task.is_classification:
            shares = prior(train.y, context.n_classes, train.weight)
            bias += (np.log(shares[1:] / shares[:1]) if context.n_outputs == 1 else np.log(shares)).astype(np.float32)
        self.moments = [[np.zeros_like(p) for _ in range(2) for p in layer] for layer in self.layers]
        self.steps = 0

    @property
    def steps_per_epoch(self) -> int:
        return max(1, len(self.train.y) // self.batch)

    def epoch(self, done: float, per_step: float, deadline: float) -> bool:
        order = self.rng.permutation(len(self.train.y))
        for i in range(self.steps_per_epoch):
            share = min(done + i * per_step, 1.0)
            warm = min(1.0, (self.steps + 1) / 50)
            rate = warm * 0.5 * (1 + math.cos(math.pi * share)) + 1e-3
            self._step(order[i * self.batch : (i + 1) * self.batch], rate)
            if time.monotonic() > deadline:
                return False
        return True

    def _step(self, rows: Array, rate: float) -> None:
        h = self.train.X[rows]
        inputs, slopes = [h], []
        keep = 1.0 - float(self.settings["dropout"])
        for weights, bias in self.layers[:-1]:
            h, slope = _activate(h @ weights + bias, self.activation)
            if keep < 1.0:
                mask = (self.rng.random(h.shape, np.float32) < keep) * np.float32(1 / keep)
                h, slope = h * mask, slope * mask
            inputs.append(h)
            slopes.append(slope)
        scores = h @ self.layers[-1][0] + self.layers[-1][1]
        weight = None if self.weight is None else self.weight[rows]
        back = _slope(scores, self.train.y[rows], weight, self.context)
        self.steps += 1
        for i in range(len(self.layers) - 1, -1, -1):
            gradients = (inputs[i].T @ back, back.sum(axis=0))
            if i:
                back = (back @ self.layers[i][0].T) * slopes[i - 1]
            self._update(i, gradients, rate)

    def _update(self, i: int, gradients: tuple[Floats, Floats], rate: float) -> None:
        beta1, beta2 = 0.9, 0.97
        size = float(self.settings["learning_rate"]) * rate
        correction = math.sqrt(1 - beta2**self.steps) / (1 - beta1**self.steps)
        for j, gradient in enumerate(gradients):
            parameter, first, second = self.layers[i][j], self.moments[i][j], self.moments[i][2 + j]
            first *= beta1
            first += (1 - beta1) * gradient
            second *= beta2
            second += (1 - beta2) * gradient * gradient
            if j == 0:
                parameter *= 1 - size * float(self.settings["weight_decay"])
            parameter -= (size * correction) * first / (np.sqrt(second) + 1e-8)

    def loss(self, valid: Sample) -> float:
        raw = in_blocks(lambda block: _scores(self.layers, block, self.activation), valid.X, self.context.n_outputs)
        if self.context.quantile is not None:
            return pinball_loss(raw, valid.y, valid.weight, self.context.quantile)
        return log_loss(raw, valid.y, valid.weight, self.context.task)

    def is_finite(self) -> bool:
        return all(np.isfinite(bias).all() for _, bias in self.layers)

    def onward(self, done: float, best: Best) -> float:
        """Overfitting at a high rate: fall from the best point instead."""
        if best.stale < PATIENCE:
            return done
        if done > COOLING:
            return 1.0
        self.layers = [(w.copy(), b.copy()) for w, b in best.snapshot]
        return COOLING

    def snapshot(self) -> Layers:
        return [(w.copy(), b.copy()) for w, b in self.layers]


def fit(train: Sample, valid: Sample | None, params: Params, context: FitContext) -> FittedMLP:
    train, valid = usable(train, context), usable_valid(valid)
    train = replace(train, X=within(train.X, BOUND))
    valid = None if valid is None else replace(valid, X=within(valid.X, BOUND))
    settings = with_defaults(SPACE, params)
    epochs = int(params[ROUNDS] if ROUNDS in params else settings["epochs"])
    with blas_threads(context.n_threads), np.errstate(over="ignore", invalid="ignore"):
        trainer = _Trainer(train, settings, context)
        layers, best_epoch, schedule = run_epochs(trainer, valid, epochs, context, params.get(SCHEDULE))
    if best_epoch == 0:
        raise FitError("the network found no finite loss in the time it had")
    weights, biases = (tuple(part) for part in zip(*layers, strict=True))
    return FittedMLP(weights, biases, trainer.activation, best_epoch, LINKS[context.task], schedule)


MLP = Family(
    "mlp", "Neural network", frozenset(Task), View.SMOOTH, SPACE, fit,
    source="Holzmüller, Grinsztajn and Steinwart 2024, Better by Default, NeurIPS 37; "
    "Gorishniy et al. 2022, On Embeddings for Numerical Features, NeurIPS 35",
    single_precision=True, quantile=True,
)
