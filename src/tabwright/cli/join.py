"""tabwright join and tabwright append."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tabwright.cli.base import Command
from tabwright.data.joins import COLUMNS, INNER, LEFT, MAX_ROWS, ROWS

if TYPE_CHECKING:
    import pandas as pd


def add_join(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("left", help="table whose rows get further columns")
    parser.add_argument("right", help="table that has them")
    parser.add_argument("--on", required=True, action="append", metavar="C", help="key column; may be given again")
    parser.add_argument("--right-on", action="append", metavar="C",
                        help="what the key is called in the second table, in the same order (default: as in the first)")
    parser.add_argument("--how", choices=(INNER, LEFT), default=INNER,
                        help="left keeps rows without a match, with empty cells (default: %(default)s)")
    parser.add_argument("--max-rows", type=int, default=MAX_ROWS, metavar="N",
                        help="of the result, where keys repeat in both tables (default: %(default)s)")
    _add_out(parser)


def join(args: argparse.Namespace) -> int:
    from tabwright.data.joins import join_tables
    from tabwright.data.readers import read_table

    made = join_tables(read_table(args.left), read_table(args.right), args.on, right_on=args.right_on, how=args.how,
                       max_rows=args.max_rows, names=(args.left, args.right))  # fmt: skip
    return _write(made, args.out)


def add_append(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tables", nargs="+", help="two tables or more")
    parser.add_argument("--by", choices=(ROWS, COLUMNS), default=ROWS,
                        help="under each other, or rows of the same position beside each other (default: %(default)s)")
    parser.add_argument("--fill", action="store_true", help="leave cells of columns that a table lacks empty")
    _add_out(parser)


def append(args: argparse.Namespace) -> int:
    from tabwright.data.joins import append_tables
    from tabwright.data.readers import read_table

    tables = [read_table(path) for path in args.tables]
    return _write(append_tables(tables, args.by, fill=args.fill, names=args.tables), args.out)


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="FILE", help="Parquet or CSV file to write")


def _write(frame: pd.DataFrame, path: str) -> int:
    from tabwright.data.parts import write_table

    write_table(frame, path)
    print(f"{len(frame):,} rows and {frame.shape[1]} columns in {path}")
    return 0


JOIN = Command("join", "give a table's rows the columns of another's rows with the same key", add_join, join)
APPEND = Command("append", "put tables under each other, or beside each other", add_append, append)
