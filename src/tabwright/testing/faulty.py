"""Model families that go wrong in real ways, named as ``tabwright.testing.faulty:NAME``."""

from __future__ import annotations

import ctypes
import dataclasses
import time
from typing import Any

import numpy as np

from tabwright.errors import FitError
from tabwright.models.linear import LINEAR


def _segfault(*_arguments: Any) -> Any:
    ctypes.string_at(0)


def _allocate(*_arguments: Any) -> Any:
    kept = []
    while True:
        kept.append(np.ones(4_000_000))
        time.sleep(0.002)


def _sleep(*_arguments: Any) -> Any:
    time.sleep(600)


def _raise(*_arguments: Any) -> Any:
    raise ZeroDivisionError("one over nothing")


def _unfit(*_arguments: Any) -> Any:
    raise FitError("this data can't be fitted")


def _nan(*arguments: Any) -> Any:
    fitted: Any = LINEAR.fit(*arguments)
    fields = {f.name: getattr(fitted, f.name) for f in dataclasses.fields(fitted)}
    return dataclasses.replace(
        fitted, **{k: np.full_like(v, np.nan) for k, v in fields.items() if isinstance(v, np.ndarray)}
    )


def _slow(*arguments: Any) -> Any:
    time.sleep(0.3)
    return LINEAR.fit(*arguments)


def _stall(*arguments: Any) -> Any:
    if arguments[3].seed:  # every fold but the first
        time.sleep(600)
    return LINEAR.fit(*arguments)


def _late(*arguments: Any) -> Any:
    if arguments[3].seed > 1:  # from the third fold on
        time.sleep(600)
    return LINEAR.fit(*arguments)


SEGFAULT, ALLOCATE, SLEEP, RAISE, UNFIT, NAN, SLOW, STALL, LATE = (
    dataclasses.replace(LINEAR, fit=fit, title=name, space={} if name != "SLOW" else LINEAR.space)
    for name, fit in (("SEGFAULT", _segfault), ("ALLOCATE", _allocate), ("SLEEP", _sleep), ("RAISE", _raise),
                      ("UNFIT", _unfit), ("NAN", _nan), ("SLOW", _slow), ("STALL", _stall), ("LATE", _late))
)  # fmt: skip
