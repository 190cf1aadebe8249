"""Reference histograms of the training table, stored in the exported file so that drift shows in production.

JSON under the key ``reference`` of the file's metadata: ``rows``, the rows counted; ``columns``, one histogram per
used column; ``prediction``, the histogram of out-of-fold predictions (the value, P(second class), or the class).
A histogram is ``{"edges": [...], "counts": [...]}`` for numbers: bin k holds values above edge k - 1 up to edge k,
the last but one those above all edges, the last the missing ones; or ``{"values": [...], "counts": [...]}`` for
categories: one bin each, then all others, then missing. Texts are counted by their length in characters
(``"of": "length"``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tabwright.schema import Schema
from tabwright.types import Floats, Ints, Kind, Strings

MAX_BINS = 10
MAX_CATEGORIES = 20
MAX_COLUMNS = 256
"""Columns beyond these, in the schema's order, have no histogram: the file must stay small."""


@dataclass(frozen=True)
class Histogram:
    """Bins and how many training rows fell into each.

    Parameters
    ----------
    counts : tuple of int
    edges : tuple of float
        Upper ends of a numeric column's bins, ascending; empty for categories.
    values : tuple of str
        Categories with a bin of their own; empty for numbers.
    of_length : bool
        Whether strings are counted by their length.
    """

    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    of_length: bool = False

    @property
    def n_bins(self) -> int:
        return len(self.counts)

    @cached_property
    def _edges(self) -> Floats:
        return np.array(self.edges, np.float64)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {"": len(self.values) + 1} | {value: k for k, value in enumerate(self.values)}

    def count(self, values: Any) -> Ints:
        """Rows per bin of a canonical column (float64 or str, shape (n_rows,)), int64 (n_bins,)."""
        counts: Ints
        if self.values:
            counts, other = np.zeros(self.n_bins, np.int64), len(self.values)
            # distinct values first: counting them is the interpreter's fastest loop
            for value, n in (values if isinstance(values, Counter) else Counter(values)).items():
                counts[self._position.get(value, other)] += n
            return counts
        if self.of_length:
            values = np.fromiter(map(len, values), np.float64, len(values))
            values[values == 0] = np.nan
        found = np.searchsorted(self._edges, values, side="left")
        found[np.isnan(values)] = self.n_bins - 1
        counts = np.bincount(found, minlength=self.n_bins)
        return counts

    def to_json(self) -> dict[str, Any]:
        if self.values:
            return {"values": list(self.values), "counts": list(self.counts)}
        return {"edges": list(self.edges), "counts": list(self.counts)} | ({"of": "length"} if self.of_length else {})

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Histogram:
        return cls(
            tuple(record["counts"]), tuple(record.get("edges", ())), tuple(record.get("values", ())),
            record.get("of") == "length",
        )  # fmt: skip


def shares(counts: Ints) -> Floats:
    """Shares of bins, with half a row added to each so that empty ones have a logarithm."""
    smooth = np.asarray(counts, np.float64) + 0.5
    return np.asarray(smooth / smooth.sum())


def psi(reference: Ints, window: Ints) -> float:
    """Population stability index: the symmetric Kullback-Leibler divergence of two binned samples.

    References
    ----------
    Yurdakul and Naranjo 2020, doi:10.21314/JRMV.2020.227.
    """
    p, q = shares(reference), shares(window)
    return float(((q - p) * np.log(q / p)).sum())


def of_numbers(values: Floats) -> Histogram:
    """Bins of equal counts where the values allow it; values (n_rows,) with NaN for missing."""
    present = values[~np.isnan(values)]
    edges: tuple[float, ...] = ()
    if len(present):
        shares = np.arange(1, MAX_BINS) / MAX_BINS
        # edges are values that occur, so that ties stay in one bin; nine digits keep the file small
        quantiles = np.quantile(present, shares, method="inverted_cdf")
        edges = tuple(sorted({float(f"{q:.9g}") for q in quantiles}))
    return _counted(Histogram((0,) * (len(edges) + 2), edges), values)


def of_lengths(texts: Sequence[str] | Strings) -> Histogram:
    """Bins of texts by length in characters."""
    plain = of_numbers(np.array([len(t) or np.nan for t in texts], np.float64))
    return Histogram(plain.counts, plain.edges, of_length=True)


def of_categories(values: Sequence[str] | Strings, vocabulary: Sequence[str]) -> Histogram:
    """One bin for each of the vocabulary's first values; they are the most frequent ones."""
    kept = tuple(vocabulary[:MAX_CATEGORIES])
    return _counted(Histogram((0,) * (len(kept) + 2), (), kept), values)


def _counted(empty: Histogram, values: Any) -> Histogram:
    counts = empty.count(values)
    return Histogram(tuple(int(c) for c in counts), empty.edges, empty.values, empty.of_length)


def build(schema: Schema, numbers: Floats, strings: Sequence[Strings], prediction: Floats | None) -> dict[str, Any]:
    """The metadata's ``reference`` entry.

    Parameters
    ----------
    schema : Schema
    numbers : float64, shape (n_rows, P)
    strings : sequence of object arrays of str, each (n_rows,)
    prediction : float64 or None
        Out-of-fold predictions: (n, 1) values or P(second class), or (n, n_classes).
    """
    kept = dict.fromkeys(c.name for c in schema.used[:MAX_COLUMNS])
    found: dict[str, Histogram] = {
        c.name: of_numbers(numbers[:, j]) for j, c in enumerate(schema.numeric) if c.name in kept
    }
    for column, values in zip(schema.strings, strings, strict=True):
        if column.name in kept:
            is_text = column.kind is Kind.TEXT or not column.values
            found[column.name] = of_lengths(values) if is_text else of_categories(values, column.values)
    entry: dict[str, Any] = {"rows": len(numbers), "columns": {name: found[name].to_json() for name in kept}}
    if prediction is not None:
        entry["prediction"] = of_prediction(prediction, schema.classes).to_json()
    return entry


def of_prediction(prediction: Floats, classes: Sequence[Any] | None) -> Histogram:
    """Histogram of predictions: (n, 1) values or P(second class), or (n, n_classes), counted by class."""
    if prediction.shape[1] == 1:
        return of_numbers(prediction[:, 0])
    names = [str(c) for c in classes or ()]
    codes = prediction.argmax(axis=1)
    times = np.bincount(codes, minlength=len(names))
    order = [names[k] for k in np.argsort(-times, kind="stable") if times[k]]
    return of_categories([names[k] for k in codes], order)
