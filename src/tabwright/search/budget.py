"""The time budget: one clock for everything that happens between ``fit`` and its return."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field


@dataclass
class Budget:
    """Seconds since ``started`` on the monotonic clock, so that a clock that is set changes nothing.

    ``reserve_s`` is what assembling, exporting and measuring the leader is expected to take; the search ends
    that much before the budget does.
    """

    total_s: float  # may be infinite
    started: float = field(default_factory=time.monotonic)
    reserve_s: float = 0.2

    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def left(self) -> float:
        """Seconds until the budget ends."""
        return self.total_s - self.elapsed()

    def left_for_search(self) -> float:
        return self.left() - self.reserve_s

    @property
    def bounded(self) -> bool:
        return math.isfinite(self.total_s)
