"""tabwright replay."""

from __future__ import annotations

import argparse

from tabwright.cli.base import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="folder of a run")
    parser.add_argument("--out", metavar="NEW", help="folder for the repetition (default: temporary)")


def run(args: argparse.Namespace) -> int:
    from tabwright.replay import replay

    result = replay(args.run, args.out, print)
    print(f"predictions recorded  sha256 {result.recorded_sha256}")
    print(f"predictions repeated  sha256 {result.repeated_sha256}")
    verdict = "identical" if result.identical else f"different by up to {result.largest_difference:.3g}"
    print(f"the repeated leader's predictions are {verdict}")
    return 0 if result.identical else 1


REPLAY = Command("replay", "refit a run's leader exactly and compare", add_arguments, run)
