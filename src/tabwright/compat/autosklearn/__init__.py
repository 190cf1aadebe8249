"""auto-sklearn's modules: ``from tabwright.compat import autosklearn`` instead of ``import autosklearn...``."""

from __future__ import annotations

from tabwright.compat.autosklearn import classification, metrics, regression

__all__ = ["classification", "metrics", "regression"]
