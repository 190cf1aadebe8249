"""A panel of a table's page: the table put together with others."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from tabwright.data.joins import COLUMNS, INNER, LEFT, ROWS
from tabwright.ui import parts, recipes
from tabwright.ui.actions import Action
from tabwright.ui.shell import Shell, aside, busy
from tabwright.ui.tables import Entry

HOW = {INNER: "only rows with a match", LEFT: "all rows of this table"}
BY = {ROWS: "under each other", COLUMNS: "beside each other"}


def build(shell: Shell, entry: Entry) -> None:
    """Join by key columns, and append."""
    others = {e.name: e for e in shell.context.tables.every() if e.name != entry.name}
    if not others:
        with parts.card("Join and append"):
            parts.empty("There is no other table yet. Bring one in under Data.")
        return
    _join(shell, entry, others)
    _append(shell, entry, others)


def _join(shell: Shell, entry: Entry, others: dict[str, Entry]) -> None:
    tables = shell.context.tables
    with parts.card("Join by key columns", "Each row gets the columns of the other table's rows with the same key. An "
                    "empty key matches nothing."):  # fmt: skip
        with ui.element("div").classes("tw-form"):
            other = ui.select(list(others), label="Table to join", value=next(iter(others)))
            keys = ui.select(list(entry.columns), label="Key columns here", multiple=True, value=[], with_input=True)
            theirs = ui.select([], label="The same there, in the same order", multiple=True, value=[], with_input=True)
            how = ui.select(HOW, label="Keep", value=INNER)
        for field in (keys, theirs):
            field.props("use-chips")

        def choose() -> None:
            columns = list(others[str(other.value)].columns)
            theirs.set_options(columns, value=[])
            keys.value = [c for c in entry.columns if c in columns and c != entry.target][:1]

        def follow() -> None:
            theirs.value = [c for c in keys.value or () if c in theirs.options]

        other.on_value_change(choose)
        keys.on_value_change(follow)
        choose()

        async def put() -> None:
            with shell.telling(), busy(button):
                given = {"on": list(keys.value or ()), "how": how.value}
                if theirs.value != given["on"]:
                    given["right_on"] = list(theirs.value or ())
                made = await aside(tables.join, entry.name, str(other.value), given)
                pair = (tables.get(entry.name), tables.get(str(other.value)))
                paths = [tables.parquet(t.name) for t in (*pair, made)]
                _told(out, made, shell.record(recipes.join(made, pair, given, paths)))

        button = ui.button("Join", icon="join_inner", on_click=put)
        out = ui.element("div").classes("full-width").props("aria-live=polite")


def _append(shell: Shell, entry: Entry, others: dict[str, Entry]) -> None:
    tables = shell.context.tables
    with parts.card("Append", "Under each other, columns of the same name go together. Beside each other, rows of the "
                    "same position do."):  # fmt: skip
        with ui.element("div").classes("tw-form"):
            chosen = ui.select(list(others), label="Tables to append", multiple=True, value=[next(iter(others))])
            by = ui.select(BY, label="Put them", value=ROWS)
            fill = ui.switch("Leave cells of columns that a table lacks empty")
        chosen.props("use-chips")

        async def put() -> None:
            with shell.telling(), busy(button):
                names, empty = [entry.name, *(chosen.value or ())], bool(fill.value)
                made = await aside(lambda: tables.append(names, str(by.value), fill=empty))
                every = [tables.get(n) for n in names]
                paths = [tables.parquet(t.name) for t in (*every, made)]
                _told(out, made, shell.record(recipes.append(made, every, str(by.value), paths, fill=empty)))

        button = ui.button("Append", icon="playlist_add", on_click=put)
        out = ui.element("div").classes("full-width").props("aria-live=polite")


def _told(where: Any, made: Entry, action: Action) -> None:
    where.clear()
    with where:
        with ui.element("div").classes("tw-row"):
            ui.link(made.name, f"/data/{made.name}").classes("tw-link")
            parts.soft(f"{made.rows:,} rows, {len(made.columns)} columns")
        parts.code(action)
