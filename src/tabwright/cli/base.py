"""What a command is: a frozen record, one file each, one line in ``cli.main.COMMANDS``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass


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


def limit_arguments(parser: argparse.ArgumentParser) -> None:
    """Limits of what is delivered, that fit and select have in common."""
    limits = parser.add_argument_group("limits of the leader, measured on the exported graph")
    limits.add_argument("--max-latency-us", type=float, metavar="N", help="median time for one row, µs, one thread")
    limits.add_argument("--max-latency-p99-us", type=float, metavar="N", help="its 99th percentile")
    limits.add_argument("--max-size-mib", type=float, metavar="N", help="the exported file")
    limits.add_argument("--max-model-memory-mib", type=float, metavar="N", help="resident, when loaded")
