"""Tables: bring one in, and the list of those that are there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from nicegui import ui

from tabwright.ui import parts, recipes
from tabwright.ui.pages.overview import demo
from tabwright.ui.shell import Page, Shell, aside, busy, heading
from tabwright.ui.tables import Source

FORMATS = "CSV, TSV, JSON, JSON lines, Parquet, Feather and Excel, also packed (.gz, .zip, .zst, .bz2, .xz)"


async def build(shell: Shell) -> None:
    with ui.element("div").classes("tw-drop") as zone:
        heading("Data", 1)
        await _content(shell, zone)


async def _content(shell: Shell, zone: ui.element) -> None:
    with parts.card("Bring in a table", f"{FORMATS}. Types, separator and decimal sign are found by looking; all of it "
                    "can be changed afterwards."):  # fmt: skip
        await parts.tabs({
            "Upload": lambda: _upload(shell, zone),
            "Path": lambda: _one_line(shell, "path", "Path of a file, or of a folder of Parquet files, on this "
                                      "machine"),
            "Web address": lambda: _one_line(shell, "url", "http:// or https:// address of a file"),
            "Database": lambda: _database(shell), "Demo": lambda: _demo(shell),
        })  # fmt: skip
    with parts.card("Tables here"):
        _listed(shell)


def _upload(shell: Shell, zone: ui.element) -> None:
    limit = shell.context.config

    async def taken(event: Any) -> None:
        with shell.telling():
            with tempfile.TemporaryDirectory(dir=shell.context.workspace.root) as folder:
                path = Path(folder) / "upload"
                await event.file.save(path)
                entry = await aside(shell.context.tables.upload, event.file.name, path)
            _taken(shell, entry)

    with ui.element("div").classes("tw-target"):
        parts.upload("Choose a file", taken, limit=limit.max_upload_bytes, zone=zone)
        parts.soft(f"or drop it anywhere on this page. Up to {limit.max_upload_mib:,.0f} MiB.")


def _taken(shell: Shell, entry: Any) -> None:
    shell.record(recipes.bring(entry, shell.context.tables.parquet(entry.name)))
    ui.navigate.to(f"/data/{entry.name}")


def _one_line(shell: Shell, kind: str, label: str) -> None:
    field = ui.input(label).classes("full-width")

    async def bring() -> None:
        with shell.telling(), busy(button):
            _taken(shell, await aside(shell.context.tables.bring, Source(kind, (field.value or "").strip())))

    button = ui.button("Read it", on_click=bring)
    field.on("keydown.enter", bring)


def _database(shell: Shell) -> None:
    parts.soft("SQLite and PostgreSQL; others where SQLAlchemy and a driver for them are installed.")
    address = ui.input("Address: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE").classes("full-width")
    query = ui.textarea("A SELECT statement, or the name of a table").classes("full-width").props("autogrow rows=2")

    async def bring() -> None:
        with shell.telling(), busy(button):
            source = Source("sql", (address.value or "").strip(), (query.value or "").strip())
            _taken(shell, await aside(shell.context.tables.bring, source))

    button = ui.button("Ask it", on_click=bring)


def _demo(shell: Shell) -> None:
    parts.soft("California housing, 20,640 districts of the 1990 census: predict the median house value.")
    ui.button("Bring it in", on_click=lambda: demo(shell))


@ui.refreshable
def _listed(shell: Shell) -> None:
    entries = shell.context.tables.every()
    if not entries:
        parts.empty("No table yet. Bring one in above, or begin with the demo table.")
        return
    rows = [
        {"name": e.name, "href": f"/data/{e.name}", "rows": e.rows, "columns": len(e.columns),
         "from": f"{e.source.kind}: {e.source.value}"[:120], "target": e.target or ""}
        for e in entries
    ]  # fmt: skip
    columns = [
        parts.column("name", "Table"), parts.column("rows", "Rows", number=True),
        parts.column("columns", "Columns", number=True), parts.column("target", "Target"), parts.column("from", "From"),
        parts.column("remove", "", sort=False),
    ]  # fmt: skip
    made = parts.linked(parts.table(columns, rows, "name", "Tables"), "name")

    def remove(name: str) -> None:
        with shell.telling():
            shell.context.workspace.delete("tables", name)
            _listed.refresh()

    parts.removable(made, "Remove the table {name}? Runs keep their own copies.", remove)


DATA = Page("/data", "Data", build)
