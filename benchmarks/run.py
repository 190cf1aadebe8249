"""Accuracy, time, latency and size beside untuned LightGBM: python benchmarks/run.py [--data DIR] [--seconds 60].

Appends one JSON line per run to benchmarks/results/DATE-COMMIT.jsonl and prints a table, and how well the shown score
and its interval foretold the test score. A test score has noise of its own, of a hold-out that is smaller than what the
interval is about: an exact 95 % interval holds 62 % of the scores of hold-outs a quarter as large.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tables import Dataset, datasets
from tabwright.data.target import read_target
from tabwright.evaluation import evaluate_model
from tabwright.metrics import find_metric, score
from tabwright.runtime import load_model
from tabwright.types import Task

GREATER = ("roc_auc",)
RESULTS = Path(__file__).parent / "results"


def ours(data: Dataset, train: pd.DataFrame, test: pd.DataFrame, seconds: float) -> dict[str, Any]:
    """One run, scored by its exported file."""
    aml = data.estimator(max_runtime_secs=seconds)
    start = time.monotonic()
    aml.fit(train, target=data.target)
    took = time.monotonic() - start
    with tempfile.TemporaryDirectory() as folder:
        report = aml.export(Path(folder) / "model.onnx")
        scores = evaluate_model(load_model(report.path), test, test[data.target])
    shown = aml.leaderboard().iloc[0]
    return {
        "score": scores[data.metric],
        "shown": float(shown.score),
        "shown_low": float(shown.score_ci_low),
        "shown_high": float(shown.score_ci_high),
        "judged_by": len(aml._finished.problem.evaluation_rows()),
        "held_out": len(test),
        "fit_s": round(took, 2),
        "p50_us": round(report.profile.latency_p50_us, 1),
        "p99_us": round(report.profile.latency_p99_us, 1),
        "size_mib": round(report.profile.size_mib, 2),
        "rows_per_second": round(report.profile.rows_per_second),
        "parity_max_relative": report.parity.max_relative,
        "members": list(report.members),
        "failures": len(aml.failures()),
    }


def untuned(data: Dataset, train: pd.DataFrame, test: pd.DataFrame) -> float:
    """LightGBM with its defaults and its own categories."""
    import lightgbm as lgb

    X = pd.concat([train, test]).drop(columns=[data.target])
    for name in X.columns:
        if X[name].dtype.kind == "M":
            X[name] = X[name].astype("int64") / 1e9
        elif X[name].dtype.kind not in "biuf":
            X[name] = X[name].astype("category")
    X.columns = [f"f{k}" for k in range(X.shape[1])]
    head, tail = X.iloc[: len(train)], X.iloc[len(train) :]
    task = Task(data.task)
    if task is Task.REGRESSION:
        y, y_test = train[data.target].to_numpy(float), test[data.target].to_numpy(float)
        prediction = lgb.LGBMRegressor(verbose=-1).fit(head, y).predict(tail)[:, None]
    else:
        classes = sorted(pd.unique(train[data.target]), key=str)
        y_test = read_target(test[data.target], data.target, tuple(classes))[0]
        proba = (
            lgb.LGBMClassifier(verbose=-1)
            .fit(head, read_target(train[data.target], data.target, tuple(classes))[0])
            .predict_proba(tail)
        )
        prediction = proba[:, 1:] if task is Task.BINARY else proba
    return score(find_metric(data.metric, task), y_test, np.asarray(prediction))


def honesty(records: Sequence[Mapping[str, Any]]) -> str:
    """How the shown scores compare with the test scores; biases in its half-widths, above 0 if flattering."""
    half = np.array([(r["shown_high"] - r["shown_low"]) / 2.0 for r in records])
    sign = np.array([1.0 if r["metric"] in GREATER else -1.0 for r in records])
    bias = sign * np.array([r["shown"] - r["score"] for r in records]) / half
    inside = [r["shown_low"] <= r["score"] <= r["shown_high"] for r in records]
    noise = np.sqrt([1.0 + r["judged_by"] / r["held_out"] for r in records])  # of both, in half-widths
    return (f"shown against test: inside the interval {sum(inside)} of {len(records)}, within the noise of both "
            f"{int((abs(bias) <= noise).sum())}; bias in half-widths: mean {bias.mean():.2f}, median "
            f"{np.median(bias):.2f}")  # fmt: skip


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--data", help="folder with datasets.json (default: tables that every installation has)")
    ap.add_argument("--datasets", default="all")
    ap.add_argument("--seconds", type=float, default=60)
    ap.add_argument("--folds", default="0")
    args = ap.parse_args()
    warnings.simplefilter("ignore")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    RESULTS.mkdir(exist_ok=True)
    out = RESULTS / f"{date.today()}-{commit}.jsonl"  # noqa: DTZ011 - the day where it ran
    print(
        f"{'table':20} {'metric':9} {'lightgbm':>10} {'tabwright':>10} {'shown':>10} {'fit s':>6} "
        f"{'p50 µs':>7} {'MiB':>7}"
    )
    records = []
    for data in datasets(args.data, args.datasets):
        for fold in map(int, args.folds.split(",")):
            train, test = data.split(fold)
            base = untuned(data, train, test)
            r = ours(data, train.reset_index(drop=True), test.reset_index(drop=True), args.seconds)
            record = {
                "table": data.name,
                "fold": fold,
                "seconds": args.seconds,
                "metric": data.metric,
                "lightgbm": base,
                **r,
            }
            records.append(record)
            with out.open("a") as file:
                file.write(json.dumps(record) + "\n")
            print(
                f"{data.name:20} {data.metric:9} {base:10.5f} {r['score']:10.5f} {r['shown']:10.5f} {r['fit_s']:6.1f} "
                f"{r['p50_us']:7.0f} {r['size_mib']:7.1f}",
                flush=True,
            )
    print(honesty(records))


if __name__ == "__main__":
    main()
