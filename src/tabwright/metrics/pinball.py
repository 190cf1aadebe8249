"""Pinball loss of a quantile, by name as ``pinball:0.9``."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from tabwright.errors import OptionError
from tabwright.metrics.base import REGRESSION, Metric, Needs
from tabwright.types import Array, Floats

PREFIX = "pinball:"


def pinball(y: Array, prediction: Floats, weight: Floats | None = None, *, quantile: float) -> float:
    """Mean pinball loss, in the target's unit: an error costs ``quantile`` where the truth is above, else the rest.

    References
    ----------
    Koenker and Bassett 1978, Regression quantiles, doi:10.2307/1913643.
    """
    error = y - prediction
    return float(np.average(np.maximum(quantile * error, (quantile - 1.0) * error), weights=weight))


def names_quantile(name: str) -> bool:
    """Whether a name is ``pinball:`` and a number, and no part of a module called ``pinball``."""
    return name.startswith(PREFIX) and not name.removeprefix(PREFIX).isidentifier()


def pinball_metric(name: str) -> Metric:
    """The metric called ``pinball:Q``; families fit that quantile then.

    Raises
    ------
    OptionError
        Unless Q is a number between 0 and 1.
    """
    try:
        quantile = float(name.removeprefix(PREFIX))
    except ValueError:
        quantile = math.nan
    if not 0.0 < quantile < 1.0:
        raise OptionError("sort_metric", f"is {name!r}", "give a quantile between 0 and 1, as in 'pinball:0.9'")
    title = f"Pinball loss of the {quantile:g} quantile"
    score = partial(pinball, quantile=quantile)
    return Metric(f"{PREFIX}{quantile:g}", title, REGRESSION, Needs.VALUES, False, score, "target", quantile=quantile)
