"""tabwright resume."""

from __future__ import annotations

import argparse
import warnings
from typing import Any

from tabwright.cli.base import Command, engine_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="folder of a run")
    parser.add_argument(
        "--extra-secs", type=float, metavar="N", help="time for the continuation (default: the run's own)"
    )
    parser.add_argument("--data", metavar="FILE",
                        help="the training table; needed only where the run has lost its own copy")
    engine_argument(parser, None)
    parser.add_argument("--quiet", action="store_true", help="no progress display")


def run(args: argparse.Namespace) -> int:
    from tabwright.cli.show import show_run

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # notes are printed below
        made = estimator_of(args.run).resume(
            args.run, args.extra_secs, False if args.quiet else "auto", data=args.data, engine=args.engine
        )  # fmt: skip
    show_run(made)
    return 0


def estimator_of(run: str) -> Any:
    """The estimator class that made a run."""
    from tabwright.api import AutoMLClassifier, AutoMLRegressor
    from tabwright.store.run_dir import RunDir
    from tabwright.types import Task

    task = Task(RunDir.open(run).config()["task"])
    return AutoMLClassifier if task.is_classification else AutoMLRegressor


RESUME = Command("resume", "continue a run from its last finished fold", add_arguments, run)
