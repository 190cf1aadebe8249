"""tabwright predict."""

from __future__ import annotations

import argparse

from tabwright.cli.base import Command, file_arguments, model_arguments, reading_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model_arguments(parser)
    parser.add_argument("data", help="table to score; CSV and Parquet may be larger than memory")
    parser.add_argument("--out", required=True, metavar="FILE", help="CSV or Parquet file to write")
    parser.add_argument("--reasons", type=int, default=0, metavar="K", help="also tell the K columns that moved each "
                        "prediction most; takes some hundred times as long")  # fmt: skip
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: all cores)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    file_arguments(parser)


def run(args: argparse.Namespace) -> int:
    import os
    import sys

    from tabwright.batch import predict_file
    from tabwright.errors import OptionError

    if args.workers is not None and args.workers < 1:
        raise OptionError("--workers", f"is {args.workers}", "give 1 or more")
    if args.reasons < 0:
        raise OptionError("--reasons", f"is {args.reasons}", "give 1 or more, or 0 for none")
    workers = args.workers or os.cpu_count() or 1
    try:
        n_rows = predict_file(
            args.model, args.data, args.out, workers, progress=not args.quiet and sys.stderr.isatty(),
            public_key=args.public_key, reasons=args.reasons, options=reading_options(args),
        )
    except KeyboardInterrupt:
        print("tabwright: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    print(f"{n_rows} predictions in {args.out}")
    return 0


PREDICT = Command("predict", "score a table of any size with an exported file", add_arguments, run)
