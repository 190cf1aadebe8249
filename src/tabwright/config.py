"""The options of a run as one validated, frozen record."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tabwright.engine.dask_connect import LOCAL, engine_name
from tabwright.errors import OptionError
from tabwright.features.recipe import encoder
from tabwright.models import family
from tabwright.objectives.limits import SCORE, check_constraints, check_objectives


@dataclass(frozen=True)
class Config:
    """Everything the user can set; see :class:`tabwright.AutoMLRegressor` for the meaning of each."""

    max_runtime_secs: float | None = 300.0
    max_models: int | None = None
    max_runtime_secs_per_model: float | None = None
    max_memory_mib: float | None = None
    max_disk_mib: float | None = None
    sort_metric: str = "auto"
    balance_classes: bool = False
    include_families: Sequence[str] | None = None
    exclude_families: Sequence[str] | None = None
    monotone_constraints: Mapping[str, int] | None = None
    nfolds: int | str = "auto"
    seed: int = 0
    n_jobs: int = -1
    kinds: Mapping[str, str] = field(default_factory=dict)
    objectives: Sequence[str] = (SCORE,)
    constraints: Mapping[str, float] | None = None
    tracking: str | None = None
    warm_start: bool | str = True
    engine: Any = LOCAL  # as text, once this is made
    transformers: Sequence[str] | None = None
    teaches: bool = True  # whether the experience store is told how it ended
    client: Any = field(default=None, init=False, repr=False, compare=False)  # the distributed.Client that it was

    def __post_init__(self) -> None:
        check_positive("max_runtime_secs", self.max_runtime_secs)
        check_positive("max_models", self.max_models)
        check_positive("max_runtime_secs_per_model", self.max_runtime_secs_per_model)
        check_positive("max_memory_mib", self.max_memory_mib)
        check_positive("max_disk_mib", self.max_disk_mib)
        if self.max_runtime_secs is None and self.max_models is None:
            raise OptionError("max_runtime_secs", "and max_models are both None, so the run would never end",
                              "set one of them")
        if self.nfolds != "auto" and not (_is_int(self.nfolds) and (self.nfolds == 1 or 2 <= int(self.nfolds) <= 50)):
            raise OptionError("nfolds", f"is {self.nfolds!r}", "give 'auto', 1 (a hold-out) or 2 to 50")
        if not _is_int(self.seed) or not 0 <= int(self.seed) < 2**31:
            raise OptionError("seed", f"is {self.seed!r}", "give a whole number from 0 to 2147483647")
        if not _is_int(self.n_jobs) or self.n_jobs == 0:
            raise OptionError("n_jobs", f"is {self.n_jobs!r}", "give -1 (all cores) or a positive whole number")
        if not isinstance(self.sort_metric, str):
            raise OptionError("sort_metric", f"is {self.sort_metric!r}", "give a metric's name or 'auto'")
        if not isinstance(self.monotone_constraints or {}, Mapping):
            raise OptionError("monotone_constraints", "is no mapping", "give {'column': 1} or {'column': -1}")
        if isinstance(self.warm_start, os.PathLike):
            object.__setattr__(self, "warm_start", os.fspath(self.warm_start))
        if not isinstance(self.warm_start, (bool, str)):
            raise OptionError("warm_start", f"is {self.warm_start!r}", "give True, False or the folder of a run")
        object.__setattr__(self, "client", None if isinstance(self.engine, str) else self.engine)
        object.__setattr__(self, "engine", engine_name(self.engine))
        object.__setattr__(self, "objectives", check_objectives(self.objectives))
        object.__setattr__(self, "constraints", check_constraints(self.constraints) or None)
        for option in ("include_families", "exclude_families"):
            _known(option, getattr(self, option), family)
        _known("transformers", self.transformers, encoder)
        for name, value in (self.monotone_constraints or {}).items():
            if value not in (-1, 0, 1):
                raise OptionError("monotone_constraints", f"has {value!r} for column {name!r}", "give -1, 0 or 1")

    @property
    def cores(self) -> int:
        """Processors that the run may use."""
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
        return available if self.n_jobs < 0 else min(self.n_jobs, 4 * available)

    @property
    def memory_mib(self) -> float:
        """MiB that the run may take: most of what is free, without a limit."""
        return float(self.max_memory_mib or 0.8 * free_mib())

    @property
    def limits(self) -> dict[str, float]:
        """What the leader's costs may be at most."""
        return check_constraints(self.constraints)

    @property
    def costs(self) -> tuple[str, ...]:
        """Costs that count beside the score: those of the objectives and of the constraints."""
        return tuple(dict.fromkeys([*self.objectives[1:], *self.limits]))

    @property
    def budget_s(self) -> float:
        return math.inf if self.max_runtime_secs is None else float(self.max_runtime_secs)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they are stored."""
        out = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        return {
            k: list(v) if isinstance(v, tuple) else dict(v) if isinstance(v, Mapping) else v for k, v in out.items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """From stored values; unknown keys are left out."""
        known = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in values.items() if k in known})


def _known(option: str, names: Any, find: Callable[[str], Any]) -> None:
    if isinstance(names, str):
        raise OptionError(option, f"is the text {names!r}", f"give a list: [{names!r}]")
    for name in names or ():
        try:
            find(name)
        except OptionError as error:
            raise OptionError(option, error.problem, error.fix) from None


def directions(parts: Sequence[str], option: str) -> dict[str, int]:
    """``monotone_constraints`` of texts like ``age=1``; OptionError where one is none."""
    made = {}
    for text in parts:
        column, equals, direction = text.rpartition("=")
        if not equals or not column.strip() or direction.strip() not in ("1", "-1"):
            raise OptionError(option, f"has {text!r}", "give COLUMN=1 or COLUMN=-1")
        made[column.strip()] = int(direction)
    return made


def _is_int(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def free_mib() -> float:
    """MiB that can still be taken: of the machine, and of a container's own limit where it has one."""
    import psutil

    free = float(psutil.virtual_memory().available)
    for folder, limit, used, kept in CONTROL_GROUPS:
        try:
            given, taken = int(Path(folder, limit).read_text()), int(Path(folder, used).read_text())
            stat = dict(line.split() for line in Path(folder, "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # no such group, or no limit
            continue
        free = min(free, given - taken + int(stat.get(kept, 0)))
    return max(free, 0.0) / 2**20


# of a container: folder, files of its limit and of what is taken, and what of that is a cache of files
CONTROL_GROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def check_positive(name: str, value: Any) -> None:
    """OptionError unless the option is None or a number above 0."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not float(value) > 0:
        raise OptionError(name, f"is {value!r}", "give a number above 0, or None for no limit")
