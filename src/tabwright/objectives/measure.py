"""Latency, throughput and size of an exported graph, measured on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tabwright import ort
from tabwright.rows import in_parts, rows_at_once
from tabwright.types import Array, Floats

MAX_BATCH_S, MAX_BATCHES = 0.1, 20
BATCH_ROWS = 10_000


@dataclass(frozen=True)
class Profile:
    """Measured cost of scoring. One row at a time for latency, the whole sample at once for throughput; one thread."""

    latency_p50_us: float
    latency_p99_us: float
    rows_per_second: float
    size_mib: float

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def session(model: bytes, n_threads: int = 1) -> Any:
    """An onnxruntime session of a serialised model."""
    return ort.session(model, n_threads)


def run_batched(running: Any, inputs: Mapping[str, Array], output: str, batch: int | None = None) -> Array:
    """One output for all rows, in batches that keep intermediate tensors small."""
    batch = batch or rows_at_once(running, BATCH_ROWS)
    return in_parts(lambda part: running.run([output], part), inputs, batch, inputs.get("strings"))[0]


def measure(
    model: bytes, inputs: Mapping[str, Array], *, repeats: int = 300, seconds: float = 1.0, n_threads: int = 1
) -> Profile:
    """Profile a serialised model on sample rows.

    Parameters
    ----------
    model : bytes
        A serialised ONNX model.
    inputs : dict of array, each of shape (n_rows, width)
        Sample rows as the graph takes them.
    repeats : int
        Single-row calls at most, each with another row, after 20 uncounted ones.
    seconds : float
        Time spent on single rows at most, and on repeating a batch that takes less; one batch takes what it takes.
    n_threads : int
    """
    running = session(model, n_threads)
    times = _one_by_one(running, inputs, repeats, seconds)
    n = len(next(iter(inputs.values())))
    output, batch = running.get_outputs()[0].name, rows_at_once(running, BATCH_ROWS)
    batches: list[float] = []
    while not batches or (sum(batches) < min(seconds, MAX_BATCH_S) and len(batches) < MAX_BATCHES):
        start = time.perf_counter()
        run_batched(running, inputs, output, batch)
        batches.append(max(time.perf_counter() - start, 1e-9))
    p50, p99 = np.percentile(times, [50, 99])
    return Profile(float(p50), float(p99), n / float(np.median(batches)), len(model) / 2**20)


def latencies(model: bytes, inputs: Mapping[str, Array], *, repeats: int, seconds: float) -> Floats:
    """Times of single-row calls, µs, shape (n_calls,); parameters as those of :func:`measure`, one thread."""
    return _one_by_one(session(model), inputs, repeats, seconds)


def _one_by_one(running: Any, inputs: Mapping[str, Array], repeats: int, seconds: float) -> Floats:
    n = len(next(iter(inputs.values())))
    rows = [{k: np.ascontiguousarray(v[i : i + 1]) for k, v in inputs.items()} for i in range(min(n, 64))]
    outputs = [running.get_outputs()[0].name]
    for k in range(20):
        running.run(outputs, rows[k % len(rows)])
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < repeats and (time.perf_counter() - began < seconds or len(times) < 20):
        row = rows[len(times) % len(rows)]
        start = time.perf_counter()
        running.run(outputs, row)
        times.append(time.perf_counter() - start)
    return np.array(times) * 1e6
