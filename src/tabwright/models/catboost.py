"""Gradient boosted oblivious trees, CatBoost, on numeric features."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
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
from tabwright.models.leaf_tables import LeafTables, leaf_tables
from tabwright.models.lightgbm import LINKS
from tabwright.onnx.forest import Forest
from tabwright.onnx.graph import Graph, matrix_to_double
from tabwright.space import Choice, Integer, Real, Space
from tabwright.types import Floats, Ints, Params, Task

SPACE: Space = {
    "learning_rate": Real(0.02, 0.3, 0.08, log=True),
    "depth": Integer(3, 9, 6),
    "l2_leaf_reg": Real(0.1, 50.0, 2.0, log=True),
    "random_strength": Real(0.0, 2.0, 0.5),
    "subsample": Real(0.5, 1.0, 0.85),
    "rsm": Real(0.3, 1.0, 1.0),
    "min_data_in_leaf": Integer(1, 100, 1, log=True),
    "border_count": Choice((64, 128, 254), 128),
    "leaf_estimation_iterations": Choice((1, 3), 1),
}
LOSSES = {Task.REGRESSION: "RMSE", Task.BINARY: "Logloss", Task.MULTICLASS: "MultiClass"}
ABSENT_SCORE = -12.0  # raw score of a class without a training row: a probability of about 1e-5


@dataclass(frozen=True)
class FittedCatBoost(Rebuilt):
    """A CatBoost model in CatBoost's own binary form.

    ``present`` (n_present,) are the classes that had training rows, in the order of the model's outputs; empty
    where the model has one output.
    """

    model: bytes
    n_outputs: int
    n_iterations: int
    link: Link
    present: Ints

    @cached_property
    def _booster(self) -> Any:
        import catboost

        return catboost.CatBoost().load_model(blob=self.model)

    def predict(self, X: Floats, n_threads: int = 1) -> Floats:
        raw = self._booster.predict(X, prediction_type="RawFormulaVal", thread_count=n_threads)
        raw = np.asarray(raw, np.float64).reshape(len(X), -1)
        if len(self.present) in (0, self.n_outputs):
            return raw
        scores = np.full((len(X), self.n_outputs), ABSENT_SCORE)
        scores[:, self.present] = raw
        return scores

    def trees(self) -> Forest | LeafTables:
        """The oblivious trees as plain ones; with several outputs, as leaf numbers and tables."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.json"
            self._booster.save_model(str(path), format="json")
            parts = json.loads(path.read_text(encoding="utf-8"))
        scale, bias = parts["scale_and_bias"]
        missing_left = {f["flat_feature_index"]: f["nan_value_treatment"] != "AsTrue"
                        for f in parts["features_info"]["float_features"]}
        columns = {f["feature_index"]: f["flat_feature_index"] for f in parts["features_info"]["float_features"]}
        trees, tables = [], []
        for tree in parts["oblivious_trees"]:
            splits = tree["splits"] or []  # null in a tree that is a single leaf
            features = [columns[s["float_feature_index"]] for s in splits]
            borders = [float(np.float32(s["border"])) for s in splits]
            values = scale * np.asarray(tree["leaf_values"], np.float64).reshape(2 ** len(features), -1)
            plain = _plain_tree(features, borders, [missing_left[f] for f in features])
            trees.append(plain)
            tables.append(values)
        if self.n_outputs == 1:
            single = [_with_values(t, v[:, 0]) for t, v in zip(trees, tables, strict=True)]
            return forest_of(single, 1, np.asarray(bias, np.float64))
        base = np.full(self.n_outputs, ABSENT_SCORE)
        base[self.present] = bias
        return leaf_tables(trees, [_spread(t, self.present, self.n_outputs) for t in tables], base)

    def to_onnx(self, graph: Graph, x: str) -> str:
        trees = self.trees()
        if isinstance(trees, Forest):
            return graph.forest(matrix_to_double(graph, x), trees)
        return trees.to_onnx(graph, x)


def _plain_tree(features: list[int], borders: list[float], missing_left: list[bool]) -> Forest:
    """The full binary tree of an oblivious one; leaf i holds number i, whose bit j says ``x > borders[j]``.

    Nodes stand in heap order (children of i at 2i + 1 and 2i + 2) and level j tests split j: so a leaf's place
    from the left has the bits in reverse order.
    """
    depth = len(features)
    n_inner, n_leaves = 2**depth - 1, 2**depth
    level = np.repeat(np.arange(depth), 2 ** np.arange(depth))
    place = np.arange(n_leaves)
    number = np.zeros(n_leaves, np.int64)
    for j in range(depth):
        number |= ((place >> (depth - 1 - j)) & 1) << j
    filler, inner = np.zeros(n_leaves, np.int64), np.arange(n_inner)
    return Forest(
        n_outputs=1, base=np.zeros(1), roots=np.array([0]),
        feature=np.concatenate([np.asarray(features, np.int64)[level], filler - 1]),
        threshold=np.concatenate([np.asarray(borders, np.float64)[level], np.zeros(n_leaves)]),
        left=np.concatenate([2 * inner + 1, filler]), right=np.concatenate([2 * inner + 2, filler]),
        missing_left=np.concatenate([np.asarray(missing_left, bool)[level], np.zeros(n_leaves, bool)]),
        leaf_output=np.zeros(n_inner + n_leaves, np.int64), leaf_value=np.concatenate([np.zeros(n_inner), number]),
    )


