"""Intervals and sets that hold the true value with a chosen probability, calibrated on out-of-fold predictions.

Stored under ``conformal`` in the exported file's metadata, and emitted as outputs of its graph at one coverage.
Intervals add quantiles of the residuals to the prediction, apart for each range of predictions, so that they are wide
where the model errs more. Sets hold every class whose probability is at least a threshold. Both are valid for rows
drawn as the training rows were, whatever the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tabwright.errors import DataError, OptionError
from tabwright.types import Array, Bools, Floats, Ints, Task

EXPORTED = 0.9
"""Coverage of the graph's own outputs."""
COVERAGES = tuple(round(0.5 + 0.01 * k, 2) for k in range(50))  # 0.50 to 0.99
MIN_ROWS = 20
ROWS_PER_BIN, MAX_BINS = 400, 10


@dataclass(frozen=True)
class Conformal:
    """What was learnt from out-of-fold predictions.

    Parameters
    ----------
    coverages : float64, shape (n_coverages,), ascending
        Those that the rows suffice for.
    edges : float64, shape (n_bins - 1,), ascending
        Regression: predictions at which the next range begins, in the target's unit.
    low, high : float64, shape (n_bins, n_coverages)
        Regression: what to add to the prediction, in the target's unit.
    least : float64, shape (n_coverages,)
        Classes: the smallest probability that a set takes.
    """

    coverages: Floats
    edges: Floats
    low: Floats
    high: Floats
    least: Floats

    def _at(self, coverage: float) -> int:
        """The smallest calibrated coverage that is at least the wanted one."""
        if not isinstance(coverage, (int, float)) or isinstance(coverage, bool) or not 0 < coverage < 1:
            raise OptionError("coverage", f"is {coverage!r}", "give a number above 0 and below 1, as 0.9")
        enough = np.flatnonzero(self.coverages >= coverage - 1e-9)
        if not len(enough):
            most = f"{self.coverages[-1]:g}"
            raise OptionError("coverage", f"is {coverage:g}, and the calibration rows suffice for {most}",
                              f"ask for at most {most}")  # fmt: skip
        return int(enough[0])

    def bins(self, prediction: Floats) -> Ints:
        """Which range each prediction lies in, (n_rows,)."""
        return np.asarray((prediction[:, None] > self.edges).sum(axis=1))

    def interval(self, prediction: Floats, coverage: float) -> Floats:
        """Lower and upper ends, float64 (n_rows, 2), for predictions (n_rows,)."""
        k, where = self._at(coverage), self.bins(prediction)
        return np.column_stack([prediction + self.low[where, k], prediction + self.high[where, k]])

    def sets(self, proba: Floats, coverage: float, *, empty: bool = False) -> Bools:
        """Which classes each set holds, bool (n_rows, n_classes), for probabilities of that shape.

        Without ``empty`` the most probable class is always among them, which covers at least as much.
        """
        chosen: Bools = proba >= self.least[self._at(coverage)]
        if not empty:
            chosen[np.arange(len(proba)), proba.argmax(axis=1)] = True
        return chosen

    @property
    def exported(self) -> int | None:
        """Position of the coverage that the graph gives; None where the rows do not suffice."""
        found = np.flatnonzero(np.isclose(self.coverages, EXPORTED))
        return int(found[0]) if len(found) else None

    def to_json(self) -> dict[str, Any]:
        return {
            "coverages": self.coverages.tolist(), "edges": self.edges.tolist(), "low": self.low.tolist(),
            "high": self.high.tolist(), "least": self.least.tolist(),
        }  # fmt: skip

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Conformal:
        return cls(**{k: np.array(record[k], np.float64) for k in ("coverages", "edges", "low", "high", "least")})


