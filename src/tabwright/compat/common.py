"""What the look-alikes have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import ClassifierTags, RegressorTags

from tabwright.api import AutoMLClassifier, AutoMLRegressor
from tabwright.codec import write_for_user
from tabwright.errors import OptionError, UserError
from tabwright.metrics import METRICS, best_threshold, evaluate
from tabwright.objectives.design import Design
from tabwright.pipeline import Ensemble
from tabwright.search.assemble import assemble
from tabwright.search.problem import Problem
from tabwright.search.state import Entry
from tabwright.types import Task

ALIASES: Mapping[str, str] = {
    "neg_mean_squared_error": "rmse", "mean_squared_error": "rmse", "mse": "rmse",
    "neg_root_mean_squared_error": "rmse",
    "root_mean_squared_error": "rmse", "deviance": "rmse", "mean_residual_deviance": "rmse",
    "neg_mean_absolute_error": "mae", "mean_absolute_error": "mae", "roc_auc_ovr": "roc_auc", "auc": "roc_auc",
    "aucpr": "average_precision", "ap": "average_precision", "neg_log_loss": "log_loss", "logloss": "log_loss",
    "mean_per_class_error": "balanced_accuracy", "acc": "accuracy", "root_mean_squared_log_error": "rmsle",
}  # fmt: skip
"""Other systems' names of metrics; those that rank models alike are the same."""
SQUARED = ("neg_mean_squared_error", "mean_squared_error", "mse")
"""Those whose values are squares of ours."""


def metric_name(name: Any, system: str) -> str:
    """Our name of a metric; OptionError for one that is not known, or a function."""
    if name is None or str(name).lower() == "auto":
        return "auto"
    if not isinstance(name, str):
        raise OptionError("metric", f"of {system} is a function", "name one of " + ", ".join(m.name for m in METRICS))
    found = ALIASES.get(name.lower(), name.lower())
    if found not in {m.name for m in METRICS}:
        known = ", ".join(m.name for m in METRICS)
        raise OptionError("metric", f"of {system} is {name!r}, which is not known", f"take one of {known}")
    return found


def as_named(value: float, name: Any) -> float:
    """A score of ours in the unit of the metric that was asked for by ``name``."""
    return float(value**2 if str(name).lower() in SQUARED else value)


class NoCounterpartError(UserError, AttributeError):
    """What the other system has and this one hasn't; an AttributeError too, as ``hasattr`` needs it."""


class Counterparts:
    """Ends an attribute that is not there with a sentence; ``_instead`` tells what there is."""

    _instead = "see .automl, tabwright's own estimator, with leaderboard(), model_performance(), explain() and export()"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what copying, pickling and notebooks ask for
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        raise NoCounterpartError(f"{type(self).__name__}.{name} has no counterpart here", self._instead)


class Lookalike(Counterparts, BaseEstimator):  # type: ignore[misc]
    """Predictions and scores of the estimator within, for classes with ``fit(X, y)``."""

    _aml: Any = None
    _settings: dict[str, Any]
    _classification = False

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters as given; not by the signature, which scikit-learn reads otherwise."""
        del deep
        return dict(self._settings)

    def set_params(self, **params: Any) -> Self:
        """OptionError for one that is not known."""
        self._settings = type(self)(**(self._settings | params))._settings
        return self

    def _classifies(self) -> bool:
        return self._classification

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if self._classifies():
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        else:
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return self._aml is not None

    @property
    def automl(self) -> Any:
        """The estimator that did the work: :class:`tabwright.AutoMLClassifier` or ``AutoMLRegressor``."""
        if self._aml is None:
            raise OptionError("fit", "was not called yet", "call fit first")
        return self._aml

    def predict(self, X: Any) -> Any:
        return self.automl.predict(X)

    def predict_proba(self, X: Any) -> Any:
        return self.automl.predict_proba(X)

    @property
    def classes_(self) -> Any:
        return self.automl.classes_

    @property
    def feature_names_in_(self) -> Any:
        return self.automl.feature_names_in_

    @property
    def n_features_in_(self) -> int:
        return int(self.automl.n_features_in_)


def estimator(classification: bool) -> type[AutoMLClassifier | AutoMLRegressor]:
    return AutoMLClassifier if classification else AutoMLRegressor


def scores_of(made: Any) -> dict[str, dict[str, float]]:
    """Every metric of every finished candidate and of the leader, out of fold, by model_id."""
    finished = made._finished
    problem, state = finished.problem, finished.state
    y, weight = problem.outcomes()
    found = {e.candidate.model_id: evaluate(problem.task, y, e.prediction, _threshold(problem, e), weight=weight)
             for e in state.finished() if e.prediction is not None}  # fmt: skip
    leading = finished.out_of_fold(finished.ensemble)  # the constant prediction, where nothing was finished in time
    if leading is not None:
        threshold = finished.ensemble.threshold
        found[state.leader.name] = evaluate(problem.task, y, leading, threshold, weight=weight)
    return found


def alone(made: Any, model_id: str) -> Ensemble:
    """A finished candidate as what would be delivered of it, or the leader by its name.

    Raises
    ------
    OptionError
        If there is none of that name, or its models were discarded.
    """
    finished = made._finished
    if model_id == finished.state.leader.name:
        return cast("Ensemble", finished.ensemble)
    known = {e.candidate.model_id: e for e in finished.state.finished() if not e.discarded}
    if model_id not in known:
        listed = ", ".join(dict.fromkeys([finished.state.leader.name, *known]))
        raise OptionError("model", f"is {model_id!r}, of which there are no models", f"take one of {listed}")
    design = Design.whole(((model_id, 1.0),), finished.problem.delivered)
    found = assemble(finished.run, finished.problem, design, model_id)
    return replace(found, threshold=_threshold(finished.problem, known[model_id]))


def _threshold(problem: Problem, entry: Entry) -> float:
    """The probability from which a candidate's label is the second class, as the run chooses its leader's."""
    if entry.prediction is None:
        return 0.5
    y, weight = problem.outcomes()
    return best_threshold(problem.metric, y, entry.prediction, weight)


def with_mse(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores with those that other systems show besides."""
    more = dict(scores)
    if "rmse" in scores:
        more["mse"] = scores["rmse"] ** 2
    if "balanced_accuracy" in scores:
        more["mean_per_class_error"] = 1.0 - scores["balanced_accuracy"]
    return more


PROGRAM = '''"""Predictions of {name} for a table: python {program} rows.csv [predictions.csv]."""

import csv
import sys
from pathlib import Path

from tabwright import load_model

model = load_model(Path(__file__).with_name("{name}"))

if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    out = open(sys.argv[2], "w", encoding="utf-8", newline="") if len(sys.argv) > 2 else sys.stdout
    csv.writer(out).writerows([["prediction"], *([value] for value in model.predict(rows).tolist())])
'''


def export_script(made: Any, path: str | Path) -> Path:
    """Write the model beside a Python program that scores a CSV file with it, or the model alone.

    ``path`` ends in .onnx for the model alone, else names the program; returns the model's path.
    """
    target = Path(path)
    model = target.with_suffix(".onnx")
    made.export(model)
    if target != model:
        write_for_user(target, PROGRAM.format(name=model.name, program=target.name).encode(), "path")
    return model


def is_classification(y: Any) -> bool:
    from tabwright.data.target import infer_task

    return infer_task(np.asarray(y)) is not Task.REGRESSION
