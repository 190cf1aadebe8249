"""Tables to measure on: a folder with a datasets.json, or what every installation has."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tabwright import AutoMLClassifier, AutoMLRegressor
from tabwright.datasets import CALIFORNIA_HOUSING

os.environ.setdefault("TABWRIGHT_EXPERIENCE", "off")  # nothing that is measured may know earlier runs


@dataclass(frozen=True)
class Dataset:
    """One table with its task: regression, binary or multiclass."""

    name: str
    frame: pd.DataFrame
    target: str
    task: str
    metric: str

    def estimator(self, **options: object) -> AutoMLClassifier | AutoMLRegressor:
        made = AutoMLRegressor if self.task == "regression" else AutoMLClassifier
        return made(sort_metric=self.metric, progress=False, **options)

    def split(self, fold: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Training rows and a seeded fifth held out, stratified for classes."""
        rng = np.random.RandomState(1000 + fold)
        if self.task == "regression":
            order = rng.permutation(len(self.frame))
            cut = len(self.frame) // 5
            return self.frame.iloc[order[cut:]], self.frame.iloc[order[:cut]]
        held = np.zeros(len(self.frame), bool)
        y = self.frame[self.target].to_numpy()
        for value in pd.unique(y):
            rows = rng.permutation(np.flatnonzero(y == value))
            held[rows[: max(1, len(rows) // 5)]] = True
        return self.frame[~held].sample(frac=1, random_state=fold), self.frame[held]


def datasets(folder: str | None, names: str = "all", max_rows: int | None = None) -> Iterator[Dataset]:
    """Tables of a folder (datasets.json lists name, file, task, target, metric), or the built-in ones."""
    wanted = None if names == "all" else set(names.split(","))
    if folder is None:
        for made in _built_in():
            if wanted is None or made.name in wanted:
                yield made
        return
    for row in json.loads((Path(folder) / "datasets.json").read_text()):
        if (wanted is None or row["name"] in wanted) and (max_rows is None or row["rows"] <= max_rows):
            frame = pd.read_parquet(Path(folder) / row["file"])
            yield Dataset(row["name"], frame, row["target"], row["task"], row["metric"])


def _built_in() -> Iterator[Dataset]:
    from sklearn import datasets as sk

    yield Dataset("california_housing", pd.read_parquet(CALIFORNIA_HOUSING), "MedHouseVal", "regression", "rmse")
    for name, task, metric in (
        ("breast_cancer", "binary", "roc_auc"),
        ("wine", "multiclass", "log_loss"),
        ("digits", "multiclass", "log_loss"),
        ("diabetes", "regression", "rmse"),
    ):
        yield Dataset(name, getattr(sk, f"load_{name}")(as_frame=True).frame, "target", task, metric)
