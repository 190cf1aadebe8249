"""tabwright evaluate."""

from __future__ import annotations

import argparse

from tabwright.cli.base import Command, file_arguments, model_arguments, reading_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model_arguments(parser)
    parser.add_argument("data", help="table with the target")
    file_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from tabwright.data.readers import read_table
    from tabwright.errors import DataError
    from tabwright.evaluation import evaluate_model
    from tabwright.runtime import load_model

    model, frame = load_model(args.model, public_key=args.public_key), read_table(args.data, reading_options(args))
    target = model.schema.target
    if target not in frame.columns:
        raise DataError(f"There is no column {target!r} in {args.data}", "give a table that holds the target")
    for name, value in evaluate_model(model, frame, frame[target]).items():
        print(f"{name:20} {value:.6g}")
    return 0


EVALUATE = Command("evaluate", "score an exported file on a table with known outcomes", add_arguments, run)
