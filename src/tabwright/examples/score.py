"""Score an exported model with onnxruntime and NumPy alone: pip install onnxruntime numpy; python score.py [MODEL]."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # from 1.29 on, onnxruntime reports to its makers by default
import onnxruntime  # type: ignore[import-untyped, unused-ignore]

HERE = Path(__file__).parent


def load(name: str) -> Any:
    return json.loads((HERE / name).read_text("utf-8"))


def number(value: Any, kind: str) -> float:
    """NaN for a missing value, 0 and 1 for false and true, seconds since 1970 UTC for a date."""
    if value is None:
        return float("nan")
    if kind == "datetime":
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(value)


def inputs(rows: list[dict[str, Any]], schema: dict[str, Any]) -> dict[str, Any]:
    """The graph's two inputs; the empty string stands for a missing category or text."""
    columns, feeds = schema["inputs"], {}
    if columns["numbers"]:
        feeds["numbers"] = np.array([[number(r[c["name"]], c["kind"]) for c in columns["numbers"]] for r in rows])
    if columns["strings"]:
        feeds["strings"] = np.array([[r[c["name"]] or "" for c in columns["strings"]] for r in rows], dtype=object)
    return feeds


def main() -> int:
    model = sys.argv[1] if len(sys.argv) > 1 else HERE.parent / "@MODEL@"
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, inputs(load("rows.json"), load("schema.json"))), strict=True))
    values, worst = "prediction" if "prediction" in found else "probabilities", 0.0
    for row, wanted in zip(found[values], load("expected.json")[values], strict=True):
        print(row)
        worst = max(worst, float(np.max(np.abs(row - np.array(wanted)))))
    print(f"largest difference to the export: {worst:.3g}")
    return 0 if worst < 1e-6 * (1 + float(np.max(np.abs(found[values])))) else 1


if __name__ == "__main__":
    sys.exit(main())
