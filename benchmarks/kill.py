"""kill -9 a run at random instants, resume it, and compare: python benchmarks/kill.py [--times 30].

Each run has a fixed list of candidates (max_models), so that the leader of a killed and resumed run must be that of
an uninterrupted one.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from tabwright import AutoMLRegressor
from tabwright.datasets import CALIFORNIA_HOUSING
from tabwright.store.run_dir import RunDir

SCRIPT = """
import sys, pandas as pd
from tabwright import AutoMLRegressor
frame = pd.read_parquet(sys.argv[1])
families = ["lightgbm", "xgboost", "linear", "mlp"]
AutoMLRegressor(max_runtime_secs=None, max_models=4, nfolds=3, include_families=families, progress=False,
                export_checkpoints_dir=sys.argv[2]).fit(frame, target="MedHouseVal")
"""


def start(table: Path, run: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(table), str(run)],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )


def folds(run: Path) -> list[tuple[str, int]]:
    journal = RunDir(run).journal()
    done = [(f.model_id, f.fold) for f in journal.folds() if f.status == "ok"]
    journal.close()
    return done


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--times", type=int, default=30)
    ap.add_argument("--seed", type=int, default=0)
    args = ap.parse_args()
    warnings.simplefilter("ignore")
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.parquet"
        frame = pd.read_parquet(CALIFORNIA_HOUSING).head(8000)
        frame.to_parquet(table)
        began = time.monotonic()
        start(table, Path(folder) / "whole").wait()
        whole = time.monotonic() - began
        expected = AutoMLRegressor.open(Path(folder) / "whole").predict(frame)
        resumed = lost = again = differing = unstarted = 0
        for k in range(args.times):
            run = Path(folder) / f"run{k}"
            process = start(table, run)
            time.sleep(rng.uniform(1.0, whole))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            time.sleep(0.7)  # workers notice within half a second that their parent has gone
            if not (run / "run.json").exists():
                unstarted += 1
                continue
            before = folds(run)
            aml = AutoMLRegressor.resume(run, progress=False)
            after = folds(run)
            resumed += 1
            lost += after[: len(before)] != before
            again += len(set(after)) != len(after)
            differing += not np.array_equal(aml.predict(frame), expected)
        print(f"uninterrupted {whole:.1f} s; killed {args.times} times, {unstarted} before the run had begun")
        print(f"resumed {resumed}; lost a finished fold: {lost}; refitted one: {again}; other predictions: {differing}")


if __name__ == "__main__":
    main()
