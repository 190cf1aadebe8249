"""Folds finished per minute on a Dask cluster: python benchmarks/dask_workers.py [--seconds 60] [--data DIR].

The same search by engine "local" with two processes, and by a scheduler with 1, 2 and 4 worker processes of one thread
(``--workers``), all on this machine: so more workers than cores show what the way through Dask costs, and hosts of
their own what it gains. ``--copy`` sends all files instead of reading the run directory. ``--disturb`` kills a worker
in mid-run and adds one, and tells what was lost. ``--address`` measures a cluster that is there already, such as that
of benchmarks/dask_hosts.sh.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tables import Dataset, datasets
from tabwright.engine.base import Status
from tabwright.store.run_dir import RunDir
from tabwright.testing.clusters import LoopbackCluster


@dataclass
class Measured:
    """What a run did in its budget."""

    what: str
    folds: int
    per_minute: float
    cpu_share: float  # of the budget, that the folds' processors worked
    candidates: int
    failed: int
    first_fold_s: float
    seconds: float
    score: float


def measure(what: str, data: Dataset, engine: Any, seconds: float, n_jobs: int = -1) -> Measured:
    """One search with a budget; folds per minute are counted from its start to its end."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        aml = data.estimator(max_runtime_secs=seconds, engine=engine, n_jobs=n_jobs, export_checkpoints_dir=run)
        began, began_wall = time.monotonic(), time.time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            aml.fit(data.frame, target=data.target)
        took = time.monotonic() - began
        journal = RunDir.open(run).read_journal()
        folds = journal.folds()
        journal.close()
        ok = [f for f in folds if f.status == Status.OK]
        return Measured(
            what, len(ok), 60 * len(ok) / seconds, sum(f.cpu_seconds for f in folds) / seconds,
            len(aml._finished.state.finished()), sum(f.status not in (Status.OK, Status.CANCELLED) for f in folds),
            min(f.started + f.seconds for f in ok) - began_wall, took, float(aml.leaderboard().score.iloc[0]),
        )  # fmt: skip


def disturbed(data: Dataset, seconds: float) -> Measured:
    """Two workers; a third of the way one is killed, and half of the way another joins."""
    with LoopbackCluster() as cluster:
        first, _ = cluster.add(2)
        timers = [threading.Timer(seconds / 3, first.kill), threading.Timer(seconds / 2, cluster.add)]
        for timer in timers:
            timer.start()
        found = measure("2 workers, one killed at 1/3, one added at 1/2", data, cluster.address, seconds)
        for timer in timers:
            timer.join()
        time.sleep(2.0)
        print(f"fold processes left behind: {len(cluster.fold_processes())}")
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="DIR", help="folder with a datasets.json (default: the built-in table)")
    parser.add_argument("--dataset", default="california_housing")
    parser.add_argument("--seconds", type=float, default=60.0, help="budget of each run")
    parser.add_argument("--workers", default="1,2,4", help="numbers of worker processes (default: %(default)s)")
    parser.add_argument("--copy", action="store_true", help="send all files")
    parser.add_argument("--disturb", action="store_true", help="kill a worker and add one")
    parser.add_argument("--address", help="of a scheduler, instead of clusters made here")
    args = parser.parse_args()
    if args.copy:
        os.environ["DASK_TABWRIGHT__COPY_FILES"] = "True"  # before Dask reads its configuration
    data = next(datasets(args.data, args.dataset))
    print(f"{data.name}: {data.frame.shape[0]} rows, {data.frame.shape[1] - 1} columns; {args.seconds:g} s each; "
          f"{os.cpu_count()} cores; Python {sys.version.split()[0]}", flush=True)  # fmt: skip
    rows = []
    if args.address:
        rows.append(measure(f"cluster {args.address}", data, args.address, args.seconds))
    elif args.disturb:
        rows.append(disturbed(data, args.seconds))
    else:
        rows.append(measure("local, 2 processes", data, "local", args.seconds, 2))
        for n in map(int, args.workers.split(",")):
            with LoopbackCluster() as cluster:
                cluster.add(n)
                rows.append(measure(f"dask, {n} workers of 1 thread", data, cluster.address, args.seconds))
    print(pd.DataFrame(rows).round(2).to_string(index=False))


if __name__ == "__main__":
    main()
