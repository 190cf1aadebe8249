"""The first page: what there is, and how to begin."""

from __future__ import annotations

from dataclasses import replace

from nicegui import ui

from tabwright.ui import parts, recipes, runs
from tabwright.ui.shell import Page, Shell, aside, heading
from tabwright.ui.tables import Entry, Source, Tables

SHOWN = 6


async def build(shell: Shell) -> None:
    context = shell.context
    heading("Overview", 1)
    tables, models = context.workspace.names("tables"), context.models.names()
    names = context.workspace.names("runs")
    parts.figures({"tables": str(len(tables)), "runs": str(len(names)), "models": str(len(models))})
    with ui.element("div").classes("tw-grid"):
        with parts.card("Begin", "Bring in a table, say which column to predict and how long to search, and take away "
                        "one file that any language can score."), ui.element("div").classes("tw-row"):  # fmt: skip
            ui.button("Bring in a table", icon="upload", on_click=lambda: ui.navigate.to("/data"))
            ui.button("Try the demo table", icon="science", on_click=lambda: demo(shell)).props("outline")
        await _runs(shell, names[:SHOWN])
        _tables(shell, tables[:SHOWN])
        _models(models[:SHOWN])


async def demo(shell: Shell) -> None:
    """Bring the bundled table in and show it."""
    tables = shell.context.tables
    with shell.telling():
        entry = await aside(tables.bring, Source("demo", "demo"))
        entry = await aside(_with_target, tables, entry)
        shell.record(recipes.bring(entry, tables.parquet(entry.name)))
        ui.navigate.to(f"/data/{entry.name}")


def _with_target(tables: Tables, entry: Entry) -> Entry:
    entry = replace(entry, target="MedHouseVal")
    tables.save(entry)
    return entry


async def _runs(shell: Shell, names: list[str]) -> None:
    context = shell.context
    views = await aside(lambda: [runs.view(context.workspace, context.jobs, name) for name in names])
    with parts.card("Runs"):
        if not names:
            parts.empty("No run yet: bring in a table first.")
        for view in views:
            with ui.element("div").classes("tw-row"):
                ui.link(view.name, f"/runs/{view.name}").classes("tw-link")
                parts.badge(view.state)
                parts.soft(f"{view.metric} {parts.number(view.score)}" if view.score is not None else "")


def _tables(shell: Shell, names: list[str]) -> None:
    with parts.card("Tables"):
        if not names:
            parts.empty("No table yet.")
        for entry in [e for e in shell.context.tables.every() if e.name in names]:
            with ui.element("div").classes("tw-row"):
                ui.link(entry.name, f"/data/{entry.name}").classes("tw-link")
                parts.soft(f"{entry.rows:,} rows, {len(entry.columns)} columns")


def _models(names: list[str]) -> None:
    with parts.card("Models"):
        if not names:
            parts.empty("No model file yet: export a run's leader.")
        for name in names:
            ui.link(name, f"/models/{name}").classes("tw-link")


OVERVIEW = Page("/", "Overview", build)
