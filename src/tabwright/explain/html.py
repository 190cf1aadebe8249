"""An explanation as a self-contained HTML fragment."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tabwright.charts import STYLE, Line, bars, lines, number

if TYPE_CHECKING:
    from tabwright.explain.explanation import Explanation

TOP, CURVES = 12, 4
SHORT = 26  # a text up to so many characters stays on one line
TABLE_STYLE = """
.tw { color: var(--ink); font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.tw table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; color: var(--ink); }
.tw th { text-align: left; color: var(--soft); font-weight: 500; background: none; }
.tw td, .tw th { padding: 4px 14px 4px 0; border-bottom: 1px solid var(--rule); vertical-align: top; background: none; }
.tw td.n, .tw th.n { text-align: right; } .tw td.n, .tw td.s, .tw th { white-space: nowrap; }
.tw td.l { min-width: 220px; max-width: 560px; }
.tw .wide { overflow-x: auto; max-width: 100%; } .tw h3 { font-size: 15px; margin: 18px 0 6px; }
.tw .soft { color: var(--soft); } .tw p { margin: 4px 0 10px; }
.tw .grid2 { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: 18px; }
"""


def table(frame: pd.DataFrame, index: bool = False) -> str:
    """A frame as an HTML table: numbers to the right and short, missing values as a dash."""
    if index:
        frame = frame.reset_index()
    numeric = [pd.api.types.is_numeric_dtype(t) and not pd.api.types.is_bool_dtype(t) for t in frame.dtypes]
    head = "".join(f'<th class="{"n" if n else ""}">{escape(str(c))}</th>' for c, n in zip(frame, numeric, strict=True))
    body = []
    for row in frame.itertuples(index=False):
        texts = [_cell(v, n) for v, n in zip(row, numeric, strict=True)]
        kinds = ["n" if n else "s" if len(t) <= SHORT else "l" for t, n in zip(texts, numeric, strict=True)]
        cells = "".join(f'<td class="{k}">{escape(t)}</td>' for t, k in zip(texts, kinds, strict=True))
        body.append(f"<tr>{cells}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _cell(value: object, numeric: bool) -> str:
    if numeric:
        if isinstance(value, (int, np.integer)):
            return f"{value:,}"
        return number(float(value))  # type: ignore[arg-type]
    return "–" if value is None or value is pd.NaT or value != value else str(value)  # noqa: PLR0124 - NaN


def sections(explanation: Explanation) -> list[tuple[str, str]]:
    """(heading, HTML) of each part that can be shown."""
    subject = explanation.subject
    importance = explanation.importance
    shown = importance.head(TOP)
    told = "How much worse the score gets" if explanation.y is not None else "How far the prediction moves"
    parts = [(
        "Which columns matter",
        f'<p class="soft">{told} when a column is dealt out anew, with 95 % intervals. '
        "Columns that tell much the same are also dealt out together.</p>"
        + bars(shown["columns"].tolist(), shown["importance"].tolist(),
               list(zip(shown["low"], shown["high"], strict=True)), "permutation importance"),
    )]  # fmt: skip
    shap = explanation.shap_importance.head(TOP)
    how = "exact" if explanation.shap.exact else "sampled"
    parts.append((
        "How far columns move predictions",
        f'<p class="soft">Mean absolute Shapley value ({how}, {escape(subject.unit)}); for every row the values '
        "and the base add up to the prediction.</p>"
        + bars(shap["column"].tolist(), shap["mean_abs"].tolist(), title="mean absolute Shapley value"),
    ))  # fmt: skip
    columns = [c for c in shap["column"] if subject.schema.column(c).kind.value != "text"][:CURVES]
    curves = "".join(f"<div>{curve(explanation, c)}</div>" for c in columns)
    parts.append(("How predictions depend on single columns", f'<div class="grid2">{curves}</div>'))
    tree = explanation.surrogate
    share = f"{max(tree.fidelity, 0.0):.0%}"
    told = f"A small tree that imitates the model; it explains {share} of its predictions' variance."
    parts.append(("In three questions", f'<p class="soft">{told}</p>{table(tree.rules)}'))
    if explanation.y is not None:
        worst = explanation.slices.head(8)
        text = table(worst) if len(worst) else "<p>No slice stands out by more than chance.</p>"
        parts.append(("Where it is worst", text))
    return parts


def curve(explanation: Explanation, column: str) -> str:
    """Partial dependence of a column as a chart."""
    subject = explanation.subject
    found = explanation.dependence(column)
    frame = found.table
    k = explanation.output(None)
    unit = subject.unit if not len(subject.classes) else f"P({subject.classes[k]})"
    values = frame["value"].tolist()
    title, mean = f"dependence on {column}", frame["mean"].tolist()
    band = (frame["low"].tolist(), frame["high"].tolist())
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values) and len(values) > 1:
        return lines([Line("mean", values, mean, band)], column, unit, title, height=240)
    if all(isinstance(v, pd.Timestamp) for v in values) and len(values) > 1:
        seconds = [v.timestamp() for v in values]
        marks = [(seconds[k], str(values[k].date())) for k in (0, len(values) // 2, len(values) - 1)]
        return lines([Line("mean", seconds, mean, band)], column, unit, title, x_ticks=marks, height=240)
    names = ["missing" if v is None else str(v) for v in values]
    return f"<p>{escape(column)}, {escape(unit)}</p>" + bars(names, mean, title=title)


def fragment(explanation: Explanation) -> str:
    """All parts under headings."""
    body = "".join(f"<h3>{escape(name)}</h3>{html}" for name, html in sections(explanation))
    target = escape(str(explanation.subject.schema.target))
    return (f'<style>{STYLE}{TABLE_STYLE}</style><div class="tw"><p><b>{target}</b>, explained on '
            f"{len(explanation.rows):,} rows</p>{body}</div>")  # fmt: skip


def page(explanation: Explanation, by: str | None = None) -> str:
    """A whole page; ``by`` adds the comparison of a column's groups."""
    body = fragment(explanation)
    if by is not None:
        fair = explanation.fairness(by)
        gaps = fair.gaps.rename("value").rename_axis("gap").to_frame()
        body += f'<div class="tw"><h3>By {escape(by)}</h3>{table(fair.groups, True)}<p></p>{table(gaps, True)}</div>'
    target = escape(str(explanation.subject.schema.target))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{target}, explained</title><style>body {{ max-width: 900px; margin: 24px auto; padding: 0 16px; }}"
        "@media (prefers-color-scheme: dark) { body { background: #121a23; } }</style></head>"
        f"<body>{body}</body></html>"
    )
