"""Model families. A new one is one file in this folder and one line in ``FAMILIES``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tabwright import plugins
from tabwright.codec import register
from tabwright.errors import OptionError
from tabwright.models.bagged_trees import FittedBaggedTrees
from tabwright.models.base import Family
from tabwright.models.catboost import CATBOOST, FittedCatBoost
from tabwright.models.extra_trees import EXTRA_TREES
from tabwright.models.knn import KNN, FittedKNN
from tabwright.models.leaf_tables import LeafTables
from tabwright.models.lightgbm import LIGHTGBM, FittedLightGBM
from tabwright.models.linear import LINEAR, FittedLinear
from tabwright.models.log_target import LogTarget
from tabwright.models.mlp import MLP, FittedMLP
from tabwright.models.quadratic import QUADRATIC, FittedQuadratic
from tabwright.models.random_forest import RANDOM_FOREST
from tabwright.models.realmlp import REALMLP, FittedRealMLP
from tabwright.models.xgboost import XGBOOST, FittedXGBoost
from tabwright.onnx.forest import Forest
from tabwright.plugins import imported, installed, is_reference

FAMILIES: tuple[Family, ...] = (
    LIGHTGBM,
    XGBOOST,
    CATBOOST,
    EXTRA_TREES,
    RANDOM_FOREST,
    LINEAR,
    QUADRATIC,
    KNN,
    MLP,
    REALMLP,
)

# what a stored model may be rebuilt from
FITTED_CLASSES: tuple[type, ...] = (
    FittedLightGBM, FittedXGBoost, FittedCatBoost, FittedBaggedTrees, FittedLinear, FittedQuadratic, FittedKNN,
    FittedMLP, FittedRealMLP, LeafTables, LogTarget, Forest,
)


def family(name: str) -> Family:
    """The family called ``name``, here or in an installed package, or the one at ``"package.module:NAME"``.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    if is_reference(name):
        return _users(imported(name, "family"), name)
    for known in FAMILIES:
        if known.name == name:
            return known
    found = installed(plugins.FAMILIES, name)
    if found is not None:
        return _users(found, name)
    names = ", ".join(f.name for f in FAMILIES)
    raise OptionError("family", f"names no model family: {name!r}", f"use one of {names}")


def _users(found: Any, name: str) -> Family:
    """A family from outside this package, whose models may be stored from now on."""
    if not isinstance(found, Family):
        raise OptionError("family", f"{name!r} is no tabwright.models.base.Family", "name one that is")
    for cls in found.fitted:
        register(cls)
    return replace(found, name=name)
