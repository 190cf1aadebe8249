"""Does fit return in time? python benchmarks/budget.py --data DIR [--budgets 2,5,20,60]."""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np

from tables import datasets


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--data")
    ap.add_argument("--datasets", default="all")
    ap.add_argument("--budgets", default="2,5,20,60")
    args = ap.parse_args()
    warnings.simplefilter("ignore")
    worst = -np.inf
    for data in datasets(args.data, args.datasets):
        for seconds in map(float, args.budgets.split(",")):
            aml = data.estimator(max_runtime_secs=seconds)
            start = time.monotonic()
            aml.fit(data.frame, target=data.target)
            over = time.monotonic() - start - seconds
            worst = max(worst, over / max(1.0, 0.02 * seconds))
            predicts = len(aml.predict(data.frame.head(50))) == min(50, len(data.frame))
            leader = ", ".join(m.model_id for m in aml.leader.members) or "constant"
            print(f"{data.name:20} {seconds:5.0f} s: {over:+6.2f} s, predicts: {predicts}, {leader}", flush=True)
    print(f"worst overrun over what is allowed (1 s or 2 %): {worst:.2f}")


if __name__ == "__main__":
    main()
