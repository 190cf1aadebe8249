"""Export: the whole ensemble as one sealed ONNX file, checked row by row before it appears under its name."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto

from tabwright import reasons, signature
from tabwright.codec import write_for_user
from tabwright.conformal import Conformal
from tabwright.data.table import Table
from tabwright.errors import OptionError
from tabwright.features.base import Inputs
from tabwright.metrics import full_proba
from tabwright.objectives.measure import BATCH_ROWS, Profile, measure, run_batched, session
from tabwright.onnx.graph import Graph, metadata_json
from tabwright.onnx.parity import Parity, compare, require
from tabwright.pipeline import Ensemble, Member, Quantiles, emit_outputs, graph_inputs
from tabwright.rows import rows_at_once
from tabwright.schema import Schema
from tabwright.seal import KEY, PLACEHOLDER, seal
from tabwright.types import Floats, Task

FORMAT = 1
PARITY_ROWS, QUICK_PARITY_ROWS = 2000, 100


@dataclass(frozen=True)
class ExportReport:
    """What was written and how it was checked."""

    path: str
    parity: Parity
    profile: Profile
    members: tuple[str, ...]
    seconds: float

    def __str__(self) -> str:
        p, c = self.profile, self.parity
        return (
            f"{self.path}: {p.size_mib:.2f} MiB, {len(self.members)} member(s); parity with Python on {c.rows} rows: "
            f"max |difference| {c.max_absolute:.2g}, max relative {c.max_relative:.2g}; one row p50 "
            f"{p.latency_p50_us:.0f} µs, p99 {p.latency_p99_us:.0f} µs; {p.rows_per_second:,.0f} rows/s (one thread)"
        )


@dataclass(frozen=True)
class Package:
    """An ensemble with what its file tells about it."""

    ensemble: Ensemble
    schema: Schema
    metrics: Mapping[str, Any]
    sample: Table  # rows to check and measure with
    reference: Mapping[str, Any] = field(default_factory=dict)  # see tabwright.reference
    conformal: Conformal | None = None
    card: str = ""  # Markdown
    background_rows: int = reasons.MAX_ROWS  # of the sample, kept in the file for reason codes
    quantiles: Quantiles | None = None  # all that the file predicts, where ``ensemble`` is one of several levels

    @property
    def members(self) -> tuple[Member, ...]:
        """Of all levels, where there are several."""
        ensembles = self.quantiles.ensembles if self.quantiles else (self.ensemble,)
        return tuple(m for e in ensembles for m in e.members)


def serialise(
    package: Package, parity: Parity | None = None, profile: Profile | None = None, signing_key: Any = None
) -> bytes:
    """The sealed model file's bytes, signed if there is a key."""
    graph = Graph()
    inputs = Inputs(graph, package.schema)
    canonical = _canonical(package, inputs)
    classes = package.schema.classes or ()
    proba = emit_outputs(graph, package.ensemble, canonical, classes)
    if package.conformal is not None:
        emit_uncertainty(graph, package.conformal, proba, package.ensemble.n_classes)
    facts = metadata_json(_metadata(package, parity, profile))
    metadata = {"tabwright": facts, KEY: PLACEHOLDER}
    if signing_key is None:
        return seal(graph.build(metadata).SerializeToString())
    metadata[signature.KEY] = signature.PLACEHOLDER
    return seal(signature.sign(graph.build(metadata).SerializeToString(), signing_key))


def _canonical(package: Package, inputs: Inputs) -> str:
    """Emit the prediction in canonical form, and all quantiles where there are several."""
    if package.quantiles is None:
        return package.ensemble.to_onnx(inputs)
    graph, found = inputs.graph, package.quantiles.to_onnx(inputs)
    graph.output("quantiles", found, TensorProto.DOUBLE, len(package.quantiles.levels))
    return graph.node("Gather", found, graph.const(np.array([package.quantiles.middle], np.int64)), axis=1)


def emit_uncertainty(graph: Graph, conformal: Conformal, values: str, n_classes: int) -> None:
    """Declare ``prediction_low`` and ``prediction_high``, or ``prediction_set``, at a coverage of 90 %.

    ``values`` is the prediction, (rows, 1), or the probabilities, (rows, n_classes).
    """
    k = conformal.exported
    if k is None:
        return
    axis = graph.const(np.array([1], np.int64))
    if len(conformal.least):
        enough = graph.node("GreaterOrEqual", values, graph.const(conformal.least[k]))
        best = graph.node("GreaterOrEqual", values, graph.node("ReduceMax", values, axis, keepdims=1))
        graph.output("prediction_set", graph.node("Or", enough, best), TensorProto.BOOL, n_classes)
        return
    value = graph.node("Squeeze", values, axis)
    above = graph.node("Greater", values, graph.const(conformal.edges[None, :]))
    where = graph.node("ReduceSum", graph.node("Cast", above, to=TensorProto.INT64), axis, keepdims=0)
    for name, table in (("prediction_low", conformal.low), ("prediction_high", conformal.high)):
        shift = graph.node("Gather", graph.const(np.ascontiguousarray(table[:, k])), where)
        graph.output(name, graph.node("Add", value, shift), TensorProto.DOUBLE, None)


