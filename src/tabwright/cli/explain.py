"""tabwright explain."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tabwright.cli.base import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="RUN|MODEL", help="folder of a run, or exported ONNX file")
    parser.add_argument("data", nargs="?", help="rows to explain, with the target where errors are to be explained "
                        "(default for a run: its own table, by models that have not seen the rows; for a file: "
                        "the few training rows that it holds)")  # fmt: skip
    parser.add_argument("--by", metavar="COLUMN", help="also compare the groups of this column (fairness)")
    parser.add_argument("--rows", metavar="FILE", help="write each row's contributions and reasons to this CSV file; "
                        "of classes, to the probability of the predicted one")  # fmt: skip
    parser.add_argument("--out", metavar="FILE", help="write it all as one HTML page")
    parser.add_argument("--max-rows", type=int, default=2000, metavar="N", help="rows used (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--public-key", metavar="PEM", help="refuse a file that this Ed25519 key has not signed")


def run(args: argparse.Namespace) -> int:
    from tabwright.codec import write_for_user
    from tabwright.explain.html import page

    found = _explanation(args)
    print(f"{found.subject.schema.target!r}, explained on {len(found.rows)} rows\n")
    print(found.importance.head(20).to_string(index=False, float_format="%.4g"))
    print(f"\nmean |Shapley value| ({found.subject.unit})")
    print(found.shap_importance.head(20).to_string(index=False, float_format="%.4g"))
    if found.y is not None:
        worst = found.slices.head(10)
        print("\nworst slices\n" + (worst.to_string(index=False, float_format="%.4g") if len(worst) else "none"))
    if args.by:
        fair = found.fairness(args.by)
        print(f"\nby {args.by}", *(f.to_string(float_format="%.4g") for f in (fair.groups, fair.gaps)), sep="\n")
    if args.rows:
        write_for_user(Path(args.rows), found.row_by_row().to_csv(index=False).encode(), "--rows")
    if args.out:
        write_for_user(Path(args.out), page(found, args.by).encode(), "--out")
    return 0


def _explanation(args: argparse.Namespace) -> Any:
    from tabwright.cli.resume import estimator_of
    from tabwright.config import check_positive
    from tabwright.explain import explain
    from tabwright.runtime import load_model

    check_positive("--max-rows", args.max_rows)
    if Path(args.model).is_dir():
        return estimator_of(args.model).open(args.model).explain(args.data, seed=args.seed, max_rows=args.max_rows)
    model = load_model(args.model, public_key=args.public_key)
    return explain(model, args.data, seed=args.seed, max_rows=args.max_rows)


EXPLAIN = Command("explain", "what moves predictions, and where the model is wrong", add_arguments, run)
