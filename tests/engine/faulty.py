"""Model families that go wrong in real ways, named by tests as "faulty:NAME"."""

import ctypes
import dataclasses
import time

import numpy as np

from tabwright.errors import FitError
from tabwright.models.linear import LINEAR


def _segfault(train, valid, params, context):
    ctypes.string_at(0)


def _allocate(train, valid, params, context):
    kept = []
    while True:
        kept.append(np.ones(4_000_000))
        time.sleep(0.002)


def _sleep(train, valid, params, context):
    time.sleep(600)


def _raise(train, valid, params, context):
    raise ZeroDivisionError("one over nothing")


def _unfit(train, valid, params, context):
    raise FitError("this data can't be fitted")


def _nan(train, valid, params, context):
    fitted = LINEAR.fit(train, valid, params, context)
    fields = {f.name: getattr(fitted, f.name) for f in dataclasses.fields(fitted)}
    return dataclasses.replace(
        fitted, **{k: np.full_like(v, np.nan) for k, v in fields.items() if isinstance(v, np.ndarray)}
    )


def _slow(train, valid, params, context):
    time.sleep(0.3)
    return LINEAR.fit(train, valid, params, context)


SEGFAULT, ALLOCATE, SLEEP, RAISE, UNFIT, NAN, SLOW = (
    dataclasses.replace(LINEAR, fit=fit, title=name, space={} if name != "SLOW" else LINEAR.space)
    for name, fit in (("SEGFAULT", _segfault), ("ALLOCATE", _allocate), ("SLEEP", _sleep), ("RAISE", _raise),
                      ("UNFIT", _unfit), ("NAN", _nan), ("SLOW", _slow))
)  # fmt: skip
