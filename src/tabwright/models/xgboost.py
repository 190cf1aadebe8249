"""Gradient boosted trees, XGBoost: depth-wise histogram trees."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tabwright.errors import FitError
from tabwright.models.base import Family, FitContext, Link, Parts, Sample, View
from tabwright.models.fitting import (
    Rebuilt,
    Stopper,
    class_rate,
    forest_of,
    max_rounds,
    patience,
    usable,
    usable_valid,
    with_defaults,
)
from tabwright.models.lightgbm import LINKS
from tabwright.onnx.forest import Forest
from tabwright.onnx.graph import Graph, matrix_to_double
from tabwright.space import Choice, Integer, Real, Space
from tabwright.types import Floats, Params, Task

SPACE: Space = {
    "learning_rate": Real(0.01, 0.3, 0.06, log=True),
    "max_depth": Integer(3, 11, 7),
    "min_child_weight": Real(1e-2, 100.0, 2.0, log=True),
    "subsample": Real(0.5, 1.0, 0.8),
    "colsample_bytree": Real(0.3, 1.0, 0.9),
    "colsample_bynode": Real(0.3, 1.0, 0.9),
    "reg_lambda": Real(1e-2, 100.0, 1.0, log=True),
    "reg_alpha": Real(1e-4, 10.0, 1e-4, log=True),
    "gamma": Real(1e-6, 5.0, 1e-6, log=True),
    "max_bin": Choice((128, 256, 512), 256),
}
OBJECTIVES = {
    Task.REGRESSION: ("reg:squarederror", "rmse"),
    Task.BINARY: ("binary:logistic", "logloss"),
    Task.MULTICLASS: ("multi:softprob", "mlogloss"),
}


@dataclass(frozen=True)
class FittedXGBoost(Rebuilt):
    """An XGBoost booster in XGBoost's own binary JSON."""

    model: bytes
    n_outputs: int
    n_iterations: int
    link: Link

    @cached_property
    def _booster(self) -> Any:
        import xgboost

        booster = xgboost.Booster()
        booster.load_model(bytearray(self.model))
        return booster

    def predict(self, X: Floats, n_threads: int = 1) -> Floats:
        """Raw scores as XGBoost sums them, in float32: the export's double sum differs from it by rounding."""
        import xgboost

        data = xgboost.DMatrix(X, missing=np.nan, nthread=n_threads)
        self._booster.set_param({"nthread": n_threads})
        raw = self._booster.predict(data, output_margin=True)
        return np.asarray(raw, np.float64).reshape(len(X), self.n_outputs)

    def forest(self) -> Forest:
        """The trees as they decide, ``x < t`` written as ``x <= the float32 just below t``."""
        learner = json.loads(self._booster.save_raw("json"))["learner"]
        parts = learner["gradient_booster"]["model"]
        trees = [
            _tree(tree, output, self.n_outputs)
            for tree, output in zip(parts["trees"], parts["tree_info"], strict=True)
        ]
        return forest_of(trees, self.n_outputs, _base(learner["learner_model_param"], self.link, self.n_outputs))

    def to_onnx(self, graph: Graph, x: str) -> str:
        return graph.forest(matrix_to_double(graph, x), self.forest())


def _base(learner: dict[str, str], link: Link, n_outputs: int) -> Floats:
    """The starting score in margin space; XGBoost stores a probability for the logistic objective."""
    stored = json.loads(learner["base_score"])
    base = np.broadcast_to(np.asarray(stored, np.float32).astype(np.float64), (n_outputs,))
    if link is Link.SIGMOID:
        base = np.log(base / (1.0 - base)).astype(np.float32).astype(np.float64)
    return np.array(base)


