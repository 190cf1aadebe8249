"""Resident memory of a loaded model file, measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path


def resident_mib(model: bytes, timeout_s: float = 60.0) -> float:
    """What onnxruntime's session of a serialised model adds to a process, MiB; one thread, before the first row."""
    with tempfile.TemporaryDirectory(prefix="tabwright-") as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(model)
        command = [sys.executable, "-m", "tabwright.objectives.resident", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=True)  # noqa: S603
    return float(done.stdout)


def main(path: str) -> None:
    """Print the memory that loading the file takes."""
    import psutil
    from onnx import TensorProto

    from tabwright import ort
    from tabwright.onnx.graph import Graph

    graph = Graph()
    graph.output("y", graph.node("Neg", graph.input("x", TensorProto.DOUBLE, 1)), TensorProto.DOUBLE, 1)
    small = ort.session(graph.build({}).SerializeToString(), 1)  # what any session takes is not the model's
    before = psutil.Process().memory_info().rss
    session = ort.session(Path(path).read_bytes(), 1)
    after = psutil.Process().memory_info().rss
    del small, session
    print(max(0.0, (after - before) / 2**20))


if __name__ == "__main__":
    main(sys.argv[1])
