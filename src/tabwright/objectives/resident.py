"""Resident memory of a loaded model file, measured in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path


def resident_mib(model: bytes, timeout_s: float = 60.0) -> float | None:
    """What onnxruntime's session of a serialised model adds to a process, MiB; one thread, before the first row.

    None where no process could be started for it, or it took longer than the time allows.
    """
    with tempfile.TemporaryDirectory(prefix="tabwright-") as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(model)
        command = [sys.executable, "-P", "-m", "tabwright.objectives.resident", str(file)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(p or str(Path.cwd()) for p in sys.path)}
        try:
            done = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, timeout=timeout_s, check=True, env=env)  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return None
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