def _tree(tree: dict[str, Any], output: int, n_outputs: int) -> Forest:
    if any(tree["split_type"]):
        raise ValueError("XGBoost's categorical splits are not in the search space")
    left = np.asarray(tree["left_children"], np.int64)
    leaf = left < 0
    condition = np.asarray(tree["split_conditions"], np.float32)
    below = np.nextafter(condition, np.float32(-np.inf)).astype(np.float64)
    return Forest(
        n_outputs=n_outputs, base=np.zeros(n_outputs), roots=np.array([0]),
        feature=np.where(leaf, -1, np.asarray(tree["split_indices"], np.int64)),
        threshold=np.where(leaf, 0.0, below), left=np.where(leaf, 0, left),
        right=np.where(leaf, 0, np.asarray(tree["right_children"], np.int64)),
        missing_left=np.asarray(tree["default_left"], bool), leaf_output=np.full(len(left), output),
        leaf_value=np.where(leaf, condition.astype(np.float64), 0.0),
    )


def _settings(params: Params, context: FitContext, y: Any, weight: Floats | None) -> Params:
    objective, metric = OBJECTIVES[context.task]
    settings = with_defaults(SPACE, params) | {
        "objective": objective, "eval_metric": metric, "tree_method": "hist", "nthread": context.n_threads,
        "seed": context.seed, "verbosity": 0,
    }
    settings["learning_rate"] = class_rate(float(settings["learning_rate"]), context.n_outputs)
    if context.task is Task.REGRESSION:
        settings["base_score"] = 0.0  # targets are standardised
        if context.quantile is not None:
            settings |= {"objective": "reg:quantileerror", "eval_metric": "quantile",
                         "quantile_alpha": context.quantile}  # fmt: skip
    elif context.task is Task.BINARY:
        settings["base_score"] = float(np.clip(np.average(y, weights=weight), 1e-6, 1 - 1e-6))
    else:
        settings["num_class"] = context.n_classes
        # a class of a few rows has Hessians near 0 and would take steps without bound
        settings["max_delta_step"] = 4.0
    if any(context.columns.monotone):
        settings["monotone_constraints"] = tuple(context.columns.monotone)
    return settings


def fit(train: Sample, valid: Sample | None, params: Params, context: FitContext) -> FittedXGBoost:
    import xgboost

    train, valid = usable(train, context), usable_valid(valid)
    settings = _settings(params, context, train.y, train.weight)
    data = xgboost.QuantileDMatrix(
        train.X, train.y, weight=train.weight, missing=np.nan, nthread=context.n_threads, max_bin=settings["max_bin"]
    )
    evals = []
    if valid is not None:
        held_out = xgboost.QuantileDMatrix(
            valid.X, valid.y, weight=valid.weight, missing=np.nan, ref=data, max_bin=settings["max_bin"],
            nthread=context.n_threads,
        )
        evals = [(held_out, "valid")]
    stopper = Stopper(context, patience(settings["learning_rate"]))
    metric = settings["eval_metric"]

    class AfterRound(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
            return stopper.stop(evals_log["valid"][metric][-1] if evals_log else None)

    try:
        booster = xgboost.train(settings, data, max_rounds(params, valid), evals=evals, verbose_eval=False,
                                callbacks=[AfterRound()])
    except xgboost.core.XGBoostError as error:
        raise FitError(f"XGBoost refused: {error}") from error
    if stopper.best_round == 0:
        raise FitError("the loss was not a finite number from the first round on")
    best = booster[: stopper.best_round]
    return FittedXGBoost(bytes(best.save_raw("ubj")), context.n_outputs, stopper.best_round, LINKS[context.task])


def fit_parts(train: Parts, valid: Sample | None, params: Params, context: FitContext) -> FittedXGBoost:
    """As :func:`fit`, by all workers of a Dask cluster together: each builds histograms of the rows that it holds."""
    from tabwright.models.xgboost_dask import booster_of

    settings = _settings(params, context, train.own.y, train.own.weight)
    valid = usable_valid(valid)
    booster = booster_of(train, valid, settings, max_rounds(params, valid), context.seconds_left())
    model = bytes(booster.save_raw("ubj"))
    return FittedXGBoost(model, context.n_outputs, booster.num_boosted_rounds(), LINKS[context.task])


XGBOOST = Family(
    "xgboost", "XGBoost gradient boosting", frozenset(Task), View.TREES, SPACE, fit,
    source="Chen and Guestrin 2016, XGBoost: A Scalable Tree Boosting System, doi:10.1145/2939672.2939785",
    monotone=True, quantile=True, single_precision=True, fit_parts=fit_parts,
)
