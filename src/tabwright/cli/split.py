"""tabwright split."""

from __future__ import annotations

import argparse

from tabwright.cli.base import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", help="table")
    parser.add_argument("--out", required=True, nargs=2, metavar=("TRAIN", "TEST"), help="Parquet or CSV files")
    parser.add_argument("--test-share", type=float, default=0.2, metavar="S", help="of the rows (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", metavar="T", help="its classes or quantiles get the same shares in both")
    parser.add_argument("--group-column", metavar="C", help="rows of one group stay together")
    parser.add_argument("--time-column", metavar="C", help="the second part holds the latest rows")


def run(args: argparse.Namespace) -> int:
    from tabwright.data.parts import split_table, write_table
    from tabwright.data.readers import read_table

    parts = split_table(
        read_table(args.data), args.test_share, args.seed, target=args.target, group_column=args.group_column,
        time_column=args.time_column,
    )  # fmt: skip
    for frame, path in zip(parts, args.out, strict=True):
        write_table(frame, path)
        print(f"{len(frame):,} rows in {path}")
    return 0


SPLIT = Command("split", "cut a table into a part to train on and one to test on", add_arguments, run)
