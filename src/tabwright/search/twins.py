"""Two candidates that differ in one choice, which tell how later ones should choose."""

from __future__ import annotations

import math

from tabwright.pipeline import Candidate


class Twins:
    """A reference and its twin, by their ids (None where there is none)."""

    def __init__(self, reference: str | None, twin: str | None) -> None:
        self.reference, self.twin = reference, twin
        self._asked: set[str] = set()
        self._losses: dict[str, float] = {}

    def is_reference(self, candidate: Candidate) -> bool:
        return candidate.model_id == self.reference

    def asked(self, candidate: Candidate) -> None:
        """A candidate was proposed."""
        self._asked.add(candidate.model_id)

    def tell(self, candidate: Candidate, loss: float | None) -> None:
        """The outcome of a candidate, None for a failure."""
        self._losses[candidate.model_id] = math.inf if loss is None else loss

    @property
    def pending(self) -> bool:
        """Whether the twin is under way, so that what is proposed next may come to depend on it."""
        return self.twin in self._asked and not self._told

    @property
    def better(self) -> bool:
        """Whether both are known, and the twin has the lower loss."""
        return self._told and self._losses[str(self.twin)] < self._losses[str(self.reference)]

    @property
    def worse(self) -> bool:
        """Whether both are known, and the twin has no lower loss."""
        return self._told and not self.better

    @property
    def _told(self) -> bool:
        return self.twin in self._losses and self.reference in self._losses
