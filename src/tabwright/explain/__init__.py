"""What moves a model's predictions, where it is wrong, and whom it treats differently, in the table's own columns."""

from __future__ import annotations

from tabwright.explain.explanation import Explanation, explain

__all__ = ["Explanation", "explain"]
