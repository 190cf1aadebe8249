"""Coverage of intervals and sets over seeds, and how Shapley values add up and what they cost, by table.

python benchmarks/explain.py --data DIR [--datasets a,b] [--seeds 10] [--models 3] [--coverage 0.9]

Each seed is another hold-out of a fifth. "python" is the estimator, "onnx" the exported file's own outputs; "strict"
allows empty sets, without which a set always holds the predicted class and so covers at least the model's accuracy.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from tables import Dataset, datasets
from tabwright import load_model


def coverage(data: Dataset, aml: object, model: object, test: object, wanted: float) -> dict[str, float]:
    X, truth = test.drop(columns=[data.target]), test[data.target].to_numpy()
    emitted = model.run(model.encode(X))
    if data.task == "regression":
        ends = aml.predict_interval(X, wanted)
        inside = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
        graph = (emitted["prediction_low"] <= truth) & (truth <= emitted["prediction_high"])
        width = float(np.mean(ends[:, 1] - ends[:, 0]) / truth.std())
        return {"python": inside.mean(), "onnx": graph.mean(), "strict": inside.mean(), "size": width}
    code = {str(c): k for k, c in enumerate(aml.classes_)}
    y = np.array([code[str(v)] for v in truth])
    rows = np.arange(len(y))
    sets = aml.predict_set(X, wanted)
    strict = aml.predict_set(X, wanted, empty=True)
    return {"python": sets[rows, y].mean(), "onnx": emitted["prediction_set"][rows, y].mean(),
            "strict": strict[rows, y].mean(), "size": float(sets.sum(axis=1).mean())}  # fmt: skip


def additivity(aml: object, test: object, target: str) -> str:
    began = time.perf_counter()
    why = aml.explain(test.drop(columns=[target]).head(200), max_rows=200)
    found = why.shap
    took = time.perf_counter() - began
    gap = float(np.abs(found.base + found.values.sum(axis=1) - why.prediction).max())
    return f"{gap:.1e} of {np.abs(why.prediction).max():.3g} on {len(found.values)} rows in {took:.1f} s"


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--data")
    ap.add_argument("--datasets", default="all")
    ap.add_argument("--seeds", type=int, default=10)
    ap.add_argument("--models", type=int, default=3, help="so that load does not decide what is measured")
    ap.add_argument("--seconds", type=float, default=300)
    ap.add_argument("--coverage", type=float, default=0.9)
    ap.add_argument("--max-rows", type=int, default=25_000, help="larger tables are sampled to so many rows")
    args = ap.parse_args()
    warnings.simplefilter("ignore")
    head = f"{'table':20} {'seeds':>5} {'python':>15} {'onnx':>7} {'strict':>15} {'size':>6}"
    print(f"{head}  largest |base + sum - prediction|")
    for data in datasets(args.data, args.datasets):
        results, told = [], ""
        for seed in range(args.seeds):
            train, test = data.split(seed)
            if len(train) > args.max_rows:
                train = train.sample(args.max_rows, random_state=seed)
            options = {"max_models": args.models, "max_runtime_secs": args.seconds, "nfolds": 5, "seed": seed}
            aml = data.estimator(**options).fit(train, target=data.target)
            assert aml.leader.members, f"{data.name}, seed {seed}: nothing was fitted in time"
            with tempfile.TemporaryDirectory() as folder:
                aml.export(Path(folder) / "m.onnx")
                results.append(coverage(data, aml, load_model(Path(folder) / "m.onnx"), test, args.coverage))
            told = told or additivity(aml, test, data.target)
        mean = {k: float(np.mean([r[k] for r in results])) for k in results[0]}
        ends = {k: (min(r[k] for r in results), max(r[k] for r in results)) for k in ("python", "strict")}
        spread = {k: f"{mean[k]:.3f} {a:.2f}-{b:.2f}" for k, (a, b) in ends.items()}
        print(f"{data.name:20} {args.seeds:5} {spread['python']:>15} {mean['onnx']:7.3f} {spread['strict']:>15} "
              f"{mean['size']:6.2f}  {told}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
