"""What all charts have in common: colours as CSS variables, scales, axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

# Colours that readers with any colour vision tell apart (after Okabe & Ito 2008), lighter ones on dark ground.
STYLE = """
.tw { --ink: #243b53; --soft: #627d98; --rule: #e4e9f0; --panel: #fff; --ground: #f0f4f8; --edge: #d9e2ec;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b5558f; --c4: #8a7400; --bad: #c23b3b; --good: #0b7a55; }
@media (prefers-color-scheme: dark) { .tw { --ink: #e3e9f0; --soft: #9fb3c8; --rule: #33445a; --panel: #1c2733;
  --ground: #121a23; --edge: #33445a; --c0: #56b4e9; --c1: #ee8a4a; --c2: #2fc79a; --c3: #de93bf; --c4: #d5bd3e;
  --bad: #ff8f8f; --good: #4fd1a5; } }
.tw svg { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; display: block;
  width: 100%; height: auto; max-width: 560px; overflow: visible; }
.tw svg text { fill: var(--ink); } .tw svg .soft { fill: var(--soft); font-size: 11px; }
.tw svg .grid { stroke: var(--rule); } .tw svg .axis { stroke: var(--soft); }
.tw svg .line { fill: none; stroke-width: 2; } .tw svg .whisker { stroke: var(--ink); stroke-width: 1.2; }
"""
WIDTH = 420  # a phone's width, so that words stay readable there
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 16, 40


def number(value: float) -> str:
    """A number short enough for an axis or a table."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e5 or size < 1e-4:
        return f"{value:.2e}".replace("e+0", "e").replace("e-0", "e-")
    return f"{value:,.0f}" if size >= 1e4 else f"{value:.4g}"


def ticks(low: float, high: float, n: int = 5) -> list[float]:
    """Round values between two ends, about ``n``."""
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    unit = 10.0 ** math.floor(math.log10(span / n))
    step = next(unit * m for m in (1, 2, 5, 10) if span / (unit * m) <= n)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def ends(values: Iterable[float], margin: float = 0.04) -> tuple[float, float]:
    """Smallest and largest finite value, a little wider."""
    finite = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    room = margin * (high - low) or 0.05 * abs(high) or 0.5
    return low - room, high + room


def svg(width: float, height: float, body: Sequence[str], title: str) -> str:
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
            f'aria-label="{escape(title, quote=True)}">{"".join(body)}</svg>')  # fmt: skip


class Plane:
    """A rectangle with two linear scales and their axes."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], height: float = 260) -> None:
        self.x_ends, self.y_ends, self.width, self.height = x, y, WIDTH, height

    def x(self, value: float) -> float:
        low, high = self.x_ends
        return LEFT + (self.width - LEFT - RIGHT) * (value - low) / ((high - low) or 1.0)

    def y(self, value: float) -> float:
        low, high = self.y_ends
        return self.height - BOTTOM - (self.height - TOP - BOTTOM) * (value - low) / ((high - low) or 1.0)

    def axes(self, x_title: str, y_title: str, x_ticks: Sequence[tuple[float, str]] | None = None) -> list[str]:
        out = []
        for value in ticks(*self.y_ends):
            y = self.y(value)
            out.append(f'<line class="grid" x1="{LEFT}" x2="{self.width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                       f'<text class="soft" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number(value)}</text>')
        marks = [(v, number(v)) for v in ticks(*self.x_ends)] if x_ticks is None else x_ticks
        base = self.height - BOTTOM
        out.append(f'<line class="axis" x1="{LEFT}" x2="{self.width - RIGHT}" y1="{base}" y2="{base}"/>')
        for value, text in marks:
            out.append(f'<text class="soft" x="{self.x(value):.1f}" y="{base + 15}" text-anchor="middle">'
                       f"{escape(text)}</text>")
        middle = (LEFT + self.width - RIGHT) / 2
        out.append(f'<text x="{middle:.0f}" y="{self.height - 8}" text-anchor="middle">{escape(x_title)}</text>')
        if y_title:
            out.append(f'<text class="soft" x="{LEFT}" y="10">{escape(y_title)}</text>')
        return out
