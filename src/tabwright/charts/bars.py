"""Horizontal bars with intervals, and histograms."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tabwright.charts.frame import BOTTOM, WIDTH, Plane, number, svg

ROW, LABEL, VALUE = 24, 150, 58
_MAX_LABEL = 23


def bars(
    labels: Sequence[str], values: Sequence[float], intervals: Sequence[tuple[float, float]] | None = None,
    title: str = "", signed: bool = False,
) -> str:  # fmt: skip
    """One bar per label, from 0; ``intervals`` are drawn as whiskers, negative values in another colour."""
    extent = [0.0, *values, *(v for pair in intervals or () for v in pair)]
    low, high = min(extent), max(extent)
    span = (high - low) or 1.0
    room = WIDTH - LABEL - VALUE

    def x(value: float) -> float:
        return LABEL + room * (value - low) / span

    out = []
    for k, (label, value) in enumerate(zip(labels, values, strict=True)):
        y = 4 + k * ROW
        shown = label if len(label) <= _MAX_LABEL else label[: _MAX_LABEL - 1] + "…"
        colour = "var(--c1)" if value < 0 else "var(--c0)"
        left, width = min(x(0.0), x(value)), max(abs(x(value) - x(0.0)), 1.0)
        out.append(f'<text x="{LABEL - 8}" y="{y + 15}" text-anchor="end">{escape(shown)}'
                   f"<title>{escape(label)}</title></text>"
                   f'<rect fill="{colour}" x="{left:.1f}" y="{y + 3}" width="{width:.1f}" height="{ROW - 8}" rx="2"/>')
        reach = x(value)
        if intervals is not None:
            a, b = x(intervals[k][0]), x(intervals[k][1])
            middle = y + ROW / 2 - 1
            caps = f"M{a:.1f},{middle - 4}v8M{b:.1f},{middle - 4}v8"
            out.append(f'<path class="whisker" d="M{a:.1f},{middle}H{b:.1f}{caps}"/>')
            reach = max(reach, b)
        text = f"{value:+.3g}" if signed else number(value)
        out.append(f'<text class="soft" x="{max(reach, x(0.0)) + 6:.1f}" y="{y + 15}">{text}</text>')
    out.append(f'<line class="axis" x1="{x(0.0):.1f}" x2="{x(0.0):.1f}" y1="2" y2="{6 + len(labels) * ROW}"/>')
    return svg(WIDTH, 12 + len(labels) * ROW, out, title)


def histogram(edges: Sequence[float], counts: Sequence[float], x_title: str, title: str = "", height: int = 220) -> str:
    """Counts between ``len(counts) + 1`` edges."""
    plane = Plane((edges[0], edges[-1]), (0.0, max([*counts, 1e-12]) * 1.05), height)
    out = plane.axes(x_title, "rows")
    base = height - BOTTOM
    for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True):
        left, top, width = plane.x(a) + 0.5, plane.y(n), max(plane.x(b) - plane.x(a) - 1, 0.5)
        out.append(f'<rect fill="var(--c0)" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
                   f'height="{max(base - top, 0):.1f}"><title>{number(a)} to {number(b)}: {n:,.0f}</title></rect>')
    return svg(WIDTH, height, out, title)


