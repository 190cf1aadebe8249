"""An exported file is scored in an environment that holds nothing but NumPy and onnxruntime."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np

from tabwright import AutoMLClassifier
from tabwright.testing.tables import mixed_frame

ROOT = Path(__file__).parents[1]
SCRIPT = """
import importlib.metadata as m, json, sys
names = {d.metadata["Name"].lower() for d in m.distributions()}
assert not names & {"pandas", "scikit-learn", "lightgbm", "onnx", "scipy", "pyarrow"}, names
from tabwright import load_model
model = load_model(sys.argv[1])
rows = json.load(open(sys.argv[2]))
print(json.dumps([model.predict_proba(rows).tolist(), model.predict(rows).tolist(), sorted(model.metrics)]))
"""


def test_numpy_and_onnxruntime_are_enough(tmp_path):
    frame = mixed_frame(300)
    frame["when"] = frame["when"].astype(str).where(frame["when"].notna(), None)
    frame["y"] = np.where(frame["count"] > 25, "many", "few")
    options = {"max_models": 2, "max_runtime_secs": 60, "include_families": ["lightgbm", "linear"], "nfolds": 2}
    aml = AutoMLClassifier(**options, progress=False).fit(frame, target="y")
    aml.export(tmp_path / "m.onnx")
    rows = json.loads(frame.head(40).drop(columns=["y"]).to_json(orient="records"))
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile", "--constraint",
               ROOT / "constraints.txt", "numpy", "onnxruntime"]  # fmt: skip
    subprocess.run(list(map(str, install)), check=True, capture_output=True)
    done = subprocess.run(
        [str(python), "-c", SCRIPT, str(tmp_path / "m.onnx"), str(tmp_path / "rows.json")],
        capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    proba, labels, metrics = json.loads(done.stdout)
    np.testing.assert_allclose(proba, aml.predict_proba(rows), atol=1e-9)
    assert labels == list(aml.predict(rows))
    assert "validation" in metrics
