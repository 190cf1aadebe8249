"""kill -9 a run at random instants, resume it, and compare: python benchmarks/kill.py [--times 30].

Each run has a fixed list of candidates (max_models), so that the leader of a killed and resumed run must be that of
an uninterrupted one. The whole process group is killed at an instant drawn uniformly between the moment when the run
directory holds a run and the time that the uninterrupted run took; every third run is killed a second time while it
resumes. A line is printed per run; 30 of them take some ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import hashlib
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

FIT = """
import sys, pandas as pd
from tabwright import AutoMLRegressor
frame = pd.read_parquet(sys.argv[1])
families = ["lightgbm", "xgboost", "linear", "extra_trees"]
AutoMLRegressor(max_runtime_secs=None, max_models=6, nfolds=4, include_families=families, progress=False,
                export_checkpoints_dir=sys.argv[2]).fit(frame, target="MedHouseVal")
"""
RESUME = """
import sys
from tabwright import AutoMLRegressor
AutoMLRegressor.resume(sys.argv[1], progress=False)
"""
ORPHANS_S = 0.7  # workers notice within half a second that their parent has gone


def start(code: str, *arguments: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)


def kill_after(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Kill the whole process group; whether it was still running."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(ORPHANS_S)
        return True
    return False


def folds(run: Path) -> dict[tuple[str, int], list[str]]:
    """Digests of the model files of each fold's finished attempts; more than one if it was fitted again."""
    journal = RunDir(run).journal()
    done: dict[tuple[str, int], list[str]] = {}
    for f in journal.folds():
        if f.status == "ok":
            done.setdefault((f.model_id, f.fold), []).append(f.artefact_sha256 or "")
    journal.close()
    return done


def intact(run: Path, before: dict[tuple[str, int], list[str]]) -> int:
    """How many of these finished folds still have the very files that the journal names."""
    directory = RunDir(run)
    return sum(
        hashlib.sha256(directory.model_path(*key).read_bytes()).hexdigest() == digests[0]
        for key, digests in before.items()
    )


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--times", type=int, default=30)
    ap.add_argument("--seed", type=int, default=0)
    args = ap.parse_args()
    warnings.simplefilter("ignore")
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        table, whole_run = Path(folder) / "table.parquet", Path(folder) / "whole"
        frame = pd.read_parquet(CALIFORNIA_HOUSING).head(5000)
        frame.to_parquet(table)
        began = time.monotonic()
        start(FIT, table, whole_run).wait()
        whole = time.monotonic() - began
        expected = AutoMLRegressor.open(whole_run).predict(frame)
        n_folds = len(folds(whole_run))
        print(f"uninterrupted: {whole:.1f} s, {n_folds} folds", flush=True)
        resumed = lost = again = differing = twice = 0
        for k in range(args.times):
            run = Path(folder) / f"run{k}"
            began = time.monotonic()
            process = start(FIT, table, run)
            while not (run / "run.json").exists():
                time.sleep(0.01)
            instant = rng.uniform(time.monotonic() - began, whole)
            kill_after(process, instant - (time.monotonic() - began))
            before = folds(run)
            second = ""
            if k % 3 == 2 and kill_after(start(RESUME, run), rng.uniform(1.0, whole / 2)):
                twice += 1
                second = f", again with {len(folds(run))}"
                before |= folds(run)
            missing = len(before) - intact(run, before)
            aml = AutoMLRegressor.resume(run, progress=False)
            after = folds(run)
            refitted = sum(len(digests) > 1 for digests in after.values())
            gone = len(before) - intact(run, before) + sum(key not in after for key in before)
            same = np.array_equal(aml.predict(frame), expected)
            resumed, differing = resumed + 1, differing + (not same)
            lost, again = lost + gone + missing, again + refitted
            print(
                f"{k + 1:3}: killed at {instant:5.1f} s with {len(before)} of {n_folds} folds{second}; "
                f"lost {gone + missing}, refitted {refitted}, predictions {'the same' if same else 'DIFFER'}",
                flush=True,
            )
        print(f"{resumed} of {args.times} resumed ({twice} killed twice); folds lost: {lost}, fitted again: {again}; "
              f"runs with other predictions: {differing}")  # fmt: skip


if __name__ == "__main__":
    main()
