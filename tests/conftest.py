"""What tests of several layers share: small exported files made by hand."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from onnx import TensorProto

from tabwright import signature
from tabwright.onnx.graph import Graph, metadata_json
from tabwright.schema import Schema
from tabwright.seal import KEY, PLACEHOLDER, seal
from tabwright.testing.browser import chromium

# what a test takes depends on what else the machine does
settings.register_profile("tabwright", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tabwright")
os.environ["TABWRIGHT_EXPERIENCE"] = "off"  # nothing is learned from tests, and no test from another
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for tests and programs that load onnxruntime themselves


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests come first, so that no process is left alone with them at the end."""
    items.sort(key=lambda item: item.path.name != "test_pages.py")


def model_bytes(schema: Schema, signing_key: Any = None, **facts: Any) -> bytes:
    """A sealed file: the sum of the numbers plus the count of empty strings; its sign is the class."""
    graph = Graph()
    axis = graph.const(np.array([1], np.int64))
    terms = []
    if schema.numeric:
        numbers = graph.input("numbers", TensorProto.DOUBLE, len(schema.numeric))
        clean = graph.node("Where", graph.node("IsNaN", numbers), graph.const(0.0), numbers)
        terms.append(graph.node("ReduceSum", clean, axis, keepdims=1))
    if schema.strings:
        strings = graph.input("strings", TensorProto.STRING, len(schema.strings))
        coded = {"keys_strings": [""], "values_int64s": [1], "default_int64": 0}
        empty = graph.node("LabelEncoder", strings, domain="ai.onnx.ml", **coded)
        terms.append(graph.node("Cast", graph.node("ReduceSum", empty, axis, keepdims=1), to=TensorProto.DOUBLE))
    total = graph.node("Sum", *terms)
    if schema.classes is None:
        graph.output("prediction", graph.node("Squeeze", total, axis), TensorProto.DOUBLE, None)
    else:
        second = graph.node("Sigmoid", total)
        proba = graph.node("Concat", graph.node("Sub", graph.const(1.0), second), second, axis=1)
        whole = all(isinstance(c, int) for c in schema.classes)
        labels = np.array([int(c) if whole else str(c) for c in schema.classes], np.int64 if whole else object)
        graph.output("probabilities", proba, TensorProto.DOUBLE, 2)
        code = graph.node("ArgMax", proba, axis=1, keepdims=0)
        dtype = TensorProto.INT64 if whole else TensorProto.STRING
        graph.output("label", graph.node("Gather", graph.const(labels), code), dtype, None)
    record = {
        "format": 1, "task": schema.task, "target": schema.target, "schema": schema.to_json(), "metrics": {"rmse": 1.5},
        "classes": None if schema.classes is None else list(schema.classes), "class_dtype": schema.class_dtype, **facts,
    }  # fmt: skip
    metadata = {"tabwright": metadata_json(record), KEY: PLACEHOLDER}
    if signing_key is None:
        return seal(graph.build(metadata).SerializeToString())
    metadata[signature.KEY] = signature.PLACEHOLDER
    return seal(signature.sign(graph.build(metadata).SerializeToString(), signing_key))


@pytest.fixture
def write_model(tmp_path: Path) -> Callable[..., Path]:
    """Write :func:`model_bytes` to a file and return its path."""

    def write(schema: Schema, **facts: Any) -> Path:
        path = tmp_path / "model.onnx"
        path.write_bytes(model_bytes(schema, **facts))
        return path

    return write


@pytest.fixture(scope="session")
def make_model() -> Callable[..., bytes]:
    """:func:`model_bytes`."""
    return model_bytes


@pytest.fixture
def three_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches of scripts that bound only the time end after three candidates, so that the machine decides nothing."""
    from tabwright import AutoMLClassifier, AutoMLRegressor

    fit = AutoMLClassifier.fit  # the same in both

    def bounded(made: Any, *data: Any, **named: Any) -> Any:
        return fit(made.set_params(max_models=min(made.max_models or 3, 3)), *data, **named)

    for kind in (AutoMLClassifier, AutoMLRegressor):
        monkeypatch.setattr(kind, "fit", bounded)


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; what is expected of its pages may take a minute, as the machine may be busy."""
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)
    with chromium() as made:
        yield made


@pytest.fixture(scope="session")
def postgres():
    """The URL of a real PostgreSQL cluster made for these tests."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    data = Path(tempfile.gettempdir()) / f"tabwright-pg-{os.getpid()}"  # that user may not enter the test folder
    data.mkdir()
    if as_user:
        subprocess.run(["chown", "postgres", str(data)], check=True)
    try:
        command = [*as_user, str(programs / "initdb"), "-D", str(data / "db"), "-A", "trust", "-U", "tw", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, cwd="/")
        options = f"-k {data} -c listen_addresses= -c fsync=off"
        control = [*as_user, str(programs / "pg_ctl"), "-D", str(data / "db"), "-w", "-l", str(data / "log")]
        subprocess.run([*control, "-o", options, "start"], check=True, capture_output=True, cwd="/")
        yield f"postgresql://tw@/postgres?host={data}"
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True, cwd="/")
    finally:
        subprocess.run(["rm", "-rf", str(data)], check=True)
