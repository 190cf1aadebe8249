"""What a metric is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tabwright.types import Array, Floats, Task

Score = Callable[[Array, Floats, Floats | None], float]
EPS = 2.0**-24  # predictions may have passed through float32, where 1 - 1e-15 is 1


class Needs(StrEnum):
    """What a metric reads."""

    VALUES = "values"  # regression predictions, (n_rows,)
    PROBA = "proba"  # probabilities, (n_rows, n_classes)
    LABELS = "labels"  # class codes, (n_rows,)


@dataclass(frozen=True)
class Metric:
    """One metric's facts. ``score(y, prediction, weight)`` returns the figure as users know it.

    ``y`` is float64 (n_rows,) in the target's unit, or int64 class codes; ``weight`` (n_rows,) or None.
    """

    name: str
    title: str
    tasks: frozenset[Task]
    needs: Needs
    greater_is_better: bool
    score: Score
    unit: str
    aliases: tuple[str, ...] = ()
    quantile: float | None = None  # which predictions it is best for: families fit that one instead of the mean
    nearest: float | None = None  # the same, for families that can; means of others are near enough

    def loss(self, y: Array, prediction: Floats, weight: Floats | None = None) -> float:
        """The score as something to make small."""
        value = self.score(y, prediction, weight)
        return -value if self.greater_is_better else value

    def better(self, a: float, b: float) -> bool:
        """Whether score ``a`` is better than score ``b``."""
        return a > b if self.greater_is_better else a < b


REGRESSION = frozenset({Task.REGRESSION})
BINARY = frozenset({Task.BINARY})
CLASSIFICATION = frozenset({Task.BINARY, Task.MULTICLASS})
