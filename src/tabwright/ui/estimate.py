"""What a run can be expected to do, before it is started."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tabwright.config import Config
from tabwright.data.infer import infer_schema
from tabwright.data.table import Table
from tabwright.data.target import make_target
from tabwright.errors import OptionError
from tabwright.metrics import find_metric, tuned_score
from tabwright.search.budget import Budget
from tabwright.search.policy import fold_seconds, folds_for
from tabwright.types import Task

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


def estimate(frame: pd.DataFrame, target: str, task: str, config: Config, kinds: Mapping[str, str]) -> Estimate:
    """Estimate a run; ``task`` is classification or regression.

    Raises
    ------
    UserError
        For what would stop the run, too.
    """
    if target not in frame.columns:
        raise OptionError("target", f"is {target!r}, which is no column of the table", "choose one that is there")
    found = make_target(frame[target], target, classification=task == "classification")
    kept = {k: v for k, v in kinds.items() if k != target and k in frame.columns}
    schema = infer_schema(frame.drop(columns=[target]), None, found.task, kept)
    metric = find_metric(config.sort_metric, found.task)
    n = int(found.keep.sum())
    numbers = np.empty((n, len(schema.numeric)))
    table = Table(schema, numbers, ())  # only its size is asked for
    folds = folds_for(table, found.task, found.n_classes, config.nfolds, config.cores, Budget(config.budget_s))
    each = USUAL_COST * fold_seconds(n, len(schema.used), found.task, found.n_classes)
    first = each * math.ceil(folds / config.cores)
    count = 0
    if math.isfinite(config.budget_s):
        count = max(1, int(config.budget_s * 0.9 * config.cores / (each * folds * PRUNED)))
    if config.max_models is not None:
        count = config.max_models if not count else min(count, config.max_models)
    if found.task is Task.REGRESSION:
        constant = np.full((n, 1), found.mean)
    else:
        shares = np.bincount(found.y) / n
        constant = np.tile(shares[1:] if len(shares) == 2 else shares, (n, 1))
    trivial = tuned_score(metric, found.y, constant)
    return Estimate(str(found.task), metric.name, n, len(schema.used), found.n_classes, folds, first, count, trivial,
                    metric.greater_is_better)  # fmt: skip
