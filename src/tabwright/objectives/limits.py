"""What a run may be asked to weigh beside the score, and the limits that its leader must keep."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence

from tabwright.errors import OptionError
from tabwright.objectives.custom import is_custom, spelled

SCORE = "score"
COSTS: dict[str, str] = {
    "latency_us": "median time for one row, µs, one thread",
    "latency_p99_us": "99th percentile of the time for one row, µs, one thread",
    "size_mib": "size of the exported file, MiB",
    "memory_mib": "resident memory that the loaded file takes, MiB",
    "train_cpu_s": "processor time that its members took to train, seconds",
}
"""Costs of a model and what they are; each is measured, and less is better."""
MARGIN = {"latency_us": 0.95, "latency_p99_us": 0.9, "memory_mib": 0.9}
"""Share of a limit that a measured value may reach, where it differs from one measurement to the next."""


def check_objectives(objectives: Sequence[str]) -> tuple[str, ...]:
    """The objectives as a tuple.

    Raises
    ------
    OptionError
        Unless they are "score" and then different costs.
    """
    known = (f"give ('score',), or 'score' followed by some of {', '.join(COSTS)}, demographic_parity:COLUMN, "
             "equalised_odds:COLUMN, package.module:function")  # fmt: skip
    given = objectives.tolist() if hasattr(objectives, "tolist") else objectives  # NumPy's arrays, pandas' indexes
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise OptionError("objectives", f"is {given!r}", known)
    wanted = tuple(spelled(name, "objectives") for name in given)
    if not wanted or wanted[0] != SCORE:
        raise OptionError("objectives", f"is {wanted!r}", known)
    for k, name in enumerate(wanted[1:], 1):
        if name in wanted[:k]:
            raise OptionError("objectives", f"holds {name!r} twice", "name each once")
        if not isinstance(name, str) or (name not in COSTS and not is_custom(name)):
            raise OptionError("objectives", f"holds {name!r}, which is no cost that is measured", known)
    return wanted


def check_constraints(constraints: Mapping[str, float] | None) -> dict[str, float]:
    """The limits as plain numbers.

    Raises
    ------
    OptionError
        Unless they map costs to numbers above 0.
    """
    if constraints is None:
        return {}
    if not isinstance(constraints, Mapping):
        raise OptionError("constraints", f"is {constraints!r}", "give a mapping like {'latency_us': 200}")
    limits = {}
    for key, value in constraints.items():
        name = spelled(key, "constraints")
        if not isinstance(name, str) or (name not in COSTS and not is_custom(name)):
            raise OptionError("constraints", f"names {name!r}, which is no cost that is measured",
                              f"name one of {', '.join(COSTS)}")  # fmt: skip
        plain = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not plain or not float(value) > 0 or math.isinf(value):
            raise OptionError("constraints", f"has {value!r} for {name!r}", "give a number above 0")
        limits[name] = float(value)
    return limits


def excess(costs: Mapping[str, float], limits: Mapping[str, float], *, margin: bool) -> float:
    """How far the worst cost is beyond its limit, as a share of it; 0 or less where all are kept.

    With ``margin``, costs must keep off their limits by as much as measurements differ.
    """
    shares = [
        costs.get(name, math.inf) / (limit * (MARGIN.get(name, 1.0) if margin else 1.0)) - 1.0
        for name, limit in limits.items()
    ]
    return max(shares, default=0.0)


def told(limits: Mapping[str, float]) -> str:
    """Limits as words: "latency_us <= 200 and size_mib <= 5"."""
    return " and ".join(f"{name} <= {value:g}" for name, value in limits.items())
