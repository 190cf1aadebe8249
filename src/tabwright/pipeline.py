"""Features and a model together: what one fold of a candidate yields, and how members add up to an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from onnx import TensorProto

from tabwright.calibration import Calibration
from tabwright.codec import Codec
from tabwright.data.table import Table
from tabwright.errors import NotExportableError
from tabwright.features import FITTED_CLASSES as FEATURE_CLASSES
from tabwright.features.base import Inputs
from tabwright.features.recipe import FittedFeatures, FittedPart
from tabwright.metrics import full_proba
from tabwright.models import FITTED_CLASSES as MODEL_CLASSES
from tabwright.models.base import Fitted, Link, apply_link, link_to_onnx
from tabwright.onnx.forest import Forest
from tabwright.onnx.graph import Graph
from tabwright.types import Array, Floats, Params, Task

FEATURES, PLAIN, FULL = "features", "plain", "full"
"""A parameter of every candidate: whether it sees the interactions that the run's screen has found."""
TEXT, SEEN, UNSEEN = "text", "seen", "unseen"
"""A parameter of candidates where there are texts: their words may mislead a model of few rows, and take longer to find
than all else."""
TARGET, AS_IS, LOGARITHM = "target", "as_is", "log"
"""A parameter of candidates where the target is positive and skewed: whether they learn its logarithm."""
COLUMNS, ALL, TELLING = "columns", "all", "telling"
"""A parameter of candidates where there are many columns: whether they see those that tell no more than noise."""
CHOICES = (FEATURES, TEXT, TARGET, COLUMNS)
TEACHER = "teacher"
"""A parameter of a student: the candidates whose weighted predictions it learns, as (model_id, weight) pairs."""
STACK = "stack"
"""A parameter of a stacker: the candidates whose out-of-fold predictions it learns from, beside the features."""
EVERYTHING = "max_rows"
"""A parameter of a candidate that learns from the whole source of which the run's table is a sample: the most rows."""


@dataclass(frozen=True)
class Candidate:
    """One configuration: a family with hyperparameters. Its identity is ``model_id``."""

    model_id: str
    family: str
    params: Params
    seed: int = 0
    origin: str = "default"  # who proposed it: default, portfolio, search, lean, wider, student, stack, whole

    @property
    def bases(self) -> tuple[str, ...]:
        """The candidates that a stacker learns from; none for others."""
        return tuple(str(m) for m in self.params.get(STACK) or ())


def own_params(params: Params) -> Params:
    """A family's own parameters, without what it sees and learns."""
    return {name: value for name, value in params.items() if name not in CHOICES}


@dataclass(frozen=True)
class FoldModel:
    """The model of one fold: features, then a family's fitted model."""

    features: FittedFeatures
    model: Fitted

    def raw(self, table: Table) -> Floats:
        """Raw scores, float64 (n_rows, n_outputs)."""
        return self.model.predict(self.features.apply(table))

    @property
    def stacked(self) -> tuple[Member, ...]:
        """What a stacker reads."""
        return tuple(m for p in self.features.parts for e in p.encoders if isinstance(e, Stacked) for m in e.members)

    def of_fold(self, k: int) -> FoldModel:
        """The same with what a stacker reads by the models of one fold alone, as in training."""
        if not self.stacked:
            return self
        parts = [
            replace(p, encoders=tuple(e.of_fold(k) if isinstance(e, Stacked) else e for e in p.encoders))
            for p in self.features.parts
        ]
        return FoldModel(FittedFeatures(tuple(parts), self.features.keep), self.model)


@dataclass(frozen=True)
class Member:
    """A candidate's fold models, averaged before the link; ``weight`` is its share of the ensemble."""

    model_id: str
    family: str
    weight: float
    folds: tuple[FoldModel, ...]

    def predict(self, table: Table, task: Task) -> Floats:
        """Predictions in canonical form: (n_rows, 1) or (n_rows, n_classes)."""
        cache: dict[int, Floats] = {}
        raw = np.zeros(())
        for fold in self.folds:
            raw = raw + fold.model.predict(apply_features(fold.features, table, cache))
        return apply_link(raw / len(self.folds), self.folds[0].model.link, task)

    def to_onnx(self, inputs: Inputs, task: Task) -> str:
        """Emit :meth:`predict`, once for whatever reads it."""
        graph = inputs.graph
        if not hasattr(self.folds[0].model, "to_onnx"):
            raise NotExportableError(self.family)
        key = tuple(id(fold.model) for fold in self.folds)
        if key not in inputs.emitted:
            raws = [fold.model.to_onnx(graph, fold.features.to_onnx(inputs)) for fold in self.folds]
            raw = graph.weighted_sum(raws, [1.0 / len(raws)] * len(raws))
            inputs.emitted[key] = link_to_onnx(graph, raw, self.folds[0].model.link, task)
        return inputs.emitted[key]

    @property
    def stacked_on(self) -> tuple[str, ...]:
        """The candidates that a stacker reads; none for others."""
        return tuple(m.model_id for m in self.folds[0].stacked)

    @property
    def title(self) -> str:
        """Its name, and what it is stacked on."""
        return self.model_id + (f" on {', '.join(self.stacked_on)}" if self.stacked_on else "")

    def of_fold(self, k: int) -> Member:
        """The member with one fold's model alone."""
        return replace(self, folds=(self.folds[k].of_fold(k),))


