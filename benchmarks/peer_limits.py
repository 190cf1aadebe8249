"""What other systems' own means against slow models cost and gain, to be set beside benchmarks/limits.py.

    python benchmarks/peer_limits.py split --data DIR --datasets a,b --out FOLDER
    PEER/bin/python benchmarks/peer_limits.py autogluon|flaml|h2o FOLDER/a [--seconds 60]

``split`` writes the tables' training and test rows. The second command runs in an environment of the system's own, with
pandas and pyarrow. Told are the test score and the median time of predicting one row of a DataFrame from Python, of
AutoGluon's best_quality, the same refitted by ``refit_full``, and a fit with ``infer_limit``; of FLAML without and with
``pred_time_limit``; of H2O's leader and its best model that is no stack.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

AUTOGLUON_METRICS = {"rmse": "root_mean_squared_error"}
FLAML_METRICS = {"rmse": "rmse", "roc_auc": "roc_auc", "log_loss": "log_loss"}
FLAML_TASKS = {"binary": "classification", "multiclass": "classification", "regression": "regression"}
H2O_METRICS = {"rmse": "RMSE", "roc_auc": "AUC", "log_loss": "logloss"}
ONE_ROW_S = 5.0  # for measuring one row

Predict = Callable[[pd.DataFrame], Any]
"""Rows to predictions: values in regression, the second class's probability in binary, all in multiclass."""


def split(args: argparse.Namespace) -> None:
    from tables import datasets

    for data in datasets(args.data, args.datasets):
        folder = Path(args.out) / data.name
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in zip(("train", "test"), data.split(args.fold), strict=True):
            frame.reset_index(drop=True).to_parquet(folder / f"{name}.parquet")
        facts = {"target": data.target, "task": data.task, "metric": data.metric}
        (folder / "facts.json").write_text(json.dumps(facts))


def scored(facts: dict[str, str], y: pd.Series, found: Any, classes: list[Any]) -> float:
    if facts["metric"] == "rmse":
        return float(np.sqrt(np.mean((np.asarray(found, float) - y.to_numpy(float)) ** 2)))
    if facts["metric"] == "roc_auc":
        rank = pd.Series(np.asarray(found, float)).rank().to_numpy()
        positive = (y == classes[1]).to_numpy()
        n = positive.sum()
        return float((rank[positive].sum() - n * (n + 1) / 2) / (n * (len(y) - n)))
    p = np.clip(np.asarray(found, float), 1e-15, 1.0)
    at = pd.Index(classes).get_indexer(y)
    return float(-np.log(p[np.arange(len(y)), at] / p.sum(axis=1)).mean())


def one_row(predict: Predict, rows: pd.DataFrame) -> float:
    """Median microseconds of a row."""
    times, until = [], time.monotonic() + ONE_ROW_S
    for k in range(2000):
        row = rows.iloc[[k % len(rows)]]
        began = time.perf_counter()
        predict(row)
        times.append(time.perf_counter() - began)
        if time.monotonic() > until:
            break
    return float(np.median(times[1:])) * 1e6


def autogluon(train: pd.DataFrame, facts: dict[str, str], args: argparse.Namespace) -> Iterator[tuple[str, Predict]]:
    from autogluon.tabular import TabularPredictor

    def fitted(**options: Any) -> Any:
        made = TabularPredictor(label=facts["target"], path=tempfile.mkdtemp(), verbosity=0, problem_type=facts["task"],
                                eval_metric=AUTOGLUON_METRICS.get(facts["metric"], facts["metric"]))  # fmt: skip
        return made.fit(train, time_limit=args.seconds, presets="best_quality", num_cpus=2, num_gpus=0, **options)

    def predict(made: Any) -> Predict:
        made.persist()
        if facts["task"] == "regression":
            return lambda X: made.predict(X).to_numpy()
        if facts["task"] == "binary":
            return lambda X: made.predict_proba(X).to_numpy()[:, 1]
        return lambda X: made.predict_proba(X).to_numpy()

    made = fitted()
    yield f"best_quality ({made.model_best})", predict(made)
    made.refit_full(set_best_to_refit_full=True)
    yield f"refit_full ({made.model_best})", predict(made)
    made = fitted(infer_limit=args.limit, infer_limit_batch_size=1)
    yield f"infer_limit={args.limit:g} s of 1 row ({made.model_best})", predict(made)


