"""Fewer rows to judge by, where all of them would take longer and tell no more."""

from __future__ import annotations

import numpy as np

from tabwright.types import Array, Floats, Ints


def subsample(y: Array, most: int, weight: Floats | None = None, seed: int = 0) -> tuple[Ints, Floats | None]:
    """About ``most`` rows, drawn at random but for rare classes, which are kept whole; and their weights.

    Ten of a million rows tell what a model makes of a rare class, and a uniform draw would hold none of them. A class
    is rare if ``most`` rows, shared out evenly among the classes, would hold two of each of its rows. The others' rows
    weigh more in turn, so that weighted means stay what they are.

    Parameters
    ----------
    y : shape (n_rows,)
        Class codes (of an integer type), or target values, of which none are rare.
    most : int
    weight : float64, shape (n_rows,), optional
    seed : int

    Returns
    -------
    rows : int64, shape (n_drawn,)
        Ascending; all rows where there are no more than ``most``.
    weight : float64, shape (n_drawn,), or None
        None where all rows count the same.
    """
    n = len(y)
    if n <= most:
        return np.arange(n), weight
    kept = np.zeros(n, bool)
    if y.dtype.kind in "iu":
        counts = np.bincount(y)
        kept = (2 * counts * np.count_nonzero(counts) <= most)[y]
    rest = np.flatnonzero(~kept)
    drawn = np.random.default_rng(seed).choice(rest, most - int(kept.sum()), replace=False)
    rows: Ints = np.sort(np.concatenate([np.flatnonzero(kept), drawn]))
    own = None if weight is None else weight[rows]
    if kept.any():
        own = np.where(kept[rows], 1.0, len(rest) / len(drawn)) * (1.0 if own is None else own)
    return rows, own
