"""The configurations that are tried first: each family's default, then variants that err differently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tabwright.errors import MissingExtraError
from tabwright.models import family
from tabwright.models.base import Family
from tabwright.pipeline import FEATURES, FULL, LOGARITHM, PLAIN, TARGET, Candidate
from tabwright.space import defaults
from tabwright.types import Params, Task

# Order matters: under a small budget only the first few are reached. The linear model costs next to nothing and
# fills the time until the first boosted model is through, whose residuals tell which interactions to add. Forests
# and neighbours come late: measured over nine tables they add little to an ensemble of the others, and they are the
# largest and slowest to score. RealMLP is left out: in a minute on two cores it changed one leader of four, by 0.1 %.
ORDER: tuple[str, ...] = (
    "lightgbm", "linear", "catboost", "xgboost", "mlp", "extra_trees", "random_forest", "knn",
)  # fmt: skip
# With many classes boosting grows as many trees a round, and a network costs what it always does.
MANY_CLASSES = 8
MANY_CLASSES_ORDER: tuple[str, ...] = (
    "mlp", "lightgbm", "linear", "xgboost", "catboost", "extra_trees", "knn", "random_forest",
)  # fmt: skip
LATE = ("extra_trees", "random_forest", "knn")
BOOSTED = ("lightgbm", "xgboost", "catboost")


def families_for(
    task: Task, include: Sequence[str] | None, exclude: Sequence[str] | None, n_classes: int = 2,
    quantile: float | None = None,
) -> tuple[Family, ...]:
    """Families that fit the task, or its quantile, in portfolio order.

    Raises
    ------
    OptionError
        For a name that is not known.
    MissingExtraError
        For a family that is asked for and whose extra is not installed.
    """
    banned = {family(n).name for n in exclude or ()}
    usual = MANY_CLASSES_ORDER if n_classes >= MANY_CLASSES else ORDER
    named = [family(n) for n in (usual if include is None else include)]
    chosen = [f for f in named if f.name not in banned]
    for f in chosen:
        if f.extra is not None and not f.extra.installed:
            raise MissingExtraError(f"{f.extra.title}, which trains the family {f.name!r},", f.extra.name)
    return tuple(f for f in chosen if task in f.tasks and (f.quantile or quantile is None))


def portfolio(families: Sequence[Family], seed: int, *, logarithms: bool = False) -> list[Candidate]:
    """The first candidates, in order.

    The second of the family of :func:`reference` is its default again, with interactions: the pair tells what these
    are worth. With ``logarithms``, a third one learns the target's logarithm, to the same end.
    """
    out = [Candidate(model_id(f.name, 1), f.name, defaults(f.space), seed, "default") for f in families]
    first = reference(out)
    if first is not None:
        twin = replace(first, model_id=model_id(first.family, 2), params=first.params | {FEATURES: FULL},
                       origin="portfolio")  # fmt: skip
        out.insert(min(out.index(first) + 2, len(out)), twin)
        if logarithms:
            other = replace(twin, model_id=model_id(first.family, 3),
                            params=first.params | {FEATURES: PLAIN, TARGET: LOGARITHM})  # fmt: skip
            out.insert(out.index(twin) + 1, other)
    known = {f.name: f for f in families}
    for name, changes in VARIANTS:
        if name in known:
            space = known[name].space
            params = defaults(space) | {k: v for k, v in changes.items() if k in space}
            number = 1 + sum(c.family == name for c in out)
            out.append(Candidate(model_id(name, number), name, params, seed, "portfolio"))
    n_variants = len(out) - len(families) - (first is not None) * (1 + logarithms)
    early = [c for c in out if c.family not in LATE]
    return (
        early[: len(early) - n_variants + 3]
        + [c for c in out if c.family in LATE]
        + early[len(early) - n_variants + 3 :]
    )


def reference(candidates: Sequence[Candidate]) -> Candidate | None:
    """The first boosted candidate, from whose residuals interactions are screened."""
    return next((c for c in candidates if c.family in BOOSTED), None)


def model_id(name: str, number: int) -> str:
    """Name of a family's candidate; of a family given as "package.module:NAME", the last part is used."""
    return f"{name.rpartition(':')[2].lower()}_{number}"


# Variants differ from their default in the directions in which boosted trees and networks differ most: depth,
# randomness, regularisation. Values lie inside the ranges of published portfolios (Salinas & Erickson 2024,
# arXiv:2311.02971; Holzmüller et al. 2024, arXiv:2407.04491).
VARIANTS: tuple[tuple[str, Params], ...] = (
    (
        "xgboost",
        {"max_depth": 5, "learning_rate": 0.05, "colsample_bynode": 0.5, "subsample": 0.7, "min_child_weight": 8.0},
    ),
    (
        "lightgbm",
        {"num_leaves": 16, "learning_rate": 0.04, "feature_fraction": 0.5, "lambda_l2": 10.0, "min_data_in_leaf": 60},
    ),
    ("catboost", {"depth": 8, "learning_rate": 0.06, "l2_leaf_reg": 5.0, "random_strength": 1.0, "rsm": 0.7}),
    ("lightgbm", {"extra_trees": True, "num_leaves": 128, "feature_fraction": 0.7, "min_data_in_leaf": 5}),
    ("mlp", {"width": 256, "depth": 3, "dropout": 0.25, "learning_rate": 1e-3}),
    (
        "xgboost",
        {"max_depth": 9, "learning_rate": 0.04, "colsample_bynode": 0.6, "subsample": 0.8, "min_child_weight": 1.0},
    ),
    ("catboost", {"depth": 5, "learning_rate": 0.08, "l2_leaf_reg": 10.0}),
    ("mlp", {"width": 384, "depth": 2, "dropout": 0.1, "learning_rate": 3e-3, "epochs": 30}),
)
