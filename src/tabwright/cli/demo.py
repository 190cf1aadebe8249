"""tabwright demo: the whole way on the bundled California housing table."""

from __future__ import annotations

import argparse
from pathlib import Path

from tabwright.cli.base import Command, budget_arguments, written_as


def add_arguments(parser: argparse.ArgumentParser) -> None:
    budget_arguments(parser, 60.0)
    parser.add_argument("--out", default="california_housing.onnx", metavar="FILE", help="ONNX file to write")


def run(args: argparse.Namespace) -> int:
    import numpy as np
    import pandas as pd

    from tabwright.api import AutoMLRegressor
    from tabwright.cli.show import leaderboard_text
    from tabwright.datasets import CALIFORNIA_HOUSING
    from tabwright.evaluation import evaluate_model
    from tabwright.runtime import load_model

    table = pd.read_parquet(CALIFORNIA_HOUSING)
    order = np.random.RandomState(1000).permutation(len(table))
    test, train = table.iloc[order[: len(table) // 5]], table.iloc[order[len(table) // 5 :]]
    print(
        f"California housing: {len(train):,} rows to learn from, {len(test):,} held out, {args.max_runtime_secs:.0f} s",
        flush=True,
    )
    aml = AutoMLRegressor(
        max_runtime_secs=args.max_runtime_secs, n_jobs=args.n_jobs, progress="auto" if not args.quiet else False
    )
    aml.fit(train, target="MedHouseVal")
    print(f"\nfit took {aml._finished.seconds:.1f} s of {args.max_runtime_secs:.0f} s\n")
    print(leaderboard_text(aml.leaderboard(), "rmse"))
    with written_as("--out"):
        report = aml.export(Path(args.out))
    model = load_model(args.out)
    scores = evaluate_model(model, test, test["MedHouseVal"])
    difference = np.abs(model.predict(test) - aml.predict(test))
    print(f"\nhold-out of {len(test):,} rows, scored by the exported file")
    print(f"  RMSE {scores['rmse']:.4f}   MAE {scores['mae']:.4f}   R2 {scores['r2']:.4f}   (target in 100,000 US$)")
    print(f"\n{args.out}: {report.profile.size_mib:.1f} MiB, {len(report.members)} models in one graph")
    print(
        f"  parity with Python: largest difference {max(difference.max(), report.parity.max_absolute):.1e} "
        f"over {len(test) + report.parity.rows:,} rows (missing and unseen values among them)"
    )
    print(
        f"  one row: p50 {report.profile.latency_p50_us:.0f} µs, p99 {report.profile.latency_p99_us:.0f} µs; "
        f"batch: {report.profile.rows_per_second:,.0f} rows/s on one thread"
    )
    print(
        f"\nscore it anywhere:  python -c \"from tabwright import load_model; print(load_model('{args.out}').schema)\""
    )
    return 0


DEMO = Command("demo", "train, export, check and time a model of California housing", add_arguments, run)
