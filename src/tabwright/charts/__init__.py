"""Small charts as inline SVG that follow the page's light or dark colours; no script, nothing loaded."""

from __future__ import annotations

from tabwright.charts.bars import bars, histogram
from tabwright.charts.frame import STYLE, number
from tabwright.charts.lines import Line, lines, scatter
from tabwright.charts.matrix import matrix

__all__ = ["STYLE", "Line", "bars", "histogram", "lines", "matrix", "number", "scatter"]
