"""Which interactions of columns are worth a feature: those that tell what a first model has left unexplained."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from tabwright.codec import write_atomic
from tabwright.data.table import Table
from tabwright.features import arithmetic, cross_mean, deviation
from tabwright.features.base import TargetInfo
from tabwright.features.keys import find_keys, key_names
from tabwright.types import Array, Floats, Ints, Kind

MAX_ROWS = 50_000
MAX_NUMBERS, MAX_GROUPS = 12, 9  # columns of each sort that are paired
MAX_CHOSEN = 12
N_BINS = 32
LEAST_GAIN = 20.0  # in excess of what chance gives, in units of the residual's variance: about 2.5 deviations
OVER_PROBES = 1.0  # times what the best of the candidates tells of a shuffled residual; the twin has the last word
ALIKE = 0.97


@dataclass(frozen=True)
class Interactions:
    """Options for the encoders of the same names; all may be empty."""

    arithmetic: tuple[arithmetic.Pair, ...] = ()
    deviation: tuple[deviation.Pair, ...] = ()
    cross_mean: tuple[cross_mean.Pair, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.arithmetic or self.deviation or self.cross_mean)

    def to_json(self) -> dict[str, list[list[str]]]:
        return {f.name: [list(pair) for pair in getattr(self, f.name)] for f in fields(self)}

    @classmethod
    def from_json(cls, stored: dict[str, list[list[str]]]) -> Interactions:
        return cls(**{name: tuple(tuple(pair) for pair in pairs) for name, pairs in stored.items()})  # type: ignore[arg-type]

    def save(self, path: Path) -> None:
        """Write a run's interactions, at once or not at all."""
        write_atomic(path, json.dumps(self.to_json()).encode("ascii"))

    @classmethod
    def load(cls, path: Path) -> Interactions | None:
        """What a screen has found; None if there was none."""
        return cls.from_json(json.loads(path.read_text("ascii"))) if path.exists() else None


def screen(table: Table, target: TargetInfo, residual: Floats, seconds: float) -> Interactions:
    """Choose interactions.

    Each candidate is cut into bins; its gain is how much of the residual's variance the bins explain beyond what
    chance would. Kept are the best that gain more than any candidate does on a shuffled residual, no two alike.

    Parameters
    ----------
    table : Table
        Rows with an out-of-fold prediction.
    target : TargetInfo
        Of the same rows.
    residual : float64, shape (n_rows, n_targets)
        Target minus out-of-fold prediction, as in ``target.as_columns()``.
    seconds : float
        Time after which no further candidate is looked at.

    References
    ----------
    Screening by residuals: Zhang et al. 2023, arXiv:2211.12507; noise probes: Stoppiglia et al. 2003,
    doi:10.1162/153244303322753733.
    """
    until = time.monotonic() + seconds
    rng = np.random.default_rng(target.seed)
    if table.n_rows > MAX_ROWS:
        rows = np.sort(rng.choice(table.n_rows, MAX_ROWS, replace=False))
        weight = None if target.weight is None else target.weight[rows]
        table, residual = table.take(rows), residual[rows]
        target = TargetInfo(target.task, target.n_classes, target.y[rows], weight, target.seed)
    numbers, groups = _columns_worth_pairing(table, target)
    residual = _standard(residual, target.weight)
    probes = _Gains(np.concatenate([residual, residual[rng.permutation(len(residual))]], axis=1))
    names: list[tuple[str, tuple[str, ...]]] = []
    codes: list[Ints] = []
    gains: list[tuple[float, float]] = []
    for sort, pair, values in _candidates(table, target, numbers, groups):
        if time.monotonic() > until:
            break
        code, n_bins = _bins(values)
        gain = probes.of(code, n_bins)
        names.append((sort, pair))
        codes.append(code)
        gains.append(gain)
    if not gains:
        return Interactions()
    least = max(LEAST_GAIN, OVER_PROBES * max(shuffled for _, shuffled in gains))
    order = [k for k in np.argsort([-g for g, _ in gains]) if gains[k][0] > least]
    chosen = [names[k] for k in _unlike(order, codes)[:MAX_CHOSEN]]
    return Interactions(**{f.name: tuple(p for sort, p in chosen if sort == f.name) for f in fields(Interactions)})  # type: ignore[arg-type]


