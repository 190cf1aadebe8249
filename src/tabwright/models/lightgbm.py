"""Gradient boosted trees, LightGBM: leaf-wise growth, native categorical splits."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from tabwright.errors import FitError
from tabwright.models.base import Family, FitContext, Link, Sample, View
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
from tabwright.onnx.forest import Forest
from tabwright.onnx.graph import Graph, matrix_to_double
from tabwright.space import Choice, Integer, Real, Space
from tabwright.types import Floats, Ints, Params, Task

SPACE: Space = {
    "learning_rate": Real(0.01, 0.2, 0.05, log=True),
    "num_leaves": Integer(6, 255, 48, log=True),
    "min_data_in_leaf": Integer(2, 200, 20, log=True),
    "feature_fraction": Real(0.3, 1.0, 0.85),
    "bagging_fraction": Real(0.5, 1.0, 0.85),
    "lambda_l1": Real(1e-4, 10.0, 1e-4, log=True),
    "lambda_l2": Real(1e-3, 100.0, 0.3, log=True),
    "min_sum_hessian_in_leaf": Real(1e-3, 20.0, 0.1, log=True),
    "path_smooth": Real(1e-2, 30.0, 1e-2, log=True),
    "extra_trees": Choice((False, True), False),
    "max_bin": Choice((127, 255, 511), 255),
    "cat_smooth": Real(1.0, 200.0, 10.0, log=True),
    "cat_l2": Real(0.1, 100.0, 10.0, log=True),
    "max_cat_to_onehot": Choice((4, 10, 32), 4),
}
LINKS = {Task.REGRESSION: Link.IDENTITY, Task.BINARY: Link.SIGMOID, Task.MULTICLASS: Link.SOFTMAX}
OBJECTIVES = {
    Task.REGRESSION: ("regression", "rmse"),
    Task.BINARY: ("binary", "binary_logloss"),
    Task.MULTICLASS: ("multiclass", "multi_logloss"),
}
MAX_ROW_WISE = 300
SCORED_ROWS = 1000
CACHED_TREES = 100  # each row goes through all trees before the next: three times as fast with what the cache holds
IDLE_ROUNDS = 20  # in a row without a split, after which there is none to be found
MISSING_ZERO, MISSING_NAN = 1, 2  # LightGBM's decision_type: bit 0 categorical, bit 1 default left, bits 2-3 missing


@dataclass(frozen=True)
class FittedLightGBM(Rebuilt):
    """A LightGBM booster as the text that LightGBM itself writes."""

    model: str
    n_outputs: int
    n_iterations: int
    link: Link

    @cached_property
    def _booster(self) -> Any:
        import lightgbm

        return lightgbm.Booster(model_str=self.model)

    def predict(self, X: Floats, n_threads: int = 1) -> Floats:
        scores = np.zeros((len(X), self.n_outputs))
        rounds = max(1, CACHED_TREES // self.n_outputs)
        for first in range(0, max(1, self._booster.current_iteration()), rounds):
            raw = self._booster.predict(
                X, start_iteration=first, num_iteration=rounds, raw_score=True, num_threads=n_threads)  # fmt: skip
            scores += raw.reshape(scores.shape)
        return scores

    def forest(self) -> Forest:
        """The trees as they decide; thresholds and leaves in double as trained."""
        blocks = self.model.split("\nTree=")[1:]
        trees = [_tree(block, i % self.n_outputs, self.n_outputs) for i, block in enumerate(blocks)]
        return forest_of(trees, self.n_outputs, np.zeros(self.n_outputs))

    def to_onnx(self, graph: Graph, x: str) -> str:
        return graph.forest(matrix_to_double(graph, x), self.forest())


def _tree(block: str, output: int, n_outputs: int) -> Forest:
    lines = block.split("\n\n", 1)[0].splitlines()
    text = dict(line.split("=", 1) for line in lines if "=" in line)
    values = np.array(text["leaf_value"].split(), np.float64)
    if int(text.get("is_linear", "0")):
        raise ValueError("linear leaves have no form in a Forest")
    n_leaves = int(text["num_leaves"])
    n_inner = n_leaves - 1
    inner, leaves = np.zeros(n_inner, np.int64), np.zeros(n_leaves, np.int64)
    feature: Ints = inner
    threshold: Floats = np.zeros(n_inner)
    left: Ints = inner
    right: Ints = inner
    missing_left = np.zeros(n_inner, bool)
    members: dict[int, tuple[int, ...]] = {}
    if n_inner:
        feature = np.array(text["split_feature"].split(), np.int64)
        threshold = np.array(text["threshold"].split(), np.float64)
        left, right = (_children(text[side], n_inner) for side in ("left_child", "right_child"))
        decision = np.array(text["decision_type"].split(), np.int64)
        missing_left = _missing_left(decision, threshold)
        if "cat_threshold" in text:
            members = _members(text, decision, threshold)
            threshold = np.where(decision & 1, 0.0, threshold)
    zeros, filler = np.zeros(n_leaves), np.zeros(n_leaves, bool)
    return Forest(
        n_outputs=n_outputs, base=np.zeros(n_outputs), roots=np.array([0]),
        feature=np.concatenate([feature, leaves - 1]), threshold=np.concatenate([threshold, zeros]),
        left=np.concatenate([left, leaves]), right=np.concatenate([right, leaves]),
        missing_left=np.concatenate([missing_left, filler]),
        leaf_output=np.full(n_inner + n_leaves, output), leaf_value=np.concatenate([np.zeros(n_inner), values]),
        members=members,
    )


def _children(text: str, n_inner: int) -> Ints:
    child = np.array(text.split(), np.int64)
    return np.where(child < 0, n_inner + ~child, child)


def _missing_left(decision: Ints, threshold: Floats) -> Any:
    categorical, default_left, missing = decision & 1, (decision >> 1) & 1, (decision >> 2) & 3
    if (missing == MISSING_ZERO).any():
        raise ValueError("zero_as_missing has no form in a Forest")
    # a feature without missing values in training reads NaN as 0; categories read it as "in no set"
    numeric = np.where(missing == MISSING_NAN, default_left == 1, threshold >= 0.0)
    return np.where(categorical == 1, False, numeric)


def _members(text: dict[str, str], decision: Ints, threshold: Floats) -> dict[int, tuple[int, ...]]:
    bounds = np.array(text["cat_boundaries"].split(), np.int64)
    words = np.array(text["cat_threshold"].split(), np.uint32)
    members = {}
    for node in np.flatnonzero(decision & 1):
        which = int(threshold[node])
        bits = np.unpackbits(words[bounds[which] : bounds[which + 1]].astype("<u4").view(np.uint8), bitorder="little")
        members[int(node)] = tuple(np.flatnonzero(bits).tolist())
    return members


def _settings(params: Params, context: FitContext, n_rows: int) -> Params:
    objective, metric = OBJECTIVES[context.task]
    settings = with_defaults(SPACE, params) | {
        "objective": objective, "metric": metric, "num_threads": context.n_threads, "seed": context.seed,
        "deterministic": True, "verbose": -1, "bagging_freq": 1,
        "min_data_per_group": int(np.clip(n_rows // 100, 5, 100)), "feature_pre_filter": False,
    }
    settings["learning_rate"] = class_rate(float(settings["learning_rate"]), context.n_outputs)
    # fixed, so that a seed means one model; rows are faster up to a few hundred columns
    settings["force_row_wise" if context.columns.n_features <= MAX_ROW_WISE else "force_col_wise"] = True
    settings["min_data_in_leaf"] = min(int(settings["min_data_in_leaf"]), max(1, n_rows // 10))
    if context.task is Task.REGRESSION:
        settings["min_sum_hessian_in_leaf"] = 0.0  # the Hessian is the row's weight: min_data_in_leaf says it
    if context.quantile is not None:
        settings |= {"objective": "quantile", "metric": "quantile", "alpha": context.quantile}
    if context.task is Task.MULTICLASS:
        settings["num_class"] = context.n_classes
    if any(context.columns.monotone):
        settings |= {"monotone_constraints": list(context.columns.monotone),
                     "monotone_constraints_method": "intermediate"}
    return settings


def fit(train: Sample, valid: Sample | None, params: Params, context: FitContext) -> FittedLightGBM:
    import lightgbm

    train, valid = usable(train, context), usable_valid(valid)
    settings = _settings(params, context, len(train.y))
    names = [f"f{i}" for i in range(train.X.shape[1])]
    data = lightgbm.Dataset(
        train.X, train.y, weight=train.weight, params=settings, feature_name=names,
        categorical_feature=list(context.columns.categorical), free_raw_data=False,
    )
    held_out = None if valid is None else data.create_valid(valid.X, valid.y, valid.weight, params=settings)
    data.construct()  # before the clock of the rounds starts
    try:
        booster = lightgbm.Booster(settings, data)
        if held_out is not None:
            booster.add_valid(held_out, "valid")
        scoring = None if valid is None else partial(_scoring, booster, context.n_outputs, valid.X)
        stopper = Stopper(context, patience(settings["learning_rate"]), scoring)
        best = _boost(booster, held_out is not None, max_rounds(params, valid), stopper)
    except lightgbm.basic.LightGBMError as error:
        raise FitError(f"LightGBM refused: {error}") from error
    if best == 0:
        raise FitError("the loss was not a finite number from the first round on")
    text = booster.model_to_string(num_iteration=best)
    return FittedLightGBM(text, context.n_outputs, best, LINKS[context.task])


def _scoring(booster: Any, n_outputs: int, X: Floats) -> float:
    """Seconds that writing the model and predicting all rows would take, by some of the rows."""
    start = time.monotonic()
    written = FittedLightGBM(booster.model_to_string(), n_outputs, 0, Link.IDENTITY)
    some = X[:: max(1, len(X) // SCORED_ROWS)]
    written.predict(some[:1])  # reads the text
    made = time.monotonic()
    written.predict(some)
    return made - start + (time.monotonic() - made) * len(X) / len(some)


def _boost(booster: Any, judged: bool, n_rounds: int, stopper: Stopper) -> int:
    """Add trees until the stopper says so or there are ``n_rounds`` for each output; which number was best.

    A round that finds no split adds no tree, so trees are counted and not rounds. The next may find one, as it draws
    other rows and features.
    """
    best = idle = 0
    while booster.current_iteration() < n_rounds and idle < IDLE_ROUNDS:
        idle = idle + 1 if booster.update() else 0
        stop = stopper.stop(booster.eval_valid()[0][2] if judged else None)
        if stopper.best_round == stopper.rounds:
            best = booster.current_iteration()
        if stop:
            break
    return best


LIGHTGBM = Family(
    "lightgbm", "LightGBM gradient boosting", frozenset(Task), View.NATIVE, SPACE, fit,
    source="Ke et al. 2017, LightGBM: A Highly Efficient Gradient Boosting Decision Tree, NeurIPS 30",
    monotone=True, quantile=True,
)
