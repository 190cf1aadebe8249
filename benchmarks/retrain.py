"""Retraining with a warm start: seconds to an earlier run's score, beside a cold start.

    python benchmarks/retrain.py [--data DIR] [--dataset adult] [--seconds 60] [--repeats 2]

The first half of the training rows is learned, then all of them, once cold and once with ``warm_start``. Each run's
leader is followed through its journal; a leader's score is that of its out-of-fold predictions. Run nothing beside it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import pandas as pd

from tables import Dataset, datasets
from tabwright.evaluation import evaluate_model
from tabwright.metrics import find_metric
from tabwright.runtime import load_model
from tabwright.store.run_dir import RunDir
from tabwright.types import Task


def learn(data: Dataset, rows: pd.DataFrame, test: pd.DataFrame, folder: Path, seconds: float, warm: str | None,
          seed: int) -> tuple[list[tuple[float, float]], float]:  # fmt: skip
    """One run: its leaders' times since the call and scores, and the last one's test score."""
    began = time.time()
    aml = data.estimator(max_runtime_secs=seconds, export_checkpoints_dir=str(folder), warm_start=warm or False,
                         seed=seed)  # fmt: skip
    aml.fit(rows.reset_index(drop=True), target=data.target)
    journal = RunDir.open(folder).read_journal()
    leaders = [(at - began, score) for at, _, score, _ in journal.leaders() if score is not None]
    journal.close()
    with tempfile.TemporaryDirectory() as out:
        path = aml.export(Path(out) / "model.onnx").path
        return leaders, evaluate_model(load_model(path), test, test[data.target])[data.metric]


def reached(leaders: list[tuple[float, float]], score: float, sign: float) -> float:
    """Seconds until a leader was as good; infinite if none was."""
    return min((at for at, own in leaders if sign * own >= sign * score), default=float("inf"))


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--data", help="folder with datasets.json (default: tables that every installation has)")
    ap.add_argument("--dataset", default="adult")
    ap.add_argument("--seconds", type=float, default=60)
    ap.add_argument("--repeats", type=int, default=2)
    args = ap.parse_args()
    warnings.simplefilter("ignore")
    data = next(datasets(args.data, args.dataset))
    sign = 1.0 if find_metric(data.metric, Task(data.task)).greater_is_better else -1.0
    for seed in range(args.repeats):
        train, test = data.split(seed)
        with tempfile.TemporaryDirectory() as temporary:
            old = Path(temporary) / "old"
            early, tested = learn(data, train.iloc[: len(train) // 2], test, old, args.seconds, None, seed)
            print(f"half of the rows: {data.metric} {early[-1][1]:.5f}, on the test rows {tested:.5f}", flush=True)
            for name, warm in (("cold", None), ("warm", str(old))):
                leaders, tested = learn(data, train, test, Path(temporary) / name, args.seconds, warm, seed)
                print(f"all, {name}: first leader after {leaders[0][0]:.1f} s; as good as that after "
                      f"{reached(leaders, early[-1][1], sign):.1f} s; at the end {leaders[-1][1]:.5f}, "
                      f"on the test rows {tested:.5f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
