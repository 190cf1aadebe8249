"""The training of RealMLP, the only module that needs PyTorch: imported by the fit alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as nn

from tabwright.models.base import FitContext, Link, Sample
from tabwright.models.cuda_recording import Recording
from tabwright.models.epochs import Best, in_blocks, within
from tabwright.models.fitting import log_loss, pinball_loss, prior
from tabwright.models.realmlp import BOUND, FittedRealMLP
from tabwright.types import Array, Floats, Ints, Params, Task

BATCH = 256
RATE = {Task.REGRESSION: 0.2, Task.BINARY: 0.04, Task.MULTICLASS: 0.04}
SCALE_RATE, BIAS_RATE, MIX_RATE, EMBEDDING_RATE = 6.0, 0.1, 0.1, 0.1  # times the learning rate
N_WAVES, N_EMBEDDED = 16, 3  # cosines of a column, and what is made of them; the column itself is the fourth
MAX_WAVING = 160  # columns; of more, none has cosines
INIT_ROWS, INIT_PRIOR_ROWS = 2048, 10
CYCLES = 4  # of the learning rate, each twice as long as the one before


class Group(NamedTuple):
    """Parameters that move alike."""

    parameters: list[Tensor]
    factor: float  # of the learning rate
    decay: float  # of the weight decay


class Trainer:
    """Parameters with their Adam moments; one ``epoch`` after the other."""

    def __init__(self, train: Sample, settings: Params, context: FitContext) -> None:
        self.rng = np.random.default_rng(context.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.noise = torch.Generator(self.device).manual_seed(context.seed)  # of dropout
        self.context, self.settings = context, settings
        self.y = self._tensor(train.y.astype(np.int64 if context.task is Task.MULTICLASS else np.float32))
        self.weight = None if train.weight is None else self._tensor(train.weight.astype(np.float32))
        self.X = self._tensor(train.X)
        self.bounds = (-math.inf, math.inf) if context.task.is_classification else (train.y.min(), train.y.max())
        self.activate = nn.selu if context.task.is_classification else nn.mish
        # small tables learn in smaller batches, so that as many epochs are steps enough
        self.batch = int(2 ** np.clip(round(math.log2(max(len(train.y), 1) / 16)), 5, math.log2(BATCH)))
        in_batch = min(self.batch, len(train.y))
        # Adam's noise grows as the root of the batch falls
        self.rate = RATE[context.task] * float(settings["rate_factor"]) * math.sqrt(in_batch / BATCH)
        with _threads(context.n_threads), torch.no_grad():
            self._make_parameters(train)
        self.groups = self._groups()
        self.rows = torch.zeros(in_batch, dtype=torch.int64, device=self.device)
        # of a step: learning rate and what weight decay leaves of parameters, by group; dropout, 1 / (1 - dropout)
        self.now = torch.zeros(2 * len(self.groups) + 2, device=self.device)
        on_gpu = self.device.type == "cuda"
        self.optimiser = torch.optim.Adam(
            [{"params": group.parameters} for group in self.groups], lr=self.now[0], betas=(0.9, 0.95), fused=True,
            capturable=on_gpu,
        )  # fmt: skip
        self.step: Callable[[], None] = Recording(self._step, self.noise) if on_gpu else self._step

    # ---- parameters

    def _make_parameters(self, train: Sample) -> None:
        width = train.X.shape[1]
        low, high = train.X.min(axis=0), train.X.max(axis=0)
        inner = np.not_equal(train.X, low) & np.not_equal(train.X, high)
        # numbers, which are centred; indicators have two values, shares of bins lie between 0 and 1
        self.waving: Ints = np.flatnonzero(inner.any(axis=0) & (low < 0))
        if len(self.waving) > MAX_WAVING:
            self.waving = self.waving[:0]
        self.waved = self._tensor(self.waving)
        n = len(self.waving)
        limit = 1.0 / math.sqrt(N_WAVES)
        self.frequency = self._normal(n, 1, N_WAVES) * (2.0 * math.pi * float(self.settings["frequency"]))
        self.phase = self._uniform(math.pi, n, 1, N_WAVES)
        self.embed = self._uniform(limit, n, N_WAVES, N_EMBEDDED)
        self.embed_bias = self._uniform(limit, n, 1, N_EMBEDDED)
        self.scale = torch.ones(width + n * N_EMBEDDED, device=self.device)
        hidden = [int(self.settings["width"])] * int(self.settings["depth"])
        sizes = [len(self.scale), *hidden, self.context.n_outputs]
        self.weights: list[Tensor] = []
        self.biases: list[Tensor] = []
        self.mixes = [torch.ones(size, device=self.device) for size in hidden]
        rows = self._tensor(self.rng.permutation(len(self.y))[:INIT_ROWS])
        h = self._inputs(self.X[rows]) * self.scale
        for n_in, n_out in pairwise(sizes):
            h = self._add_layer(h, n_in, n_out)
        self.weights[-1] *= 0.1  # starts near the prior
        self.biases[-1] = self._start(train)
        for parameter in self._parameters():
            parameter.requires_grad_()

    def _add_layer(self, h: Tensor, n_in: int, n_out: int) -> Tensor:
        """Weights after which each output has deviation 1, and biases that bend it within the data; its outputs."""
        weights = self._normal(n_in, n_out)
        z = h @ weights / math.sqrt(n_in)
        # a few rows more of deviation 1: what hardly moves on a handful of rows may do so on others
        variance = z.var(dim=0, unbiased=False)
        if variance.max() > 1e-6:
            factor = ((variance * len(z) + INIT_PRIOR_ROWS) / (len(z) + INIT_PRIOR_ROWS)).rsqrt()
            weights, z = weights * factor, z * factor
        shares = self.rng.exponential(size=(6, n_out))  # a point between six rows, another for each output
        points = torch.gather(z, 0, self._tensor(self.rng.integers(len(z), size=(6, n_out))))
        bias = -(points * self._tensor((shares / shares.sum(axis=0)).astype(np.float32))).sum(dim=0)
        self.weights.append(weights)
        self.biases.append(bias)
        return self.activate(z + bias)

    def _start(self, train: Sample) -> Tensor:
        if not self.context.task.is_classification:
            return torch.zeros(1, device=self.device)
        shares = prior(train.y, self.context.n_classes, train.weight)
        logits = np.log(shares[1:] / shares[:1]) if self.context.n_outputs == 1 else np.log(shares)
        return self._tensor(logits.astype(np.float32))

    def _normal(self, *shape: int) -> Tensor:
        return self._tensor(self.rng.standard_normal(shape, np.float32))

    def _uniform(self, limit: float, *shape: int) -> Tensor:
        return self._tensor(self.rng.uniform(-limit, limit, shape).astype(np.float32))

    def _tensor(self, values: Array) -> Tensor:
        return torch.from_numpy(values).to(self.device)

    def _parameters(self) -> Iterator[Tensor]:
        yield from (self.frequency, self.phase, self.embed, self.embed_bias, self.scale)
        yield from (*self.weights, *self.biases, *self.mixes)

    def _groups(self) -> list[Group]:
        last = 2.0 if self.context.task is Task.BINARY else 1.0  # as the difference of two logits moves
        embeddings = [p for p in (self.frequency, self.phase, self.embed, self.embed_bias) if p.numel()]
        groups = [
            Group(embeddings, EMBEDDING_RATE, 1.0), Group([self.scale], SCALE_RATE, 1.0),
            Group(self.mixes, MIX_RATE, 1.0), Group(self.weights[:-1], 1.0, 1.0),
            Group(self.weights[-1:], last, 1.0 / last),
            Group(self.biases[:-1], BIAS_RATE, 0.0), Group(self.biases[-1:], BIAS_RATE * last, 0.0),
        ]  # fmt: skip
        return [group for group in groups if group.parameters]

    # ---- training

    @property
    def steps_per_epoch(self) -> int:
        return max(1, len(self.y) // self.batch)

    def epoch(self, done: float, per_step: float, deadline: float) -> bool:
        order = self._tensor(self.rng.permutation(len(self.y)))
        course = self._tensor(self._course(np.minimum(done + per_step * np.arange(self.steps_per_epoch), 1.0)))
        with _threads(self.context.n_threads):
            for i, now in enumerate(course):
                self.now.copy_(now)
                self.rows.copy_(order[i * self.batch : (i + 1) * self.batch])
                self.step()
                if time.monotonic() > deadline:
                    return False
        return True

    def _course(self, shares: Floats) -> Floats:
        """What a step at each share of the course goes by, float32: see ``now``."""
        rate, flat = self.rate * rate_share(shares)[:, None], flat_then_falling(shares)[:, None]
        rates = rate * np.array([group.factor for group in self.groups])
        decay = float(self.settings["weight_decay"]) * np.array([group.decay for group in self.groups])
        dropout = float(self.settings["dropout"]) * flat
        return np.hstack([rates, 1.0 - rates * decay * flat, dropout, 1.0 / (1.0 - dropout)]).astype(np.float32)

    def _step(self) -> None:
        """By the rows and rates that lie in ``rows`` and ``now``."""
        n = len(self.groups)
        rates, kept = self.now[:n], self.now[n : 2 * n]
        scores = self._scores(self.X[self.rows], (self.now[-2], self.now[-1]))
        losses = self._losses(scores, self.y[self.rows])
        loss = losses.mean() if self.weight is None else (losses * self.weight[self.rows]).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for group, by in zip(self.groups, kept, strict=True):
                if group.decay:
                    torch._foreach_mul_(group.parameters, by)
        for adams, rate in zip(self.optimiser.param_groups, rates, strict=True):
            adams["lr"] = rate
        self.optimiser.step()

    def _inputs(self, X: Tensor) -> Tensor:
        """The columns, and what is made of the cosines of each number."""
        if not len(self.waving):
            return X
        waves = torch.cos(X[:, self.waved].T[:, :, None] * self.frequency + self.phase)
        embedded = torch.baddbmm(self.embed_bias, waves, self.embed)
        return torch.cat([X, embedded.permute(1, 0, 2).reshape(len(X), -1)], dim=1)

    def _scores(self, X: Tensor, dropout: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Raw scores; ``dropout``: its probability, and what keeps the mean of what it leaves."""
        h = self._inputs(X) * self.scale
        for weights, bias, mix in zip(self.weights, self.biases, self.mixes, strict=False):
            z = torch.addmm(bias, h, weights, alpha=1.0 / math.sqrt(len(weights)))
            h = torch.lerp(z, self.activate(z), mix)
            if dropout is not None and self.settings["dropout"]:
                probability, gain = dropout
                h = h * ((torch.rand(h.shape, generator=self.noise, device=self.device) >= probability) * gain)
        last = self.weights[-1]
        return torch.addmm(self.biases[-1], h, last, alpha=1.0 / math.sqrt(len(last)))

    def _losses(self, scores: Tensor, y: Tensor) -> Tensor:
        task, quantile = self.context.task, self.context.quantile
        smoothing = float(self.settings["label_smoothing"])
        if task is Task.MULTICLASS:
            return nn.cross_entropy(scores, y, reduction="none", label_smoothing=smoothing)
        first = scores[:, 0]
        if task is Task.BINARY:
            y = y * (1.0 - smoothing) + smoothing / 2.0
            return nn.binary_cross_entropy_with_logits(first, y, reduction="none")
        error = y - first
        if quantile is not None:
            return torch.maximum(quantile * error, (quantile - 1.0) * error)
        return error * error

    def _clipped(self, X: Floats) -> Floats:
        """Raw scores as the fitted network gives them."""
        scores = _array(self._scores(self._tensor(within(X, BOUND))))
        return np.clip(scores, np.float32(self.bounds[0]), np.float32(self.bounds[1]))

    # ---- what the loop asks

    def loss(self, valid: Sample) -> float:
        with _threads(self.context.n_threads), torch.no_grad():
            raw = in_blocks(self._clipped, valid.X, self.context.n_outputs)
        if self.context.quantile is not None:
            return pinball_loss(raw, valid.y, valid.weight, self.context.quantile)
        return log_loss(raw, valid.y, valid.weight, self.context.task)

    def is_finite(self) -> bool:
        return all(bool(torch.isfinite(bias).all()) for bias in self.biases)

    def onward(self, done: float, best: Best) -> float:
        """A cycle of the learning rate that has bettered nothing is the last: the next would take twice as long."""
        return 1.0 if _cycle(best.done - 1e-6) < _cycle(done) - 1 else done

    def snapshot(self) -> FittedRealMLP:
        """The network as it is scored: scaling, embedding and the layers' factors in the weights."""
        weights = [_array(w) / np.float32(math.sqrt(len(w))) for w in self.weights]
        first = weights[0] * _array(self.scale)[:, None]
        plain, embedded = first[: self.X.shape[1]], first[self.X.shape[1] :]
        embedded = embedded.reshape(len(self.waving), N_EMBEDDED, first.shape[1])
        waved = np.einsum("pwe,peh->pwh", _array(self.embed), embedded)
        weights[0] = np.concatenate([plain, waved.reshape(len(self.waving) * N_WAVES, first.shape[1])])
        biases = [_array(b).copy() for b in self.biases]
        biases[0] += np.einsum("pe,peh->h", _array(self.embed_bias)[:, 0], embedded)
        mixed = [_array(m).copy() for m in self.mixes]
        return FittedRealMLP(
            np.repeat(self.waving, N_WAVES), _array(self.frequency).ravel().copy(), _array(self.phase).ravel().copy(),
            tuple(weights), tuple(biases), tuple(1 - m for m in mixed), tuple(mixed),
            "selu" if self.context.task.is_classification else "mish",
            (float(self.bounds[0]), float(self.bounds[1])), 0, Link.IDENTITY,
        )  # fmt: skip


def rate_share(shares: Floats) -> Floats:
    """The learning rate at shares of the course, of its highest: cosine cycles, each twice as long as the last."""
    return np.asarray(0.5 * (1.0 - np.cos(2.0 * np.pi * np.log2(1.0 + (2**CYCLES - 1) * shares))))


def flat_then_falling(shares: Floats) -> Floats:
    """Of dropout and weight decay: whole in the first half of the course, a falling cosine in the second."""
    return np.where(shares < 0.5, 1.0, 0.5 * (1.0 + np.cos(np.pi * (2.0 * shares - 1.0))))


def _cycle(share: float) -> int:
    """How many cycles of the learning rate are over."""
    return int(math.log2(1.0 + (2**CYCLES - 1) * share) + 1e-9)


def _array(tensor: Tensor) -> Floats:
    return np.asarray(tensor.detach().cpu().numpy())


@contextmanager
def _threads(n_threads: int) -> Iterator[None]:
    """PyTorch with so many threads, and as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