@dataclass(frozen=True)
class Stacked:
    """An encoder of what other members predict, for a model that learns from it beside the features.

    A stacker is trained on their out-of-fold predictions and fed, later, with the means of their fold models.

    References
    ----------
    Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1; Erickson et al. 2020, arXiv:2003.06505.
    """

    members: tuple[Member, ...]
    task: Task
    n_classes: int

    late: ClassVar[bool] = True  # its columns come of models, so no forest that reads them can be merged with theirs

    @property
    def names(self) -> tuple[str, ...]:
        ids = [m.model_id for m in self.members]
        if self.task is not Task.MULTICLASS:
            return tuple(f"prediction of {m}" for m in ids)
        return tuple(f"prediction of {m}, class {k}" for m in ids for k in range(self.n_classes))

    def apply(self, table: Table) -> Floats:
        return np.concatenate([as_scores(m.predict(table, self.task), self.task) for m in self.members], axis=1)

    def to_onnx(self, inputs: Inputs) -> str:
        scores = [scores_to_onnx(inputs.graph, m.to_onnx(inputs, self.task), self.task) for m in self.members]
        return scores[0] if len(scores) == 1 else inputs.graph.node("Concat", *scores, axis=1)

    def of_fold(self, k: int) -> Stacked:
        return replace(self, members=tuple(m.of_fold(k) for m in self.members))


LEAST = 1e-6  # probabilities are not told apart below


def as_scores(prediction: Floats, task: Task) -> Floats:
    """Canonical predictions as a stacker reads them: values, or probabilities' logits, or their logarithms."""
    if task is Task.REGRESSION:
        return prediction
    clipped = np.clip(prediction, LEAST, 1.0 - LEAST)
    return np.asarray(np.log(clipped) - np.log(1.0 - clipped) if task is Task.BINARY else np.log(clipped))


def scores_to_onnx(graph: Graph, prediction: str, task: Task) -> str:
    """Emit :func:`as_scores`."""
    if task is Task.REGRESSION:
        return prediction
    clipped = graph.node("Clip", prediction, graph.const(LEAST), graph.const(1.0 - LEAST))
    if task is Task.MULTICLASS:
        return graph.node("Log", clipped)
    rest = graph.node("Sub", graph.const(1.0), clipped)
    return graph.node("Sub", graph.node("Log", clipped), graph.node("Log", rest))


def family_of(model_id: str) -> str:
    """The family in a candidate's name."""
    return model_id.rsplit("_", 1)[0]


def apply_features(features: FittedFeatures, table: Table, cache: dict[int, Floats]) -> Floats:
    """Features of a table; parts that models share (the same objects) are computed once."""
    blocks = []
    for part in features.parts:
        if id(part) not in cache:
            cache[id(part)] = part.apply(table)
        blocks.append(cache[id(part)])
    return features.matrix(blocks)


