"""tabwright profile."""

from __future__ import annotations

import argparse

from tabwright.cli.base import Command, model_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model_arguments(parser)
    parser.add_argument("data", help="table with sample rows")


def run(args: argparse.Namespace) -> int:
    import time
    from pathlib import Path

    import numpy as np

    from tabwright.data.readers import read_table
    from tabwright.objectives.measure import measure
    from tabwright.runtime import load_model
    from tabwright.schema import encode

    model, frame = load_model(args.model, public_key=args.public_key), read_table(args.data).head(20_000)
    numbers, strings = encode({str(c): frame[c] for c in frame.columns}, model.schema)
    inputs = {k: v for k, v in (("numbers", numbers), ("strings", strings)) if v.shape[1]}
    p = measure(Path(args.model).read_bytes(), inputs, repeats=2000, seconds=3.0)
    print(f"file            {p.size_mib:10.2f} MiB")
    print(f"one row, p50    {p.latency_p50_us:10.1f} µs   (the graph alone, one thread)")
    print(f"one row, p99    {p.latency_p99_us:10.1f} µs")
    rows = frame.head(200).to_dict("records")
    times = []
    for row in rows:
        start = time.perf_counter()
        model.predict(row)
        times.append(time.perf_counter() - start)
    p50, p99 = np.percentile(np.array(times) * 1e6, [50, 99])
    print(f"one dict, p50   {p50:10.1f} µs   (load_model(...).predict, checks included)")
    print(f"one dict, p99   {p99:10.1f} µs")
    print(f"batch of {len(frame):<6} {p.rows_per_second:10,.0f} rows/s")
    return 0


PROFILE = Command("profile", "latency, throughput and size of an exported file", add_arguments, run)
