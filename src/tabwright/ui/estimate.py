"""What a run can be expected to do, before it is started."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tabwright.config import Config
from tabwright.data.infer import infer_schema
from tabwright.data.table import Table
from tabwright.data.target import make_target
from tabwright.errors import OptionError
from tabwright.framing import check_monotone, make_problem, usable_families
from tabwright.inputs import row_columns
from tabwright.search.budget import Budget
from tabwright.search.policy import fold_seconds, folds_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

USUAL_COST = 0.8  # of a fold, times the guess for boosted trees, which is seldom too low
PRUNED = 0.6  # share of the folds that a candidate gets on average, since hopeless ones are stopped


@dataclass(frozen=True)
class Estimate:
    """Rough figures.

    Parameters
    ----------
    task, metric : str
    rows, columns, n_classes : int
        That models learn from.
    folds : int
    first_s : float
        Seconds until the first candidate is complete.
    candidates : int
        That fit into the budget; 0 without a limit of time.
    trivial : float
        Score of a constant prediction: what has to be beaten.
    greater_is_better : bool
    """

    task: str
    metric: str
    rows: int
    columns: int
    n_classes: int
    folds: int
    first_s: float
    candidates: int
    trivial: float
    greater_is_better: bool


def estimate(frame: pd.DataFrame, target: str, task: str, config: Config, kinds: Mapping[str, str],
             columns: Mapping[str, Any] | None = None) -> Estimate:  # fmt: skip
    """Estimate a run; ``task`` is classification or regression, ``columns`` those of weights, groups and times.

    Raises
    ------
    UserError
        For what would stop the run, too.
    """
    if target not in frame.columns:
        raise OptionError("target", f"is {target!r}, which is no column of the table", "choose one that is there")
    named = {k: v for k, v in (columns or {}).items() if v}
    features, rows = row_columns(frame.drop(columns=[target]), named.get("weights_column"), named.get("group_column"),
                                 named.get("time_column"), None)  # fmt: skip
    outcomes = frame[target]
    if rows.weight is not None:  # rows of weight 0 are left out
        counted = rows.weight > 0
        features, outcomes, rows = features[counted], outcomes[counted], rows.take(counted)
    found = make_target(outcomes, target, classification=task == "classification")
    schema = infer_schema(features, None, found.task, {k: v for k, v in kinds.items() if k in features.columns})
    check_monotone(config, schema, found.task)
    n, budget = int(found.keep.sum()), Budget(config.budget_s)
    table = Table(schema, np.empty((n, len(schema.numeric))), ())  # only its size is asked for
    problem = make_problem(table, found, config, rows.take(found.keep), budget, config.cores)
    usable_families(problem, config, table)
    folds = problem.n_folds
    if problem.is_open:  # the run itself looks how long a fold takes
        folds = folds_for(table, found.task, found.n_classes, config.nfolds, config.cores, budget)
    each = USUAL_COST * fold_seconds(n, len(schema.used), found.task, found.n_classes)
    first = each * math.ceil(folds / config.cores)
    count = 0
    if math.isfinite(config.budget_s):
        count = max(1, int(config.budget_s * 0.9 * config.cores / (each * folds * PRUNED)))
    if config.max_models is not None:
        count = config.max_models if not count else min(count, config.max_models)
    better = problem.metric.greater_is_better
    trivial = -problem.trivial_loss() if better else problem.trivial_loss()
    return Estimate(str(found.task), problem.metric.name, n, len(schema.used), found.n_classes, folds, first, count,
                    trivial, better)  # fmt: skip
