"""H2O's models and their performance objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tabwright.compat.common import with_mse
from tabwright.compat.h2o.frame import H2OFrame, pandas_of
from tabwright.data.target import read_target
from tabwright.errors import OptionError
from tabwright.explain.run import explain_run
from tabwright.export import export
from tabwright.metrics import evaluate, full_proba
from tabwright.objectives.design import Design
from tabwright.pipeline import Ensemble
from tabwright.search.assemble import assemble
from tabwright.types import Floats, Task


class ModelPerformance:
    """Metrics of a model on some rows, each by H2O's name."""

    def __init__(self, scores: dict[str, float], n_rows: int) -> None:
        self._scores, self._n_rows = with_mse(scores), n_rows

    def _get(self, name: str) -> float:
        if name not in self._scores:
            raise OptionError(name, "does not score this task", f"ask for one of {', '.join(self._scores)}")
        return float(self._scores[name])

    def rmse(self, **_more: Any) -> float:
        return self._get("rmse")

    def mse(self, **_more: Any) -> float:
        return self._get("mse")

    def mae(self, **_more: Any) -> float:
        return self._get("mae")

    def rmsle(self, **_more: Any) -> float:
        return self._get("rmsle")

    def r2(self, **_more: Any) -> float:
        return self._get("r2")

    def auc(self, **_more: Any) -> float:
        return self._get("roc_auc")

    def aucpr(self, **_more: Any) -> float:
        return self._get("average_precision")

    def logloss(self, **_more: Any) -> float:
        return self._get("log_loss")

    def accuracy(self, **_more: Any) -> float:
        return self._get("accuracy")

    def mean_per_class_error(self, **_more: Any) -> float:
        return self._get("mean_per_class_error")

    def F1(self, **_more: Any) -> float:  # noqa: N802 - H2O's name
        return self._get("f1")

    @property
    def nobs(self) -> int:
        return self._n_rows

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {value:.6g}" for name, value in self._scores.items())


class H2OModel:
    """One candidate, or the leader, of a finished run."""

    def __init__(self, made: Any, model_id: str) -> None:
        self._made, self.model_id = made, model_id
        finished = made._finished
        if model_id == finished.state.leader.name:
            self._ensemble: Ensemble = finished.ensemble
        else:
            design = Design.whole(((model_id, 1.0),), finished.problem.delivered)
            self._ensemble = assemble(finished.run, finished.problem, design, model_id)

    key = property(lambda self: self.model_id)

    @property
    def algo(self) -> str:
        members = self._ensemble.members
        return "stackedensemble" if len(members) != 1 else members[0].family

    @property
    def params(self) -> dict[str, Any]:
        entry = self._made._finished.state.entries.get(self.model_id)
        return {} if entry is None else dict(entry.candidate.params)

    actual_params = params

    def _canonical(self, frame: pd.DataFrame) -> Floats:
        finished = self._made._finished
        if self._ensemble is finished.ensemble:
            return np.asarray(self._made._predict_canonical(frame))
        return self._ensemble.predict_canonical(self._made._table(frame))

    def predict(self, test_data: Any, **_more: Any) -> H2OFrame:
        """``predict``, and for classes one column of probabilities for each."""
        prediction = self._canonical(pandas_of(test_data))
        if self._ensemble.task is Task.REGRESSION:
            return H2OFrame(pd.DataFrame({"predict": prediction[:, 0]}))
        proba = full_proba(prediction)
        labels = self._made.classes_[self._ensemble.labels(proba)]
        names = [f"p{c}" if str(c).lstrip("-").isdigit() else str(c) for c in self._made.classes_.tolist()]
        out = pd.DataFrame(proba, columns=names)
        out.insert(0, "predict", pd.Series(labels).astype("category"))
        return H2OFrame(out)

    def model_performance(self, test_data: Any = None, train: bool = False, valid: bool = False, xval: bool = False,
                          **_more: Any) -> ModelPerformance:  # fmt: skip
        """On given rows, or else out of fold (whatever of train, valid and xval is asked for)."""
        del train, valid, xval
        finished = self._made._finished
        problem = finished.problem
        if test_data is None:
            prediction = finished.out_of_fold(self._ensemble)
            if prediction is None:
                raise OptionError("test_data", "is absent and the out-of-fold predictions are gone", "pass a frame")
            rows = problem.evaluation_rows()
            y, weight = problem.user_y(rows), None if problem.weight is None else problem.weight[rows]
            found = evaluate(problem.task, y, prediction, self._ensemble.threshold, weight=weight)
            return ModelPerformance(found, len(y))
        frame = pandas_of(test_data)
        target = str(finished.schema.target)
        if target not in frame.columns:
            raise OptionError("test_data", f"has no column {target!r}", "pass rows with the target")
        y, keep = read_target(frame[target].astype(object), target, finished.schema.classes)
        prediction = self._canonical(frame[keep])
        return ModelPerformance(evaluate(problem.task, y, prediction, self._ensemble.threshold), len(y))

    def __getattr__(self, name: str) -> Any:
        if name in ("rmse", "mse", "mae", "rmsle", "r2", "auc", "aucpr", "logloss", "accuracy", "mean_per_class_error",
                    "F1"):  # fmt: skip
            return getattr(self.model_performance(), name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def varimp(self, use_pandas: bool = False) -> Any:
        """Permutation importance, out of fold: variable, relative_importance, scaled_importance, percentage."""
        found = self.explain().importance
        found = found[~found["is_group"]]
        size = found["importance"].clip(lower=0).to_numpy()
        rows = pd.DataFrame({"variable": found["columns"].to_numpy(), "relative_importance": size,
                             "scaled_importance": size / (size.max() or 1.0),
                             "percentage": size / (size.sum() or 1.0)})  # fmt: skip
        return rows if use_pandas else [tuple(r) for r in rows.itertuples(index=False)]

    def explain(self, frame: Any = None, **_more: Any) -> Any:
        """See :meth:`tabwright.AutoMLRegressor.explain`; of this model."""
        classes = getattr(self._made, "classes_", np.empty(0, object))
        rows = None if frame is None else pandas_of(frame)
        return explain_run(self._made._finished, classes, rows, ensemble=self._ensemble)

    def download_mojo(self, path: str = ".", get_genmodel_jar: bool = False, genmodel_name: str = "") -> str:
        """Write the model as an ONNX file, which ``tabwright.load_model`` and any ONNX runtime score; its path."""
        del get_genmodel_jar, genmodel_name  # there is nothing of Java in it
        target = Path(path)
        if target.is_dir() or not target.suffix:
            target.mkdir(parents=True, exist_ok=True)
            target /= f"{self.model_id}.onnx"
        return export(self._made._finished.package(self._ensemble), target).path

    save_mojo = download_mojo


