"""What single fold models cost when they are exported, and what a design of several will."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from onnx import TensorProto

from tabwright.codec import write_atomic
from tabwright.features.base import Inputs
from tabwright.objectives.design import Design
from tabwright.objectives.measure import Profile, measure
from tabwright.onnx.graph import Graph
from tabwright.pipeline import Ensemble, FoldModel, Member, emit_outputs
from tabwright.schema import Schema
from tabwright.types import Array, Task

P99 = 1.3  # of the median, until some have been measured
SHARED = 0.7  # of a fold's time for features, what another fold of the same candidate does not take again


@dataclass(frozen=True)
class Single:
    """One fold's model, exported alone and measured. Times in µs for one row (median), sizes in MiB."""

    latency_us: float
    features_us: float  # of it, the way from the raw row to the feature matrix
    size_mib: float
    features_mib: float
    recipe: str  # names of the features: models with the same recipe share them

    def write(self, path: Path) -> None:
        """Keep it beside the fold's model, for :meth:`read`."""
        write_atomic(path, json.dumps(asdict(self)).encode())

    @classmethod
    def read(cls, path: Path) -> Single | None:
        """What was kept; None if nothing was."""
        return cls(**json.loads(path.read_text("utf-8"))) if path.exists() else None

    @property
    def model_us(self) -> float:
        return max(0.0, self.latency_us - self.features_us)


def measure_single(model: FoldModel, task: Task, n_classes: int, schema: Schema, inputs: Mapping[str, Array],
                   seconds: float = 0.3) -> Single:  # fmt: skip
    """Export one fold's model and measure it.

    Parameters
    ----------
    model : FoldModel
    task : Task
    n_classes : int
    schema : Schema
    inputs : dict of array, each of shape (n_rows, width)
        Sample rows as the graph takes them.
    seconds : float
        For the single rows of each of the two measurements, at most.
    """
    whole = measure(alone(model, task, n_classes, schema), inputs, seconds=seconds)
    features = measure(_features_only(model, schema), inputs, seconds=seconds)
    return Single(whole.latency_p50_us, min(features.latency_p50_us, whole.latency_p50_us), whole.size_mib,
                  features.size_mib, "|".join(model.features.names))  # fmt: skip


def alone(model: FoldModel, task: Task, n_classes: int, schema: Schema) -> bytes:
    """A fold's model as a graph of its own."""
    return bare(Ensemble(task, (Member("m", "", 1.0, (model,)),), n_classes), schema)


def bare(ensemble: Ensemble, schema: Schema) -> bytes:
    """An ensemble's graph without what a file tells about it."""
    graph = Graph()
    canonical = ensemble.to_onnx(Inputs(graph, schema))
    emit_outputs(graph, ensemble, canonical, schema.classes or ())
    data: bytes = graph.build({}).SerializeToString()
    return data


def _features_only(model: FoldModel, schema: Schema) -> bytes:
    graph = Graph()
    x = model.features.to_onnx(Inputs(graph, schema))
    graph.output("x", x, TensorProto.FLOAT, len(model.features.names))
    data: bytes = graph.build({}).SerializeToString()
    return data


@dataclass
class CostModel:
    """Predicts a design's latency and size from its fold models' own, corrected by the designs measured so far.

    A design takes the features of each different recipe once (the shared part of them), and each model. What
    the sum leaves out, such as nodes that models have in common, is learned as one factor: the median of
    measured over predicted.
    """

    base_us: float = 6.0  # an empty graph
    singles: dict[str, Single] = field(default_factory=dict)
    seen: list[tuple[float, float]] = field(default_factory=list)  # (predicted, measured) latencies of designs

    @property
    def factor(self) -> float:
        several = [m / p for p, m in self.seen if p > 0]
        return float(np.clip(np.median(several), 0.3, 3.0)) if several else 1.0

    @property
    def error(self) -> float:
        """Median relative error of the predicted latencies, as they were before each measurement; NaN if none."""
        return float(np.median([abs(p - m) / m for p, m in self.seen])) if self.seen else float("nan")

    def latency_us(self, design: Design) -> float:
        """Predicted median time for one row, µs."""
        n = sum(len(s.folds) for s in design.shares)
        total = self._sum(design)
        return self.base_us + total * (self.factor if n > 1 else 1.0)

    def _sum(self, design: Design) -> float:
        features: dict[str, float] = {}
        total = 0.0
        for share in design.shares:
            single, k = self.singles[share.model_id], len(share.folds)
            own = max(0.0, single.features_us - self.base_us)
            features[single.recipe] = max(features.get(single.recipe, 0.0), own * (1.0 + (1.0 - SHARED) * (k - 1)))
            total += k * single.model_us
        return total + sum(features.values())

    def size_mib(self, design: Design) -> float:
        """Predicted size of the file, MiB."""
        features: dict[str, float] = {}
        total = 0.0
        for share in design.shares:
            single = self.singles[share.model_id]
            features[single.recipe] = max(features.get(single.recipe, 0.0), single.features_mib)
            total += len(share.folds) * max(0.0, single.size_mib - single.features_mib)
        return total + sum(features.values())

    def learn(self, design: Design, profile: Profile) -> None:
        """Take note of a measured design of several models."""
        if design.n_models > 1 and all(s.model_id in self.singles for s in design.shares):
            self.seen.append((self.latency_us(design), profile.latency_p50_us))

    def knows(self, ids: Sequence[str]) -> bool:
        return all(i in self.singles for i in ids)
