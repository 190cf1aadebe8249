"""Learning the logarithm of a target: for values that are positive and differ by factors, such as prices and counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tabwright.coerce import own_unit
from tabwright.models.base import FitContext, Fitted, Link, Sample
from tabwright.models.epochs import SCHEDULE, Schedule
from tabwright.onnx.graph import Graph
from tabwright.types import Floats, Params

CORRECTION = "correction"
"""Name of the parameter, and of the attribute, that holds the factor by which predictions are right in the mean."""

SKEWED = 1.0  # skewness from which logarithms are tried
LEAST = 1e-3  # of the mean: values are not told apart below
ROWS = 5.0  # that must be judged by for half of the factor that makes predictions right in the mean
MARGIN = 0.5  # deviations beyond the logarithms that were seen, at which predictions end


@dataclass(frozen=True)
class LogTarget:
    """A model of the standardised logarithm; raw scores are ``exp(mean + deviation * score) - offset``.

    References
    ----------
    Duan 1983, doi:10.1080/01621459.1983.10478017 (the factor by which the mean exceeds the exponential of a mean
    logarithm, which ``mean`` holds where the metric asks for means).
    """

    model: Fitted
    mean: float
    deviation: float
    offset: float
    low: float  # scores end here
    high: float
    correction: float = 0.0  # the logarithm of the factor that ``mean`` holds

    link = Link.IDENTITY

    @property
    def n_iterations(self) -> int | None:
        """As the model's own."""
        return getattr(self.model, "n_iterations", None)

    @property
    def schedule(self) -> Schedule:
        """As the model's own, by which a network is trained again alike."""
        return getattr(self.model, SCHEDULE, ())

    def predict(self, X: Floats) -> Floats:
        score = np.clip(self.model.predict(X), self.low, self.high)
        return np.asarray(np.exp(self.mean + self.deviation * score) - self.offset)

    def to_onnx(self, graph: Graph, x: str) -> str:
        score = graph.node("Clip", self.model.to_onnx(graph, x), graph.const(self.low), graph.const(self.high))
        logarithm = graph.node("Add", graph.node("Mul", score, graph.const(self.deviation)), graph.const(self.mean))
        return graph.node("Sub", graph.node("Exp", logarithm), graph.const(self.offset))


def differs_by_factors(y: Floats) -> bool:
    """Whether a target is one whose logarithm is worth a try: not negative, skewed, and less so in logarithms.

    Parameters
    ----------
    y : float64, shape (n_rows,)
        In its own unit.
    """
    if len(y) < 2 or y.min() < 0.0 or not y.max() > y.min():
        return False
    skewness = _skewness(y)
    return skewness > SKEWED and abs(_skewness(np.log(y + _shift(y)))) < 0.5 * skewness


def fit_log(
    fit: Callable[[Sample, Sample | None, Params, FitContext], Fitted],
    train: Sample, valid: Sample | None, params: Params, context: FitContext,
    mean: float, scale: float, *, unbiased: bool,
) -> LogTarget:  # fmt: skip
    """Fit a family to the logarithm of the target.

    Parameters
    ----------
    fit : callable
        The family's.
    train, valid : Sample
        With the standardised target, as any family takes it.
    mean, scale : float
        Target in its own unit = ``mean + scale * y``.
    unbiased : bool
        Whether predictions shall be right in the mean rather than in the middle.
        A fit of all rows is told by how much (:data:`CORRECTION`), having no row that it has not learned from.
    """
    own = own_unit(train.y, mean, scale)
    shift = _shift(own)
    least = max(shift, LEAST * float(own.mean()))

    def logarithms(y: Floats) -> Floats:
        return np.asarray(np.log(np.maximum(own_unit(y, mean, scale) + shift, least)))

    z = logarithms(train.y)
    centre, deviation = float(np.average(z, weights=train.weight)), max(float(z.std()), 1e-9)

    def told(sample: Sample) -> Sample:
        return replace(sample, y=(logarithms(sample.y) - centre) / deviation)

    learned = told(train)
    model = fit(learned, None if valid is None else told(valid), params, context)
    found = LogTarget(model, centre - float(np.log(scale)), deviation, (mean + shift) / scale,
                      float(learned.y.min()) - MARGIN, float(learned.y.max()) + MARGIN)  # fmt: skip
    if not unbiased:
        return found
    correction = params.get(CORRECTION)
    if correction is None:
        judges = train if valid is None else valid
        predicted = np.average(found.predict(judges.X)[:, 0] + found.offset, weights=judges.weight)
        truth = np.average(judges.y + found.offset, weights=judges.weight)
        # of a few rows the factor is chance, and would flatter the score of these same rows
        correction = float(np.log(max(truth, LEAST) / max(predicted, LEAST))) * len(judges.y) / (len(judges.y) + ROWS)
    return replace(found, mean=found.mean + correction, correction=correction)


def _shift(y: Floats) -> float:
    """What is added before the logarithm is taken: nothing, or where there are zeros, the smallest value above them."""
    if y.min() > 0.0:
        return 0.0
    return max(float(y[y > 0.0].min()), LEAST * float(y.mean()))


def _skewness(y: Floats) -> float:
    centred = y - y.mean()
    deviation = float(centred.std())
    return float(((centred / deviation) ** 3).mean()) if deviation > 0.0 else 0.0
