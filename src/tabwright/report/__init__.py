"""A finished run as one self-contained HTML page, and as a model card."""

from __future__ import annotations

from tabwright.report.page import report

__all__ = ["report"]
