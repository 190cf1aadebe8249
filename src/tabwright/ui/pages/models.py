"""Model files: those that runs exported, and those that are brought in."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from nicegui import ui

from tabwright.errors import DataError, UserError
from tabwright.ui import parts, recipes
from tabwright.ui.models import server_of
from tabwright.ui.shell import Page, Shell, aside, heading


async def build(shell: Shell) -> None:
    heading("Models", 1)
    parts.soft("Files that score anywhere: preprocessing, every model and the ensemble in one ONNX graph.")
    with parts.card():
        await _listed(shell)
    with parts.card("Bring a file in", "A model that tabwright has exported, here or elsewhere. One that was altered "
                    "is refused."):  # fmt: skip
        parts.upload("Choose an .onnx file", lambda event: _taken(shell, event), accept=".onnx")


async def _taken(shell: Shell, event: Any) -> None:
    with shell.telling():
        with tempfile.TemporaryDirectory(dir=shell.context.workspace.root) as folder:
            path = Path(folder) / "upload.onnx"
            await event.file.save(path)
            name = await aside(shell.context.models.bring, event.file.name, path)
        shell.record(recipes.imported(name, shell.context.models.path(name)))
        ui.navigate.to(f"/models/{name}")


@ui.refreshable
async def _listed(shell: Shell) -> None:
    context = shell.context
    names = context.models.names()
    if not names:
        parts.empty("No model file yet. Open a finished run and export its leader.")
        return
    rows = [await aside(_row, shell, name) for name in names]
    columns = [
        parts.column("name", "Model"), parts.column("target", "Predicts"), parts.column("task", "Task"),
        parts.column("members", "Members", number=True), parts.column("latency", "One row p50, µs", number=True),
        parts.column("size", "MiB", number=True), parts.column("served", "Server"),
        parts.column("remove", "", sort=False),
    ]  # fmt: skip
    made = parts.linked(parts.table(columns, rows, "name", "Models"), "name")

    def remove(name: str) -> None:
        with shell.telling():
            if server_of(context.jobs, name) is not None:
                raise DataError(f"the model {name!r} is being served", "stop its server first")
            shell.context.workspace.delete("models", name)
            _listed.refresh()

    parts.removable(made, "Remove the model file {name}?", remove)


def _row(shell: Shell, name: str) -> dict[str, Any]:
    context = shell.context
    row: dict[str, Any] = {"name": name, "href": f"/models/{name}"}
    try:
        facts = context.models.load(name).metadata
    except UserError as error:
        return row | {"target": str(error)}
    profile = facts.get("profile") or {}
    served = server_of(context.jobs, name)
    return row | {
        "target": str(facts["target"]), "task": facts["task"], "members": len(facts.get("members", ())),
        "latency": round(profile["latency_p50_us"]) if profile else None,
        "size": round(context.models.path(name).stat().st_size / 2**20, 2),
        "served": "" if served is None else served[1] or "starting",
    }  # fmt: skip


MODELS = Page("/models", "Models", build)