@dataclass(frozen=True)
class Ensemble:
    """The whole of what is deployed: weighted members, then the way back to the target's own terms."""

    task: Task
    members: tuple[Member, ...]
    n_classes: int
    mean: float = 0.0  # regression target = mean + scale x prediction
    scale: float = 1.0
    constant: tuple[float, ...] = ()  # of the trivial model: mean prediction or class shares
    threshold: float = 0.5  # P(second class) from which the label is the second class
    calibration: Calibration | None = None  # of the members' mean, in classification
    name: str = "ensemble"

    def predict_canonical(self, table: Table) -> Floats:
        """float64 (n_rows, 1) values in the target's unit or P(second class), or (n_rows, n_classes)."""
        if not self.members:
            return np.tile(np.array(self.constant), (table.n_rows, 1))
        total = np.zeros(())
        for member in self.members:
            total = total + member.weight * member.predict(table, self.task)
        if self.task is Task.REGRESSION:
            return np.asarray(self.mean + self.scale * total)
        return np.asarray(total if self.calibration is None else self.calibration.apply(np.asarray(total)))

    def predict(self, table: Table) -> Floats:
        """Values (n_rows,), or class codes (n_rows,)."""
        prediction = self.predict_canonical(table)
        if self.task is Task.REGRESSION:
            return prediction[:, 0]
        return np.asarray(self.labels(full_proba(prediction)))

    def labels(self, proba: Floats) -> Any:
        """Class codes from probabilities."""
        if proba.shape[1] == 2:
            return (proba[:, 1] >= self.threshold).astype(np.int64)
        return proba.argmax(axis=1)

    def to_onnx(self, inputs: Inputs) -> str:
        """Emit :meth:`predict_canonical`."""
        graph = inputs.graph
        if not self.members:
            return self._constant_onnx(inputs)
        # what a stacker reads, too, is computed on its own: trees merged into the mean would be in the file twice
        read = {m for member in self.members for m in member.stacked_on}
        outputs = [
            graph.node("Identity", out) if member.model_id in read else out
            for member, out in ((m, m.to_onnx(inputs, self.task)) for m in self.members)
        ]
        total = graph.weighted_sum(
            outputs, [m.weight * (self.scale if self.task is Task.REGRESSION else 1.0) for m in self.members]
        )
        if self.calibration is not None:
            return self.calibration.to_onnx(graph, total, self.task)
        return graph.node("Add", total, graph.const(np.array([[self.mean]]))) if self.mean else total

    def _constant_onnx(self, inputs: Inputs) -> str:
        """The constant, once per row: read off whichever input there is."""
        graph = inputs.graph
        source = inputs.numbers or inputs.strings
        rows = graph.node("Gather", graph.node("Shape", source), graph.const(np.array([0], np.int64)))
        shape = graph.node("Concat", rows, graph.const(np.array([len(self.constant)], np.int64)), axis=0)
        return graph.node("Expand", graph.const(np.array([self.constant])), shape)


@dataclass(frozen=True)
class Quantiles:
    """Several levels of a target, each with its ensemble, sorted in every row so that they do not cross."""

    levels: tuple[float, ...]  # ascending, between 0 and 1
    ensembles: tuple[Ensemble, ...]
    middle: int  # position of the level that is the file's ``prediction``

    def predict(self, table: Table) -> Floats:
        """float64 (n_rows, n_levels), in the target's unit."""
        return np.sort(np.column_stack([e.predict_canonical(table)[:, 0] for e in self.ensembles]), axis=1)

    def to_onnx(self, inputs: Inputs) -> str:
        """Emit :meth:`predict`."""
        graph, k = inputs.graph, len(self.levels)
        outputs = [e.to_onnx(inputs) for e in self.ensembles]
        side_by_side = graph.node("Concat", *outputs, axis=1) if k > 1 else outputs[0]
        count = graph.const(np.array([k], np.int64))
        return graph.nodes("TopK", side_by_side, count, n_outputs=2, axis=1, largest=0, sorted=1)[0]


def emit_outputs(graph: Graph, ensemble: Ensemble, canonical: str, classes: Sequence[Any]) -> str:
    """Declare the file's outputs, ``prediction`` or ``probabilities`` and ``label``; the first as (rows, width)."""
    squeeze = graph.const(np.array([1], np.int64))
    if ensemble.task is Task.REGRESSION:
        graph.output("prediction", graph.node("Squeeze", canonical, squeeze), TensorProto.DOUBLE, None)
        return canonical
    if ensemble.n_classes == 2:
        rest = graph.node("Sub", graph.const(1.0), canonical)
        proba = graph.node("Concat", rest, canonical, axis=1)
        chosen = graph.node("GreaterOrEqual", canonical, graph.const(np.array([[ensemble.threshold]])))
        code = graph.node("Cast", graph.node("Squeeze", chosen, squeeze), to=TensorProto.INT64)
    else:
        proba = canonical
        code = graph.node("ArgMax", canonical, axis=1, keepdims=0)
    graph.output("probabilities", proba, TensorProto.DOUBLE, ensemble.n_classes)
    whole = all(isinstance(c, (int, bool)) and abs(int(c)) < 2**63 for c in classes)
    labels: Array = (
        np.array([int(c) for c in classes], np.int64) if whole else np.array([str(c) for c in classes], object)
    )
    dtype = TensorProto.INT64 if whole else TensorProto.STRING
    graph.output("label", graph.node("Gather", graph.const(labels), code), dtype, None)
    return proba


def graph_inputs(table: Table) -> dict[str, Array]:
    """Rows of a table as the graph takes them."""
    inputs: dict[str, Array] = {}
    if table.schema.numeric:
        inputs["numbers"] = np.ascontiguousarray(table.numbers)
    if table.schema.strings:
        inputs["strings"] = table.string_matrix()
    return inputs


CODEC = Codec(
    (*FEATURE_CLASSES, *MODEL_CLASSES, Forest, Link, Task, FittedPart, FittedFeatures, FoldModel, Member, Ensemble,
     Calibration)
)
