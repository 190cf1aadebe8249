"""How many folds a table and a budget allow."""

from __future__ import annotations

from tabwright.data.table import Table
from tabwright.search.budget import Budget
from tabwright.types import Task

# One fold of a boosted-trees default on one core: seconds per million cells (rows x columns), as measured on
# tables of 1,000 to 300,000 rows.
SECONDS_PER_MILLION_CELLS = 6.0
CLASS_FACTOR = 0.5  # each further class grows its own trees
SHARE_OF_BUDGET = 0.35  # that the first candidate may take


def folds_for(table: Table, task: Task, n_classes: int, wanted: int | str, cores: int, budget: Budget) -> int:
    """5 or 3 folds, or 1 (a hold-out) where cross-validating one candidate would eat the budget."""
    if wanted != "auto":
        return int(wanted)
    cells = table.n_rows * max(1, len(table.schema.used)) / 1e6
    factor = 1.0 + CLASS_FACTOR * max(0, n_classes - 2) if task is Task.MULTICLASS else 1.0
    fold_s = 0.1 + SECONDS_PER_MILLION_CELLS * cells * factor
    allowed = SHARE_OF_BUDGET * budget.left() / fold_s * cores
    return 5 if allowed >= 5 else 3 if allowed >= 3 else 1
