"""Dates and times as seconds since 1970 UTC, exact to the microsecond; NumPy and the standard library only.

The formats are read by regular expressions made from strptime's directives: that knows English month names
whatever the machine's locale is, and takes a tenth of strptime's time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
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
COMPACT = ("%Y%m%d", "%Y%m%d%H%M%S")
"""Formats that are plain numbers: tried only where the user says that a column holds dates."""


def to_seconds(moment: date) -> float:
    """Seconds since 1970 of a date (midnight) or datetime; without a time zone it is read as UTC."""
    if not isinstance(moment, datetime):
        return (moment.toordinal() - 719_163) * 86_400.0
    delta = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - EPOCH
    return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) / 1e6


def parse_iso(text: str) -> float:
    """Seconds since 1970 of ISO 8601 text with a dash after the year; ValueError for any other text."""
    if text[4:5] != "-":
        raise ValueError(text)
    return to_seconds(datetime.fromisoformat(text))


@lru_cache(maxsize=512)
def parser(format_: str) -> Callable[[str], float]:
    """The function that reads text of one format (``"iso"`` or strptime's) and raises ValueError for other text."""
    if format_ == ISO:
        return parse_iso
    match = _pattern(format_).fullmatch

    def parse(text: str) -> float:
        found = match(text)
        if found is None:
            raise ValueError(text)
        return _seconds(found.groupdict())

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


def _seconds(fields: dict[str, str | None]) -> float:
    year = int(fields.get("Y") or 0)
    if not year:
        short = int(fields.get("y") or 0)
        year = short + (2000 if short < 69 else 1900)  # POSIX's pivot
    name = fields.get("b")
    if name is not None and name.lower() not in _MONTHS:
        raise ValueError(name)
    month = _MONTHS.index(name.lower()) + 1 if name is not None else int(fields.get("m") or 0)
    hour = int(fields.get("H") or 0)
    half = fields.get("p")
    if half is not None:
        if not 1 <= hour <= 12:
            raise ValueError(hour)
        hour = hour % 12 + (12 if half in "pP" else 0)
    micro = int((fields.get("f") or "0").ljust(6, "0")[:6])
    minute, second = int(fields.get("M") or 0), int(fields.get("S") or 0)
    zone = _zone(fields.get("z"))
    return to_seconds(datetime(year, month, int(fields.get("d") or 0), hour, minute, second, micro, tzinfo=zone))


def _zone(text: str | None) -> timezone:
    if text is None or text[0] not in "+-":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)
