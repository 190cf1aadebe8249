"""How commands print runs and tables."""

from __future__ import annotations

import sys
from typing import Any

import pandas as pd


def show_run(made: Any) -> None:
    """Notes, leaderboard and where the run lies."""
    finished = made._finished
    for note in finished.notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"{finished.problem.task} of {finished.schema.target!r}")
    board = made.leaderboard()
    print(leaderboard_text(board, finished.problem.metric.name))
    print(f"{finished.seconds:.1f} s; run in {made.run_dir}")
    if finished.interrupted:
        what = "with a valid leader" if made.leader.members else "before any candidate was finished"
        print(f"Stopped early {what}; continue with: tabwright resume {made.run_dir}", file=sys.stderr)


def leaderboard_text(board: pd.DataFrame, metric: str, rows: int = 15) -> str:
    """The leaderboard's first rows as plain text."""
    shown = board.head(rows)
    header = ["rank", "model", metric, "95 % interval", "fit s", "p50 µs", "MiB", "status"]
    lines = [header]
    records: Any = shown.itertuples()
    for r in records:
        interval = "" if pd.isna(r.score_ci_low) else f"{r.score_ci_low:.5g} … {r.score_ci_high:.5g}"
        lines.append([
            str(r.rank), str(r.model_id), "" if pd.isna(r.score) else f"{r.score:.5f}", interval,
            _number(r.fit_seconds, ".1f"), _number(r.latency_p50_us, ".0f"), _number(r.size_mib, ".2f"), str(r.status),
        ])  # fmt: skip
    text = _aligned(lines, left={1, 3, 7})
    if len(board) > rows:
        text.append(f"… and {len(board) - rows} more")
    return "\n".join(text)


def front_text(front: pd.DataFrame, metric: str) -> str:
    """A Pareto front as plain text, the leader marked."""
    lines = [["", metric, "p50 µs", "p99 µs", "MiB", "rows/s", "design"]]
    records: Any = front.itertuples()
    lines.extend(
        ["*" if r.leader else "", f"{r.score:.5f}", _number(r.latency_p50_us, ".0f"),
         _number(r.latency_p99_us, ".0f"), _number(r.size_mib, ".2f"), _number(r.rows_per_second, ",.0f"),
         str(r.design)]
        for r in records
    )  # fmt: skip
    return "\n".join(_aligned(lines, left={0, 6}))


def _aligned(lines: list[list[str]], left: set[int]) -> list[str]:
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return [
        "  ".join(
            c.ljust(w) if k in left else c.rjust(w) for k, (c, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _number(value: Any, spec: str) -> str:
    return "" if pd.isna(value) else format(value, spec)
