"""The report: everything that a run found, on one page that loads nothing from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from typing import Any

import pandas as pd

from tabwright import front
from tabwright.audit import Audit, audit
from tabwright.charts import STYLE, number
from tabwright.explain import Explanation
from tabwright.explain.html import TABLE_STYLE, sections, table
from tabwright.finished import Finished
from tabwright.metrics import find_metric
from tabwright.names import masked
from tabwright.report.performance import figures
from tabwright.timeline import svg
from tabwright.types import Kind

MAX_COLUMNS, MAX_BOARD = 80, 25
BOARD = {
    "rank": "rank", "model_id": "model", "family": "family", "score": "score", "fit_seconds": "fit, s",
    "cpu_seconds": "CPU, s", "peak_memory_mib": "memory, MiB", "latency_p50_us": "one row, µs",
    "latency_p99_us": "p99, µs", "size_mib": "file, MiB", "status": "status",
}  # fmt: skip
PAGE_STYLE = """
:root { color-scheme: light dark; } body { margin: 0; background: #f0f4f8; }
.tw { --lane: #f5f7fa; }
@media (prefers-color-scheme: dark) { body { background: #121a23; } .tw { --lane: #263545; } }
main { max-width: 1200px; margin: auto; padding: 24px 16px 60px; }
h1 { font-size: 24px; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 17px; margin: 0 0 10px; }
section { background: var(--panel); border: 1px solid var(--edge); border-radius: 10px; padding: 18px 20px;
  margin-top: 18px; } section p:first-of-type { margin-top: 0; }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; margin-top: 12px; font-size: 13px; }
a { color: var(--c0); text-decoration: none; } a:hover { text-decoration: underline; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 14px; }
.tile b { display: block; font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile { border-left: 3px solid var(--c0); padding-left: 10px; } .tile span { color: var(--soft); font-size: 12px; }
figure { margin: 0; } figcaption { font-weight: 600; font-size: 13px; margin-bottom: 6px; }
.timebox { overflow-x: auto; } .timebox svg { min-width: 760px; max-width: none; }
.warn { color: var(--bad); } ul { margin: 0; padding-left: 20px; } pre { overflow-x: auto; font-size: 12px; }
@media print { section { break-inside: avoid; } nav { display: none; } }
"""


def report(
    finished: Finished, board: pd.DataFrame, quality: pd.DataFrame, failures: pd.DataFrame, explanation: Explanation,
    pareto: pd.DataFrame,
) -> str:  # fmt: skip
    """The page's HTML."""
    told = audit(finished.run.path)
    parts: list[tuple[str, Callable[[], str]]] = [
        ("Summary", lambda: _summary(finished, board)),
        ("Data", lambda: _data(finished)),
        ("Quality", lambda: table(quality) if len(quality) else "<p>Nothing stood out.</p>"),
        ("Search", lambda: _search(told)),
        ("Leaderboard", lambda: _board(board)),
        ("What can be delivered: score against latency", lambda: _front(finished, pareto)),
        ("The leader's curves", lambda: figures(finished)),
        *((name, lambda html=html: html) for name, html in sections(explanation)),
        ("Failures", lambda: table(failures) if len(failures) else "<p>No fold failed.</p>"),
        ("Environment", lambda: _environment(told)),
    ]
    target = escape(str(finished.schema.target))
    links = "".join(f'<a href="#s{k}">{escape(name)}</a>' for k, (name, _) in enumerate(parts))
    body = "".join(f'<section id="s{k}"><h2>{escape(name)}</h2>{html()}</section>'
                   for k, (name, html) in enumerate(parts))  # fmt: skip
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{target}: tabwright report</title><style>{STYLE}{TABLE_STYLE}{PAGE_STYLE}</style></head>"
        f'<body class="tw"><main><h1>{target}</h1><p class="soft">{escape(str(finished.problem.task))}, trained on '
        f"{len(finished.problem.y):,} rows</p><nav>{links}</nav>{body}</main></body></html>"
    )


def _tiles(facts: list[tuple[str, str]]) -> str:
    tiles = "".join(f'<div class="tile"><b>{escape(v)}</b><span>{escape(k)}</span></div>' for k, v in facts)
    return f'<div class="tiles">{tiles}</div>'


def _summary(finished: Finished, board: pd.DataFrame) -> str:
    metric = find_metric(finished.problem.metric.name, finished.problem.task)
    leader: Any = board[board["model_id"] == finished.state.leader.name].iloc[0]
    facts = [(f"{metric.title} of the leader", number(float(leader["score"])))]
    if math.isfinite(leader["score_ci_low"]):
        facts.append(("95 % interval", f"{number(leader['score_ci_low'])} – {number(leader['score_ci_high'])}"))
    constant: Any = board[board["model_id"] == "constant"]["score"]
    if len(constant):
        facts.append(("the constant prediction", number(float(constant.iloc[0]))))
    n_members, n_finished = len(finished.ensemble.members), len(finished.state.finished())
    facts += [("members", str(n_members)), ("candidates finished", str(n_finished))]
    if math.isfinite(leader["latency_p50_us"]):
        facts += [("one row, median", f"{number(leader['latency_p50_us'])} µs"),
                  ("exported file", f"{leader['size_mib']:.2f} MiB")]  # fmt: skip
    members = pd.DataFrame([(m.title, m.family, m.weight, len(m.folds)) for m in finished.ensemble.members],
                           columns=["member", "family", "weight", "fold models"])  # fmt: skip
    notes = "".join(f'<li class="warn">{escape(n)}</li>' for n in finished.notes)
    honest = ('<p class="soft">Every row is scored by models that had not seen it; the score is corrected for the '
              "leader having been chosen on these rows, the interval is a bootstrap over rows.</p>")  # fmt: skip
    scores = pd.DataFrame([(find_metric(k, finished.problem.task).title, v) for k, v in finished.metrics.items()],
                          columns=["metric", "out of fold"])  # fmt: skip
    tables = f'<div class="grid2"><div>{table(scores)}</div><div>{table(members)}</div></div>'
    return f"{_tiles(facts)}<p></p>{honest}{tables}" + (f"<p></p><ul>{notes}</ul>" if notes else "")


def _data(finished: Finished) -> str:
    columns = finished.schema.columns
    rows = []
    for c in columns[:MAX_COLUMNS]:
        extent = ""
        if c.kind is Kind.CATEGORICAL:
            extent = f"{len(c.values)} values"
        elif c.minimum is not None and c.maximum is not None and c.kind is not Kind.BOOLEAN:
            ends = [pd.Timestamp(v, unit="s").date() if c.kind is Kind.DATETIME else number(v)
                    for v in (c.minimum, c.maximum)]  # fmt: skip
            extent = f"{ends[0]} to {ends[1]}"
        rows.append((c.name, str(c.kind), "yes" if c.used else "no", f"{c.missing_share:.1%}", extent, c.reason))
    frame = pd.DataFrame(rows, columns=["column", "kind", "used", "missing", "range", "why this kind"])
    more = f"<p>… and {len(columns) - MAX_COLUMNS} more columns</p>" if len(columns) > MAX_COLUMNS else ""
    folds = f"{finished.problem.n_folds} folds" if finished.problem.n_folds > 1 else "one hold-out"
    return f"<p>{len(finished.problem.y):,} rows, {len(columns)} columns, validated on {folds}</p>{table(frame)}{more}"


def _search(told: Audit) -> str:
    stages = {k: v for k, v in told.stage_seconds().items() if v >= 0.005}
    frame = pd.DataFrame({"stage": list(stages), "seconds": list(stages.values())})
    return f'<div class="timebox">{svg(told)}</div>{table(frame)}'


def _board(board: pd.DataFrame) -> str:
    shown = board.head(MAX_BOARD)
    interval = [f"{number(a)} – {number(b)}" if math.isfinite(a) else "–"
                for a, b in zip(shown["score_ci_low"], shown["score_ci_high"], strict=True)]  # fmt: skip
    shown = shown[list(BOARD)].rename(columns=BOARD)
    shown.insert(4, "95 % interval", interval)
    more = f"<p>… and {len(board) - MAX_BOARD} more</p>" if len(board) > MAX_BOARD else ""
    return table(shown.dropna(axis=1, how="all")) + more


def _front(finished: Finished, pareto: pd.DataFrame) -> str:
    points = pareto[pareto["latency_p50_us"].notna()]
    if not len(points):
        return "<p>Nothing was measured.</p>"
    chart = front.svg(points, finished.problem.metric)
    columns = ["design", "score", "latency_p50_us", "latency_p99_us", "size_mib", "leader"]
    shown = points[columns].head(MAX_BOARD).rename(columns=BOARD).replace({"leader": {True: "yes", False: ""}})
    told = ('<p class="soft">Designs of this run that no other beats, measured; the leader is the larger point. '
            "<code>select</code> makes another one the leader without a new search.</p>")  # fmt: skip
    return f'{told}<div class="grid2"><div>{chart}</div><div>{table(shown)}</div></div>'


def _environment(told: Audit) -> str:
    found = dict(told.config.get("environment", {}))
    frame = pd.DataFrame({"": list(found), "value": [str(v) for v in found.values()]})
    options = {k: v for k, v in told.config.get("config", {}).items() if v not in (None, {}, [])}
    settings = pd.DataFrame({"option": list(options), "value": [masked(str(v)) for v in options.values()]})
    return f'<div class="grid2"><div>{table(frame)}</div><div>{table(settings)}</div></div>'
