"""What a progress display is told of a running search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Snapshot:
    """What a progress display needs."""

    elapsed_s: float
    left_s: float
    leader: str
    score: float
    metric: str
    running: tuple[tuple[str, int], ...]  # (model_id, fold)
    n_finished: int
    n_failed: int
    phase: str = "search"


Observer = Callable[[Snapshot], None]
