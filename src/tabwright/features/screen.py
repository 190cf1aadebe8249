"""Which interactions of columns are worth a feature: those that tell what a first model has left unexplained."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from tabwright.codec import write_atomic
from tabwright.data.table import Table
from tabwright.features import arithmetic, cross_mean, deviation
from tabwright.features.base import TargetInfo
from tabwright.features.gains import Bins, Evidence, Means, bins_of, freed, means_of, pursue
from tabwright.features.keys import find_keys, group_keys
from tabwright.features.target_mean import INNER_FOLDS, MAX_CLASSES
from tabwright.types import Floats, Kind

MAX_ROWS = 50_000
RANKING_SHARE = 0.5  # of the time, that finding the columns to pair may take
MAX_NUMBERS, MAX_GROUPS = 12, 9  # columns of each sort that are paired
MAX_CHOSEN = 12
LEAST_GAIN = 20.0  # in excess of what chance gives, in units of the residual's variance: about 2.5 deviations


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

    A candidate's gain is how much of the residual's variance its bins explain beyond what chance would. Of crosses it
    is what out-of-fold means explain, the residual's own or the target's less those of either column alone: a model
    that has learned from a row's neighbours errs the other way on that row, which hides the first in small groups, and
    the second has nothing of what one column tells alone. Chosen are those that gain most, each of what the others
    leave unexplained, and more than any candidate does on a shuffled residual.

    Parameters
    ----------
    table : Table
        Rows with an out-of-fold prediction.
    target : TargetInfo
        Of the same rows.
    residual : float64, shape (n_rows, n_targets)
        Target minus out-of-fold prediction, as in ``target.as_columns()``.
    seconds : float
        Time after which no further candidate is looked at; as much again may go into choosing among them.

    References
    ----------
    Screening by residuals: Zhang et al. 2023, arXiv:2211.12507; noise probes: Stoppiglia et al. 2003,
    doi:10.1162/153244303322753733.
    """
    until = time.monotonic() + seconds
    rng = np.random.default_rng(target.seed)
    if table.n_rows > MAX_ROWS:
        rows = np.sort(rng.choice(table.n_rows, MAX_ROWS, replace=False))
        table, residual, target = table.take(rows), residual[rows], target.take(rows)
    numbers, groups = _columns_worth_pairing(table, target, RANKING_SHARE * seconds)
    prediction = target.as_columns() - residual
    residual = _standard(residual, target.weight)
    shuffled = residual[rng.permutation(len(residual))]
    unexplained = _Unexplained(residual, shuffled, prediction)
    names: list[tuple[str, tuple[str, ...]]] = []
    told: list[Evidence] = []
    least = LEAST_GAIN
    for sort, pair, real, probe in _candidates(table, target, unexplained, numbers, groups):
        names.append((sort, pair))
        told.append(real)
        least = max(least, float(np.mean(probe.gains(shuffled))))
        if time.monotonic() > until:
            break
    chosen = [names[k] for k in pursue(told, residual, least, MAX_CHOSEN, until + seconds)]
    return Interactions(**{f.name: tuple(p for sort, p in chosen if sort == f.name) for f in fields(Interactions)})  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Unexplained:
    """What a model's out-of-fold predictions leave, all (n_rows, n_targets)."""

    residual: Floats  # of variance 1
    shuffled: Floats
    prediction: Floats


Candidate = tuple[str, tuple[str, ...], Evidence, Evidence]


def _candidates(
    table: Table, target: TargetInfo, unexplained: _Unexplained, numbers: list[str], groups: list[str]
) -> Iterator[Candidate]:
    """Encoder's name, pair, and what it tells of the residual and of the shuffled one.

    The three sorts take turns, so that each has its share of a time that is not enough for all.
    """
    sorts = (
        _crosses(table, target, unexplained, numbers, groups), _deviations(table, numbers, groups),
        _arithmetic(table, numbers),
    )  # fmt: skip
    for turn in itertools.zip_longest(*sorts):
        yield from (candidate for candidate in turn if candidate is not None)


def _arithmetic(table: Table, numbers: list[str]) -> Iterator[Candidate]:
    for pair in arithmetic.all_pairs(numbers):
        made = arithmetic.fit(table, pairs=(pair,))
        assert made is not None
        bins = bins_of(made.apply(table))
        yield "arithmetic", pair, bins, bins


def _deviations(table: Table, numbers: list[str], groups: list[str]) -> Iterator[Candidate]:
    for pair in deviation.all_pairs(numbers, groups, table):
        made = deviation.fit(table, pairs=(pair,))
        assert made is not None
        bins = bins_of(made.apply(table))
        yield "deviation", pair, bins, bins


def _crosses(
    table: Table, target: TargetInfo, unexplained: _Unexplained, numbers: list[str], groups: list[str]
) -> Iterator[Candidate]:
    observed, residual, shuffled = target.as_columns(), unexplained.residual, unexplained.shuffled
    n = observed.shape[1]
    if n > MAX_CLASSES:
        return
    observed = _standard(observed, target.weight)
    keys = find_keys(table, [*groups, *numbers], ranges=True)
    codes = {name: key.codes(table) for name, key in keys.items()}
    inner = target.inner_folds(INNER_FOLDS)
    alone = {name: means_of(code, observed, inner) for name, code in codes.items()}
    columns = np.concatenate([observed, residual, shuffled], axis=1)
    for left, right in cross_mean.all_pairs(groups, [name for name in numbers if name in keys]):
        means = means_of(codes[left] * keys[right].size + codes[right], columns, inner)
        more = Means(freed(means[:, :n], (alone[left], alone[right], unexplained.prediction)))
        real = _better(more, Means(means[:, n : 2 * n].copy()), residual)
        yield "cross_mean", (left, right), real, _better(more, Means(means[:, 2 * n :]), shuffled)


def _better(one: Evidence, other: Evidence, residual: Floats) -> Evidence:
    """The evidence that explains more."""
    return one if np.mean(one.gains(residual)) > np.mean(other.gains(residual)) else other


def _columns_worth_pairing(table: Table, target: TargetInfo, seconds: float) -> tuple[list[str], list[str]]:
    """Numeric columns and columns of groups that tell most of the target by themselves, of those looked at in time."""
    told = _standard(target.as_columns(), target.weight)
    began, by_number, by_group = time.monotonic(), {}, {}
    for j, column in enumerate(table.schema.numeric):
        by_number[column.name] = np.mean(bins_of(table.numbers[:, [j]]).gains(told))
        if time.monotonic() > began + seconds / 2:
            break
    for name, key in group_keys(table):
        by_group[name] = np.mean(Bins(key.codes(table), key.size).gains(told))
        if time.monotonic() > began + seconds:
            break
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
