"""RealMLP with and without a graphics processor: python benchmarks/gpu.py [--rows 10000,100000].

Fits the family on made-up tables of 20 numbers, each time in a process of its own, which sees the graphics processor or
does not (CUDA_VISIBLE_DEVICES), and prints seconds, milliseconds a step and the loss on rows held out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np

from tabwright.models.base import FitContext, Sample
from tabwright.models.realmlp import REALMLP
from tabwright.types import Columns, Task

N_COLUMNS = 20


def made_up(n: int) -> tuple[Sample, Sample]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n + n // 4, N_COLUMNS)).astype(np.float32)
    y = np.sin(2.0 * X[:, 0]) + X[:, 1] * X[:, 2] + np.abs(X[:, 3]) + 0.3 * rng.standard_normal(len(X))
    y = (y - y.mean()) / y.std()
    return Sample(X[:n], y[:n]), Sample(X[n:], y[n:])


def fit(n: int, epochs: int, threads: int) -> None:
    """In the process of its own."""
    import torch

    train, valid = made_up(n)
    context = FitContext(Task.REGRESSION, 1, Columns(N_COLUMNS), n_threads=threads)
    on = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{threads} thread{'s' * (threads > 1)}"
    if torch.cuda.is_available():
        torch.zeros(1, device="cuda")
    start = time.monotonic()
    fitted = REALMLP.fit(train, valid, {"epochs": epochs}, context)
    took = time.monotonic() - start
    loss = float(np.mean((fitted.predict(valid.X)[:, 0] - valid.y) ** 2))
    print(json.dumps({"on": on, "s": took, "loss": loss, "epochs": len(fitted.schedule)}))


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--rows", default="10000,100000,400000")
    ap.add_argument("--epochs", type=int, default=8)
    ap.add_argument("--threads", default="1,8")
    ap.add_argument("--fit", type=int, nargs=2, metavar=("ROWS", "THREADS"), help=argparse.SUPPRESS)
    args = ap.parse_args()
    if args.fit:
        fit(args.fit[0], args.epochs, args.fit[1])
        return
    print("| rows | on | s | ms a step | loss |\n|---|---|---|---|---|", flush=True)
    for n in map(int, args.rows.split(",")):
        for threads, gpu in [*((int(k), "") for k in args.threads.split(",")), (1, "0")]:
            command = [sys.executable, __file__, "--epochs", str(args.epochs), "--fit", str(n), str(threads)]
            environment = {**os.environ, "CUDA_VISIBLE_DEVICES": gpu}
            run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if run.returncode:
                print(run.stderr[-2000:])
                continue
            r = json.loads(run.stdout)
            steps = r["epochs"] * max(1, n // 256)
            print(f"| {n} | {r['on']} | {r['s']:.2f} | {1e3 * r['s'] / steps:.2f} | {r['loss']:.4f} |", flush=True)


if __name__ == "__main__":
    main()
