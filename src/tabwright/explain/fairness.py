"""Whom the model treats differently: rates and errors by group of a column, which it need not have been trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tabwright.explain.subject import Subject
from tabwright.types import Array, Floats, Task

MAX_GROUPS = 20


@dataclass(frozen=True)
class Fairness:
    """Figures by group, and how far apart the groups are.

    Parameters
    ----------
    groups : DataFrame
        Index: the group. rows; for classes selection_rate (share predicted ``positive``) with low, high (95 %,
        Wilson), and with a target also base_rate, true_positive_rate, false_positive_rate, precision; for numbers
        mean_prediction, and with a target mean_target, mean_error (prediction minus target), rmse.
    gaps : Series
        For classes: demographic_parity_difference and _ratio (smallest to largest selection rate),
        equalised_odds_difference (the larger of the gaps in true and in false positive rate). For numbers:
        mean_prediction_difference, mean_error_difference, rmse_ratio.
    positive : the class that counts as selected; None in regression

    References
    ----------
    Hardt, Price & Srebro 2016, arXiv:1610.02413.
    """

    groups: pd.DataFrame
    gaps: pd.Series
    positive: Any = None


def fairness(
    subject: Subject, prediction: Floats, y: Array | None, group: Array, positive: int | None = None
) -> Fairness:
    """Figures by group.

    Parameters
    ----------
    subject : Subject
    prediction : float64, shape (n_rows, n_outputs)
    y : shape (n_rows,), optional
    group : str, shape (n_rows,)
        The 20 commonest are told apart, all others are one.
    positive : int, optional
        Code of the class that counts as selected; the last by default.
    """
    names, counts = np.unique(group, return_counts=True)
    kept = names[np.argsort(-counts, kind="stable")][:MAX_GROUPS]
    group = np.where(np.isin(group, kept), group, "all others")
    if subject.task is Task.REGRESSION:
        frame = pd.DataFrame([_of_numbers(prediction[:, 0], y, group == g) | {"group": g} for g in np.unique(group)])
        return _numbers(frame.set_index("group"))
    code = len(subject.classes) - 1 if positive is None else positive
    selected = subject.labels(prediction) == code
    truth = None if y is None else y == code
    frame = pd.DataFrame([_of_classes(selected, truth, group == g) | {"group": g} for g in np.unique(group)])
    frame = frame.set_index("group")
    rates = frame["selection_rate"]
    gaps = {
        "demographic_parity_difference": rates.max() - rates.min(),
        "demographic_parity_ratio": rates.min() / rates.max() if rates.max() > 0 else np.nan,
    }
    if truth is not None:
        odds = frame[["true_positive_rate", "false_positive_rate"]]
        gaps["equalised_odds_difference"] = (odds.max() - odds.min()).max()
    return Fairness(frame, pd.Series(gaps, dtype=float), subject.classes[code])


def _of_numbers(prediction: Floats, y: Array | None, mask: Array) -> dict[str, Any]:
    found = {"rows": int(mask.sum()), "mean_prediction": float(prediction[mask].mean())}
    if y is not None:
        error = prediction[mask] - y[mask]
        found |= {"mean_target": float(y[mask].mean()), "mean_error": float(error.mean()),
                  "rmse": float(np.sqrt((error**2).mean()))}  # fmt: skip
    return found


def _numbers(frame: pd.DataFrame) -> Fairness:
    mean = frame["mean_prediction"]
    gaps = {"mean_prediction_difference": mean.max() - mean.min()}
    if "rmse" in frame:
        gaps["mean_error_difference"] = frame["mean_error"].max() - frame["mean_error"].min()
        gaps["rmse_ratio"] = frame["rmse"].max() / frame["rmse"].min() if frame["rmse"].min() > 0 else np.nan
    return Fairness(frame, pd.Series(gaps, dtype=float))


def _of_classes(selected: Array, truth: Array | None, mask: Array) -> dict[str, Any]:
    n, hits = int(mask.sum()), int(selected[mask].sum())
    low, high = wilson(hits, n)
    found: dict[str, Any] = {"rows": n, "selection_rate": hits / n, "low": low, "high": high}
    if truth is not None:
        positives, negatives = mask & truth, mask & ~truth
        found |= {
            "base_rate": float(truth[mask].mean()), "true_positive_rate": _share(selected, positives),
            "false_positive_rate": _share(selected, negatives), "precision": _share(truth, mask & selected),
        }  # fmt: skip
    return found


def _share(flag: Array, mask: Array) -> float:
    return float(flag[mask].mean()) if mask.any() else np.nan


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    p = hits / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))
