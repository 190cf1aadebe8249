"""The live progress display: a few lines on a terminal, a box in a notebook, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tabwright.config import Config
from tabwright.display import notebook_display, progress_html
from tabwright.objectives.design import fold_name
from tabwright.search.snapshot import Observer, Snapshot

NOTEBOOK_S = 0.5  # between two pictures in a notebook


@contextmanager
def observer_for(progress: bool | str, config: Config, target: str) -> Iterator[Observer]:
    """An observer that draws, if asked for or if standard error is a terminal."""
    in_notebook = None if progress is False else notebook_display()
    if in_notebook is not None:
        seen = 0.0

        def show(snapshot: Snapshot) -> None:
            nonlocal seen
            if snapshot.elapsed_s - seen >= NOTEBOOK_S:
                seen = snapshot.elapsed_s
                in_notebook(progress_html(snapshot, config.max_runtime_secs, target))

        yield show
        return
    if progress is False or (progress == "auto" and not sys.stderr.isatty()):
        yield lambda _snapshot: None
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=4, transient=True) as live:
        yield lambda snapshot: live.update(render(snapshot, config, target))


def render(s: Snapshot, config: Config, target: str) -> Any:
    """A snapshot as a rich renderable."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    time_text = f"{s.elapsed_s:5.0f} s gone"
    if config.max_runtime_secs is not None:
        done = min(1.0, s.elapsed_s / config.budget_s)
        time_text = f"{'█' * int(30 * done):░<30} {max(s.left_s, 0):.0f} s left"
    grid.add_row("predicting", target)
    grid.add_row("time", time_text)
    grid.add_row("leader", f"{s.leader}  {s.metric} {s.score:.5g}")
    grid.add_row("running", ", ".join(f"{m} {fold_name(k)}" for m, k in s.running) or "-")
    failed = Text(str(s.n_failed), style="red" if s.n_failed else "")
    grid.add_row("finished", Text.assemble(str(s.n_finished), "   failed ", failed))
    return grid
