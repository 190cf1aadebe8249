"""A small tree that imitates the model, and how well it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tabwright.explain.subject import Subject
from tabwright.schema import Column
from tabwright.shapley import Rows
from tabwright.types import Floats, Ints, Kind

MAX_LEVELS = 15


@dataclass(frozen=True)
class Surrogate:
    """Rules that imitate the model.

    Parameters
    ----------
    rules : DataFrame
        One row per leaf: rule, share (of rows), prediction (mean of the model's there).
    fidelity : float
        R² against the model's predictions on rows that the tree has not seen.
    """

    rules: pd.DataFrame
    fidelity: float


def surrogate(subject: Subject, rows: Rows, prediction: Floats, depth: int = 3, seed: int = 0) -> Surrogate:
    """A regression tree on raw columns (categories as indicators of the commonest) that imitates one output.

    Parameters
    ----------
    subject : Subject
    rows : Rows
    prediction : float64, shape (n_rows,)
    depth : int
    seed : int

    References
    ----------
    Craven & Shavlik 1996, "Extracting tree-structured representations of trained networks".
    """
    from sklearn.tree import DecisionTreeRegressor

    X, questions = _questions(subject, rows)
    order = np.random.default_rng(seed).permutation(len(X))
    held, learned = np.split(order, [max(1, len(X) // 4)]) if len(X) > 1 else (order, order)
    leaf = max(5, len(X) // 100)
    tree = DecisionTreeRegressor(max_depth=depth, min_samples_leaf=leaf, random_state=seed)
    tree.fit(X[learned], prediction[learned])
    spread = prediction[held].var()
    residual = ((tree.predict(X[held]) - prediction[held]) ** 2).mean()
    fidelity = float(1.0 - residual / spread) if spread > 0 else 1.0
    return Surrogate(_rules(subject, tree.tree_, questions, tree.apply(X), prediction), fidelity)


def _questions(subject: Subject, rows: Rows) -> tuple[Floats, list[tuple[Column, str | None]]]:
    """Columns that a tree can ask about, float64, and what each is: a column's number, or one of its categories."""
    blocks: list[Floats] = []
    questions: list[tuple[Column, str | None]] = []
    for j, column in enumerate(subject.columns):
        cells = subject.cells(rows, j)
        if column.kind is Kind.TEXT:
            continue
        if cells.dtype.kind == "f":
            blocks.append(cells)
            questions.append((column, None))
            continue
        levels, counts = np.unique(cells.astype(str), return_counts=True)
        for level in levels[np.argsort(-counts, kind="stable")][:MAX_LEVELS].tolist():
            blocks.append((cells == level).astype(float))
            questions.append((column, level))
    if not blocks:
        return np.zeros((len(rows), 1)), []
    return np.column_stack(blocks), questions


def _answers(subject: Subject, question: tuple[Column, str | None], threshold: float) -> tuple[str, str]:
    """How the tree's "at most" and "more than" read."""
    column, level = question
    if level is not None:
        what = f"is {level!r}" if level else "is missing"
        return f"{column.name} {what.replace('is', 'is not', 1)}", f"{column.name} {what}"
    if column.kind is Kind.BOOLEAN:
        return f"not {column.name}", column.name
    shown = subject.shown(column, threshold)
    text = f"{shown:.4g}" if isinstance(shown, float) else str(shown)
    return f"{column.name} ≤ {text}", f"{column.name} > {text}"


def _rules(subject: Subject, tree: Any, questions: list[tuple[Column, str | None]], leaves: Ints,
           prediction: Floats) -> pd.DataFrame:  # fmt: skip
    out = []

    def walk(node: int, conditions: dict[tuple[int, bool], str]) -> None:
        if tree.children_left[node] < 0:
            mask = leaves == node
            rule = " and ".join(conditions.values()) or "always"
            out.append((rule, float(mask.mean()), float(prediction[mask].mean())))
            return
        asked = int(tree.feature[node])
        no, yes = _answers(subject, questions[asked], float(tree.threshold[node]))
        # a later bound on the same side is the tighter one
        walk(tree.children_left[node], conditions | {(asked, False): no})
        walk(tree.children_right[node], conditions | {(asked, True): yes})

    walk(0, {})
    frame = pd.DataFrame(out, columns=["rule", "share", "prediction"])
    return frame.sort_values("prediction", ascending=False, kind="stable").reset_index(drop=True)
