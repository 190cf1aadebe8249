"""tabwright report."""

from __future__ import annotations

import argparse

from tabwright.cli.base import Command, written_as


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="folder of a run")
    parser.add_argument("--out", default="report.html", metavar="FILE", help="page to write (default: %(default)s)")
    parser.add_argument("--card", metavar="FILE", help="also write the model card, Markdown, to this file")
    parser.add_argument("--intended-use", default="", metavar="TEXT", help="what the card says of the model's use")


def run(args: argparse.Namespace) -> int:
    from tabwright.cli.resume import estimator_of

    made = estimator_of(args.run).open(args.run)
    with written_as("--out"):
        print(f"report in {made.report(args.out)}")
    if args.card:
        with written_as("--card"):
            made.model_card(args.card, intended_use=args.intended_use)
        print(f"model card in {args.card}")
    return 0


REPORT = Command("report", "write what a run found as one HTML page, and its model card", add_arguments, run)
