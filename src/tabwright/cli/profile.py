"""tabwright profile."""

from __future__ import annotations

import argparse
from typing import Any

from tabwright.cli.base import Command, model_arguments

PERCENTILES = (50, 90, 95, 99, 99.9)
BATCHES = (1, 10, 100, 1000, 10_000)
BINS, BAR = 12, 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model_arguments(parser)
    parser.add_argument("data", help="table with sample rows")


def run(args: argparse.Namespace) -> int:
    import os
    from pathlib import Path

    from tabwright.data.readers import read_table
    from tabwright.objectives.measure import latencies, measure
    from tabwright.objectives.resident import resident_mib
    from tabwright.objectives.stages import stage_shares
    from tabwright.runtime import load_model
    from tabwright.schema import encode

    model, frame = load_model(args.model, public_key=args.public_key), read_table(args.data).head(20_000)
    numbers, strings = encode({str(c): frame[c] for c in frame.columns}, model.schema)
    inputs = {k: v for k, v in (("numbers", numbers), ("strings", strings)) if v.shape[1]}
    data = Path(args.model).read_bytes()
    resident = resident_mib(data)
    loaded = "" if resident is None else f", {resident:.1f} MiB resident when loaded"
    print(f"{args.model}: {len(data) / 2**20:.2f} MiB{loaded}\n")
    times = latencies(data, inputs, repeats=5000, seconds=4.0)
    print("one row, the graph alone, one thread")
    _percentiles(times)
    _histogram(times)
    print("\none row as a dict, load_model(...).predict, checks included")
    _percentiles(_dicts(model, frame.head(300).to_dict("records")))
    print("\nwhere the operators' time goes, one row")
    for kind, share in stage_shares(data, inputs).items():
        print(f"  {kind:36}{share:6.0%}")
    cores = os.cpu_count() or 1
    print(f"\nbatch         rows/s, 1 thread      {cores} threads")
    for rows in [b for b in BATCHES if b <= len(frame)]:
        some = {k: v[:rows] for k, v in inputs.items()}
        rates = [measure(data, some, repeats=20, seconds=0.2, n_threads=n).rows_per_second for n in (1, cores)]
        print(f"{rows:6}        {rates[0]:16,.0f} {rates[1]:14,.0f}")
    return 0


def _dicts(model: Any, rows: list[Any]) -> Any:
    import time

    import numpy as np

    times = []
    for row in rows:
        start = time.perf_counter()
        model.predict(row)
        times.append(time.perf_counter() - start)
    return np.array(times) * 1e6


def _percentiles(times: Any) -> None:
    import numpy as np

    values = np.percentile(times, PERCENTILES)
    told = [f"p{p:g} {v:.1f}" for p, v in zip(PERCENTILES, values, strict=True)]
    print(f"  {len(times)} calls: {'   '.join(told)} µs")


def _histogram(times: Any) -> None:
    """Calls by latency, up to the 99.5th percentile."""
    import numpy as np

    counts, edges = np.histogram(times, bins=BINS, range=(times.min(), np.percentile(times, 99.5)))
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        print(f"  {low:8.1f} to {high:8.1f} µs  {'█' * round(BAR * count / counts.max())}{' ' if count else ''}{count}")


PROFILE = Command("profile", "latency, memory, throughput and stages of an exported file", add_arguments, run)
