"""What a cluster would do: python benchmarks/scaling_model.py [--rows 1e5,1e7,1e10] [--workers 1,10,100,1000].

First measures, on this machine, what the driver does for each fold and each candidate (journal, choosing the ensemble
among 10 to 1,000 candidates), what the scheduler adds to a task, and how fast results travel; with ``--no-dask`` the
last two are those of ``ASSUMED``. Then simulates a search event by event: workers fit folds, the driver and the
scheduler serve one thing after the other, and the network is shared. Told are folds a minute, the share of perfect
speed-up, and what is busiest. For rows that no worker's memory holds, a fit on all rows by data-parallel boosting is
reckoned from histogram sizes.
"""

from __future__ import annotations

import argparse
import heapq
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tabwright import clock
from tabwright.ensemble.greedy import MAX_ROWS, select
from tabwright.metrics import find_metric
from tabwright.search.leader import REST
from tabwright.search.policy import SECONDS_PER_1000_ROWS, SECONDS_PER_FOLD
from tabwright.store.journal import FoldRecord, Journal
from tabwright.types import Task

COLUMNS = 30
MODEL_BYTES = 500_000  # of one fold's boosted model, with its features
SAMPLE_ROWS = 200_000  # that a search sees of a larger table
MINUTES = 10.0
BINS, LEAVES, ROUNDS = 255, 64, 300
CELLS_PER_S = 2.5e8  # histogram updates of one core: LightGBM on 50,000,000 rows of 30 columns


@dataclass(frozen=True)
class Costs:
    """Seconds, and bytes a second."""

    fold_s: float
    journal_s: float  # the driver's, for each fold's outcome
    choose_s: float  # the driver's, for an ensemble among 100 candidates; it rests four times as long
    task_s: float  # the scheduler's, for each task
    result_bytes: float
    bandwidth: float  # of the driver's link
    table_bytes: float  # placed once on each worker


ASSUMED = {"task_s": 0.001, "bandwidth": 1.1e9}  # Dask's own figure for a task; a link of 10 Gbit/s


def measured(n_rows: float) -> Costs:
    """The driver's costs here; the fold's by the formula that budgets are planned with."""
    rows = int(min(n_rows, SAMPLE_ROWS))
    rng = np.random.default_rng(0)
    kept = min(rows, MAX_ROWS)
    y = rng.normal(size=kept)
    predictions = [(y + rng.normal(size=kept))[:, None] for _ in range(100)]
    began = time.perf_counter()
    select(predictions, y, find_metric("rmse", Task.REGRESSION), seconds=3.0)
    choose = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.sqlite")
        began = time.perf_counter()
        for k in range(200):
            journal.add_fold(FoldRecord("m_1", k, "ok", "", clock.now(), 1.0, 1.0, 1.0, 0.5, 10, "0" * 64, 0, {}))
        write = (time.perf_counter() - began) / 200
        journal.close()
    fold = SECONDS_PER_FOLD + SECONDS_PER_1000_ROWS * rows / 1000 * (0.5 + COLUMNS / 20)
    return Costs(fold, write, choose, ASSUMED["task_s"], MODEL_BYTES + rows / 5 * 8, ASSUMED["bandwidth"],
                 rows * COLUMNS * 8.0)  # fmt: skip


def dask_task_seconds() -> float:
    """What scheduler and connection add to a task: empty tasks on a worker of this machine."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        client.gather(client.map(abs, range(10), pure=False))
        began = time.perf_counter()
        client.gather(client.map(abs, range(1000), pure=False))
        return (time.perf_counter() - began) / 1000


def simulate(costs: Costs, workers: int, minutes: float, n_folds: int = 5) -> dict[str, float]:
    """Folds finished, and how busy each shared part is."""
    end = 60.0 * minutes
    busy = {"driver": 0.0, "scheduler": 0.0, "network": 0.0}
    free = {"driver": 0.0, "scheduler": 0.0, "network": 0.0}

    def serve(part: str, now: float, seconds: float) -> float:
        free[part] = max(free[part], now) + seconds
        busy[part] += seconds
        return free[part]

    rng = np.random.default_rng(0)
    heap: list[tuple[float, int]] = []
    for worker in range(workers):  # the table first; workers that have it hand it on, so half of them at a time
        placed = costs.table_bytes / costs.bandwidth * (1 + np.floor(np.log2(worker + 1)))
        start = serve("scheduler", placed, costs.task_s)
        heapq.heappush(heap, (start + costs.fold_s * rng.lognormal(0.0, 0.4), worker))
    done, rested = 0, 0.0
    while heap:
        now, worker = heapq.heappop(heap)
        if now > end:
            break
        arrived = serve("network", now, costs.result_bytes / costs.bandwidth)
        done += 1
        told = serve("driver", arrived, costs.journal_s)
        if done % n_folds == 0 and told >= rested:
            rested = serve("driver", told, costs.choose_s) + REST * costs.choose_s
        start = serve("scheduler", told, costs.task_s)
        heapq.heappush(heap, (start + costs.fold_s * rng.lognormal(0.0, 0.4), worker))
    perfect = workers * end / (costs.fold_s * np.exp(0.08))
    shares = {part: min(1.0, seconds / end) for part, seconds in busy.items()}
    return {"per_minute": done / minutes, "of_perfect": done / perfect, **shares}


def whole_seconds(n_rows: float, workers: int, bandwidth: float) -> tuple[float, float]:
    """Compute and exchange of boosting on all rows: each row once a level, a histogram of each leaf summed over all."""
    levels = np.log2(LEAVES)
    compute = ROUNDS * n_rows * COLUMNS * levels / 2 / CELLS_PER_S / workers
    exchange = ROUNDS * LEAVES / 2 * COLUMNS * BINS * 16 * 2 / bandwidth * (workers > 1)
    return compute, exchange


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", default="1e4,1e5,1e7,1e10")
    parser.add_argument("--workers", default="1,10,100,1000")
    parser.add_argument("--no-dask", action="store_true")
    args = parser.parse_args()
    task = ASSUMED["task_s"] if args.no_dask else dask_task_seconds()
    print("rows | workers | folds/min | of perfect | driver | scheduler | network | on all rows: compute + exchange s")
    for n_rows in map(float, args.rows.split(",")):
        costs = replace(measured(n_rows), task_s=task)
        print(f"-- {n_rows:.0e} rows: fold {costs.fold_s:.2f} s, journal {1e3 * costs.journal_s:.2f} ms, ensemble "
              f"{1e3 * costs.choose_s:.0f} ms, task {1e3 * costs.task_s:.2f} ms, {costs.result_bytes / 1e6:.1f} MB")
        for workers in map(int, args.workers.split(",")):
            found = simulate(costs, workers, MINUTES)
            compute, exchange = whole_seconds(n_rows, workers, costs.bandwidth)
            print(f"{n_rows:.0e} | {workers} | {found['per_minute']:.0f} | {found['of_perfect']:.0%} | "
                  f"{found['driver']:.0%} | {found['scheduler']:.0%} | {found['network']:.0%} | {compute:.0f} + "
                  f"{exchange:.0f}")


if __name__ == "__main__":
    main()
