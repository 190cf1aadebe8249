"""One file, four ways: Python, onnxruntime alone, HTTP and Node must predict the same of real rows.

    python benchmarks/languages.py --models a.onnx … --tables a.parquet … [--rows 1000] --node-modules DIR
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import numpy as np
import pandas as pd

from tabwright import examples
from tabwright.runtime import Model, load_model


def through_http(model: Path, rows: list[dict[str, object]], output: str) -> np.ndarray:
    command = [sys.executable, "-m", "tabwright.cli.main", "serve", str(model), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        url = re.search(r"http://\S+", process.stdout.readline())[0]
        with httpx.Client(base_url=url, timeout=60) as http:
            answers = [http.post("/predict", json=row).json() for row in rows]  # one by one, as callers do
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    key = "predictions" if output == "prediction" else "probabilities"
    return np.array([answer[key][0] for answer in answers], np.float64)


def through_programs(model: Model, path: Path, frame: pd.DataFrame, modules: Path) -> dict[str, float]:
    """The example programs' largest differences, and what they were given."""
    feeds = model.encode(frame)
    rows = len(frame)
    numbers = feeds.get("numbers", np.empty((rows, 0)))
    strings = feeds.get("strings", np.empty((rows, 0), object))
    examples.ROWS = rows
    folder = examples.write_examples(path, numbers, strings)
    (path.parent / "node_modules").symlink_to(modules)
    found = {}
    for name, command in (("onnxruntime", [sys.executable, "-I"]), ("Node", ["node"])):
        program = folder / ("score.py" if name == "onnxruntime" else "score.mjs")
        done = subprocess.run([*command, str(program)], capture_output=True, text=True, check=True,
                              env=os.environ | {"ORT_DISABLE_TELEMETRY": "1"})  # fmt: skip
        found[name] = float(done.stdout.rsplit(": ", 1)[1])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", required=True, type=Path)
    parser.add_argument("--tables", nargs="+", required=True, type=Path)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--node-modules", required=True, type=Path, help="with onnxruntime-node")
    args = parser.parse_args()
    worst = 0.0
    for source, table in zip(args.models, args.tables, strict=True):
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / source.name
            path.write_bytes(source.read_bytes())
            model, frame = load_model(path), pd.read_parquet(table).head(args.rows)
            frame = frame[[c.name for c in model.schema.columns]]
            output = "prediction" if model.classes_ is None else "probabilities"
            python = model.predict(frame) if model.classes_ is None else model.predict_proba(frame)
            rows = json.loads(frame.to_json(orient="records", date_format="iso", double_precision=15))
            scale = np.abs(python).max()
            found = {"HTTP": float(np.abs(through_http(path, rows, output) - python).max())}
            found |= through_programs(model, path, frame, args.node_modules)
            worst = max(worst, *(v / scale for v in found.values()))
            told = ", ".join(f"{name} {value:.2g}" for name, value in found.items())
            print(f"{source.stem:22} {len(frame):5} rows, largest {output} {scale:.3g}; largest difference: {told}")
    return int(worst > 1e-6)


if __name__ == "__main__":
    sys.exit(main())
