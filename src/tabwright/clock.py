"""The time of day for records, on a clock that no one can set back or forward while the process runs."""

from __future__ import annotations

import time

_WALL, _MONOTONIC = time.time(), time.monotonic()


def now() -> float:
    """Seconds since 1970: the wall clock as it stood when the process began, carried on by the monotonic clock."""
    return _WALL + time.monotonic() - _MONOTONIC


def at(monotonic: float) -> float:
    """Seconds since 1970 at a moment of the monotonic clock."""
    return _WALL + monotonic - _MONOTONIC
