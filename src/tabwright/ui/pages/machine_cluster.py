"""The Dask clusters that running jobs are fitted on."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from tabwright.engine.dask_connect import DASK
from tabwright.errors import UserError
from tabwright.ui import cluster, parts
from tabwright.ui.shell import Shell, aside, heading

EVERY_S = 4.0
GIB = 2**30


async def build(shell: Shell) -> None:
    """A card that follows the clusters of the jobs that run now."""
    with parts.card("Dask cluster", "Where running jobs are fitted, if not on this machine."):
        where = ui.element("div").classes("tw-stack")
    seen: list[Any] = []

    async def update() -> None:
        found = await aside(_read, shell)
        if seen != [found]:
            seen[:] = [found]
            where.clear()
            with where:
                _draw(found)

    await update()
    ui.timer(EVERY_S, update)


def _read(shell: Shell) -> dict[str, tuple[list[str], list[cluster.Worker] | str]]:
    """By address: the jobs, and the workers or why there are none to be told."""
    found: dict[str, tuple[list[str], list[cluster.Worker] | str]] = {}
    for address, jobs in cluster.engines(shell.context.jobs.every(), shell.context.workspace).items():
        if address == DASK:
            found[address] = jobs, "The run has made a cluster of its own, on this machine."
            continue
        try:
            found[address] = jobs, cluster.workers(address)
        except UserError as error:
            found[address] = jobs, str(error)
    return found


def _draw(found: dict[str, tuple[list[str], list[cluster.Worker] | str]]) -> None:
    if not found:
        parts.empty("No running job uses one. Choose it in New run, under Where it runs.")
    for address, (jobs, workers) in found.items():
        heading(address, 3)
        parts.soft(", ".join(jobs))
        if isinstance(workers, str):
            parts.note(workers, "info" if address == DASK else "error")
            continue
        limit = sum(w.memory_limit for w in workers)
        parts.figures({
            "workers": str(len(workers)), "threads": str(sum(w.threads for w in workers)),
            "memory in use": _memory(sum(w.memory for w in workers), limit),
        })  # fmt: skip
        columns = [
            parts.column("address", "Worker"), parts.column("threads", "Threads", number=True),
            parts.column("cpu", "Busy", number=True), parts.column("memory", "Memory", number=True),
        ]  # fmt: skip
        rows = [{"address": w.address, "threads": w.threads, "cpu": f"{w.cpu:.0f} %",
                 "memory": _memory(w.memory, w.memory_limit)} for w in workers]  # fmt: skip
        parts.table(columns, rows, "address", f"Workers of {address}").style("max-height:320px")


def _memory(used: float, limit: float) -> str:
    return f"{used / GIB:.1f} GiB" if not limit else f"{used / GIB:.1f} of {limit / GIB:.1f} GiB"
