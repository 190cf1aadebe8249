"""tabwright fit."""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from tabwright.cli.base import (
    Command,
    budget_arguments,
    check_limits,
    engine_argument,
    kind_arguments,
    kinds_of,
    limit_arguments,
    reading_arguments,
    reading_options,
    written_as,
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", help="CSV, TSV, JSON lines, Parquet, Feather or Excel file; a folder or glob of CSV "
                        "or Parquet files, here or at s3://, gs://, abfs://; a database's address, with --query")
    parser.add_argument("--target", required=True, metavar="T", help="column to predict")
    parser.add_argument("--out", required=True, metavar="RUN", help="folder for the run")
    parser.add_argument("--task", choices=("auto", "classification", "regression"), default="auto")
    budget_arguments(parser)
    engine_argument(parser, "local")
    parser.add_argument("--max-models", type=int, metavar="N", help="candidates to fit at most")
    parser.add_argument("--max-runtime-secs-per-model", type=float, metavar="N")
    parser.add_argument("--max-memory-mib", type=float, metavar="N", help="resident memory of all workers together")
    parser.add_argument("--max-disk-mib", type=float, metavar="N", help="size of the run's folder")
    parser.add_argument("--sort-metric", default="auto", metavar="M", help="what is optimised (default: %(default)s)")
    parser.add_argument("--balance-classes", action="store_true", help="let all classes count the same")
    parser.add_argument("--include-families", metavar="A,B", help="only these model families")
    parser.add_argument("--exclude-families", metavar="A,B", help="all but these model families")
    parser.add_argument("--transformers", metavar="A,B", help="encoders of yours, as package.module:NAME")
    parser.add_argument("--monotone", action="append", default=[], metavar="COLUMN=1", help="predictions never fall "
                        "with the column (never rise: =-1); may be given again")  # fmt: skip
    parser.add_argument("--nfolds", default="auto", metavar="K", help="folds, 1 for a hold-out (default: %(default)s)")
    parser.add_argument("--search-rows", default="auto", metavar="N", help="search on a sample of so many rows, then "
                        "fit the best on all in blocks (default: where memory does not hold the table)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights-column", metavar="C")
    parser.add_argument("--group-column", metavar="C", help="rows of one group stay in one fold")
    parser.add_argument("--time-column", metavar="C", help="validate on later rows than those trained on")
    parser.add_argument("--objectives", metavar="A,B", help="score, and costs to search the front of: latency_us, "
                        "latency_p99_us, size_mib, memory_mib, train_cpu_s")  # fmt: skip
    limit_arguments(parser)
    parser.add_argument("--tracking", metavar="URI", help="tell an MLflow server of the run while it goes on: 'mlflow' "
                        "(its own settings), or http://host:5000, sqlite:///mlflow.db")  # fmt: skip
    parser.add_argument("--warm-start", metavar="RUN", help="an earlier run, whose winners are tried first")
    parser.add_argument("--no-experience", action="store_true", help="neither use nor add to what runs have taught")
    kind_arguments(parser)
    reading_arguments(parser)
    parser.add_argument("--export", metavar="FILE", help="also write the leader to this ONNX file")

EXPORT_SHARE, MAX_EXPORT_S = 0.08, 5.0  # of the time, that the search leaves for --export


def run(args: argparse.Namespace) -> int:
    from tabwright.api import AutoMLRegressor
    from tabwright.cli.show import show_run
    from tabwright.config import directions
    from tabwright.errors import OptionError
    from tabwright.inputs import Given, Roles, gather
    from tabwright.search.budget import Budget
    from tabwright.store.run_dir import RunDir

    started = time.monotonic()
    check_limits(args)
    if args.export and not Path(args.export).resolve().parent.is_dir():
        raise OptionError(
            "--export", f"is {args.export!r}, in a folder that does not exist", "name a folder that exists"
        )
    options: dict[str, Any] = {
        k: getattr(args, k)
        for k in ("max_runtime_secs", "max_models", "max_runtime_secs_per_model", "max_memory_mib", "max_disk_mib",
                  "sort_metric", "balance_classes", "seed", "n_jobs", "tracking", "engine")
    }  # fmt: skip
    options["nfolds"] = args.nfolds if args.nfolds == "auto" else _whole(args.nfolds)
    for name in ("include_families", "exclude_families", "transformers"):
        options[name] = _listed(getattr(args, name))
    options["warm_start"] = args.warm_start or not args.no_experience
    options["objectives"] = _listed(args.objectives) or ("score",)
    limits = {"latency_us": args.max_latency_us, "latency_p99_us": args.max_latency_p99_us,
              "size_mib": args.max_size_mib, "memory_mib": args.max_model_memory_mib}  # fmt: skip
    options["monotone_constraints"] = directions(args.monotone, "--monotone") or None
    options["constraints"] = {k: v for k, v in limits.items() if v is not None} or None
    options |= {"export_checkpoints_dir": args.out, "progress": False if args.quiet else "auto"}
    config = replace(AutoMLRegressor(**options)._config(kinds_of(args)), teaches=not args.no_experience)
    # the time is for everything, so what exporting takes is kept from the search
    kept = min(EXPORT_SHARE * config.budget_s, MAX_EXPORT_S) if args.export else 0.0
    budget, run_dir = Budget(config.budget_s - kept, started), RunDir.create(args.out)
    roles = Roles(args.target, args.weights_column, args.group_column, args.time_column)
    search_rows = args.search_rows if args.search_rows == "auto" else _whole(args.search_rows)
    with warnings.catch_warnings(), run_dir.discarded_on_error():
        warnings.simplefilter("ignore", UserWarning)  # notes are printed below
        given = Given(args.data, None, roles, None, args.query, search_rows, reading_options(args))
        inputs = gather(given, config, run_dir, budget)
        made = estimator_for(inputs.y, args.task)(**options)._search(inputs, config, run_dir, budget)
    with written_as("--export"):
        report = made.export(Path(args.export)) if args.export else None
    show_run(made)
    if report is not None:
        print(report)
    return 0


def estimator_for(y: Any, task: str) -> Any:
    """The estimator class for a target column."""
    from tabwright.api import AutoMLClassifier, AutoMLRegressor
    from tabwright.data.target import infer_task
    from tabwright.types import Task

    if task == "auto":
        return AutoMLRegressor if infer_task(y) is Task.REGRESSION else AutoMLClassifier
    return AutoMLRegressor if task == "regression" else AutoMLClassifier


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [v.strip() for v in text.split(",") if v.strip()]


def _whole(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text  # Config names the option and the mend


FIT = Command("fit", "train on a table within a budget", add_arguments, run)
