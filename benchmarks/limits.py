"""What limits of latency cost in accuracy: python benchmarks/limits.py --data DIR --datasets a,b [--seconds 60].

One search for score and latency per table, then the best model within each limit, exported and measured; the share of
what the unlimited leader gains over untuned LightGBM that each keeps; students beside their teacher and the best
candidate; the cost model's error. ``--limit`` runs a search of its own for that limit too. The front of each table is
drawn into ``--plots DIR``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from run import untuned
from tables import Dataset, datasets
from tabwright.errors import OptionError
from tabwright.evaluation import evaluate_model
from tabwright.pipeline import TEACHER
from tabwright.runtime import load_model

LIMITS = (50, 100, 200, 500, 1000)


def delivered(aml: Any, data: Dataset, test: pd.DataFrame) -> tuple[float, float, float]:
    """Test score, median µs and MiB of the exported leader."""
    with tempfile.TemporaryDirectory() as folder:
        report = aml.export(Path(folder) / "model.onnx")
        found = evaluate_model(load_model(report.path), test, test[data.target])[data.metric]
    return found, report.profile.latency_p50_us, report.profile.size_mib


def table(data: Dataset, args: argparse.Namespace) -> None:
    train, test = data.split(args.fold)
    base = untuned(data, train, test)
    aml = data.estimator(max_runtime_secs=args.seconds, objectives=("score", "latency_us"))
    began = time.monotonic()
    aml.fit(train, target=data.target)
    took = time.monotonic() - began
    plot = None if args.plots is None else Path(args.plots) / f"{data.name}.svg"
    front = aml.pareto(plot)
    free, us, mib = delivered(aml, data, test)
    print(f"\n## {data.name} ({data.metric}), {took:.1f} of {args.seconds:g} s; untuned LightGBM {base:.5f}")
    print(f"unlimited: {free:.5f}, {us:.0f} µs, {mib:.2f} MiB: {aml._finished.design}")
    print(front[["score", "latency_p50_us", "latency_p99_us", "size_mib", "rows_per_second", "design"]].round(5)
          .to_string(index=False))  # fmt: skip
    for limit in LIMITS:
        try:
            aml.select(max_latency_us=limit)
        except OptionError as error:
            print(f"<= {limit:5} µs: {error}")
            continue
        show(f"<= {limit:5} µs", aml, data, test, base, free, limit)
    students(aml, data, test)
    print(f"cost model: median relative error {aml._finished.frontier.cost.error:.1%} over "
          f"{len(aml._finished.frontier.cost.seen)} designs")  # fmt: skip
    for limit in args.limit:
        own = data.estimator(max_runtime_secs=args.seconds, constraints={"latency_us": limit})
        began = time.monotonic()
        own.fit(train, target=data.target)
        show(f"own search, <= {limit:g} µs, {time.monotonic() - began:.1f} s", own, data, test, base, free, limit)


def show(what: str, aml: Any, data: Dataset, test: pd.DataFrame, base: float, free: float, limit: float) -> None:
    found, us, mib = delivered(aml, data, test)
    kept = (found - base) / (free - base)
    print(f"{what}: {found:.5f}, keeps {kept:.0%} of the gain, {us:.0f} µs{' (MISSED)' if us > limit else ''}, "
          f"{mib:.2f} MiB: {aml._finished.design}", flush=True)  # fmt: skip


def students(aml: Any, data: Dataset, test: pd.DataFrame) -> None:
    """The best student, its teacher with all folds, and the best candidate that had none."""
    from tabwright.objectives.design import Design

    finished = aml._finished
    done = [e for e in finished.state.finished() if not e.discarded]
    taught = [e for e in done if TEACHER in e.candidate.params]
    alone = [e for e in done if TEACHER not in e.candidate.params]
    if not taught or not alone:
        return
    teacher = tuple((str(m), float(w)) for m, w in taught[0].candidate.params[TEACHER])
    for what, design in (
        ("teacher", Design.whole(teacher, finished.problem.delivered)),
        ("student", finished.as_delivered(Design.single(((taught[0].candidate.model_id, 1.0),)))),
        ("best single model", finished.as_delivered(Design.single(((alone[0].candidate.model_id, 1.0),)))),
    ):
        finished.deliver(design)
        found, us, _ = delivered(aml, data, test)
        print(f"{what}: {found:.5f}, {us:.0f} µs: {design}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder with datasets.json")
    parser.add_argument("--datasets", default="all", help="names, separated by commas")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--limit", type=float, nargs="*", default=[], metavar="US")
    parser.add_argument("--plots", metavar="DIR")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    for data in datasets(args.data, args.datasets):
        table(data, args)


if __name__ == "__main__":
    main()