def flaml(train: pd.DataFrame, facts: dict[str, str], args: argparse.Namespace) -> Iterator[tuple[str, Predict]]:
    from flaml import AutoML

    X, y = train.drop(columns=facts["target"]), train[facts["target"]]
    for limit in (None, args.batch_limit):
        made = AutoML()
        options = {} if limit is None else {"pred_time_limit": limit}
        made.fit(X, y, task=FLAML_TASKS[facts["task"]], metric=FLAML_METRICS[facts["metric"]], verbose=0,
                 time_budget=args.seconds, n_jobs=2, early_stop=False, **options)  # fmt: skip
        told = "no limit" if limit is None else f"pred_time_limit={limit:g} s"
        if facts["task"] == "regression":
            yield f"{told} ({made.best_estimator})", made.predict
        elif facts["task"] == "binary":
            yield f"{told} ({made.best_estimator})", lambda X, made=made: made.predict_proba(X)[:, 1]
        else:
            yield f"{told} ({made.best_estimator})", made.predict_proba


def h2o(train: pd.DataFrame, facts: dict[str, str], args: argparse.Namespace) -> Iterator[tuple[str, Predict]]:
    import h2o as cluster
    from h2o.automl import H2OAutoML

    cluster.init(nthreads=2, max_mem_size="6G", log_level="FATA")
    cluster.no_progress()
    kinds = {c: "real" if train[c].dtype.kind in "iuf" else "enum" for c in train.columns}
    if facts["task"] != "regression":
        kinds[facts["target"]] = "enum"
    frame = cluster.H2OFrame(train, column_types=kinds)
    made = H2OAutoML(max_runtime_secs=int(args.seconds), sort_metric=H2O_METRICS[facts["metric"]], seed=1)
    made.train(y=facts["target"], training_frame=frame)
    board = made.leaderboard.as_data_frame()["model_id"]
    single = cluster.get_model(next(m for m in board if "Stacked" not in m))
    for what, model in (("leader", made.leader), ("best that is no stack", single)):

        def predict(X: pd.DataFrame, model: Any = model) -> Any:
            rows = cluster.H2OFrame(X, column_types={c: kinds[c] for c in X.columns})
            found = model.predict(rows).as_data_frame()
            if facts["task"] == "regression":
                return found["predict"].to_numpy()
            return found.iloc[:, 2 if facts["task"] == "binary" else slice(1, None)].to_numpy()

        yield f"{what} ({model.model_id})", predict
    cluster.cluster().shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("split", "autogluon", "flaml", "h2o"))
    parser.add_argument("table", nargs="?", type=Path)
    parser.add_argument("--data")
    parser.add_argument("--datasets", default="all")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--out", default="peer_limits")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--limit", type=float, default=0.005, help="AutoGluon's, seconds for one row alone")
    parser.add_argument("--batch-limit", type=float, default=1e-5, help="FLAML's, seconds a row in a batch")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.what == "split":
        split(args)
        return
    facts = json.loads((args.table / "facts.json").read_text())
    train, test = (pd.read_parquet(args.table / f"{name}.parquet") for name in ("train", "test"))
    X, y = test.drop(columns=facts["target"]), test[facts["target"]]
    classes = [] if facts["task"] == "regression" else sorted(train[facts["target"]].unique())
    for told, predict in {"autogluon": autogluon, "flaml": flaml, "h2o": h2o}[args.what](train, facts, args):
        found = scored(facts, y, predict(X), classes)
        print(f"{args.table.name}, {args.what}, {told}: {facts['metric']} {found:.5f}, "
              f"{one_row(predict, X):.0f} µs a row", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
