"""The options of a run as one validated, frozen record."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tabwright.engine.dask_connect import LOCAL, engine_name
from tabwright.errors import OptionError
from tabwright.features.recipe import encoder
from tabwright.models import family
from tabwright.objectives.limits import SCORE, check_constraints, check_objectives

BUDGET = ("max_runtime_secs", "max_models", "max_runtime_secs_per_model", "max_memory_mib", "max_disk_mib")
SCALARS = (*BUDGET, "sort_metric", "balance_classes", "nfolds", "seed", "n_jobs", "warm_start")


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
        for option in SCALARS:
            object.__setattr__(self, option, plain(getattr(self, option)))
        self._check_budget()
        if self.nfolds != "auto" and not (_is_int(self.nfolds) and (self.nfolds == 1 or 2 <= int(self.nfolds) <= 50)):
            raise OptionError("nfolds", f"is {self.nfolds!r}", "give 'auto', 1 (a hold-out) or 2 to 50")
        if not _is_int(self.seed) or not 0 <= int(self.seed) < 2**31:
            raise OptionError("seed", f"is {self.seed!r}", "give a whole number from 0 to 2147483647")
        if not _is_int(self.n_jobs) or self.n_jobs == 0:
            raise OptionError("n_jobs", f"is {self.n_jobs!r}", "give a number of cores, -1 for all, -2 for all but one")
        if not isinstance(self.sort_metric, str):
            raise OptionError("sort_metric", f"is {self.sort_metric!r}", "give a metric's name or 'auto'")
        if not isinstance(self.balance_classes, bool):
            raise OptionError("balance_classes", f"is {self.balance_classes!r}", "give True or False")
        if isinstance(self.warm_start, os.PathLike):
            object.__setattr__(self, "warm_start", os.fspath(self.warm_start))
        if not isinstance(self.warm_start, (bool, str)):
            raise OptionError("warm_start", f"is {self.warm_start!r}", "give True, False or the folder of a run")
        object.__setattr__(self, "client", None if isinstance(self.engine, str) else self.engine)
        object.__setattr__(self, "engine", engine_name(self.engine))
        object.__setattr__(self, "objectives", check_objectives(self.objectives))
        object.__setattr__(self, "constraints", check_constraints(self.constraints) or None)
        for option, find in (("include_families", family), ("exclude_families", family), ("transformers", encoder)):
            object.__setattr__(self, option, _known(option, getattr(self, option), find))
        object.__setattr__(self, "kinds", by_column("kinds", self.kinds, "numeric") or {})
        monotone = by_column("monotone_constraints", self.monotone_constraints, 1)
        object.__setattr__(self, "monotone_constraints", monotone)
        for name, value in (monotone or {}).items():
            if value not in (-1, 0, 1):
                raise OptionError("monotone_constraints", f"has {value!r} for column {name!r}", "give -1, 0 or 1")

    def _check_budget(self) -> None:
        for option in BUDGET:
            check_positive(option, getattr(self, option))
        if self.max_models is not None:
            if self.max_models % 1:  # NaN, which is true, for infinity
                raise OptionError("max_models", f"is {self.max_models!r}", "give a whole number above 0, or None")
            object.__setattr__(self, "max_models", int(self.max_models))
        if self.max_runtime_secs is None and self.max_models is None:
            raise OptionError("max_runtime_secs", "and max_models are both None, so the run would never end",
                              "set one of them")

    @property
    def cores(self) -> int:
        """Processors that the run may use."""
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
        return max(1, available + 1 + self.n_jobs) if self.n_jobs < 0 else min(self.n_jobs, 4 * available)

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


def plain(value: Any) -> Any:
    """A value as one of Python's own types, which can be stored, where it is NumPy's or pandas' and means the same."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def column_name(option: str, given: Any) -> str | None:
    """The name of a column as tables have it once they are read: always text.

    Raises
    ------
    OptionError
        Where a list or another container is given.
    """
    given = plain(given)
    if given is None or isinstance(given, str):
        return given
    if not isinstance(given, Hashable):
        raise OptionError(option, f"is the {type(given).__name__} {given!r}", "give the name of one column")
    return "_".join(part for part in map(str, given) if part) if isinstance(given, tuple) else str(given)


def by_column(option: str, given: Any, example: Any) -> dict[str, Any] | None:
    """A mapping of columns with names and values as they can be stored; OptionError where it is none."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise OptionError(option, "is no mapping", f"give one such as {{'column': {example!r}}}")
    return {str(column_name(option, name)): plain(value) for name, value in given.items()}


def _known(option: str, names: Any, find: Callable[[str], Any]) -> list[str] | None:
    names = plain(names)
    if names is None:
        return None
    if isinstance(names, str):
        raise OptionError(option, f"is the text {names!r}", f"give a list: [{names!r}]")
    if not isinstance(names, Iterable) or isinstance(names, (Mapping, Iterator)):
        raise OptionError(option, f"is {names!r}", "give a list of names")
    found = [plain(name) for name in (sorted(names, key=str) if isinstance(names, AbstractSet) else names)]
    for name in found:
        if not isinstance(name, str):
            raise OptionError(option, f"has {name!r}", "give names, as text")
        try:
            find(name)
        except OptionError as error:
            raise OptionError(option, error.problem, error.fix) from None
    return found


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


def check_path(name: str, value: Any) -> None:
    """OptionError unless the option is a path, of a file or a folder."""
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        raise OptionError(name, f"is {value!r}", "give a path")
