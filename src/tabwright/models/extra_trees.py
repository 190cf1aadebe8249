"""Extremely randomised trees: random thresholds, the best of them taken; all rows in each tree."""

from __future__ import annotations

from tabwright.models.bagged_trees import FittedBaggedTrees, grow, max_leaves
from tabwright.models.base import Family, FitContext, Sample, View
from tabwright.models.fitting import ROUNDS, with_defaults
from tabwright.space import Choice, Integer, Space
from tabwright.types import Params, Task

SPACE: Space = {
    ROUNDS: Integer(40, 250, 100, log=True),
    "max_leaf_nodes": Integer(64, 4096, 1500, log=True),
    "min_samples_leaf": Integer(1, 50, 2, log=True),
    "max_features": Choice(("sqrt", 0.33, 0.5, 0.75, 1.0), 0.75),
}


def fit(train: Sample, valid: Sample | None, params: Params, context: FitContext) -> FittedBaggedTrees:  # noqa: ARG001
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    settings = with_defaults(SPACE, params)
    n_trees = int(settings.pop(ROUNDS))
    settings["max_leaf_nodes"] = max_leaves(settings, context, n_trees)
    kind = ExtraTreesRegressor if context.task is Task.REGRESSION else ExtraTreesClassifier
    return grow(kind(bootstrap=False, **settings), n_trees, train, context)


EXTRA_TREES = Family(
    "extra_trees", "Extremely randomised trees", frozenset(Task), View.TREES, SPACE, fit,
    source="Geurts, Ernst and Wehenkel 2006, Extremely randomized trees, doi:10.1007/s10994-006-6226-1",
)
