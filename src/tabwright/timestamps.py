"""Dates and times as seconds since 1970 UTC, exact to the microsecond; NumPy and the standard library only.

The formats are read by regular expressions made from strptime's directives: that knows English month names
whatever the machine's locale is, and takes a tenth of strptime's time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import lru_cache

ISO = "iso"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DIRECTIVES = {
    "Y": r"(?P<Y>\d{4})", "y": r"(?P<y>\d{2})", "m": r"(?P<m>\d{1,2})", "d": r"(?P<d>\d{1,2})",
    "H": r"(?P<H>\d{1,2})", "I": r"(?P<H>\d{1,2})", "M": r"(?P<M>\d{2})", "S": r"(?P<S>\d{2})(?:\.(?P<f>\d{1,9}))?",
    "p": r"(?P<p>[aApP])\.?[mM]\.?", "z": r"(?P<z>Z|UTC|GMT|[+-]\d{2}:?\d{2})",
    "b": r"(?P<b>[A-Za-z]{3})[A-Za-z]*\.?", "a": r"[A-Za-z]{3,9}\.?",
}  # fmt: skip
_TIMES = ("", " %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p", " %H:%M:%S %z", "T%H:%M:%S")
_DATES = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%d-%b-%Y",
    "%d %b %Y", "%b %d, %Y", "%b %d %Y", "%Y-%b-%d", "%d-%b-%y", "%a, %d %b %Y", "%a %d %b %Y",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y",
)  # fmt: skip
FORMATS = tuple(d + t for d in _DATES for t in _TIMES)
"""Formats that inference tries, besides ISO 8601."""
COMPACT = {"%Y%m%d": 8, "%Y%m%d%H%M%S": 14}
"""Formats that are plain numbers, with their digits: tried only where the user says that a column holds dates."""


def to_seconds(moment: date) -> float:
    """Seconds since 1970 of a date (midnight) or datetime; without a time zone it is read as UTC."""
    if not isinstance(moment, datetime):
        return (moment.toordinal() - 719_163) * 86_400.0
    delta = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - EPOCH
    return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) / 1e6


def parse_iso(text: str) -> float:
    """Seconds since 1970 of ISO 8601 text; ValueError for other text, and for digits alone, which may be a number."""
    if text[4:5] != "-" and text[8:9] != "T":
        raise ValueError(text)
    return to_seconds(datetime.fromisoformat(text))


@lru_cache(maxsize=512)
def parser(format_: str) -> Callable[[str], float]:
    """The function that reads text of one format (``"iso"`` or strptime's) and raises ValueError for other text."""
    if format_ == ISO:
        return parse_iso
    pattern = _pattern(format_)
    match = pattern.fullmatch
    year, short, name, month, day, hour, minute, second, micro, half, zone = (
        pattern.groupindex.get(field, 0) - 1 for field in "YybmdHMSfpz"
    )

    def parse(text: str) -> float:
        found = match(text)
        if found is None:
            raise ValueError(text)
        part = (*found.groups(), None)  # the last stands for every field that the format lacks
        whole = _day(part[year] or part[short], part[name] or part[month], part[day]) * 86_400
        whole += _clock(part[hour], part[minute], part[second], part[half]) - _offset(part[zone])
        fraction = part[micro]
        return (whole * 1_000_000 + int(fraction.ljust(6, "0")[:6])) / 1e6 if fraction else float(whole)

    return parse


def _pattern(format_: str) -> re.Pattern[str]:
    parts, position = [], 0
    while position < len(format_):
        if format_[position] == "%":
            parts.append(_DIRECTIVES[format_[position + 1]])
            position += 2
        else:
            parts.append(r"\s+" if format_[position] == " " else re.escape(format_[position]))
            position += 1
    return re.compile("".join(parts))


# Columns repeat days and times of day far more than moments, so their parts are remembered.


@lru_cache(maxsize=1 << 16)
def _day(year: str | None, month: str | None, day: str | None) -> int:
    """Days since 1970 from the parts of a date; ValueError if there is no such day."""
    number = int(year or 1970)
    if year is not None and len(year) == 2:
        number += 2000 if number < 69 else 1900  # POSIX's pivot
    name = (month or "1").lower()
    if name.isalpha():
        name = str(_MONTHS.index(name) + 1)  # ValueError for other words
    return date(number, int(name), int(day or 1)).toordinal() - EPOCH.toordinal()


@lru_cache(maxsize=1 << 17)
def _clock(hour: str | None, minute: str | None, second: str | None, half: str | None) -> int:
    """Seconds since midnight; ValueError if there is no such time."""
    hours, minutes, seconds = int(hour or 0), int(minute or 0), int(second or 0)
    if half is not None:
        if not 1 <= hours <= 12:
            raise ValueError(hour)
        hours = hours % 12 + (12 if half in "pP" else 0)
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError(hour, minute, second)
    return hours * 3600 + minutes * 60 + seconds


@lru_cache(maxsize=256)
def _offset(zone: str | None) -> int:
    """Seconds east of UTC."""
    if zone is None or zone[0] not in "+-":
        return 0
    seconds = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
    return -seconds if zone[0] == "-" else seconds
