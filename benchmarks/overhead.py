"""What journal, workers and limits cost: python benchmarks/overhead.py [--data DIR] [--pairs 4].

The same candidates and folds are fitted twice, in turns, each time in a new process on one core: by the engine (a
worker process, its models and predictions on disk, the journal, an ensemble after each candidate), and by a plain loop
in one process that writes nothing. Compared is the time from the start of the process, imports and reading included,
to the end of the last fold; what one takes longer is the share of folds that it does not finish in a given time.
Processor seconds are told too, because they depend less on what else the machine does: the engine's include a second
process's imports, choosing ensembles and loading the leader.
With --sizes A,B the size of the run directory after 60 s is told for these tables.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from tables import Dataset, datasets
from tabwright import clock
from tabwright.store.run_dir import RunDir

ENGINE = """
import sys, pandas as pd, tabwright
made = getattr(tabwright, sys.argv[4])
made(max_runtime_secs=None, max_models=int(sys.argv[5]), nfolds=3, n_jobs=1, progress=False,
     include_families=["lightgbm", "xgboost", "catboost", "linear"], export_checkpoints_dir=sys.argv[2],
     ).fit(pd.read_parquet(sys.argv[1]), target=sys.argv[3])
"""
PLAIN = """
import sys, pandas as pd
from tabwright.data.infer import infer_schema
from tabwright.data.table import Table
from tabwright.engine.base import FoldJob
from tabwright.engine.fold import Session
from tabwright.pipeline import Candidate
from tabwright.store.run_dir import RunDir
from threadpoolctl import threadpool_limits

class Loop(Session):
    def _write(self, job, keys, model, prediction):
        return ""

frame = pd.read_parquet(sys.argv[1])
features = frame.drop(columns=[sys.argv[3]])
Table.from_frame(features, infer_schema(features, None, Session(sys.argv[2]).task, {}))  # the table is read here too
done = set()
with threadpool_limits(1):
    loop = Loop(sys.argv[2])
    journal = RunDir.open(sys.argv[2]).read_journal()
    candidates = {c.model_id: Candidate(c.model_id, c.family, c.params, c.seed) for c in journal.candidates()}
    for fold in sorted(journal.folds(), key=lambda f: f.started):
        loop.fit(FoldJob(candidates[fold.model_id], fold.fold, 86_400.0))
"""


def timed(code: str, *arguments: object) -> tuple[float, float, float]:
    """Moment of the start, seconds until the process ended, and processor seconds of it and its children."""
    started, began, before = clock.now(), time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return started, time.monotonic() - began, cpu


def pair(data: Dataset, table: Path, run: Path, models: int) -> tuple[float, float, str]:
    """Seconds of the engine and of the plain loop, and what else is known of them."""
    estimator = type(data.estimator()).__name__
    started, _, engine_cpu = timed(ENGINE, table, run, data.target, estimator, models)
    folds = RunDir.open(run).read_journal().folds()
    engine = max(f.started + f.seconds for f in folds) - started
    _, plain, plain_cpu = timed(PLAIN, table, run, data.target)
    return engine, plain, f"{len(folds)} folds; processor seconds {engine_cpu:.1f} and {plain_cpu:.1f}"


def sizes(data: Dataset, seconds: float) -> str:
    """What the run directory of a run holds, in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        aml = data.estimator(max_runtime_secs=seconds, export_checkpoints_dir=Path(folder) / "run")
        aml.fit(data.frame, target=data.target)
        parts = {
            name: sum(f.stat().st_size for f in (Path(folder) / "run").rglob(pattern) if f.is_file()) / 2**20
            for name, pattern in (("table", "table/*"), ("features", "features/*"), ("models", "folds/*.tw"),
                                  ("predictions", "folds/*.npy"), ("journal", "journal*"))
        }  # fmt: skip
        folds = RunDir.open(aml.run_dir).read_journal().folds()
        total = RunDir.open(aml.run_dir).size_mib()
    told = ", ".join(f"{k} {v:.1f}" for k, v in parts.items())
    return f"{data.name:20} {len(data.frame):,} rows, {len(folds)} folds: {total:.1f} MiB ({told})"


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--data", help="folder with datasets.json (default: tables that every installation has)")
    ap.add_argument("--table", default="california_housing")
    ap.add_argument("--models", type=int, default=8)
    ap.add_argument("--pairs", type=int, default=4)
    ap.add_argument("--sizes", default="")
    ap.add_argument("--seconds", type=float, default=60)
    args = ap.parse_args()
    warnings.simplefilter("ignore")
    ratios = []
    for data in datasets(args.data, args.table):
        for k in range(args.pairs):
            with tempfile.TemporaryDirectory() as folder:
                table = Path(folder) / "table.parquet"
                data.frame.to_parquet(table)
                engine, plain, told = pair(data, table, Path(folder) / "run", args.models)
                ratios.append(plain / engine)
                print(f"pair {k + 1}: engine {engine:.1f} s, plain loop {plain:.1f} s: the engine finishes "
                      f"{plain / engine:.1%} of the loop's folds ({told})", flush=True)  # fmt: skip
    if ratios:
        print(f"median {np.median(ratios):.1%} of the folds of a plain loop (overhead {1 - np.median(ratios):.1%})")
    if args.sizes:
        for data in datasets(args.data, args.sizes):
            print(sizes(data, args.seconds), flush=True)


if __name__ == "__main__":
    main()
