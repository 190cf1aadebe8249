"""The programs beside an export give what the runtime gives, run by their own runtimes."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tabwright import AutoMLClassifier, AutoMLRegressor
from tabwright.examples import write_examples
from tabwright.runtime import load_model
from tabwright.testing.tables import mixed_frame

PACKAGES = ("onnxruntime-node", "onnxruntime-web")


@pytest.fixture(scope="session")
def npm(tmp_path_factory):
    """A folder with onnxruntime for Node and for browsers, from the npm registry; TABWRIGHT_NODE_MODULES reuses one."""
    ready = os.environ.get("TABWRIGHT_NODE_MODULES")
    if ready:
        return Path(ready)
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts"]
    versions = [f"{name}@1.30.0" for name in PACKAGES]
    subprocess.run([*command, *versions], check=True, capture_output=True, timeout=240)
    return folder / "node_modules"


@pytest.fixture(scope="module", params=["regression", "classification"])
def export(request, tmp_path_factory, npm):
    """An exported model with its examples."""
    folder = tmp_path_factory.mktemp(request.param)
    frame = mixed_frame(300)
    made: type = AutoMLRegressor
    frame["y"] = frame["count"] * 1.5 + frame["latitude"].fillna(0)
    if request.param == "classification":
        frame["y"], made = np.where(frame["count"] > 25, "many", "few"), AutoMLClassifier
    options = {"max_models": 2, "max_runtime_secs": 60, "include_families": ["lightgbm", "linear"], "nfolds": 2}
    aml = made(**options, progress=False).fit(frame, target="y")
    aml.export(folder / "m.onnx")
    sample = aml._finished.sample
    assert write_examples(folder / "m.onnx", sample.numbers, sample.string_matrix()) == folder.resolve() / "examples"
    (folder / "node_modules").symlink_to(npm)
    return folder


def test_rows_and_expected_values(export):
    model = load_model(export / "m.onnx")
    rows, expected = (json.loads((export / "examples" / f"{n}.json").read_text()) for n in ("rows", "expected"))
    assert len(rows) == 20
    if model.classes_ is None:
        np.testing.assert_allclose(model.predict(rows), expected["prediction"], rtol=1e-12)
    else:
        np.testing.assert_allclose(model.predict_proba(rows), expected["probabilities"], atol=1e-12)
        assert list(model.predict(rows)) == expected["label"]


def test_python(export):
    code = export / "examples/score.py"
    done = subprocess.run([sys.executable, "-I", str(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "largest difference to the export: 0" in done.stdout


def test_node(export):
    command = [shutil.which("node") or "node", str(export / "examples/score.mjs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert float(done.stdout.rsplit(": ", 1)[1]) < 1e-9


def test_browser(export):
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "this test needs Chromium: apt-get install chromium"
    handler = functools.partial(QuietHandler, directory=str(export))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
                page = browser.new_page()
                page.goto(f"http://127.0.0.1:{server.server_port}/examples/browser.html")
                page.wait_for_function("document.title === 'done'", timeout=60_000)
                told = page.locator("#told").inner_text()
                browser.close()
        finally:
            server.shutdown()
            thread.join()
    assert "largest difference to the export" in told, told
    assert float(told.rsplit(": ", 1)[1]) < 1e-9


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass
