"""tabwright export."""

from __future__ import annotations

import argparse

from tabwright.cli.base import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="folder of a run")
    parser.add_argument("--out", required=True, metavar="FILE", help="ONNX file to write")
    parser.add_argument("--signing-key", metavar="PEM", help="Ed25519 private key to sign the file with")


def run(args: argparse.Namespace) -> int:
    from tabwright.cli.resume import estimator_of

    print(estimator_of(args.run).open(args.run).export(args.out, args.signing_key))
    return 0


EXPORT = Command("export", "write a run's leader as one checked ONNX file", add_arguments, run)
