"""H2O's models and their performance objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tabwright.compat.common import Counterparts, alone, with_mse
from tabwright.compat.h2o.frame import H2OFrame, pandas_of
from tabwright.data.target import read_target
from tabwright.errors import OptionError
from tabwright.explain.run import explain_run
from tabwright.export import export
from tabwright.metrics import evaluate, full_proba
from tabwright.types import Array, Floats, Task

SCORES = ("rmse", "mse", "mae", "rmsle", "r2", "auc", "aucpr", "logloss", "accuracy", "mean_per_class_error", "F1",
          "gini")  # fmt: skip


class ConfusionMatrix:
    """Rows by true class (down) and predicted class (across), in the order of ``labels``."""

    def __init__(self, counts: Floats, labels: list[str]) -> None:
        self._counts, self._labels = counts, labels

    def to_list(self) -> list[list[float]]:
        return [[float(v) for v in row] for row in self._counts]

    def as_data_frame(self) -> pd.DataFrame:
        """With the share of each class that is missed, ``Error`` and ``Rate``, and the sums in a last row."""
        counts = np.vstack([self._counts, self._counts.sum(axis=0)])
        wrong = self._counts.sum(axis=1) - np.diag(self._counts)
        wrong, total = np.append(wrong, wrong.sum()), counts.sum(axis=1)
        frame = pd.DataFrame(counts, index=[*self._labels, "Total"], columns=self._labels)
        frame["Error"] = wrong / np.maximum(total, np.finfo(float).tiny)
        frame["Rate"] = [f"{w:,g} / {t:,g}" for w, t in zip(wrong, total, strict=True)]
        return frame

    @property
    def table(self) -> pd.DataFrame:
        return self.as_data_frame()

    def __repr__(self) -> str:
        return str(self.as_data_frame())


class ModelPerformance(Counterparts):
    """Metrics of a model on some rows, each by H2O's name; ``truth`` and ``prediction`` are codes and canonical."""

    _instead = f"there are {', '.join(SCORES)}, confusion_matrix and nobs"

    def __init__(self, task: Task, truth: Array, prediction: Floats, threshold: float = 0.5, *,
                 weight: Floats | None = None, classes: Any = ()) -> None:  # fmt: skip
        self._scores = with_mse(evaluate(task, truth, prediction, threshold, weight=weight))
        self._truth, self._prediction, self._threshold = truth, prediction, threshold
        self._weight, self._labels = weight, [str(c) for c in classes]

    def _get(self, name: str) -> float:
        if name not in self._scores:
            raise OptionError(name, "does not score this task", f"ask for one of {', '.join(self._scores)}")
        return float(self._scores[name])

    def confusion_matrix(self, metrics: Any = None, thresholds: Any = None) -> Any:
        """Of two classes at the model's own threshold, or at that one; one matrix for each of several thresholds."""
        if metrics is not None:
            raise OptionError("metrics", "of confusion_matrix can't be honoured: the threshold is the leader's own",
                              "leave it out, or give thresholds")  # fmt: skip
        if not self._labels:
            raise OptionError("confusion_matrix", "does not score this task", "ask for it of classes")
        if isinstance(thresholds, (list, tuple)):
            return [self.confusion_matrix(thresholds=t) for t in thresholds]
        proba, n = full_proba(self._prediction), len(self._labels)
        at = self._threshold if thresholds is None else float(thresholds)
        said = (proba[:, 1] >= at).astype(np.int64) if n == 2 else proba.argmax(axis=1)
        cells = np.bincount(self._truth * n + said, weights=self._weight, minlength=n * n)
        return ConfusionMatrix(cells.reshape(n, n).astype(float), self._labels)

    def gini(self, **_more: Any) -> float:
        return 2.0 * self._get("roc_auc") - 1.0

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
        return len(self._truth)

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {value:.6g}" for name, value in self._scores.items())


class H2OModel(Counterparts):
    """One candidate, or the leader, of a finished run."""

    _instead = ("there are predict, model_performance and its metrics, confusion_matrix, varimp, explain and "
                "download_mojo; H2OAutoML.automl is tabwright's own estimator")  # fmt: skip

    def __init__(self, made: Any, model_id: str) -> None:
        self._made, self.model_id = made, model_id
        self._ensemble = alone(made, model_id)

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
        if test_data is None:
            prediction = finished.out_of_fold(self._ensemble)
            if prediction is None:
                raise OptionError("test_data", "is absent and the out-of-fold predictions are gone", "pass a frame")
            y, weight = finished.problem.outcomes()
            return self._performance(y, prediction, weight)
        frame = pandas_of(test_data)
        target = str(finished.schema.target)
        if target not in frame.columns:
            raise OptionError("test_data", f"has no column {target!r}", "pass rows with the target")
        y, keep = read_target(frame[target].astype(object), target, finished.schema.classes)
        prediction = self._canonical(frame[keep])
        return self._performance(y, prediction)

    def _performance(self, y: Array, prediction: Floats, weight: Floats | None = None) -> ModelPerformance:
        ensemble = self._ensemble
        return ModelPerformance(ensemble.task, y, prediction, ensemble.threshold, weight=weight,
                                classes=getattr(self._made, "classes_", ()))  # fmt: skip

    def confusion_matrix(self, data: Any = None, thresholds: Any = None, **more: Any) -> Any:
        """Of given rows, or else out of fold; see :meth:`ModelPerformance.confusion_matrix`."""
        is_table = isinstance(data, (H2OFrame, pd.DataFrame))  # H2O has metrics in its place where classes are two
        metrics = more.get("metrics") if is_table or data is None else data
        return self.model_performance(data if is_table else None).confusion_matrix(metrics, thresholds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model_performance(), name) if name in SCORES else super().__getattr__(name)

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


