"""What notebooks show of an estimator, and of a run that goes on: plain HTML, no widgets."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from html import escape
from typing import Any

import pandas as pd

from tabwright.charts import STYLE, number
from tabwright.objectives.design import fold_name
from tabwright.search.snapshot import Snapshot

BOX = """
.tw { color: var(--ink); font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.tw .box { background: var(--panel); border: 1px solid var(--edge); border-radius: 8px; padding: 12px 16px;
  max-width: 820px; }
.tw .facts { display: flex; flex-wrap: wrap; gap: 6px 26px; } .tw .facts b { display: block; font-size: 17px; }
.tw .facts span { color: var(--soft); font-size: 12px; }
.tw .bar { height: 8px; border-radius: 4px; background: var(--rule); overflow: hidden; margin: 8px 0; }
.tw .bar div { height: 100%; background: var(--c0); }
.tw .box table { border-collapse: collapse; font-size: 13px; margin-top: 10px; color: var(--ink); background: none; }
.tw .box th { color: var(--soft); font-weight: 500; text-align: left; }
.tw .box td, .tw .box th { padding: 3px 14px 3px 0; border-bottom: 1px solid var(--rule); background: none; }
"""
ROWS = 8


def _box(body: str) -> str:
    return f'<style>{STYLE}{BOX}</style><div class="tw"><div class="box">{body}</div></div>'


def _facts(facts: list[tuple[str, str]]) -> str:
    inner = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in facts)
    return f'<div class="facts">{inner}</div>'


def fitted_html(name: str, target: str, metric: str, board: pd.DataFrame, leader: str, n_finished: int) -> str:
    """A fitted estimator: its leader and the best of the leaderboard (columns as of ``leaderboard()``)."""
    row: Any = board[board["model_id"] == leader].iloc[0]
    facts = [(f"{metric}, out of fold", number(float(row["score"])))]
    if pd.notna(row["score_ci_low"]):
        facts.append(("95 % interval", f"{number(row['score_ci_low'])} – {number(row['score_ci_high'])}"))
    facts += [("leader", leader), ("candidates finished", str(n_finished))]
    if pd.notna(row["latency_p50_us"]):
        facts += [("one row", f"{number(row['latency_p50_us'])} µs"), ("file", f"{row['size_mib']:.2f} MiB")]
    shown: Any = board.head(ROWS).itertuples()
    cells = "".join(
        f"<tr><td>{r.rank}</td><td>{escape(str(r.model_id))}</td><td>{number(float(r.score))}</td>"
        f"<td>{'' if pd.isna(r.fit_seconds) else f'{r.fit_seconds:.1f}'}</td><td>{escape(str(r.status))}</td></tr>"
        for r in shown
    )
    head = f"<tr><th>rank</th><th>model</th><th>{escape(metric)}</th><th>fit s</th><th>status</th></tr>"
    return _box(f"<b>{escape(name)}</b> of {escape(target)}{_facts(facts)}<table>{head}{cells}</table>")


def progress_html(s: Snapshot, budget_s: float | None, target: str) -> str:
    """A run that goes on."""
    done = 0.0 if not budget_s else min(1.0, s.elapsed_s / budget_s)
    left = f"{max(s.left_s, 0.0):.0f} s left" if budget_s else f"{s.elapsed_s:.0f} s gone"
    running = ", ".join(f"{m} {fold_name(k)}" for m, k in s.running) or "–"
    facts = [("leader", s.leader), (s.metric, number(s.score)), ("finished", str(s.n_finished)),
             ("failed", str(s.n_failed)), ("time", left)]  # fmt: skip
    bar = f'<div class="bar"><div style="width:{100 * done:.1f}%"></div></div>' if budget_s else ""
    return _box(f"predicting <b>{escape(target)}</b>{bar}{_facts(facts)}<span>running: {escape(running)}</span>")


def notebook_display() -> Callable[[str], None] | None:
    """A function that shows HTML in the running cell, each call in the place of the last; None outside a notebook."""
    ipython = sys.modules.get("IPython")  # a notebook has loaded it
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    found: Any = importlib.import_module("IPython.display")
    handle: Any = None

    def show(html: str) -> None:
        nonlocal handle
        if handle is None:
            handle = found.display(found.HTML(html), display_id=True)
        else:
            handle.update(found.HTML(html))

    return show
