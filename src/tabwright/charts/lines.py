"""Curves and clouds of points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tabwright.charts.frame import LEFT, TOP, WIDTH, Plane, ends, number, svg

COLOURS = 5
LEGEND = 0.08  # of an axis, left free above the curves for their names


@dataclass(frozen=True)
class Line:
    """A curve; ``band`` is (lower, upper) around it; ``dashed`` for what it is compared with."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    band: tuple[Sequence[float], Sequence[float]] | None = None
    dashed: bool = False
    steps: bool = False


def lines(
    curves: Sequence[Line], x_title: str, y_title: str, title: str = "", *,
    x_ticks: Sequence[tuple[float, str]] | None = None, square: bool = False, height: int = 260,
) -> str:  # fmt: skip
    """Curves in one plane with a legend; ``square`` means both axes run from 0 to 1."""
    xs = [v for c in curves for v in c.x]
    ys = [v for c in curves for v in (*c.y, *(c.band[0] if c.band else ()), *(c.band[1] if c.band else ()))]
    low, high = ends(ys)
    if sum(bool(c.name) for c in curves) > 1:
        high += LEGEND * (high - low)
    plane = Plane((0.0, 1.0) if square else ends(xs, 0.02), (0.0, 1.0) if square else (low, high), height)
    out = plane.axes(x_title, y_title, x_ticks)
    colour = 0
    legend = []
    for curve in curves:
        paint = "var(--soft)" if curve.dashed else f"var(--c{colour % COLOURS})"
        colour += not curve.dashed
        if curve.band is not None:
            there = _path(plane, curve.x, curve.band[1])
            back = _path(plane, curve.x[::-1], curve.band[0][::-1]).replace("M", "L", 1)
            out.append(f'<path d="{there}{back}Z" fill="{paint}" opacity="0.16"/>')
        dash = ' stroke-dasharray="5 4" stroke-width="1.2"' if curve.dashed else ""
        out.append(f'<path class="line" stroke="{paint}"{dash} d="{_path(plane, curve.x, curve.y, curve.steps)}"/>')
        if curve.name:
            legend.append((paint, curve.name))
    x = LEFT + 8.0
    for paint, name in legend if len(legend) > 1 else ():
        out.append(f'<rect fill="{paint}" x="{x:.0f}" y="{TOP + 2}" width="12" height="4"/>'
                   f'<text class="soft" x="{x + 16:.0f}" y="{TOP + 8}">{escape(name)}</text>')
        x += 30 + 6.4 * len(name)
    return svg(WIDTH, height, out, title)


def _path(plane: Plane, xs: Sequence[float], ys: Sequence[float], steps: bool = False) -> str:
    points = [(plane.x(a), plane.y(b)) for a, b in zip(xs, ys, strict=True)]
    first, *rest = points
    join = "".join(f"H{a:.1f}V{b:.1f}" if steps else f"L{a:.1f},{b:.1f}" for a, b in rest)
    return f"M{first[0]:.1f},{first[1]:.1f}{join}"


def scatter(
    x: Sequence[float], y: Sequence[float], x_title: str, y_title: str, *, diagonal: bool = False,
    level: float | None = None,
) -> str:  # fmt: skip
    """Points; ``diagonal`` draws y = x, ``level`` a horizontal line."""
    both = ends([*x, *y]) if diagonal else None
    height = 260
    plane = Plane(both or ends(x, 0.08), both or ends(y), height)
    out = plane.axes(x_title, y_title)
    out += [f'<circle fill="var(--c0)" opacity="0.35" cx="{plane.x(a):.1f}" cy="{plane.y(b):.1f}" r="2"/>'
            for a, b in zip(x, y, strict=True)]  # fmt: skip
    if diagonal:
        low, high = plane.x_ends
        out.append(f'<path class="line" stroke="var(--c1)" stroke-dasharray="5 4" '
                   f'd="{_path(plane, (low, high), (low, high))}"/>')
    if level is not None:
        out.append(f'<path class="line" stroke="var(--c1)" stroke-dasharray="5 4" '
                   f'd="{_path(plane, plane.x_ends, (level, level))}"><title>{number(level)}</title></path>')
    return svg(WIDTH, height, out, f"{y_title} against {x_title}")
