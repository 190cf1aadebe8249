"""RealMLP: a pre-tuned multilayer perceptron with periodic embeddings of numbers, trained with PyTorch.

PyTorch is needed for the fit alone (``realmlp_training``); what is fitted are arrays, scored with NumPy. Other than in
the paper, inputs are those of the other network, bins included, which bettered three regressions by 1 to 10 %; epochs
are fewer, and a cycle of the learning rate that brings nothing is the last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

from tabwright.errors import FitError
from tabwright.models.base import Extra, Family, FitContext, Link, Sample, View
from tabwright.models.epochs import SCHEDULE, Schedule, in_blocks, run_epochs, within
from tabwright.models.fitting import ROUNDS, blas_threads, usable, usable_valid, with_defaults
from tabwright.models.lightgbm import LINKS
from tabwright.onnx.graph import Graph
from tabwright.space import Choice, Integer, Real, Space
from tabwright.types import Floats, Ints, Params, Task

if TYPE_CHECKING:
    from tabwright.models.realmlp_training import Trainer

SPACE: Space = {
    "width": Choice((128, 256, 384), 256),
    "depth": Integer(2, 4, 3),
    "rate_factor": Real(0.25, 2.0, 1.0, log=True),  # times the learning rate of the task
    "weight_decay": Real(1e-3, 0.1, 0.02, log=True),
    "dropout": Real(0.0, 0.4, 0.15),
    # the paper's 0.1 helps accuracy; log loss, which early stopping goes by here, is the better without
    "label_smoothing": Choice((0.0, 0.1), 0.0),
    "frequency": Real(0.03, 1.0, 0.1, log=True),  # deviation of the embeddings' initial frequencies
    "epochs": Integer(16, 256, 48, log=True),
}
BOUND = np.float32(10.0)  # of an input: those of the recipe lie within 3
SELU_SCALE, SELU_ALPHA = np.float32(1.0507009873554805), np.float32(1.6732632423543772)


@dataclass(frozen=True)
class FittedRealMLP:
    """Layers over the inputs and ``cos(X[:, source] * frequency + phase)``, in float32.

    A hidden layer puts out ``z * kept + activation(z) * mixed`` of ``z = X @ weights + bias``. All that is linear
    between cosines and first layer (embedding, scaling) is multiplied into the first layer's weights.
    """

    source: Ints  # (n_cosines,) input column
    frequency: Floats  # (n_cosines,)
    phase: Floats  # (n_cosines,)
    weights: tuple[Floats, ...]  # (n_in, n_out) each
    biases: tuple[Floats, ...]  # (n_out,) each
    kept: tuple[Floats, ...]  # (n_out,) of each hidden layer
    mixed: tuple[Floats, ...]  # (n_out,) of each hidden layer
    activation: str  # "selu" or "mish"
    bounds: tuple[float, float]  # of a raw score: the range of the training rows' target, or infinite
    n_iterations: int
    link: Link
    schedule: Schedule = ()  # of the learning rate, to train again alike

    def predict(self, X: Floats) -> Floats:
        return in_blocks(self._scores, X, len(self.biases[-1]))

    def _scores(self, X: Floats) -> Floats:
        h = within(X, BOUND)
        if len(self.source):
            h = np.concatenate([h, np.cos(h[:, self.source] * self.frequency + self.phase)], axis=1)
        for weights, bias, kept, mixed in zip(self.weights, self.biases, self.kept, self.mixed, strict=False):
            z = h @ weights + bias
            h = z * kept + _activate(z, self.activation) * mixed
        scores = h @ self.weights[-1] + self.biases[-1]
        return np.clip(scores, np.float32(self.bounds[0]), np.float32(self.bounds[1]))

    def to_onnx(self, graph: Graph, x: str) -> str:
        h = graph.node("Clip", x, graph.const(-BOUND), graph.const(BOUND))
        if len(self.source):
            waves = graph.node("Gather", h, graph.const(self.source.astype(np.int64)), axis=1)
            waves = graph.node("Mul", waves, graph.const(self.frequency[None, :]))
            waves = graph.node("Cos", graph.node("Add", waves, graph.const(self.phase[None, :])))
            h = graph.node("Concat", h, waves, axis=1)
        for weights, bias, kept, mixed in zip(self.weights, self.biases, self.kept, self.mixed, strict=False):
            z = graph.node("Gemm", h, graph.const(weights), graph.const(bias))
            active = graph.node("Selu", z) if self.activation == "selu" else (
                graph.node("Mul", z, graph.node("Tanh", graph.node("Softplus", z))))
            h = graph.node("Add", graph.node("Mul", z, graph.const(kept[None, :])),
                           graph.node("Mul", active, graph.const(mixed[None, :])))
        h = graph.node("Gemm", h, graph.const(self.weights[-1]), graph.const(self.biases[-1]))
        if np.isfinite(self.bounds).all():
            h = graph.node("Clip", h, *(graph.const(np.float32(bound)) for bound in self.bounds))
        return graph.node("Cast", h, to=TensorProto.DOUBLE)


def _activate(z: Floats, activation: str) -> Floats:
    if activation == "selu":
        return np.asarray(SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))))
    # tanh(log(1 + e)) as a fraction of e = exp(z), beyond 20 of which nothing is left but 1
    e = np.exp(np.minimum(z, np.float32(20.0)))
    n = e * (e + np.float32(2.0))
    return np.asarray(z * (n / (n + np.float32(2.0))))


def fit(train: Sample, valid: Sample | None, params: Params, context: FitContext) -> FittedRealMLP:
    train, valid = usable(train, context), usable_valid(valid)
    train = replace(train, X=within(train.X, BOUND))
    settings = with_defaults(SPACE, params)
    epochs = int(params[ROUNDS] if ROUNDS in params else settings["epochs"])
    with blas_threads(context.n_threads), np.errstate(over="ignore", invalid="ignore"):
        trainer = _trainer(train, settings, context)
        model, best_epoch, schedule = run_epochs(trainer, valid, epochs, context, params.get(SCHEDULE))
    if best_epoch == 0:
        raise FitError("the network found no finite loss in the time it had")
    fitted: FittedRealMLP = model
    return replace(fitted, n_iterations=best_epoch, schedule=schedule, link=LINKS[context.task])


def _trainer(train: Sample, settings: Params, context: FitContext) -> Trainer:
    try:
        from tabwright.models.realmlp_training import Trainer
    except ImportError as error:
        raise FitError(f"PyTorch is not installed here: pip install 'tabwright[neural]' ({error})") from error
    usable(train, context)  # the first import takes a second or two
    return Trainer(train, settings, context)


REALMLP = Family(
    "realmlp", "RealMLP", frozenset(Task), View.SMOOTH, SPACE, fit,
    source="Holzmüller, Grinsztajn and Steinwart 2024, Better by Default, NeurIPS 37, arXiv:2407.04491",
    single_precision=True, quantile=True, extra=Extra("neural", "torch", "PyTorch"),
)
