"""Limits and choices of a search, as an estimator hands them on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SearchOptions:
    """Limits of the search; see the estimators' parameters of the same names."""

    max_models: int | None = None
    max_runtime_secs_per_model: float | None = None
    repeatable: bool = False  # decide nothing by the clock or by which worker is faster
    max_disk_mib: float | None = None
    interactions: bool = True  # whether features may combine columns
    costs: tuple[str, ...] = ()  # of a model, that count beside its score
    limits: Mapping[str, float] = field(default_factory=dict)  # of such costs, for what is delivered
    stop: Callable[[], bool] = lambda: False  # whether the user has asked to end
