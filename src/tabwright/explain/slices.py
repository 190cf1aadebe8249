"""Where the model is worst: ranges and categories, alone and in pairs, in which its loss stands out."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from tabwright.explain.subject import Subject
from tabwright.metrics.base import EPS
from tabwright.shapley import Rows
from tabwright.types import Array, Bools, Floats, Task

BINS, MAX_LEVELS, PAIRED = 5, 12, 24
MIN_SHARE, MIN_ROWS = 0.01, 20
COLUMNS = ("slice", "rows", "share", "loss", "ratio", "p_value")


def row_loss(task: Task, y: Array, prediction: Floats) -> Floats:
    """Each row's loss: absolute error, or -log of the true class's probability (nats)."""
    if task is Task.REGRESSION:
        return np.abs(y - prediction[:, 0])
    return np.asarray(-np.log(np.clip(prediction[np.arange(len(y)), y.astype(np.intp)], EPS, 1.0)))


def slices(subject: Subject, rows: Rows, loss: Floats, top: int = 15) -> pd.DataFrame:
    """Slices whose mean loss is above that of the other rows by more than chance (Welch's t, Holm-corrected at 5 %).

    Parameters
    ----------
    subject : Subject
    rows : Rows
    loss : float64, shape (n_rows,)
        From :func:`row_loss`.
    top : int

    Returns
    -------
    DataFrame
        slice (a condition in words), rows, share, loss (mean), ratio (to the mean of all rows), p_value (corrected);
        those that add most to the total loss first. A pair of conditions is listed only where it is worse than both.

    References
    ----------
    Chung et al. 2019, doi:10.1109/ICDE.2019.00139.
    """
    least = max(MIN_ROWS, int(MIN_SHARE * len(loss)))
    single = [(j, name, mask) for j in range(rows.n_columns) for name, mask in _conditions(subject, rows, j)
              if least <= mask.sum() <= len(loss) - least]  # fmt: skip
    tested: list[tuple[tuple[str, ...], Bools, float]] = [
        ((name,), mask, float(loss[mask].mean())) for _, name, mask in single
    ]
    worst = sorted(single, key=lambda s: -_excess(loss, s[2]))[:PAIRED]
    for (i, a, mask_a), (j, b, mask_b) in combinations(worst, 2):
        both = mask_a & mask_b
        if i != j and least <= both.sum():
            mean = float(loss[both].mean())
            if mean > 1.1 * max(loss[mask_a].mean(), loss[mask_b].mean()):
                tested.append(((a, b), both, mean))
    p_values = _holm(np.array([_p_value(loss[mask], loss[~mask]) for _, mask, _ in tested]))
    overall = float(loss.mean())
    found = [
        (" and ".join(names), int(mask.sum()), float(mask.mean()), mean, mean / overall if overall else np.nan, p)
        for (names, mask, mean), p in zip(tested, p_values.tolist(), strict=True) if p < 0.05 and mean > overall
    ]  # fmt: skip
    out = pd.DataFrame(found, columns=list(COLUMNS))
    order = (-(out["loss"] - overall) * out["rows"]).to_numpy().argsort(kind="stable")
    return out.iloc[order].head(top).reset_index(drop=True)


def _conditions(subject: Subject, rows: Rows, j: int) -> list[tuple[str, Bools]]:
    column, cells = subject.columns[j], subject.cells(rows, j)
    if cells.dtype.kind == "O":
        levels, counts = np.unique(cells.astype(str), return_counts=True)
        common = levels[np.argsort(-counts, kind="stable")][:MAX_LEVELS]
        return [(f"{column.name} = {v!r}" if v else f"{column.name} is missing", cells == v) for v in common.tolist()]
    missing = np.isnan(cells)
    out = [(f"{column.name} is missing", missing)]
    present = np.unique(cells[~missing])
    if len(present) <= BINS:
        return out + [(f"{column.name} = {subject.shown(column, v)}", cells == v) for v in present.tolist()]
    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.unique(np.quantile(cells[~missing], inner, method="inverted_cdf"))
    for low, high in zip([-np.inf, *edges], [*edges, np.inf], strict=True):
        words = []
        if np.isfinite(low):
            words.append(f"> {_short(subject.shown(column, low))}")
        if np.isfinite(high):
            words.append(f"≤ {_short(subject.shown(column, high))}")
        out.append((f"{column.name} {' and '.join(words)}", (cells > low) & (cells <= high)))
    return out


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _excess(loss: Floats, mask: Bools) -> float:
    return float((loss[mask].mean() - loss.mean()) * mask.sum())


def _p_value(inside: Floats, outside: Floats) -> float:
    from scipy.stats import ttest_ind

    if inside.std() == 0 and outside.std() == 0:
        return 1.0
    return float(ttest_ind(inside, outside, equal_var=False, alternative="greater").pvalue)


def _holm(p: Floats) -> Floats:
    order = np.argsort(p)
    adjusted = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    out = np.empty(len(p))
    out[order] = np.minimum(adjusted, 1.0)
    return out
