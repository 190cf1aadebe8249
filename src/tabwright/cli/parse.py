"""tabwright parse."""

from __future__ import annotations

import argparse
import sys

from tabwright.cli.base import Command, read_data, reading_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", help="CSV, TSV, JSON lines, Parquet, Feather or Excel file, its http(s) address, or a "
                        "database's address with --query")  # fmt: skip
    parser.add_argument("--out", required=True, metavar="FILE", help="Parquet or CSV file to write")
    reading_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from tabwright.data.parts import write_table
    from tabwright.data.readers import NOTES

    frame = read_data(args)
    write_table(frame, args.out)
    for note in frame.attrs.get(NOTES, ()):
        print(f"note: {note}", file=sys.stderr)
    print(f"{len(frame):,} rows and {frame.shape[1]} columns in {args.out}")
    return 0


PARSE = Command("parse", "read a table as told and write it as Parquet or CSV", add_arguments, run)
