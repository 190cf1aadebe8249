"""Run, replay, compare predictions by hash: python benchmarks/replay.py --data DIR [--seconds 18] [--datasets A,B]."""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

from tables import datasets
from tabwright.replay import replay

FIVE = "adult,california_housing,telco_churn,bike_sharing,vehicle"


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--data", help="folder with datasets.json (default: tables that every installation has)")
    ap.add_argument("--datasets")
    ap.add_argument("--seconds", type=float, default=18)
    args = ap.parse_args()
    warnings.simplefilter("ignore")
    identical = n = 0
    for data in datasets(args.data, args.datasets or (FIVE if args.data else "all")):
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            aml = data.estimator(max_runtime_secs=args.seconds, export_checkpoints_dir=run)
            aml.fit(data.frame, target=data.target)
            began = time.monotonic()
            result = replay(run)
            members = ", ".join(f"{m.model_id} x{len(m.folds)}" for m in aml.leader.members)
            verdict = "identical" if result.identical else f"DIFFERENT by up to {result.largest_difference:.2g}"
            n, identical = n + 1, identical + result.identical
            print(f"{data.name:20} recorded {result.recorded_sha256[:12]} repeated {result.repeated_sha256[:12]} "
                  f"{verdict:10} replay {time.monotonic() - began:5.1f} s; {members}", flush=True)  # fmt: skip
    print(f"{identical} of {n} identical")


if __name__ == "__main__":
    main()
