"""Search dimensions of hyperparameters: frozen records that the strategies, docs and tests read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabwright.types import Params


@dataclass(frozen=True)
class Real:
    """A real number in [low, high], on a log scale if ``log``."""

    low: float
    high: float
    default: float
    log: bool = False

    def sample(self, rng: np.random.Generator) -> float:
        if self.log:
            return float(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        return float(rng.uniform(self.low, self.high))


@dataclass(frozen=True)
class Integer:
    """A whole number in [low, high], on a log scale if ``log``."""

    low: int
    high: int
    default: int
    log: bool = False

    def sample(self, rng: np.random.Generator) -> int:
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high + 1)))
            return min(int(value), self.high)
        return int(rng.integers(self.low, self.high + 1))


@dataclass(frozen=True)
class Choice:
    """One of ``options``."""

    options: tuple[Any, ...]
    default: Any

    def sample(self, rng: np.random.Generator) -> Any:
        return self.options[int(rng.integers(len(self.options)))]


Dimension = Real | Integer | Choice
Space = Mapping[str, Dimension]


def defaults(space: Space) -> Params:
    """The default value of each dimension."""
    return {name: dimension.default for name, dimension in space.items()}


def sample(space: Space, rng: np.random.Generator) -> Params:
    """One independent uniform draw per dimension."""
    return {name: dimension.sample(rng) for name, dimension in space.items()}


def contains(space: Space, params: Params) -> bool:
    """Whether parameters are exactly those of the space, each within its dimension."""
    return set(params) == set(space) and all(_within(dimension, params[name]) for name, dimension in space.items())


def _within(dimension: Dimension, value: Any) -> bool:
    if isinstance(dimension, Choice):
        return value in dimension.options
    return isinstance(value, (int, float)) and dimension.low <= value <= dimension.high
