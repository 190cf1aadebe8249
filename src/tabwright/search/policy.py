"""How many folds a table and a budget allow."""

from __future__ import annotations

from tabwright.data.table import Table
from tabwright.search.budget import Budget
from tabwright.types import Task

# One fold of the LightGBM default on one core, seconds: fitted by eye to be seldom too low on tables of 900 to
# 50,000 rows, 6 to 60 columns and 2 to 26 classes (0.06 to 11 s).
SECONDS_PER_FOLD, SECONDS_PER_1000_ROWS = 0.15, 0.12
CLASS_FACTOR = 0.15  # each further class grows its own trees
SHARE_OF_BUDGET = 0.45  # that the first candidate may take, by a guess that is seldom too low and often twice too high
MEASURED_SHARE = 0.2  # the same by what was measured: all other families take as long or longer
LEAST_GUESS = 0.5  # folds that this allows, below which a hold-out is certain
# Ten folds of a small table: each model sees more of the little there is, and more of them are averaged. With 20 s,
# three splits of three tables of 850 to 1,300 rows gained 0.7 % of what a search gains over a constant, six of nine
# got better; a table of 856 columns, where ten folds take a tenth of that time, lost.
FEW_ROWS, MANY_FOLDS, SHARE_OF_MANY = 2000, 10, 0.1
SHARE_OF_HOLDOUT = 0.6  # of what is left, that a hold-out fit may take before rows are left out
MIN_ROWS = 5000


def folds_for(
    table: Table, task: Task, n_classes: int, wanted: int | str, cores: int, budget: Budget, *, in_time: bool = False
) -> int:
    """5 folds, 10 of a small table, or 3 or 1 (a hold-out) where cross-validation would eat the budget.

    In an order of time more folds are no larger ones, but begin with less.
    """
    if wanted != "auto":
        return int(wanted)
    fold_s = fold_seconds(table.n_rows, len(table.schema.used), task, n_classes)
    affordable = budget.left() / fold_s * cores
    if table.n_rows < FEW_ROWS and not in_time and SHARE_OF_MANY * affordable >= MANY_FOLDS:
        return MANY_FOLDS
    return _folds(SHARE_OF_BUDGET * affordable)


def is_open(table: Table, task: Task, n_classes: int, cores: int, budget: Budget) -> bool:
    """Whether a fold should be measured before it is said how many there are: the guess says a hold-out.

    Where rows of a class are rare, or the target is easy, boosting ends ten times as early as the guess has it.
    """
    fold_s = fold_seconds(table.n_rows, len(table.schema.used), task, n_classes)
    return LEAST_GUESS <= SHARE_OF_BUDGET * budget.left() / fold_s * cores < 3


def measured_folds(left_s: float, fold_s: float, workers: int) -> int:
    """5, 3 or 1, by the seconds that a fold has taken."""
    return _folds(MEASURED_SHARE * left_s / fold_s * workers)


def _folds(allowed: float) -> int:
    return 5 if allowed >= 5 else 3 if allowed >= 3 else 1


def holdout_share(n_rows: int) -> float:
    """Share of the rows that a hold-out keeps back: a fifth of a small table, 15,000 to 50,000 rows of a large one."""
    return min(0.2, max(0.05, 15_000 / n_rows), 50_000 / n_rows)


def fold_seconds(n_rows: int, n_columns: int, task: Task, n_classes: int) -> float:
    """A guess, before anything is measured, of what one fold of a boosted-trees default takes on one core."""
    classes = 1.0 + CLASS_FACTOR * max(0, n_classes - 2) if task is Task.MULTICLASS else 1.0
    width = 0.5 + min(n_columns, 200) / 20.0
    return SECONDS_PER_FOLD + SECONDS_PER_1000_ROWS * n_rows / 1000.0 * width * classes


def training_rows(table: Table, task: Task, n_classes: int, n_folds: int, budget: Budget) -> int:
    """Rows that a fold may train on: all, or fewer where a single hold-out fit could not end within the budget."""
    if n_folds > 1 or not budget.bounded:
        return table.n_rows
    per_row = (fold_seconds(table.n_rows, len(table.schema.used), task, n_classes) - SECONDS_PER_FOLD) / table.n_rows
    allowed = SHARE_OF_HOLDOUT * budget.left() / per_row
    # boosting that the deadline cuts short learns more from many rows than a complete fit from a tenth of them
    return min(table.n_rows, max(MIN_ROWS, int(4 * allowed)))
