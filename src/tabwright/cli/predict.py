"""tabwright predict."""

from __future__ import annotations

import argparse
from pathlib import Path

from tabwright.cli.base import Command, model_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model_arguments(parser)
    parser.add_argument("data", help="table to score")
    parser.add_argument("--out", required=True, metavar="FILE", help="CSV or Parquet file to write")


def run(args: argparse.Namespace) -> int:
    import pandas as pd

    from tabwright.codec import write_atomic
    from tabwright.data.readers import read_table
    from tabwright.errors import OptionError
    from tabwright.runtime import load_model

    out = Path(args.out)
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise OptionError("--out", f"is {args.out!r}", "name a file that ends in .csv or .parquet")
    model = load_model(args.model, public_key=args.public_key)
    frame = read_table(args.data)
    result = pd.DataFrame({"prediction": model.predict(frame)})
    if model.classes_ is not None:
        proba = model.predict_proba(frame)
        for k, name in enumerate(model.classes_):
            result[f"p_{name}"] = proba[:, k]
    data = result.to_csv(index=False).encode() if out.suffix.lower() == ".csv" else result.to_parquet(index=False)
    try:
        write_atomic(out, data)
    except OSError as error:
        raise OptionError(
            "--out", f"can't be written ({error.strerror})", "name a folder that exists and has room"
        ) from error
    print(f"{len(result)} predictions in {out}")
    return 0


PREDICT = Command("predict", "score a table with an exported file", add_arguments, run)
