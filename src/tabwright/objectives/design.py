"""What may be delivered of a run: which candidates, with what weights, and which of their fold models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

ALL_ROWS = -1
"""Number of the "fold" whose model has learned from all rows: a refit, which no row is left to judge."""


def fold_name(fold: int) -> str:
    """What people call it, counted from 1."""
    return "all rows" if fold == ALL_ROWS else f"fold {fold + 1}"


@dataclass(frozen=True)
class Share:
    """A candidate's part in a design: its weight and the fold models that stand for it."""

    model_id: str
    weight: float
    folds: tuple[int, ...]

    def __str__(self) -> str:
        how = "refit" if self.folds == (ALL_ROWS,) else f"x{len(self.folds)}"
        return f"{self.model_id} {how}"


@dataclass(frozen=True)
class Design:
    """Shares in order of weight; none is the constant prediction."""

    shares: tuple[Share, ...] = ()

    @classmethod
    def whole(cls, weights: Sequence[tuple[str, float]], folds: Iterable[int]) -> Design:
        """All these fold models of each candidate."""
        folds = tuple(folds)
        return cls(tuple(Share(m, w, folds) for m, w in weights))

    @classmethod
    def single(cls, weights: Sequence[tuple[str, float]], fold: int = 0) -> Design:
        """One fold's model of each candidate."""
        return cls(tuple(Share(m, w, (fold,)) for m, w in weights))

    @property
    def weights(self) -> tuple[tuple[str, float], ...]:
        return tuple((s.model_id, s.weight) for s in self.shares)

    @property
    def n_models(self) -> int:
        return sum(len(s.folds) for s in self.shares)

    def with_fold(self, k: int, folds: Iterable[int]) -> Design | None:
        """One more of these fold models for the share ``k``; None if it has them all."""
        share = self.shares[k]
        unused = [f for f in folds if f not in share.folds]
        if not unused or share.folds == (ALL_ROWS,):
            return None
        more = replace(share, folds=(*share.folds, unused[0]))
        return Design((*self.shares[:k], more, *self.shares[k + 1 :]))

    def refitted(self, available: Sequence[str]) -> Design:
        """With the refit of each candidate that has one in place of a single fold model."""
        return Design(tuple(
            replace(s, folds=(ALL_ROWS,)) if len(s.folds) == 1 and s.model_id in available else s for s in self.shares
        ))  # fmt: skip

    def __str__(self) -> str:
        return " + ".join(map(str, self.shares)) or "constant"

    def to_json(self) -> list[Any]:
        return [[s.model_id, s.weight, list(s.folds)] for s in self.shares]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> Design:
        return cls(tuple(Share(str(m), float(w), tuple(int(f) for f in folds)) for m, w, folds in data))
