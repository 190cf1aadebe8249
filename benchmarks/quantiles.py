"""Quantiles beside plain LightGBM's: python benchmarks/quantiles.py [--data DIR] [--seconds 90] [--tables a,b].

For each regression table, on a held-out fifth: mean pinball loss over the levels, coverage of each level, and the share
of rows in which levels cross. LightGBM with its defaults, one model for each level, stopped early on a fifth of the
training rows.
"""

from __future__ import annotations

import argparse
import warnings

import lightgbm
import numpy as np
import pandas as pd

from tables import Dataset, datasets
from tabwright import AutoMLRegressor
from tabwright.quantiles import QuantileRegressor

LEVELS = (0.1, 0.5, 0.9)


def plain(train: pd.DataFrame, test: pd.DataFrame, target: str) -> np.ndarray:
    """LightGBM's quantiles, (n_rows, n_levels)."""
    both = pd.concat([train, test]).drop(columns=[target])
    for name in both.columns:
        if not pd.api.types.is_numeric_dtype(both[name]):
            both[name] = both[name].astype(str).astype("category")
    X, fresh, y = both.iloc[: len(train)], both.iloc[len(train) :], train[target].to_numpy()
    cut = len(train) * 4 // 5
    out = []
    for level in LEVELS:
        model = lightgbm.LGBMRegressor(objective="quantile", alpha=level, n_estimators=2000, verbose=-1)
        stop = lightgbm.early_stopping(50, verbose=False)
        model.fit(X.iloc[:cut], y[:cut], eval_set=[(X.iloc[cut:], y[cut:])], callbacks=[stop])
        out.append(model.predict(fresh))
    return np.column_stack(out)


def judged(truth: np.ndarray, found: np.ndarray) -> str:
    error = truth[:, None] - found
    levels = np.array(LEVELS)
    loss = np.maximum(levels * error, (levels - 1) * error).mean()
    covered = " ".join(f"{c:.3f}" for c in (error <= 0).mean(axis=0))
    return f"{loss:.5g} | {covered} | {(np.diff(found, axis=1) < 0).any(axis=1).mean():.3f}"


def one(data: Dataset, seconds: float) -> None:
    train, test = data.split(0)
    truth = test[data.target].to_numpy(float)
    made = QuantileRegressor(AutoMLRegressor(max_runtime_secs=seconds, progress=False), LEVELS)
    made.fit(train, target=data.target)
    print(f"| {data.name} | tabwright | {judged(truth, made.predict_quantiles(test))} |", flush=True)
    print(f"| {data.name} | LightGBM | {judged(truth, plain(train, test, data.target))} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder with datasets.json; tables of every installation without it")
    parser.add_argument("--tables", default="all")
    parser.add_argument("--seconds", type=float, default=90.0, help="for all levels together")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| table | | mean pinball loss | coverage of 0.1, 0.5, 0.9 | rows that cross |\n|---|---|---|---|---|")
    for data in datasets(args.data, args.tables):
        if data.task == "regression":
            one(data, args.seconds)
