"""What each part of the search is worth: the same runs with one part switched off, or set otherwise.

    python benchmarks/ablation.py [--data DIR] [--seconds 60] [--parts stacking,calibration] [--out FILE]

Appends one JSON line per run to FILE and goes on where it stopped; then prints, for each part, what the leader's test
score loses without it, in percent of what the full search gains over a constant prediction (the mean over tables, and
on how many the score gets worse). Budgets are of time: run nothing else beside it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import optuna
import pandas as pd

from tables import Dataset, datasets
from tabwright.evaluation import evaluate_model
from tabwright.meta.portfolio import Portfolio
from tabwright.metrics import as_needed, find_metric, score
from tabwright.metrics.base import Metric
from tabwright.runtime import load_model
from tabwright.search.wider import Wider
from tabwright.types import Array, Floats, Task

WHOLE = "nothing"


def best_alone(
    predictions: Sequence[Floats], y: Array, metric: Metric, weight: Floats | None = None, **_: float
) -> Floats:
    """In the place of :func:`tabwright.ensemble.greedy.select`: all the weight on the best candidate."""
    chosen = np.zeros(len(predictions))
    chosen[int(np.argmin([metric.loss(y, as_needed(metric, p), weight) for p in predictions]))] = 1.0
    return chosen


def at_random(seed: int, **_: object) -> optuna.samplers.BaseSampler:
    """In the place of the TPE sampler."""
    return optuna.samplers.RandomSampler(seed=seed)


Off = Callable[[], AbstractContextManager[Any]]
OFF: dict[str, Off] = {
    WHOLE: nullcontext,
    "interactions": lambda: patch("tabwright.search.loop.screen_run", return_value=False),
    "columns that tell": lambda: patch("tabwright.framing.MANY_COLUMNS", 1_000_000),
    "logarithms": lambda: patch("tabwright.framing.differs_by_factors", return_value=False),
    "portfolio": lambda: patch("tabwright.automl.shipped", return_value=Portfolio([], {})),
    "larger networks": lambda: patch.object(Wider, "idea", return_value=None),
    "bayesian search": lambda: patch("optuna.samplers.TPESampler", at_random),
    "racing": lambda: patch("tabwright.search.loop.why_prune", return_value=""),
    "ensembling": lambda: patch("tabwright.search.state.select", best_alone),
    "stacking": lambda: patch("tabwright.search.stacking.stackable", return_value=False),
    "calibration": lambda: patch("tabwright.search.state.calibrate", return_value=None),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "networks": {"exclude_families": ["mlp"]},
    "catboost": {"exclude_families": ["catboost"]},
    "xgboost": {"exclude_families": ["xgboost"]},
    "quadratic": {"exclude_families": ["quadratic"]},
    "linear and others": {"exclude_families": ["linear", "extra_trees", "random_forest", "knn"]},
    "folds but 3": {"nfolds": 3},
    "folds but 10": {"nfolds": 10},
}
USUAL = [*OFF, *OPTIONS][1:-2]


def run(data: Dataset, fold: int, seconds: float, part: str) -> dict[str, Any]:
    """One run without a part, scored by its exported file."""
    train, test = data.split(fold)
    began = time.monotonic()
    with OFF.get(part, nullcontext)(), tempfile.TemporaryDirectory() as folder:
        aml = data.estimator(max_runtime_secs=seconds, **OPTIONS.get(part, {}))
        aml.fit(train.reset_index(drop=True), target=data.target)
        took = time.monotonic() - began
        report = aml.export(Path(folder) / "model.onnx")
        found = evaluate_model(load_model(report.path), test, test[data.target])
    return {"score": found[data.metric], "fit_s": round(took, 2), "p50_us": round(report.profile.latency_p50_us)}


def constant(data: Dataset, fold: int) -> float:
    """The test score of a constant prediction."""
    train, test = data.split(fold)
    y, held = train[data.target], test[data.target]
    if data.metric == "roc_auc":
        return 0.5
    if Task(data.task) is Task.REGRESSION:
        metric = find_metric(data.metric, Task.REGRESSION)
        return score(metric, held.to_numpy(float), np.full((len(held), 1), float(y.mean())))
    shares = y.value_counts(normalize=True)
    return float(-np.log(held.map(shares).clip(lower=1e-6).astype(float)).mean())


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """By part: what is lost without it, in percent of the gain, mean over tables, and on how many there is a loss."""
    better = np.where(frame.metric == "roc_auc", 1.0, -1.0)
    gain = (frame.score - frame.constant) * better
    wide = gain.groupby([frame.table, frame.without]).mean().unstack()
    lost = 100.0 * (1.0 - wide.div(wide[WHOLE], axis=0)).drop(columns=WHOLE)
    return pd.DataFrame({
        "lost, %": lost.mean().round(3), "median": lost.median().round(3),
        "worse without": (lost > 0).sum(), "of": lost.notna().sum(),
    }).sort_values("lost, %", ascending=False)  # fmt: skip


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--data", help="folder with datasets.json (default: tables that every installation has)")
    ap.add_argument("--datasets", default="all")
    ap.add_argument("--seconds", type=float, default=60)
    ap.add_argument("--folds", default="0")
    ap.add_argument("--parts", default=",".join(USUAL))
    ap.add_argument("--out", type=Path, default=Path("ablation.jsonl"))
    args = ap.parse_args()
    warnings.simplefilter("ignore")
    parts = [WHOLE, *args.parts.split(",")]
    lines = args.out.read_text().splitlines() if args.out.exists() else []
    done = [json.loads(line) for line in lines]
    known = {(r["table"], r["fold"], r["without"], r["seconds"]) for r in done}
    runs = ((d, int(k), p) for d in datasets(args.data, args.datasets) for k in args.folds.split(",") for p in parts)
    for data, fold, part in runs:
        if (data.name, fold, part, args.seconds) not in known:
            record = {"table": data.name, "fold": fold, "without": part, "seconds": args.seconds,
                      "metric": data.metric, "constant": constant(data, fold),
                      **run(data, fold, args.seconds, part)}  # fmt: skip
            with args.out.open("a") as file:
                file.write(json.dumps(record) + "\n")
            done.append(record)
            print(f"{data.name:20} without {part:28} {record['score']:.5f}", flush=True)
    print(table(pd.DataFrame(done)).to_string())


if __name__ == "__main__":
    main()
