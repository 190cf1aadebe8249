"""What would have to be different: the fewest changes of a row after which the model says something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from tabwright.explain.dependence import with_value
from tabwright.explain.subject import Subject
from tabwright.shapley import Rows, scored
from tabwright.types import Array, Floats

BEAM, GRID, MAX_CHANGES = 6, 12, 4


def counterfactuals(
    subject: Subject, row: Rows, background: Rows, distance_to_goal: Callable[[Floats], Floats],
    columns: Sequence[int], *, top: int = 5, max_changes: int = MAX_CHANGES,
) -> pd.DataFrame:  # fmt: skip
    """Changes of one row that reach a goal, found by a beam search over values that occur in the data.

    Parameters
    ----------
    subject : Subject
    row : Rows
        One row.
    background : Rows
        Rows whose values are tried: quantiles of numbers, the commonest categories.
    distance_to_goal : callable
        Predictions (n, n_outputs) to their distances from the goal, (n,); 0 where it is reached.
    columns : sequence of int
        Columns that may change.
    top, max_changes : int
        Answers, and changed columns in each, at most.

    Returns
    -------
    DataFrame
        One row per answer: changes (text), n_changes, distance (changes in units of each column's spread, a category
        counts 1), and the changed row's columns. Fewest changes first, then nearest; empty if none was found.

    References
    ----------
    Wachter, Mittelstadt & Russell 2018, arXiv:1711.00399.
    """
    tried = {j: _candidates(subject, background, row, j) for j in columns}
    beam: list[tuple[float, float, dict[int, object]]] = [(float(distance_to_goal(subject.score(row))[0]), 0.0, {})]
    found: list[tuple[int, float, dict[int, object]]] = []
    for n_changes in range(1, max_changes + 1):
        options = _extended(beam, tried)
        if not options:
            break
        changed = _changed(row, [o for o, _ in options])
        away = distance_to_goal(scored(subject.score, changed))
        found += [(n_changes, cost, o) for (o, cost), d in zip(options, away, strict=True) if d <= 0]
        if len(found) >= top:
            break
        ranked = sorted(zip(away.tolist(), [c for _, c in options], [o for o, _ in options], strict=True),
                        key=lambda r: (r[0], r[1]))  # fmt: skip
        beam = [r for r in ranked if r[0] > 0][:BEAM]
    found.sort(key=lambda f: f[:2])
    return _told(subject, row, _minimal(found)[:top])


def _candidates(subject: Subject, background: Rows, row: Rows, j: int) -> list[tuple[object, float]]:
    """Values to try in a column, with how far each is from the row's own."""
    cells, own = subject.cells(background, j), subject.cells(row, j)[0]
    if cells.dtype.kind == "O":
        levels, counts = np.unique(cells.astype(str), return_counts=True)
        common = levels[np.argsort(-counts, kind="stable")][:GRID].tolist()
        return [(v, 1.0) for v in common if v and v != own]
    present = cells[~np.isnan(cells)]
    if not len(present):
        return []
    values = np.unique(np.quantile(present, np.linspace(0.02, 0.98, GRID), method="inverted_cdf"))
    spread = float(np.quantile(present, 0.75) - np.quantile(present, 0.25)) or float(present.std()) or 1.0
    return [(float(v), 1.0 if np.isnan(own) else abs(float(v) - float(own)) / spread) for v in values if v != own]


def _extended(
    beam: Sequence[tuple[float, float, dict[int, object]]], tried: dict[int, list[tuple[object, float]]]
) -> list[tuple[dict[int, object], float]]:
    """Every beam entry with one further column changed, each combination once."""
    seen: dict[frozenset[tuple[int, object]], tuple[dict[int, object], float]] = {}
    for _, cost, chosen in beam:
        for j, values in tried.items():
            if j in chosen:
                continue
            for value, distance in values:
                changed = chosen | {j: value}
                seen.setdefault(frozenset(changed.items()), (changed, cost + distance))
    return list(seen.values())


def _changed(row: Rows, options: Sequence[dict[int, object]]) -> Rows:
    many = row.take(np.zeros(len(options), np.intp))
    for j in {j for o in options for j in o}:
        own: Array = (row.numbers[0, j] if j < row.numbers.shape[1] else row.strings[0, j - row.numbers.shape[1]])
        kind: type = float if j < row.numbers.shape[1] else object
        many = with_value(many, j, np.array([o.get(j, own) for o in options], dtype=kind))
    return many


def _minimal(found: Sequence[tuple[int, float, dict[int, object]]]) -> list[tuple[int, float, dict[int, object]]]:
    """Answers without those that change a superset of the columns of a simpler one."""
    kept: list[tuple[int, float, dict[int, object]]] = []
    for answer in found:
        columns = set(answer[2])
        if not any(set(k[2]) <= columns for k in kept):
            kept.append(answer)
    return kept


def _told(subject: Subject, row: Rows, found: Sequence[tuple[int, float, dict[int, object]]]) -> pd.DataFrame:
    names = subject.names
    records = []
    for n_changes, cost, changes in found:
        cells = {names[j]: subject.shown(subject.columns[j], subject.cells(row, j)[0]) for j in range(len(names))}
        words = []
        for j, value in changes.items():
            new = subject.shown(subject.columns[j], value)
            words.append(f"{names[j]}: {_text(cells[names[j]])} → {_text(new)}")
            cells[names[j]] = new
        records.append({"changes": "; ".join(words), "n_changes": n_changes, "distance": cost, **cells})
    return pd.DataFrame(records, columns=["changes", "n_changes", "distance", *names])


def _text(value: object) -> str:
    if value is None:
        return "missing"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
