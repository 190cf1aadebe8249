"""Parts that users bring: named as ``package.module:NAME``, or installed under an entry point of their own package."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from tabwright import lean
from tabwright.errors import OptionError

FAMILIES, METRICS, TRANSFORMERS = "tabwright.families", "tabwright.metrics", "tabwright.transformers"
"""Entry point groups."""


def is_reference(name: str) -> bool:
    """Whether a name says where the part is imported from."""
    return ":" in name


def imported(reference: str, option: str) -> Any:
    """What ``package.module:NAME`` points at.

    Raises
    ------
    OptionError
        If it can't be imported.
    """
    lean.forget()
    module, _, attribute = reference.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        problem = f"{reference!r} can't be imported: {error}"
        raise OptionError(option, problem, "name an importable module:NAME") from error


def installed(group: str, name: str) -> Any:
    """The part that an installed package offers under a name; None where none does."""
    for point in entry_points(group=group, name=name):
        lean.forget()
        return point.load()
    return None
