"""Parameters of other systems: what each becomes here, settled in one place."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tabwright.errors import OptionError

CAP = "TABWRIGHT_COMPAT_MAX_RUNTIME_SECS"
"""Environment variable that bounds every budget, for trying long scripts out."""


class How(StrEnum):
    """What becomes of a parameter."""

    USED = "used"
    IGNORED = "no meaning here"
    REFUSED = "refused"


@dataclass(frozen=True)
class Option:
    """A parameter of another system: its default there, what becomes of it, and what it is here (or why not)."""

    default: Any
    how: How
    note: str


def used(default: Any, note: str) -> Option:
    return Option(default, How.USED, note)


def ignored(default: Any, note: str) -> Option:
    return Option(default, How.IGNORED, note)


def refused(default: Any, note: str) -> Option:
    return Option(default, How.REFUSED, note)


def settle(
    system: str, options: Mapping[str, Option], given: Mapping[str, Any], positional: Sequence[Any] = ()
) -> dict[str, Any]:
    """Every parameter's value; one warning names all that were given and have no meaning here.

    Raises
    ------
    OptionError
        For a parameter that is not known, or whose acceptance would mislead.
    """
    names = list(options)
    if len(positional) > len(names):
        raise OptionError(system, f"takes at most {len(names)} parameters", "pass them by name")
    values = dict(zip(names, positional, strict=False)) | dict(given)
    unknown = [name for name in values if name not in options]
    if unknown:
        raise OptionError(unknown[0], f"is no parameter of {system}", "leave it out")
    changed = {n: v for n, v in values.items() if not _same(v, options[n].default)}
    for name in changed:
        if options[name].how is How.REFUSED:
            raise OptionError(name, f"of {system} can't be honoured: {options[name].note}", "leave it out")
    idle = [name for name in changed if options[name].how is How.IGNORED]
    if idle:
        told = "; ".join(f"{name} ({options[name].note})" for name in idle)
        warnings.warn(f"{system}: accepted without effect: {told}", UserWarning, stacklevel=4)
    return {name: values.get(name, option.default) for name, option in options.items()}


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and bool(value == default))


def budget(seconds: float | None) -> float | None:
    """A budget in seconds, bounded by the environment variable ``TABWRIGHT_COMPAT_MAX_RUNTIME_SECS``."""
    cap = os.environ.get(CAP)
    if not cap:
        return seconds
    return float(cap) if seconds is None else min(seconds, float(cap))


def table(options: Mapping[str, Option]) -> str:
    """The parameters as a Markdown table."""
    rows = [f"| `{name}` | {o.how} | {o.note} |" for name, o in options.items()]
    return "\n".join(["| parameter | | here |", "|---|---|---|", *rows])
