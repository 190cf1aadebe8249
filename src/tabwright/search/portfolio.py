"""The configurations that are tried first: each family's default, then what a measured portfolio holds."""

from __future__ import annotations

from collections.abc import Sequence

from tabwright.errors import MissingExtraError, OptionError
from tabwright.models import family
from tabwright.models.base import Family
from tabwright.pipeline import FEATURES, FULL, PLAIN, Candidate
from tabwright.space import contains, defaults
from tabwright.types import Params, Task

# Order matters: under a small budget only the first few are reached. The linear models cost next to nothing and
# fill the time until the first boosted model is through, whose residuals tell which interactions to add. XGBoost comes
# before CatBoost, which takes several times as long on large tables: nycflights_delay at 60 s RMSE 35.64 instead of
# 36.05, at 30 s 35.98 instead of 36.32, protein_homology at 30 s AUC .9940 instead of .9927, five tables at 8 or 12 s
# the same. Forests and neighbours come late: measured over nine tables they add little to an ensemble of the others,
# and they are the largest and slowest to score. RealMLP is left out: in a minute on two cores it changed one leader
# of four, by 0.1 %.
ORDER: tuple[str, ...] = (
    "lightgbm", "linear", "quadratic", "xgboost", "catboost", "mlp", "extra_trees", "random_forest", "knn",
)  # fmt: skip
# CatBoost's way with categories is what it is good at, so where they are few a network comes before it: bike_sharing
# at 30 s RMSE 31.37 instead of 31.93, california_housing .3723 instead of .3732, four more the same within .1 %;
# mpls_stops, mostly categories, has AUC .7739 that way instead of .7765.
FEW_CATEGORIES = 1 / 3  # of the columns
NUMERIC_ORDER: tuple[str, ...] = (
    "lightgbm", "linear", "quadratic", "xgboost", "mlp", "catboost", "extra_trees", "random_forest", "knn",
)  # fmt: skip
# With many classes boosting grows as many trees a round, and a network costs what it always does.
MANY_CLASSES = 8
MANY_CLASSES_ORDER: tuple[str, ...] = (
    "mlp", "lightgbm", "linear", "xgboost", "catboost", "quadratic", "extra_trees", "knn", "random_forest",
)  # fmt: skip
LATE = ("extra_trees", "random_forest", "knn")
TWIN_AFTER = 5  # candidates before the one that tells what interactions are worth, where what was learned goes first
MEASURED_ROWS = 5000  # twice what the tables had that the portfolio was measured on
BOOSTED = ("lightgbm", "xgboost", "catboost")


def families_for(
    task: Task, include: Sequence[str] | None, exclude: Sequence[str] | None, n_classes: int = 2,
    quantile: float | None = None, share_categorical: float = 1.0,
) -> tuple[Family, ...]:
    """Families that fit the task, or its quantile, in portfolio order; this depends on how many columns are categories.

    Raises
    ------
    OptionError
        For a name that is not known, or two families whose candidates would have the same names.
    MissingExtraError
        For a family that is asked for and whose extra is not installed.
    """
    banned = {family(n).name for n in exclude or ()}
    usual = MANY_CLASSES_ORDER if n_classes >= MANY_CLASSES else (
        NUMERIC_ORDER if share_categorical < FEW_CATEGORIES else ORDER)  # fmt: skip
    named = [family(n) for n in (usual if include is None else include)]
    chosen = list({f.name: f for f in named if f.name not in banned}.values())
    called: dict[str, str] = {}
    for f in chosen:
        other = called.setdefault(model_id(f.name, 1), f.name)
        if other != f.name:
            raise OptionError("include_families", f"names {other!r} and {f.name!r}, whose candidates would have the "
                              "same names", "give one of the two variables another name")  # fmt: skip
    for f in chosen:
        if f.extra is not None and not f.extra.installed:
            raise MissingExtraError(f"{f.extra.title}, which trains the family {f.name!r},", f.extra.name)
    return tuple(f for f in chosen if task in f.tasks and (f.quantile or quantile is None))


def portfolio(
    families: Sequence[Family], seed: int, learned: Sequence[tuple[str, Params]] = (), *,
    choices: Sequence[Params] = (), defaults_first: bool = True,
) -> list[Candidate]:  # fmt: skip
    """The first candidates: the families' defaults and what was ``learned``, see :mod:`tabwright.meta.portfolio`.

    Without ``defaults_first`` only the default of :func:`reference` comes before what was learned. Some
    candidates are that default but for one thing, and tell what this is worth: one sees interactions, the others make
    one of ``choices`` each.
    """
    known = {f.name: f for f in families}
    usual = {f.name: _default(f, seed) for f in families}
    first = reference(list(usual.values()))
    n_first = 1 + list(usual).index(first.family) if first else 0
    if defaults_first:
        n_first = len(usual) - sum(n in LATE for n in usual)
    out = [usual.pop(n) for n in list(usual)[:n_first]]
    counts = dict.fromkeys(known, 1)
    twins = []
    if first is not None:
        made: list[Params] = [{FEATURES: FULL}, *({FEATURES: PLAIN} | choice for choice in choices)]
        twins = [_variant(first.family, first.params | choice, seed, counts) for choice in made]
    for name, params in learned:
        if name in usual and params == usual[name].params:
            out.append(usual.pop(name))
        elif name in known and params != defaults(known[name].space) and contains(known[name].space, params):
            out.append(_variant(name, params, seed, counts))
    out += [usual.pop(n) for n in list(usual) if n not in LATE] + list(usual.values())
    at = min(out.index(first) + 2, n_first) if first else 0
    for k, twin in enumerate(twins[1:]):
        out.insert(min(at + k, len(out)), twin)
    for twin in twins[:1]:  # of interactions, for which the reference's residuals are screened
        out.insert(min(at if defaults_first else TWIN_AFTER, len(out)), twin)
    return out


def like_measured(n_rows: int, n_classes: int) -> bool:
    """Whether a table is of the kind that the portfolio was measured on.

    On larger ones, where the time goes into the first few candidates, one of each family is the safer start: whole runs
    were no better with the portfolio first (docs/metalearning.md).
    """
    return n_rows <= MEASURED_ROWS and n_classes < MANY_CLASSES


def _default(kind: Family, seed: int) -> Candidate:
    return Candidate(model_id(kind.name, 1), kind.name, defaults(kind.space), seed, "default")


def _variant(name: str, params: Params, seed: int, counts: dict[str, int]) -> Candidate:
    counts[name] += 1
    return Candidate(model_id(name, counts[name]), name, params, seed, "portfolio")


def reference(candidates: Sequence[Candidate]) -> Candidate | None:
    """The first boosted candidate, from whose residuals interactions are screened."""
    return next((c for c in candidates if c.family in BOOSTED), None)


def model_id(name: str, number: int) -> str:
    """Name of a family's candidate; of a family given as "package.module:NAME", the last part is used."""
    return f"{name.rpartition(':')[2].lower()}_{number}"