def _candidates(table: Table, target: TargetInfo, numbers: list[str], groups: list[str]):  # type: ignore[no-untyped-def]
    """Encoder's name, pair and values (n_rows, n_outputs), one candidate after the other."""
    for number_pair in arithmetic.all_pairs(numbers):
        made = arithmetic.fit(table, pairs=(number_pair,))
        assert made is not None
        yield "arithmetic", number_pair, made.apply(table)
    for pair in deviation.all_pairs(numbers, groups):
        deviated = deviation.fit(table, pairs=(pair,))
        assert deviated is not None
        yield "deviation", pair, deviated.apply(table)
    for groups_pair in cross_mean.all_pairs(groups):
        crossed = cross_mean.fit(table, target, pairs=(groups_pair,))
        if crossed is not None:
            yield "cross_mean", groups_pair, crossed[1]


def _columns_worth_pairing(table: Table, target: TargetInfo) -> tuple[list[str], list[str]]:
    """Numeric columns and columns of groups that tell most of the target by themselves."""
    tells = _Gains(_standard(target.as_columns(), target.weight))
    numeric = [c.name for c in table.schema.numeric]
    by_number = {name: tells.of(*_bins(table.numbers[:, [j]]))[0] for j, name in enumerate(numeric)}
    keys = find_keys(table, key_names(table))
    by_group = {name: tells.of(key.codes(table), key.size)[0] for name, key in keys.items()}
    dates = [c.name for c in table.schema.numeric if c.kind is Kind.DATETIME]
    numbers = sorted(by_number, key=lambda n: (n not in dates, -by_number[n]))[:MAX_NUMBERS]
    return numbers, sorted(by_group, key=lambda n: -by_group[n])[:MAX_GROUPS]


def _standard(residual: Floats, weight: Floats | None) -> Floats:
    """Weighted, centred, of variance 1, without the far tails, in which a few rows would speak for all."""
    if weight is not None:
        residual = residual * weight[:, None]
    residual = residual - residual.mean(axis=0)
    deviation_ = residual.std(axis=0)
    scaled = residual / np.where(deviation_ > 0, deviation_, 1.0)
    return np.asarray(np.clip(scaled, -5.0, 5.0))


class _Gains:
    """Chi-square in excess of its mean of each residual's bin means: first half, and second (shuffled) half."""

    def __init__(self, residual: Floats) -> None:
        self._residual, self._half = residual, residual.shape[1] // 2

    def of(self, code: Ints, n_bins: int) -> tuple[float, float]:
        count = np.bincount(code, minlength=n_bins)
        used = int((count > 0).sum())
        rows = np.maximum(count, 1)
        gains = [
            float((np.bincount(code, weights=r, minlength=n_bins) ** 2 / rows).sum()) - used for r in self._residual.T
        ]
        half = max(self._half, 1)
        return float(np.mean(gains[:half])), float(np.mean(gains[half:] or gains))


def _bins(values: Floats) -> tuple[Ints, int]:
    """Codes of quantile bins, missing values in a bin of their own; of several outputs, the one that varies most."""
    x = values[:, int(np.argmax(np.nan_to_num(np.nanstd(values, axis=0))))] if values.shape[1] > 1 else values[:, 0]
    missing = np.isnan(x)
    known = x[~missing]
    if not len(known):
        return np.zeros(len(x), np.int64), 1
    edges = np.unique(np.quantile(known, np.linspace(0, 1, N_BINS + 1)[1:-1]))
    code = np.searchsorted(edges, x)
    code[missing] = len(edges) + 1
    return code, len(edges) + 2


def _unlike(order: Sequence[int], codes: Sequence[Ints]) -> list[int]:
    """Those of the ranked candidates whose bins are no near copy of a better one's."""
    kept: list[int] = []
    shapes: list[Array] = []
    for k in order:
        shape = codes[k] - codes[k].mean()
        shape = shape / (np.sqrt((shape**2).sum()) or 1.0)
        if all(abs(float(shape @ other)) < ALIKE for other in shapes):
            kept.append(k)
            shapes.append(shape)
        if len(kept) >= MAX_CHOSEN:
            break
    return kept
