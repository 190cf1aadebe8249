"""tabwright export."""

from __future__ import annotations

import argparse

from tabwright.cli.base import Command, written_as


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="folder of a run")
    parser.add_argument("--out", required=True, metavar="FILE", help="ONNX file to write")
    parser.add_argument("--signing-key", metavar="PEM", help="Ed25519 private key to sign the file with")
    parser.add_argument("--no-background", action="store_true", help="keep no rows of the training table in the file; "
                        "it then gives no reasons for its predictions")  # fmt: skip
    parser.add_argument("--register", metavar="NAME", help="also make it a version of this model in MLflow's registry")
    parser.add_argument("--tracking", default="mlflow", metavar="URI", help="the registry's server: 'mlflow' (its own "
                        "settings), or http://host:5000, sqlite:///mlflow.db")  # fmt: skip
    parser.add_argument("--examples", action="store_true", help="also write examples/ beside it: programs that score "
                        "it in Python, JavaScript, Java and C#, with rows to try")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from tabwright.cli.resume import estimator_of
    from tabwright.reasons import MAX_ROWS

    made = estimator_of(args.run).open(args.run)
    with written_as("--out"):
        print(made.export(args.out, args.signing_key, background_rows=0 if args.no_background else MAX_ROWS))
    if args.register:
        from tabwright.tracking import register

        print(register(args.out, args.register, args.tracking))
    if args.examples:
        from tabwright.examples import write_examples

        sample = made._finished.sample
        print(f"examples in {write_examples(args.out, sample.numbers, sample.string_matrix())}")
    return 0


EXPORT = Command("export", "write a run's leader as one checked ONNX file", add_arguments, run)