def _with_values(tree: Forest, values: Floats) -> Forest:
    numbers = tree.leaf_value.astype(np.int64)
    return Forest(
        tree.n_outputs, tree.base, tree.roots, tree.feature, tree.threshold, tree.left, tree.right,
        tree.missing_left, tree.leaf_output, np.where(tree.feature < 0, values[numbers], 0.0),
    )


def _spread(table: Floats, present: Ints, n_outputs: int) -> Floats:
    wide = np.zeros((len(table), n_outputs))
    wide[:, present] = table
    return wide


def _settings(params: Params, context: FitContext) -> Params:
    settings = with_defaults(SPACE, params) | {
        "loss_function": LOSSES[context.task], "bootstrap_type": "Bernoulli", "boosting_type": "Plain",
        "grow_policy": "SymmetricTree", "random_seed": context.seed, "thread_count": context.n_threads,
        "allow_writing_files": False, "logging_level": "Silent", "allow_const_label": True,
    }
    settings["learning_rate"] = class_rate(float(settings["learning_rate"]), context.n_outputs)
    if context.quantile is not None:
        settings |= {"loss_function": f"Quantile:alpha={context.quantile:g}", "leaf_estimation_method": "Exact",
                     "leaf_estimation_iterations": 1}  # fmt: skip
    if context.task is Task.MULTICLASS:
        if context.n_classes > 8:  # a leaf's Newton step costs the square of the classes
            settings["depth"] = min(int(settings["depth"]), 6)
        settings["rsm"] = 1.0  # measured: choosing features anew for each tree costs more than it saves
    if any(context.columns.monotone):
        settings["monotone_constraints"] = list(context.columns.monotone)
    return settings


class _AfterRound:
    """CatBoost's callback: it goes on while ``after_iteration`` says True."""

    def __init__(self, stopper: Stopper, metric: str) -> None:
        self._stopper, self._metric = stopper, metric

    def after_iteration(self, info: Any) -> bool:
        scores = (info.metrics or {}).get("validation")
        return not self._stopper.stop(scores[self._metric][-1] if scores else None)


def _relabel(sample: Sample | None, present: Ints) -> Sample | None:
    """Rows of the present classes, numbered in their order: CatBoost gives absent classes a score of -inf."""
    if sample is None:
        return None
    code = np.searchsorted(present, sample.y).clip(max=len(present) - 1)
    keep = present[code] == sample.y
    weight = None if sample.weight is None else sample.weight[keep]
    return usable_valid(Sample(sample.X[keep], code[keep], weight))


def fit(train: Sample, valid: Sample | None, params: Params, context: FitContext) -> FittedCatBoost:
    import catboost

    train, valid = usable(train, context), usable_valid(valid)
    present = np.empty(0, np.int64)
    if context.task.is_classification and len(np.unique(train.y)) < 2:
        raise FitError("CatBoost needs rows of at least two classes")
    if context.task is Task.MULTICLASS:
        present = np.unique(train.y)
        train, valid = _relabel(train, present) or train, _relabel(valid, present)
    settings = _settings(params, context)
    stopper = Stopper(context, patience(settings["learning_rate"]))
    model = catboost.CatBoost(settings | {"iterations": max_rounds(params, valid)})
    try:
        model.fit(
            catboost.Pool(train.X, train.y, weight=train.weight),
            eval_set=None if valid is None else catboost.Pool(valid.X, valid.y, weight=valid.weight),
            use_best_model=False, callbacks=[_AfterRound(stopper, settings["loss_function"])],
        )
    except catboost.CatBoostError as error:
        raise FitError(f"CatBoost refused: {error}") from error
    if stopper.best_round == 0 or model.tree_count_ == 0:
        raise FitError("CatBoost grew no tree with a finite loss")
    rounds = min(stopper.best_round, model.tree_count_)
    model.shrink(ntree_end=rounds)
    return FittedCatBoost(_blob(model), context.n_outputs, rounds, LINKS[context.task], present)


def _blob(model: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.cbm"
        model.save_model(str(path), format="cbm")
        return path.read_bytes()


CATBOOST = Family(
    "catboost", "CatBoost gradient boosting", frozenset(Task), View.TREES, SPACE, fit,
    source="Prokhorenkova et al. 2018, CatBoost: unbiased boosting with categorical features, NeurIPS 31",
    monotone=True, quantile=True,
)