def calibrate(task: Task, y: Array, prediction: Floats) -> Conformal | None:
    """Learn from predictions for rows that the models had not seen; None with fewer than 20 of them.

    Parameters
    ----------
    task : Task
    y : shape (n_rows,)
        Values in the target's unit, or class codes.
    prediction : float64
        (n_rows, 1) values or P(second class), or (n_rows, n_classes).

    References
    ----------
    Lei et al. 2018, doi:10.1080/01621459.2017.1307116 (split conformal intervals); Boström, Johansson & Löfström 2021,
    proceedings.mlr.press/v152 (a calibration for each range of predictions); Sadinle, Lei & Wasserman 2019,
    doi:10.1080/01621459.2017.1395341 (least ambiguous sets).
    """
    if len(y) < MIN_ROWS or not np.isfinite(prediction).all():
        return None
    nothing = np.empty(0)
    if task is Task.REGRESSION:
        values = prediction[:, 0]
        edges = _edges(values)
        where = (values[:, None] > edges).sum(axis=1)
        residuals = [np.sort((y - values)[where == b]) for b in range(len(edges) + 1)]
        coverages = _possible(min(map(len, residuals)), sides=2)
        low = np.array([[-_upper(-r[::-1], (1 - c) / 2) for c in coverages] for r in residuals])
        high = np.array([[_upper(r, (1 - c) / 2) for c in coverages] for r in residuals])
        return Conformal(coverages, edges, low, high, nothing)
    proba = np.concatenate([1.0 - prediction, prediction], axis=1) if prediction.shape[1] == 1 else prediction
    scores = np.sort(1.0 - proba[np.arange(len(y)), y.astype(np.intp)])
    coverages = _possible(len(scores), sides=1)
    none = np.empty((0, 0))
    return Conformal(coverages, nothing, none, none, np.array([1.0 - _upper(scores, 1 - c) for c in coverages]))


def _edges(values: Floats) -> Floats:
    """Ends of ranges of predictions with as many rows each, 400 at least."""
    n_bins = int(np.clip(len(values) // ROWS_PER_BIN, 1, MAX_BINS))
    edges = np.unique(np.quantile(values, np.arange(1, n_bins) / n_bins)) if n_bins > 1 else np.empty(0)
    counts = np.bincount((values[:, None] > edges).sum(axis=1), minlength=len(edges) + 1)
    return edges if counts.min() >= ROWS_PER_BIN // 2 else np.empty(0)  # predictions that are mostly the same


def _possible(n: int, sides: int) -> Floats:
    """Coverages for which n rows have a finite quantile on each side."""
    return np.array([c for c in COVERAGES if (1 - c) / sides * (n + 1) >= 1 - 1e-9], np.float64)


def _upper(ascending: Floats, share: float) -> float:
    """The value that a further one exceeds with at most probability ``share``: the usual finite-sample quantile."""
    n = len(ascending)
    return float(ascending[min(n, int(np.ceil((1 - share) * (n + 1) - 1e-9))) - 1])


def decide(proba: Floats, costs: Any, abstain_cost: float | None) -> Ints:
    """Class codes of least expected cost, -1 where abstaining costs less, int64 (n_rows,).

    Parameters
    ----------
    proba : float64, shape (n_rows, n_classes)
    costs : array-like, shape (n_classes, n_classes), optional
        ``costs[true, said]``; 1 for every error by default.
    abstain_cost : float, optional
        Of no answer.

    References
    ----------
    Elkan 2001, "The foundations of cost-sensitive learning"; Chow 1970, doi:10.1109/TIT.1970.1054406.
    """
    k = proba.shape[1]
    try:
        matrix = 1.0 - np.eye(k) if costs is None else np.asarray(costs, np.float64)
    except (TypeError, ValueError):
        raise OptionError("costs", "holds values that are no numbers", "give costs[true][said]") from None
    if matrix.shape != (k, k) or not np.isfinite(matrix).all():
        raise OptionError("costs", f"has the shape {matrix.shape}, or holds missing values",
                          f"give {k} x {k} numbers, costs[true][said], classes in the order of classes_")  # fmt: skip
    expected = proba @ matrix
    codes = expected.argmin(axis=1)
    if abstain_cost is None:
        return np.asarray(codes)
    return np.where(expected[np.arange(len(codes)), codes] > abstain_cost, -1, codes)


def required(found: Conformal | None) -> Conformal:
    """The calibration, or a DataError that tells why there is none."""
    if found is None:
        raise DataError("This model has no calibration for intervals and sets", "export it again, from a run with at "
                        f"least {MIN_ROWS} validated rows")  # fmt: skip
    return found
