"""What finished runs have taught: the store that new runs are warm-started from."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from nicegui import ui

from tabwright.errors import UserError
from tabwright.meta.experience import VARIABLE, Experience, StoredTask, place
from tabwright.ui import parts
from tabwright.ui.shell import Shell, aside

T = TypeVar("T")
SHOWN = 200


async def build(shell: Shell) -> None:
    """A card with the stored runs, latest first, and a way to forget them."""
    with parts.card("Experience", "Sizes and kinds of finished runs' tables, never their content, and what their best "
                    "candidates were: new runs on tables alike try those early."):  # fmt: skip
        await _stored(shell)


@ui.refreshable
async def _stored(shell: Shell) -> None:
    if place() is None:
        parts.empty(f"It is off: {VARIABLE}=off is set.")
        return
    try:
        url, runs = await aside(_with_store, lambda store: (store.url, store.all()))
    except UserError as error:
        parts.note(str(error), "error")
        return
    parts.soft(f"Kept in {url}. tabwright experience export FILE writes it, import FILE adds another's.")
    if not runs:
        parts.empty("No run has been stored yet.")
        return
    columns = [
        parts.column("day", "Finished"), parts.column("task", "Task"), parts.column("metric", "Metric"),
        parts.column("rows", "Rows", number=True), parts.column("columns", "Columns", number=True),
        parts.column("results", "Results", number=True), parts.column("leader", "Families of the leader"),
    ]  # fmt: skip
    rows = [_row(run) for run in sorted(runs, key=lambda r: -r.created)[:SHOWN]]
    parts.table(columns, rows, "id", "Experience").style("max-height:320px")

    async def forget() -> None:
        if await parts.sure(f"Forget what {len(runs)} runs have taught?"):
            with shell.telling():
                await aside(_with_store, lambda store: store.clear())
                _stored.refresh()

    with ui.element("div").classes("tw-row"):
        ui.button("Forget it all", icon="delete", on_click=forget).props("flat")


def _with_store(use: Callable[[Experience], T]) -> T:
    store = Experience(str(place()))
    try:
        return use(store)
    finally:
        store.close()


def _row(run: StoredTask) -> dict[str, Any]:
    members = sorted((r for r in run.results if r.weight > 0), key=lambda r: -r.weight)
    n_rows, n_columns = (round(10 ** run.features.get(name, 0)) for name in ("log_rows", "log_columns"))
    return {
        "id": run.id, "day": time.strftime("%Y-%m-%d", time.gmtime(run.created)), "task": run.task,
        "metric": run.metric, "rows": f"{n_rows:,}", "columns": f"{n_columns:,}", "results": len(run.results),
        "leader": ", ".join(dict.fromkeys(r.family for r in members)),
    }  # fmt: skip
