"""Names of columns: always distinct, non-empty strings; and addresses as they may be shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_UNNAMED = re.compile(r"Unnamed: ?\d+(_level_\d+)?|__index_level_\d+__")
_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*:)[^/\s@]+(?=@)|(?<=[?&;])(password=)[^&;\s]+", re.IGNORECASE)


def masked(text: str) -> str:
    """A text whose addresses show ``***`` in place of passwords."""
    return _PASSWORD.sub(lambda m: f"{m[1] or m[2]}***", text)


def clean_names(names: Iterable[Any]) -> tuple[list[str], list[str]]:
    """Distinct string names, and a sentence on each name that had to change.

    Names that are not strings are spelled as strings, empty ones become ``column_3`` (by position from 1) and
    the second column of a name becomes ``name.2``.
    """
    clean: list[str] = []
    notes: list[str] = []
    originals = [_spell(name) for name in names]
    taken = {name for name in originals if name}
    count: dict[str, int] = {}  # of each name that was seen, from where to look for its next column's number
    for position, name in enumerate(originals, 1):
        final = name
        if not name:
            final = _free(f"column_{position}", taken)
            notes.append(f"Column {position} has no name and is called {final!r}.")
        elif name in count:
            while f"{name}.{count[name]}" in taken:
                count[name] += 1
            final = f"{name}.{count[name]}"
            notes.append(f"Column {position} has the same name as another, {name!r}, and is called {final!r}.")
        else:
            count[name] = 2
        taken.add(final)
        clean.append(final)
    return clean, notes


def _spell(name: Any) -> str:
    if name is None or name != name:  # noqa: PLR0124  (NaN)
        return ""
    if isinstance(name, tuple):
        return "_".join(part for part in map(_spell, name) if part)
    text = str(name)
    return "" if not text.strip() or _UNNAMED.fullmatch(text) else text


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name
