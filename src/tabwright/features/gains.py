"""How much of residuals something explains beyond what chance would: groups by bins, crosses by out-of-fold means."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tabwright.features.target_mean import INNER_FOLDS, SMOOTHING
from tabwright.types import Floats, Ints

N_BINS = 32
NO_SPREAD = 1e-12
ALIKE = 0.97


class Evidence(Protocol):
    """Something known of each row, that residuals (n_rows, n_residuals), each of variance 1, may depend on."""

    def gains(self, residual: Floats) -> Floats:
        """How much of each residual's sum of squares is explained in excess of chance, (n_residuals,)."""

    def explained(self, residual: Floats) -> Floats:
        """What is explained of each row's residuals, (n_rows, n_residuals)."""


@dataclass(frozen=True)
class Bins:
    """Groups of rows that stand for themselves: the gain is chi-square in excess of its mean."""

    code: Ints  # (n_rows,)
    n_bins: int

    def gains(self, residual: Floats) -> Floats:
        count = np.bincount(self.code, minlength=self.n_bins)
        sums, rows = self._sums(residual), np.maximum(count, 1)
        return np.asarray((sums**2 / rows[:, None]).sum(axis=0) - int((count > 0).sum()))

    def explained(self, residual: Floats) -> Floats:
        rows = np.maximum(np.bincount(self.code, minlength=self.n_bins), 1)
        return np.asarray((self._sums(residual) / rows[:, None])[self.code])

    @property
    def shape(self) -> Floats:
        """Centred and of length 1: the product of two shapes is how alike their bins are."""
        centred = self.code - self.code.mean()
        return np.asarray(centred / (np.sqrt((centred**2).sum()) or 1.0))

    def _sums(self, residual: Floats) -> Floats:
        return np.stack([np.bincount(self.code, weights=r, minlength=self.n_bins) for r in residual.T], axis=1)


@dataclass(frozen=True)
class Means:
    """Out-of-fold means by groups too many to stand for themselves: the gain is that of a rising line through them.

    It is below 0 where the line falls, for then the means mislead. By bins, such means would seem to tell of pure
    noise: they are made of what they are judged by, other rows of it though.
    """

    means: Floats  # (n_rows, n_residuals)

    def gains(self, residual: Floats) -> Floats:
        along = (self.means * residual).sum(axis=0)
        return np.asarray(np.abs(along) * along / self._spread)

    def explained(self, residual: Floats) -> Floats:
        slope = (self.means * residual).sum(axis=0) / self._spread
        return np.asarray(self.means * np.maximum(slope, 0.0))

    @property
    def _spread(self) -> Floats:
        return np.asarray(np.maximum((self.means**2).sum(axis=0), NO_SPREAD))


def bins_of(values: Floats) -> Bins:
    """Quantile bins, missing values in one of their own; of several outputs, of the one that varies most."""
    x = values[:, int(np.argmax(np.nan_to_num(np.nanstd(values, axis=0))))] if values.shape[1] > 1 else values[:, 0]
    missing = np.isnan(x)
    known = x[~missing]
    if not len(known):
        return Bins(np.zeros(len(x), np.int64), 1)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, N_BINS + 1)[1:-1]))
    code = np.searchsorted(edges, x)
    code[missing] = len(edges) + 1
    return Bins(code, len(edges) + 2)


def means_of(group: Ints, columns: Floats, inner: Ints) -> Floats:
    """Each column's mean by group from the other ``inner`` folds, drawn towards 0, the mean of all.

    float64 (n_rows, n_columns); ``inner`` (n_rows,) is below :data:`INNER_FOLDS`.
    """
    seen, position = np.unique(group, return_inverse=True)
    cell = position * INNER_FOLDS + inner
    n_cells = len(seen) * INNER_FOLDS

    def others(weights: Floats | None) -> Floats:
        inside = np.bincount(cell, weights, minlength=n_cells)
        return np.asarray(np.bincount(position, weights, minlength=len(seen))[position] - inside[cell])

    rows = others(None) + SMOOTHING
    return np.stack([others(column) / rows for column in columns.T], axis=1)


def freed(means: Floats, others: Sequence[Floats]) -> Floats:
    """Means less what a line through ``others`` tells of them, column by column; all (n_rows, n_residuals)."""
    out = np.empty_like(means)
    for k in range(means.shape[1]):
        A = np.column_stack([np.ones(len(means)), *(o[:, k] for o in others)])
        out[:, k] = means[:, k] - A @ np.linalg.lstsq(A.T @ A, A.T @ means[:, k], rcond=None)[0]
    return out


def pursue(
    candidates: Sequence[Evidence], residual: Floats, least: float, most: int, until: float = math.inf
) -> list[int]:
    """Which of the candidates to take: what gains most, then what gains most of what that leaves, and so on.

    Places that are left go to bins by what they gain alone: trees split better with a choice of near copies, while
    means cost more than a second one tells.

    Parameters
    ----------
    candidates : sequence of Evidence
    residual : float64, shape (n_rows, n_residuals)
    least : float
        Mean gain that is not worth a choice.
    most : int
        Choices.
    until : float
        Monotonic time after which what was chosen is all.

    References
    ----------
    Mallat & Zhang 1993, "Matching pursuits with time-frequency dictionaries", doi:10.1109/78.258082.
    """
    chosen: list[int] = []
    alone = {k: float(np.mean(c.gains(residual))) for k, c in enumerate(candidates)}
    gains = alone
    while len(chosen) < most and time.monotonic() < until:
        gains = {k: g for k, g in gains.items() if g > least}
        if not gains:
            break
        best = max(gains, key=lambda k: gains[k])
        chosen.append(best)
        residual = residual - candidates[best].explained(residual)
        gains = {k: float(np.mean(candidates[k].gains(residual))) for k in gains if k != best}
    ranked = sorted((k for k, g in alone.items() if g > least and k not in chosen), key=lambda k: -alone[k])
    shapes = [c.shape for k in chosen if isinstance(c := candidates[k], Bins)]
    for k in ranked:
        candidate = candidates[k]
        if len(chosen) < most and isinstance(candidate, Bins):
            shape = candidate.shape
            if all(abs(float(shape @ other)) < ALIKE for other in shapes):
                chosen.append(k)
                shapes.append(shape)
    return chosen
