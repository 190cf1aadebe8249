"""What tests of several layers share: small exported files made by hand."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from tabwright import signature
from tabwright.onnx.graph import Graph, metadata_json
from tabwright.schema import Schema
from tabwright.seal import KEY, PLACEHOLDER, seal

os.environ["TABWRIGHT_EXPERIENCE"] = "off"  # nothing is learned from tests, and no test from another
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for tests and programs that load onnxruntime themselves

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip


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


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "these tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield made
        made.close()
