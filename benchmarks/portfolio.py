"""The experiment behind the shipped portfolio, and the portfolio made of it.

    python benchmarks/portfolio.py run --data DIR [--seconds N]    measure; goes on where it stopped
    python benchmarks/portfolio.py judge                           leave one table out: tables of figures
    python benchmarks/portfolio.py race --data DIR --seconds 20 --policy portfolio    whole runs on whole tables
    python benchmarks/portfolio.py build --out portfolio.json

A race's portfolio is made of the other tables; its policies are none, fixed (the portfolio in its own order), portfolio
(re-ranked by meta-features) and store (with an experience store that has seen the other tables, too). All measurements
are in one Parquet data set, benchmarks/experiment by default, with one file for each task.

Every task is cross-validated with the same configurations: each family's default, and random draws from its space, with
and without interactions. Kept are out-of-fold and test predictions in half precision, CPU seconds and peak memory.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import portfolio_choice as choice
from portfolio_tasks import Sampled, sampled
from tables import datasets
from tabwright.config import Config
from tabwright.data.infer import infer_schema
from tabwright.data.splits import make_folds
from tabwright.data.table import Table
from tabwright.data.target import make_target, read_target
from tabwright.engine.base import FoldJob, Outcome
from tabwright.engine.local import LocalEngine
from tabwright.engine.shelf import Shelf, load_fold_model
from tabwright.errors import NotExportableError
from tabwright.evaluation import evaluate_model
from tabwright.meta.features import meta_features
from tabwright.meta.portfolio import Entry, Portfolio
from tabwright.metrics import find_metric
from tabwright.models import family
from tabwright.pipeline import FEATURES, FULL, PLAIN, Candidate, Member
from tabwright.runtime import load_model
from tabwright.search.interactions import screen_run
from tabwright.search.problem import Problem
from tabwright.space import defaults, sample
from tabwright.store.run_dir import RunDir
from tabwright.stored import store
from tabwright.types import Array, Floats, Task

DRAWS = {"lightgbm": 14, "xgboost": 12, "catboost": 9, "mlp": 12, "linear": 3, "extra_trees": 4, "random_forest": 2,
         "knn": 2, "quadratic": 6}  # fmt: skip
# in the order in which they came to be measured: a later one changes no draw of those before it
MEASURED = ("lightgbm", "linear", "catboost", "xgboost", "mlp", "extra_trees", "random_forest", "knn", "quadratic")
FOLDS = 3
FOLD_LIMIT_S = 60.0
SCREEN_S = 2.0
REFERENCE = "lightgbm_0"


def configurations() -> list[Candidate]:
    """What every task is tried with, the same for all: defaults, the hand-made variants, random draws."""
    rng = np.random.default_rng(0)
    out: list[Candidate] = []
    for kind in map(family, MEASURED):
        made = [defaults(kind.space)]
        variants = [changes for name, changes in choice.BY_HAND if name == kind.name]
        made += [defaults(kind.space) | {k: v for k, v in c.items() if k in kind.space} for c in variants]
        made += [sample(kind.space, rng) for _ in range(DRAWS.get(kind.name, 2))]
        for k, params in enumerate(made):
            seen = PLAIN if k == 0 or rng.random() < 0.4 else FULL
            origin = "default" if k == 0 else "random"
            out.append(Candidate(f"{kind.name}_{k}", kind.name, {FEATURES: seen} | params, 0, origin))
        if made[0]:
            out.append(Candidate(f"{kind.name}_{len(made)}", kind.name, {FEATURES: FULL} | made[0], 0, "default"))
    return sorted(out, key=lambda c: (c.model_id != REFERENCE, c.origin != "default"))


def prepare(task: Sampled, folder: Path) -> tuple[RunDir, Problem, Table]:
    """A run directory of the task, as ``fit`` makes it."""
    y = task.train[task.data.target]
    target = make_target(y, task.data.target, classification=task.data.task != "regression")
    X = task.train.drop(columns=[task.data.target]).iloc[np.flatnonzero(target.keep)].reset_index(drop=True)
    schema = dataclasses.replace(infer_schema(X, None, target.task), target=target.name, classes=target.classes or None,
                                 class_dtype=target.class_dtype)  # fmt: skip
    table = Table.from_frame(X, schema)
    folds = make_folds(table.n_rows, target.y, target.task, FOLDS, 0)
    metric = "rmse" if target.task is Task.REGRESSION else "log_loss"
    problem = Problem(target.task, find_metric(metric, target.task), target.n_classes, target.standard, target.mean,
                      target.scale, None, folds.valid, folds.train)  # fmt: skip
    run = RunDir.create(folder)
    store(run, table, problem, [], Config())
    return run, problem, table


def told(task: Task, prediction: Floats, y: Array) -> bytes:
    """All that the loss of a mean of predictions depends on, one number a row: the value, or P(the row's own class)."""
    if task is Task.REGRESSION:
        kept = prediction[:, 0]
    else:
        proba = np.concatenate([1.0 - prediction, prediction], axis=1) if prediction.shape[1] == 1 else prediction
        kept = proba[np.arange(len(y)), y]
    return np.asarray(kept, np.float16).tobytes()


def measure(task: Sampled, folder: Path, out: Path) -> bool:
    """Cross-validate configurations on one task, all or of families that its file ``out`` lacks; False if none."""
    known = pd.read_parquet(out) if out.exists() else None
    reference, *others = wanted = configurations()
    if known is not None:
        have = set(known["family"])
        wanted = [reference, *(c for c in others if c.family not in have)]
        if len(wanted) == 1:
            return False
    run, problem, table = prepare(task, folder)
    engine = LocalEngine(2, 1, None, folder / "workers.log")
    held = Table.from_frame(task.test.drop(columns=[task.data.target]), table.schema)
    if problem.task is Task.REGRESSION:
        held_y = (task.test[task.data.target].to_numpy(float) - problem.mean) / problem.scale
    else:
        held_y = read_target(task.test[task.data.target], task.data.target, tuple(table.schema.classes or ()))[0]
    rows = problem.evaluation_rows()
    y = problem.y[rows]
    records = [{"kind": "target", "config": "", "family": "", "oof": np.asarray(y, np.float32).tobytes(),
                "test": np.asarray(held_y, np.float32).tobytes(), "cpu_s": 0.0, "memory_mib": 0.0,
                "facts": json.dumps(meta_features(table, problem.y, problem.task, problem.n_classes))}]  # fmt: skip
    shelf = Shelf()
    try:
        engine.open(run.path)
        for candidate, outcomes in fitted(engine, wanted, run, problem):
            if any(o.result is None for o in outcomes) or (known is not None and candidate is reference):
                continue
            oof = np.concatenate([run.prediction(candidate.model_id, k) for k in range(FOLDS)])
            models = tuple(load_fold_model(run, candidate.model_id, k, shelf) for k in range(FOLDS))
            member = Member(candidate.model_id, candidate.family, 1.0, models)
            test = member.predict(held, problem.task)
            records.append({
                "kind": "result", "config": json.dumps(candidate.params, sort_keys=True), "family": candidate.family,
                "oof": told(problem.task, oof, y), "test": told(problem.task, test, held_y),
                "cpu_s": sum(o.cpu_seconds for o in outcomes), "memory_mib": max(o.peak_memory_mib for o in outcomes),
                "facts": candidate.model_id,
            })  # fmt: skip
            run.remove_models(candidate.model_id)
    finally:
        engine.close()
        run.release()
    frame = pd.DataFrame(records).assign(task=task.name, table=task.table, learning=str(problem.task))
    if known is not None:
        frame = pd.concat([known, frame[frame["kind"] == "result"]], ignore_index=True)
    temporary = out.with_suffix(".tmp")
    whole = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(whole, temporary, compression="zstd", compression_level=19)
    temporary.replace(out)
    return True


def fitted(
    engine: LocalEngine, candidates: list[Candidate], run: RunDir, problem: Problem
) -> Iterator[tuple[Candidate, list[Outcome]]]:
    """Candidates with the outcomes of their folds, as they finish; interactions are screened after the first.

    Where there are none, a candidate that would see them is one that does not.
    """
    jobs = [FoldJob(c, k, FOLD_LIMIT_S) for c in candidates[1:] for k in range(FOLDS)]
    first = [FoldJob(candidates[0], k, FOLD_LIMIT_S) for k in range(FOLDS)]
    done: dict[str, list[Outcome]] = {}
    waiting = first
    total = len(first) + len(jobs)
    finished = 0
    while finished < total:
        while waiting and engine.free():
            engine.submit(waiting.pop(0))
        for outcome in engine.poll(1.0):
            finished += 1
            candidate = outcome.job.candidate
            done.setdefault(candidate.model_id, []).append(outcome)
            if len(done[candidate.model_id]) < FOLDS:
                continue
            yield candidate, done[candidate.model_id]
            if candidate is candidates[0]:
                oof = np.concatenate([run.prediction(candidate.model_id, k) for k in range(FOLDS)])
                screen_run(run, problem, problem.user_prediction(oof), SCREEN_S)
                waiting.extend(jobs)


def run_all(args: argparse.Namespace) -> None:
    out = args.experiment
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for task in sampled(args.data, args.datasets, args.variants):
        file = out / f"{task.name.replace(': ', '.').replace(' ', '_')}.parquet"
        if time.monotonic() - began > args.seconds:
            print("out of time; the same command goes on from here")
            return
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                if not measure(task, Path(folder) / "run", file):
                    continue
            except NotExportableError as error:
                print(task.name, error)
        print(f"{task.name:45} {len(task.train):5} rows {time.monotonic() - start:6.0f} s", flush=True)
    print("complete")


class InItsOrder(Portfolio):
    """A portfolio that no meta-features re-rank."""

    def ranked(self, facts: Mapping[str, float]) -> list[Entry]:  # noqa: ARG002
        return list(self.entries)


def race(args: argparse.Namespace) -> None:
    """Whole runs, each with a portfolio made of the other tables; a JSON line each, going on where it stopped."""
    tasks = choice.read(args.experiment)
    lines = args.out.read_text().splitlines() if args.out.exists() else []
    known = {(r["table"], r["policy"], r["seconds"]) for r in map(json.loads, lines)}
    for data in datasets(args.data, args.datasets):
        if (data.name, args.policy, args.seconds) in known:
            continue
        others = [t for t in tasks if t.table != data.name]
        made = Portfolio([], {}) if args.policy == "none" else choice.portfolio_of(others, data.task)
        train, test = data.split(0)
        with tempfile.TemporaryDirectory() as folder:
            if args.policy == "store":
                choice.fill(f"{folder}/experience.sqlite", others)
                os.environ["TABWRIGHT_EXPERIENCE"] = f"{folder}/experience.sqlite"
            order = InItsOrder(made.entries, made.tasks) if args.policy == "fixed" else made
            with patch("tabwright.automl.shipped", return_value=order):
                aml = data.estimator(max_runtime_secs=args.seconds)
                began = time.monotonic()
                aml.fit(train.reset_index(drop=True), target=data.target)
                took = time.monotonic() - began
            report = aml.export(Path(folder) / "model.onnx")
            score = evaluate_model(load_model(report.path), test, test[data.target])[data.metric]
        record = {"table": data.name, "policy": args.policy, "seconds": args.seconds, "metric": data.metric,
                  "score": score, "fit_s": round(took, 2), "candidates": len(aml.leaderboard())}  # fmt: skip
        with args.out.open("a") as file:
            file.write(json.dumps(record) + "\n")
        print(record, flush=True)


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--experiment", type=Path, default=Path(__file__).parent / "experiment", help="folder")
    commands = ap.add_subparsers(required=True)
    do = commands.add_parser("run")
    do.add_argument("--data", help="folder with datasets.json (default: tables that every installation has)")
    do.add_argument("--datasets", default="all")
    do.add_argument("--variants", type=int, default=1, help="changed versions of each table")
    do.add_argument("--seconds", type=float, default=float("inf"), help="begin no task after so long")
    do.set_defaults(do=run_all)
    do = commands.add_parser("judge")
    do.set_defaults(do=lambda args: choice.judge(choice.read(args.experiment)))
    do = commands.add_parser("race")
    do.add_argument("--data", help="folder with datasets.json (default: tables that every installation has)")
    do.add_argument("--datasets", default="all")
    do.add_argument("--seconds", type=float, default=60)
    do.add_argument("--policy", choices=("none", "fixed", "portfolio", "store"), default="portfolio")
    do.add_argument("--out", type=Path, default=Path("race.jsonl"))
    do.set_defaults(do=race)
    do = commands.add_parser("build")
    do.add_argument("--out", type=Path, required=True)
    do.set_defaults(do=lambda args: choice.build(choice.read(args.experiment), args.out))
    args = ap.parse_args()
    warnings.simplefilter("ignore")
    args.do(args)


if __name__ == "__main__":
    main()
