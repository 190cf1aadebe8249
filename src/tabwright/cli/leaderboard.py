"""tabwright leaderboard."""

from __future__ import annotations

import argparse

from tabwright.cli.base import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="folder of a run")
    parser.add_argument("--all", action="store_true", help="export and measure every candidate (about a second each)")
    parser.add_argument("--csv", action="store_true", help="every column, as CSV")


def run(args: argparse.Namespace) -> int:
    from tabwright.cli.resume import estimator_of
    from tabwright.cli.show import leaderboard_text

    made = estimator_of(args.run).open(args.run)
    board = made.leaderboard("all" if args.all else None)
    print(board.to_csv(index=False) if args.csv else leaderboard_text(board, made._finished.problem.metric.name, 50))
    return 0


LEADERBOARD = Command("leaderboard", "candidates of a run, best first", add_arguments, run)
