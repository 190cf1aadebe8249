"""Random forest: bagged trees with the best split among random features."""

from __future__ import annotations

from tabwright.models.bagged_trees import FittedBaggedTrees, grow, max_leaves
from tabwright.models.base import Family, FitContext, Sample, View
from tabwright.models.fitting import ROUNDS, usable, with_defaults
from tabwright.space import Choice, Integer, Real, Space
from tabwright.types import Params, Task

SPACE: Space = {
    ROUNDS: Integer(40, 250, 100, log=True),
    "max_leaf_nodes": Integer(64, 4096, 1500, log=True),
    "min_samples_leaf": Integer(1, 50, 2, log=True),
    "max_features": Choice(("sqrt", 0.33, 0.5, 0.75), 0.33),
    "max_samples": Real(0.3, 1.0, 0.9),
}


def fit(train: Sample, valid: Sample | None, params: Params, context: FitContext) -> FittedBaggedTrees:  # noqa: ARG001
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    settings = with_defaults(SPACE, params)
    train = usable(train, context)
    n_trees = int(settings.pop(ROUNDS))
    settings["max_leaf_nodes"] = max_leaves(settings, context, n_trees)
    settings["max_samples"] = max(1, round(float(settings["max_samples"]) * len(train.y)))
    kind = RandomForestRegressor if context.task is Task.REGRESSION else RandomForestClassifier
    return grow(kind(bootstrap=True, **settings), n_trees, train, context)


RANDOM_FOREST = Family(
    "random_forest", "Random forest", frozenset(Task), View.TREES, SPACE, fit,
    source="Breiman 2001, Random Forests, doi:10.1023/A:1010933404324",
)
