"""Distances between what a model was trained on and what it is asked now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabwright.reference import psi, shares
from tabwright.types import Ints

PSI_ALARM = 0.2
MIN_ROWS = 200
"""Fewer rows in a window tell nothing."""


@dataclass(frozen=True)
class Drift:
    """How far a window is from the reference.

    Parameters
    ----------
    psi : float
        Population stability index, in nats, 0 or more; 0.1 is taken for a small shift, 0.2 for a large one.
    js : float
        Jensen-Shannon distance, square root of the divergence in bits, from 0 to 1.
    rows : int
        Rows of the window.
    alarm : bool
    """

    psi: float
    js: float
    rows: int
    alarm: bool


def jensen_shannon(reference: Ints, window: Ints) -> float:
    """Jensen-Shannon distance of two binned samples, base 2.

    References
    ----------
    Lin 1991, doi:10.1109/18.61115.
    """
    p, q = shares(reference), shares(window)
    m = (p + q) / 2
    divergence = ((p * np.log2(p / m)).sum() + (q * np.log2(q / m)).sum()) / 2
    return float(np.sqrt(max(divergence, 0.0)))


def noise(n_bins: int, n_reference: int, n_window: int) -> float:
    """What chance alone keeps the PSI below in 999 of 1000 windows.

    Without drift PSI / (1/n + 1/m) follows a chi-square distribution of n_bins - 1 degrees (Yurdakul and Naranjo);
    its quantile is Wilson and Hilferty's, doi:10.1073/pnas.17.12.684.
    """
    degrees = max(n_bins - 1, 1)
    quantile = degrees * (1 - 2 / (9 * degrees) + 3.0902 * np.sqrt(2 / (9 * degrees))) ** 3
    return float(quantile * (1 / n_reference + 1 / n_window))


def compare(reference: Ints, window: Ints) -> Drift | None:
    """Drift of a window; None with fewer than :data:`MIN_ROWS` rows. The alarm needs a PSI beyond chance, too."""
    reference, window = np.asarray(reference), np.asarray(window)
    n_reference, n_window = int(reference.sum()), int(window.sum())
    if n_window < MIN_ROWS or n_reference == 0:
        return None
    value = psi(reference, window)
    limit = max(PSI_ALARM, noise(len(reference), n_reference, n_window))
    return Drift(value, jensen_shannon(reference, window), n_window, value > limit)
