"""Model families. A new one is one file in this folder and one line in ``FAMILIES``."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

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
    """The family called ``name``, or the one that ``"package.module:NAME"`` points at.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    if ":" in name:
        return _imported(name)
    for known in FAMILIES:
        if known.name == name:
            return known
    names = ", ".join(f.name for f in FAMILIES)
    raise OptionError("family", f"names no model family: {name!r}", f"use one of {names}")


def _imported(reference: str) -> Family:
    module, _, attribute = reference.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        problem = f"{reference!r} can't be imported: {error}"
        raise OptionError("family", problem, "name an importable module:NAME") from error
    if not isinstance(found, Family):
        raise OptionError("family", f"{reference!r} is no tabwright.models.base.Family", "name one that is")
    return replace(found, name=reference)
