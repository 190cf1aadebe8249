"""The list of runs."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from tabwright.errors import DataError
from tabwright.ui import parts
from tabwright.ui import runs as reading
from tabwright.ui.shell import Page, Shell, aside, heading


async def build(shell: Shell) -> None:
    with ui.element("div").classes("tw-head"):
        heading("Runs", 1)
        ui.button("New run", icon="play_arrow", on_click=lambda: ui.navigate.to("/new"))
    with parts.card():
        await _listed(shell)


@ui.refreshable
async def _listed(shell: Shell) -> None:
    context = shell.context
    names = context.workspace.names("runs")
    if not names:
        parts.empty("No run yet. Bring in a table, then start one.")
        return
    views = await aside(lambda: [reading.view(context.workspace, context.jobs, name) for name in names])
    columns = [
        parts.column("name", "Run"), parts.column("state", "State"), parts.column("task", "Task"),
        parts.column("metric", "Metric"), parts.column("score", "Leader's score", number=True),
        parts.column("candidates", "Candidates", number=True), parts.column("failed", "Failed folds", number=True),
        parts.column("seconds", "Time", number=True), parts.column("remove", "", sort=False),
    ]  # fmt: skip
    made = parts.linked(parts.table(columns, [_row(v) for v in views], "name", "Runs"), "name")

    def remove(name: str) -> None:
        with shell.telling():
            if reading.view(context.workspace, context.jobs, name).is_live:
                raise DataError(f"the run {name!r} goes on", "stop it first")
            shell.context.workspace.delete("runs", name)
            _listed.refresh()

    parts.removable(made, "Remove the run {name} and everything it has found?", remove)


def _row(v: reading.View) -> dict[str, Any]:
    found = v.audit
    return {
        "name": v.name, "href": f"/runs/{v.name}", "state": v.state, "task": str(v.task or ""), "metric": v.metric,
        "score": None if v.score is None else round(v.score, 6), "live": v.is_live,
        "candidates": 0 if found is None else len(found.candidates),
        "failed": 0 if found is None else len(found.killed()),
        "seconds": "" if found is None else parts.seconds(found.run_seconds(float("inf"))),
    }  # fmt: skip


RUNS = Page("/runs", "Runs", build)
