"""Fixtures around real servers."""

from __future__ import annotations

import pytest
from serving import BACKGROUND, BINARY, REGRESSION, references, serving


@pytest.fixture(scope="session")
def models(tmp_path_factory, make_model):
    """A folder with the models ``sum`` (regression) and ``fraud`` (binary), each with reference histograms."""
    folder = tmp_path_factory.mktemp("models")
    for name, schema in (("sum", REGRESSION), ("fraud", BINARY)):
        metrics = {"validation": {"rmse": 1.5, "roc_auc": 0.9}}
        made = make_model(schema, reference=references(schema), metrics=metrics, background=BACKGROUND)
        (folder / f"{name}.onnx").write_bytes(made)
    return folder


@pytest.fixture(scope="session")
def server(models):
    """A server of both models; the first by name, ``fraud``, is the default."""
    with serving(models, "--evaluate-secs", "0.5") as running:
        yield running
