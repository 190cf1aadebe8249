"""What a column of strings holds: numbers, truth values, dates, categories, text or row identifiers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tabwright.coerce import AFFIXES, NUMBER_STYLES, Parse, number_reader, text_parser
from tabwright.data.table import StringColumn
from tabwright.schema import MAX_VALUES, Column
from tabwright.timestamps import COMPACT, FORMATS, ISO, parser
from tabwright.types import Floats, Ints, Kind

MIN_SHARE = 0.95
"""Share of the non-missing rows that must read as numbers or dates."""
MAX_ODD_WORDS = 20
"""Most distinct words among the rest: they become missing values, and so should be few."""
_SAMPLE_LEVELS = 400
_WORD_PAIRS = ({"false", "true"}, {"no", "yes"}, {"n", "y"}, {"f", "t"})
_DIGITS = re.compile(r"[0-9]")
_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class Levels:
    """Distinct non-missing strings of a column with their counts."""

    texts: tuple[str, ...]
    counts: Ints
    n_rows: int

    @property
    def n_present(self) -> int:
        return int(self.counts.sum())

    @property
    def unique_share(self) -> float:
        return len(self.texts) / max(self.n_present, 1)

    @classmethod
    def of(cls, column: StringColumn) -> Levels:
        counts = column.counts()
        keep = [k for k, text in enumerate(column.levels) if text and counts[k]]
        return cls(tuple(column.levels[keep]), counts[keep], len(column.index))

    def sample(self, size: int = _SAMPLE_LEVELS) -> Levels:
        """Evenly spaced distinct strings, enough to rule a reading out."""
        if len(self.texts) <= size:
            return self
        rows = np.linspace(0, len(self.texts) - 1, size).astype(int)
        return Levels(tuple(self.texts[r] for r in rows), self.counts[rows], self.n_rows)


@dataclass(frozen=True)
class Reading:
    """The outcome of reading all distinct strings one way: values (NaN for missing) and the words that did not fit."""

    values: Floats
    odd: tuple[str, ...]
    share: float  # of the non-missing rows

    @property
    def accepted(self) -> bool:
        return self.share >= MIN_SHARE and len(self.odd) <= MAX_ODD_WORDS and bool(np.isfinite(self.values).any())


def read(levels: Levels, parse: Parse) -> Reading:
    """Read every distinct string."""
    parse = text_parser(parse)
    values = np.full(len(levels.texts), np.nan)
    odd = []
    for k, text in enumerate(levels.texts):
        try:
            values[k] = parse(text)
        except (ValueError, OverflowError):
            odd.append(k)
    bad = int(levels.counts[odd].sum()) if odd else 0
    known = int(levels.counts[np.isfinite(values)].sum())
    return Reading(values, tuple(levels.texts[k] for k in odd), known / max(known + bad, 1))


def as_number(column: Column, levels: Levels) -> Column | None:
    """The column as numbers: plain, with grouped digits, with currency or percent signs; None if it holds none."""
    texts = levels.sample()
    if not any(map(_DIGITS.search, texts.texts[:50])):
        return None
    affixes = "".join(sorted(sign for sign in AFFIXES if any(sign in text for text in texts.texts)))
    for style in (None, *NUMBER_STYLES):
        parse = number_reader(style, affixes)
        if read(texts, parse).share < 0.8:  # the sample may be unlucky, the verdict is on all
            continue
        full = read(levels, parse)
        if full.accepted:
            return _numeric(column, full, style, affixes)
    return None


def _numeric(column: Column, reading: Reading, style: str | None, affixes: str) -> Column:
    finite = reading.values[np.isfinite(reading.values)]
    whole = bool((finite == np.round(finite)).all())
    how = [f"such as {style}"] if style else []
    how += [f"with {affixes}"] if affixes else []
    written = f" written {' '.join(how)}" if how else ""
    return replace(
        column, kind=Kind.INTEGER if whole else Kind.NUMERIC, number_style=style, number_affixes=affixes,
        missing_values=reading.odd, minimum=float(finite.min()), maximum=float(finite.max()),
        example=float(finite[0]),
        reason=f"strings that hold {'whole ' if whole else ''}numbers{written}{_odd(reading)}",
    )  # fmt: skip


def _odd(reading: Reading) -> str:
    if not reading.odd:
        return ""
    shown = ", ".join(repr(w) for w in reading.odd[:3]) + (", ..." if len(reading.odd) > 3 else "")
    return f"; {shown} count{'s' if len(reading.odd) == 1 else ''} as missing"


def as_date(column: Column, levels: Levels, *, forced: bool = False) -> Column | None:
    """The column as dates in the one format that reads all of it; None if there is none.

    Where day and month could be either way round in every row, the order that is usual with the separator is
    taken (month first with slashes, else day first), and the reason says so.
    """
    texts, few = levels.sample(), levels.sample(25)
    if not any(map(_DIGITS.search, texts.texts[:50])):
        return None
    candidates: list[tuple[str, Reading]] = []
    for format_ in (ISO, *FORMATS, *(COMPACT if forced else ())):
        if read(few, parser(format_)).share < 0.5 or read(texts, parser(format_)).share < 0.8:
            continue
        full = read(levels, parser(format_))
        if full.accepted or (forced and full.share > 0.5 and len(full.odd) <= MAX_ODD_WORDS):
            candidates.append((format_, full))
            if format_ == ISO and full.share == 1.0:
                break
    if not candidates:
        return None
    best = max(reading.share for _, reading in candidates)
    candidates = [c for c in candidates if c[1].share == best]
    format_, reading = candidates[0]
    note = ""
    if len(candidates) > 1:
        month_first = [c for c in candidates if c[0].startswith("%m/")]
        format_, reading = month_first[0] if month_first else candidates[0]
        note = f" (the order of day and month can't be told from the data: {format_} is assumed)"
    finite = reading.values[np.isfinite(reading.values)]
    shown = "ISO 8601" if format_ == ISO else format_
    return replace(
        column, kind=Kind.DATETIME, datetime_format=format_, missing_values=reading.odd, minimum=float(finite.min()),
        maximum=float(finite.max()), example=levels.texts[0],
        reason=f"strings that hold dates, {shown}{note}{_odd(reading)}",
    )  # fmt: skip


def as_boolean(column: Column, levels: Levels) -> Column | None:
    """The column as truth values, if all its words are one pair such as yes and no."""
    if len(levels.texts) > 6 or {text.lower() for text in levels.texts} not in _WORD_PAIRS:
        return None
    words = sorted(levels.texts, key=str.lower)  # in each pair the word for false comes first
    return replace(
        column, kind=Kind.BOOLEAN, values=(words[0], words[-1]), minimum=0.0, maximum=1.0, example=levels.texts[0],
        reason=f"only the words {words[0]!r} and {words[-1]!r}",
    )  # fmt: skip


def as_category(column: Column, levels: Levels, reason: str) -> Column:
    """The column as categories, its vocabulary by falling frequency."""
    order = np.lexsort((np.arange(len(levels.texts)), -levels.counts))[:MAX_VALUES]
    values = tuple(levels.texts[k] for k in order)
    return replace(column, kind=Kind.CATEGORICAL, values=values, example=values[0] if values else None, reason=reason)


def as_text(column: Column, levels: Levels, reason: str) -> Column:
    """The column as free text."""
    return replace(column, kind=Kind.TEXT, example=levels.texts[0][:200] if levels.texts else None, reason=reason)


def words_per_value(texts: Sequence[str]) -> float:
    """Mean number of blank-separated words."""
    return float(np.mean([text.count(" ") + 1 for text in texts])) if texts else 0.0


def infer_strings(column: Column, levels: Levels) -> Column:
    """The kind of a column of strings that has at least two distinct values."""
    found = as_boolean(column, levels) or as_number(column, levels) or as_date(column, levels)
    if found is not None:
        return found
    n_levels, share = len(levels.texts), levels.unique_share
    sample = levels.sample().texts
    words = words_per_value(sample)
    about = f"{n_levels:,} distinct values of {words:.1f} words"
    long = (words >= 3 and share >= 0.3) or (words >= 5 and (share >= 0.05 or n_levels >= 1000))
    if n_levels >= 50 and (long or (words >= 1.5 and share >= 0.9)):
        return as_text(column, levels, f"free text: {about}")
    if n_levels >= 20 and words < 1.5 and share >= 0.99:
        uuid = " (UUIDs)" if all(map(_UUID.fullmatch, sample)) else ""
        return replace(
            column, kind=Kind.IDENTIFIER, used=False, example=levels.texts[0],
            reason=f"a different word in {'every row' if share == 1 else 'nearly every row'}{uuid}: it names rows",
        )  # fmt: skip
    return as_category(column, levels, f"{n_levels:,} distinct strings")
