"""ONNX against Python on up to 20,000 rows of each table: python benchmarks/parity.py --data DIR [--seconds 20]."""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np

from tables import datasets
from tabwright.export import check, predict_bytes, serialise


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--data")
    ap.add_argument("--datasets", default="all")
    ap.add_argument("--seconds", type=float, default=20)
    args = ap.parse_args()
    warnings.simplefilter("ignore")
    print(
        f"{'table':20} {'rows':>6} {'max abs':>9} {'max rel':>9} {'beyond 1e-5':>11} "
        f"{'python/s':>9} {'onnx/s':>9}  leader"
    )
    for data in datasets(args.data, args.datasets):
        aml = data.estimator(max_runtime_secs=args.seconds)
        aml.fit(data.frame, target=data.target)
        package = aml._finished.package()
        rows = aml._table(data.frame.head(20_000))
        model = serialise(package)
        parity = check(model, package, rows)
        start = time.perf_counter()
        aml.leader.predict_canonical(rows)
        middle = time.perf_counter()
        predict_bytes(model, aml.leader.task, rows)
        python, onnx = rows.n_rows / (middle - start), rows.n_rows / (time.perf_counter() - middle)
        families = ", ".join(f"{m.family} {m.weight:.2f}" for m in aml.leader.members)
        print(
            f"{data.name:20} {parity.rows:6} {parity.max_absolute:9.1e} {parity.max_relative:9.1e} "
            f"{parity.share_beyond:11.2%} {python:9.0f} {onnx:9.0f}  {families}",
            flush=True,
        )
        assert np.isfinite(parity.max_absolute)


if __name__ == "__main__":
    main()