def _metadata(package: Package, parity: Parity | None, profile: Profile | None) -> dict[str, Any]:
    ensemble = package.ensemble
    return {
        "format": FORMAT,
        "task": str(ensemble.task),
        "target": package.schema.target,
        "classes": list(package.schema.classes) if package.schema.classes else None,
        "class_dtype": package.schema.class_dtype,
        "schema": package.schema.to_json(),
        "metrics": dict(package.metrics),
        "threshold": ensemble.threshold,
        "calibration": None if ensemble.calibration is None else asdict(ensemble.calibration),
        "reference": dict(package.reference),
        "conformal": package.conformal.to_json() if package.conformal else None,
        "card": package.card,
        "background": reasons.background(
            np.asarray(package.sample.numbers), package.sample.string_matrix(), package.background_rows
        ),
        "members": [
            {"model_id": m.model_id, "family": m.family, "weight": m.weight, "folds": len(m.folds),
             "stacked_on": list(m.stacked_on)}
            for m in package.members
        ],
        "quantiles": list(package.quantiles.levels) if package.quantiles else None,
        "parity": parity.to_dict() if parity else None,
        "profile": profile.to_dict() if profile else None,
        "versions": {p: version(p) for p in ("tabwright", "onnx", "onnxruntime", "numpy")},
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def check(model: bytes, package: Package, rows: Table) -> Parity:
    """Compare a serialised model with the Python ensemble on some rows."""
    if package.quantiles is not None:
        onnx = run_batched(session(model), graph_inputs(rows), "quantiles")
        first = package.quantiles.ensembles[0]
        return compare(onnx, package.quantiles.predict(rows), first.mean, first.scale)
    onnx = predict_bytes(model, package.ensemble.task, rows)
    python = package.ensemble.predict_canonical(rows)
    if package.ensemble.task is not Task.REGRESSION:
        return compare(onnx, full_proba(python))
    return compare(onnx, python, package.ensemble.mean, package.ensemble.scale)


def predict_bytes(model: bytes, task: Task, rows: Table) -> Floats:
    """(n_rows, 1) values or (n_rows, n_classes) probabilities of a serialised model."""
    output = "prediction" if task is Task.REGRESSION else "probabilities"
    values = run_batched(session(model), graph_inputs(rows), output)
    return values[:, None] if task is Task.REGRESSION else values


def in_memory(package: Package, n_threads: int) -> Callable[[Table], Floats]:
    """A function from rows to canonical predictions that runs the graph, after a check on some rows.

    Raises
    ------
    ParityError
        If the graph and the Python models differ on the sample.
    """
    model = serialise(package)
    rows = package.sample.take(np.arange(min(package.sample.n_rows, QUICK_PARITY_ROWS)))
    require(merge([check(model, package, rows), check(model, package, awkward_rows(rows))]))
    running = session(model, n_threads)
    task = package.ensemble.task
    output = "prediction" if task is Task.REGRESSION else "probabilities"
    batch = rows_at_once(running, BATCH_ROWS)

    def predict(table: Table) -> Floats:
        values = run_batched(running, graph_inputs(table), output, batch)
        if task is Task.REGRESSION:
            return values[:, None]
        return values[:, 1:] if task is Task.BINARY else values

    return predict


def awkward_rows(sample: Table, n: int = 64, seed: int = 0) -> Table:
    """Rows like those of the sample with missing numbers and texts, values never seen, and extremes put in."""
    rng = np.random.default_rng(seed)
    base = sample.take(rng.integers(0, sample.n_rows, n))
    numbers, strings = np.array(base.numbers), base.string_matrix()
    for row in range(n):
        share = (0.2, 0.5, 1.0)[row % 3]
        numbers[row, rng.random(numbers.shape[1]) < share] = (np.nan, np.nan, np.nan, 0.0, -1e12, 1e12)[row % 6]
        strings[row, rng.random(strings.shape[1]) < share] = ("", "never seen in training", "ünbekannt 漢字")[row % 3]
    return Table.from_matrices(sample.schema, numbers, strings)


def export(package: Package, path: str | Path, signing_key: Any = None) -> ExportReport:
    """Write the model file, signed if there is a key; see :func:`tabwright.signature.sign`.

    Raises
    ------
    ParityError
        If the graph and the Python model differ on any row of the sample; nothing is written then.
    OptionError
        If the path can't be written, or the key can't be used.
    """
    if signing_key is not None:
        signing_key = signature.private_key(signing_key)  # before the work, not after it
    started = time.monotonic()
    target = Path(path)
    if target.is_dir() or not target.resolve().parent.is_dir():
        raise OptionError("path", f"is {str(path)!r}, which can't be a file", "name a file in a folder that exists")
    draft = serialise(package)
    sample = package.sample.take(np.arange(min(package.sample.n_rows, PARITY_ROWS)))
    parities = [check(draft, package, rows) for rows in (sample, awkward_rows(sample))]
    parity = merge(parities)
    require(parity)
    profile = measure(draft, graph_inputs(sample))
    data = serialise(package, parity, profile, signing_key)
    write_for_user(target, data, "path")
    members = tuple(m.model_id for m in package.members)
    return ExportReport(str(target), parity, profile, members, time.monotonic() - started)


def merge(parities: Sequence[Parity]) -> Parity:
    """One result for several samples."""
    rows = sum(p.rows for p in parities)
    return Parity(
        rows, max(p.max_absolute for p in parities), max(p.max_relative for p in parities),
        sum(p.share_beyond * p.rows for p in parities) / max(rows, 1),
    )  # fmt: skip
