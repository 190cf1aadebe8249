"""Model families. A new one is one file in this folder and one line in ``FAMILIES``."""

from __future__ import annotations

from tabwright.errors import OptionError
from tabwright.models.bagged_trees import FittedBaggedTrees
from tabwright.models.base import Family
from tabwright.models.catboost import CATBOOST, FittedCatBoost
from tabwright.models.extra_trees import EXTRA_TREES
from tabwright.models.knn import KNN, FittedKNN
from tabwright.models.leaf_tables import LeafTables
from tabwright.models.lightgbm import LIGHTGBM, FittedLightGBM
from tabwright.models.linear import LINEAR, FittedLinear
from tabwright.models.mlp import MLP, FittedMLP
from tabwright.models.random_forest import RANDOM_FOREST
from tabwright.models.xgboost import XGBOOST, FittedXGBoost
from tabwright.onnx.forest import Forest

FAMILIES: tuple[Family, ...] = (
    LIGHTGBM,
    XGBOOST,
    CATBOOST,
    EXTRA_TREES,
    RANDOM_FOREST,
    LINEAR,
    KNN,
    MLP,
)

# what a stored model may be rebuilt from
FITTED_CLASSES: tuple[type, ...] = (
    FittedLightGBM, FittedXGBoost, FittedCatBoost, FittedBaggedTrees, FittedLinear, FittedKNN, FittedMLP,
    LeafTables, Forest,
)


def family(name: str) -> Family:
    """The family called ``name``.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    for known in FAMILIES:
        if known.name == name:
            return known
    names = ", ".join(f.name for f in FAMILIES)
    raise OptionError("family", f"names no model family: {name!r}", f"use one of {names}")
