"""The configurations that are tried first: each family's default, then variants that err differently."""

from __future__ import annotations

from collections.abc import Sequence

from tabwright.models import family
from tabwright.models.base import Family
from tabwright.pipeline import Candidate
from tabwright.space import defaults
from tabwright.types import Params, Task

# Order matters: under a small budget only the first few are reached. What differs most comes early.
ORDER: tuple[str, ...] = (
    "lightgbm", "catboost", "xgboost", "mlp", "extra_trees", "linear", "random_forest", "knn",
)  # fmt: skip


def families_for(task: Task, include: Sequence[str] | None, exclude: Sequence[str] | None) -> tuple[Family, ...]:
    """Families that fit the task, in portfolio order; OptionError for a name that is not known."""
    names = ORDER if include is None else tuple(family(n).name for n in include)
    banned = {family(n).name for n in exclude or ()}
    return tuple(f for n in names if n not in banned and task in (f := family(n)).tasks)


def portfolio(families: Sequence[Family], seed: int) -> list[Candidate]:
    """The first candidates, in order."""
    out = [Candidate(f"{f.name}_1", f.name, defaults(f.space), seed, "default") for f in families]
    known = {f.name: f for f in families}
    for name, changes in VARIANTS:
        if name in known:
            space = known[name].space
            params = defaults(space) | {k: v for k, v in changes.items() if k in space}
            number = 1 + sum(c.family == name for c in out)
            out.append(Candidate(f"{name}_{number}", name, params, seed, "portfolio"))
    return out


VARIANTS: tuple[tuple[str, Params], ...] = ()
