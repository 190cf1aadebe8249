"""Where the time for one row goes inside an exported graph, by kind of operator."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tabwright import ort
from tabwright.types import Array

KINDS: dict[str, frozenset[str]] = {
    "trees": frozenset({"TreeEnsemble"}),
    "matrix products (networks, linear)": frozenset({"MatMul", "Gemm", "FusedMatMul", "FusedGemm"}),
    "strings to numbers": frozenset({
        "LabelEncoder", "StringConcat", "StringSplit", "StringNormalizer", "RegexFullMatch", "TfIdfVectorizer",
    }),
}  # fmt: skip
REST = "other features, sums, outputs"
WARM_UP = 30


def stage_shares(model: bytes, inputs: Mapping[str, Array], repeats: int = 300) -> dict[str, float]:
    """Share of the operators' time by kind, one row at a time, one thread.

    Parameters
    ----------
    model : bytes
        A serialised ONNX model.
    inputs : dict of array, each of shape (n_rows, width)
    repeats : int
        Rows to score.

    Returns
    -------
    dict
        Kind to share, most first; sums to 1. What lies between operators belongs to none of them.
    """
    with tempfile.TemporaryDirectory(prefix="tabwright-") as folder:
        running = ort.session(model, 1, profile=Path(folder) / "profile")
        outputs = [running.get_outputs()[0].name]
        n = len(next(iter(inputs.values())))
        for k in range(WARM_UP + repeats):
            running.run(outputs, {name: np.ascontiguousarray(v[k % n : k % n + 1]) for name, v in inputs.items()})
        events = json.loads(Path(running.end_profiling()).read_text("utf-8"))
    seconds: dict[str, list[float]] = {}
    for event in events:
        operator = event.get("args", {}).get("op_name")
        if event.get("cat") == "Node" and operator and event["name"].endswith("kernel_time"):
            seconds.setdefault(operator, []).append(float(event["dur"]))
    total = sum(map(sum, seconds.values())) or 1.0
    shares = dict.fromkeys([*KINDS, REST], 0.0)
    for operator, times in seconds.items():
        kind = next((name for name, operators in KINDS.items() if operator in operators), REST)
        shares[kind] += sum(times) / total
    return dict(sorted(shares.items(), key=lambda item: -item[1]))
