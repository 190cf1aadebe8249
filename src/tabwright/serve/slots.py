"""Time in slots, twelve to a window, so that a window can move on without recounting."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

SLOTS_PER_WINDOW = 12
KEPT_WINDOWS = 24
LATENCY_EDGES_S = np.array([0.00025 * 1.3**k for k in range(48)])
"""Upper ends of latency bins, seconds: 0.25 ms to 57 s, each 30 % above the last."""


@dataclass(frozen=True)
class Slots:
    """Slots of a window of some seconds."""

    window_s: int

    @property
    def slot_s(self) -> float:
        return self.window_s / SLOTS_PER_WINDOW

    def now(self) -> int:
        return int(time.time() / self.slot_s)

    def since(self) -> int:
        """First slot of the current window."""
        return self.now() - SLOTS_PER_WINDOW + 1

    def oldest(self) -> int:
        """First slot that is kept."""
        return self.now() - KEPT_WINDOWS * SLOTS_PER_WINDOW
