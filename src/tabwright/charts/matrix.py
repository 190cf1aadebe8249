"""A matrix of counts: true classes in rows, predicted ones in columns."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tabwright.charts.frame import WIDTH, number, svg

LABEL, HEAD = 96, 46


def matrix(counts: Sequence[Sequence[float]], labels: Sequence[str], title: str = "") -> str:
    """Cells are shaded by their share of their row."""
    n = len(labels)
    size = min(72.0, (WIDTH - LABEL - 10) / n)
    out = [f'<text class="soft" x="{LABEL + n * size / 2:.0f}" y="12" text-anchor="middle">predicted</text>']
    for j, label in enumerate(labels):
        out.append(f'<text class="soft" x="{LABEL + (j + 0.5) * size:.1f}" y="{HEAD - 8}" text-anchor="middle">'
                   f"{escape(_short(label, size))}<title>{escape(label)}</title></text>")
    for i, row in enumerate(counts):
        total = sum(row) or 1.0
        y = HEAD + i * size * 0.75
        out.append(f'<text class="soft" x="{LABEL - 8}" y="{y + size * 0.375 + 4:.1f}" text-anchor="end">'
                   f"{escape(_short(labels[i], 110))}<title>true: {escape(labels[i])}</title></text>")
        for j, value in enumerate(row):
            x, share = LABEL + j * size, value / total
            paint = "var(--c2)" if i == j else "var(--c1)"
            out.append(f'<rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{size - 2:.1f}" height="{size * 0.75 - 2:.1f}" '
                       f'rx="3" fill="{paint}" opacity="{0.08 + 0.6 * share:.2f}">'
                       f"<title>{value:,.0f}: {share:.1%} of true {escape(labels[i])}</title></rect>")
            if size >= 34:
                out.append(f'<text x="{x + size / 2:.1f}" y="{y + size * 0.375 + 4:.1f}" text-anchor="middle">'
                           f"{number(value)}</text>")
    return svg(WIDTH, HEAD + n * size * 0.75 + 6, out, title)


def _short(text: str, room: float) -> str:
    most = max(3, int(room / 6.5))
    return text if len(text) <= most else text[: most - 1] + "…"
