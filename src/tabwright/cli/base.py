"""What a command is: a frozen record, one file each, one line in ``cli.main.COMMANDS``."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tabwright.errors import OptionError


@dataclass(frozen=True)
class Command:
    """``run`` returns the exit code; a ``UserError`` becomes one sentence and exit code 2."""

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def model_arguments(parser: argparse.ArgumentParser) -> None:
    """What commands that read an exported file have in common."""
    parser.add_argument("model", help="exported ONNX file")
    parser.add_argument("--public-key", metavar="PEM", help="refuse a file that this Ed25519 key has not signed")


def budget_arguments(parser: argparse.ArgumentParser, seconds: float | None = 300.0) -> None:
    """Options that fit, resume and demo have in common."""
    parser.add_argument("--max-runtime-secs", type=float, default=seconds, metavar="N",
                        help="wall time for everything, seconds (default: %(default)s)")
    parser.add_argument("--n-jobs", type=int, default=-1, metavar="N", help="cores to use (default: all)")
    parser.add_argument("--quiet", action="store_true", help="no progress display")


def engine_argument(parser: argparse.ArgumentParser, default: str | None) -> None:
    """Where fit and resume work."""
    parser.add_argument("--engine", default=default, metavar="E",
                        help="where to fit: 'local', 'dask' (DASK_SCHEDULER_ADDRESS, or a cluster made for the run) or "
                        f"a Dask scheduler's address (default: {default or 'as the run was started'})")  # fmt: skip


def limit_arguments(parser: argparse.ArgumentParser) -> None:
    """Limits of what is delivered, that fit and select have in common."""
    limits = parser.add_argument_group("limits of the leader, measured on the exported graph")
    limits.add_argument("--max-latency-us", type=float, metavar="N", help="median time for one row, µs, one thread")
    limits.add_argument("--max-latency-p99-us", type=float, metavar="N", help="its 99th percentile")
    limits.add_argument("--max-size-mib", type=float, metavar="N", help="the exported file")
    limits.add_argument("--max-model-memory-mib", type=float, metavar="N", help="resident, when loaded")


def check_limits(args: argparse.Namespace) -> None:
    """OptionError for limits that are not above 0, under the names that they have here."""
    from tabwright.config import check_positive

    for name in ("max_latency_us", "max_latency_p99_us", "max_size_mib", "max_model_memory_mib"):
        check_positive("--" + name.replace("_", "-"), getattr(args, name))


@contextlib.contextmanager
def written_as(option: str) -> Iterator[None]:
    """Faults of the argument ``path`` of what is called get the name of the command's own option."""
    try:
        yield
    except OptionError as error:
        if error.option != "path":
            raise
        raise OptionError(option, error.problem, error.fix) from None


def file_arguments(parser: argparse.ArgumentParser) -> None:
    """How a file is to be read, where looking at it does not tell."""
    parser.add_argument("--delimiter", metavar="C", help="what stands between fields (default: found by looking)")
    parser.add_argument("--decimal", choices=(".", ","), help="decimal sign (default: found by looking)")
    parser.add_argument("--encoding", metavar="E", help="of a text file (default: found by looking)")
    parser.add_argument("--sheet", metavar="S", help="of an Excel file, by name or number from 0 (default: the first)")
    parser.add_argument("--no-header", action="store_true", help="the first line holds values and no column names")
    parser.add_argument("--null-value", action="append", default=[], metavar="W",
                        help="word that stands for an empty cell, besides the usual ones; may be given again")


def reading_arguments(parser: argparse.ArgumentParser) -> None:
    """The same, and what is to be read of a database."""
    file_arguments(parser)
    parser.add_argument("--query", metavar="SQL", help="query, or name of a table, where DATA is a database's address")


def read_data(args: argparse.Namespace) -> Any:
    """The frame that DATA and :func:`reading_arguments` name."""
    from tabwright.data.readers import read_table

    if args.query is not None:
        from tabwright.data.sql import read_sql

        return read_sql(args.data, args.query)
    return read_table(args.data, reading_options(args))


def reading_options(args: argparse.Namespace) -> Any:
    """The :class:`tabwright.data.delimited.ReadOptions` of :func:`file_arguments`."""
    from tabwright.data.delimited import ReadOptions

    sheet = args.sheet if args.sheet is None or not args.sheet.isdigit() else int(args.sheet)
    return ReadOptions(args.delimiter, args.decimal, args.encoding, 0 if sheet is None else sheet, not args.no_header,
                       tuple(args.null_value))  # fmt: skip


def kind_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", action="append", default=[], metavar="COLUMN=KIND",
                        help="what a column holds: numeric, integer, boolean, categorical, text, datetime, or "
                        "identifier to leave it out; may be given again")  # fmt: skip


def kinds_of(args: argparse.Namespace) -> dict[str, str]:
    """The mapping that ``--kind`` gives."""
    kinds = {}
    for text in args.kind:
        name, equals, kind = text.rpartition("=")
        if not equals or not name:
            raise OptionError("--kind", f"is {text!r}", "give COLUMN=KIND, as in --kind age=numeric")
        kinds[name] = kind
    return kinds
