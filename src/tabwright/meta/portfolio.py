"""The shipped portfolio: configurations that were measured to add most to an ensemble, for each kind of task.

``benchmarks/portfolio.py`` measures and builds it; ``portfolio.json`` tells what it was made of.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from tabwright.meta.features import distance
from tabwright.types import Params, Task

NEAR = 0.7  # distance at which a task counts e^-1/2 as much as one that is the same
FLOOR = 0.5  # what every task counts beside that, however far


@dataclass(frozen=True)
class Entry:
    """One configuration, and what trying it brings.

    Parameters
    ----------
    family : str
    params : dict
    cost : float
        Processor seconds relative to those of LightGBM's default, a constant for what is beside the fit among them.
    gains : dict
        By task, what it added there to the ensemble of those before it, as a share of what could be reached.
    """

    family: str
    params: Params
    cost: float
    gains: Mapping[str, float]


@dataclass(frozen=True)
class Portfolio:
    """Entries in order, and the meta-features of the tasks that they were measured on."""

    entries: Sequence[Entry]
    tasks: Mapping[str, Mapping[str, float]]

    def ranked(self, facts: Mapping[str, float]) -> list[Entry]:
        """Entries by what they added per cost, tasks like this one counting most."""
        weights = {n: FLOOR + math.exp(-0.5 * (distance(facts, f) / NEAR) ** 2) for n, f in self.tasks.items()}
        return sorted(self.entries, key=lambda e: -sum(weights[n] * g for n, g in e.gains.items()) / e.cost)

    def to_json(self) -> dict[str, Any]:
        entries = [{"family": e.family, "params": e.params, "cost": e.cost, "gains": e.gains} for e in self.entries]
        return {"entries": entries, "tasks": self.tasks}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Portfolio:
        return cls([Entry(**e) for e in data["entries"]], data["tasks"])


@functools.cache
def shipped(task: Task) -> Portfolio:
    """The portfolio for a kind of task."""
    told = json.loads((files("tabwright.meta") / "portfolio.json").read_text("utf-8"))
    return Portfolio.from_json(told["portfolios"][str(task)])
