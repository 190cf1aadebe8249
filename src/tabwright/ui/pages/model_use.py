"""Panels of a model's page that put it to use: scoring tables, and serving it."""

from __future__ import annotations

import shlex
from typing import Any

import orjson
import pandas as pd
from nicegui import ui

from tabwright.ui import parts, recipes
from tabwright.ui.jobs import DONE, RUNNING, Job
from tabwright.ui.models import monitoring, server_of
from tabwright.ui.shell import Shell, aside
from tabwright.ui.tables import texts
from tabwright.ui.workspace import slug

PREVIEW = 20


def predict_panel(shell: Shell, name: str) -> None:
    """Score a table of the workspace into a file."""
    context = shell.context
    tables = [e.name for e in context.tables.every()]
    if not tables:
        parts.empty("No table to score yet: bring one in under Data.")
        return
    table = ui.select(tables, value=tables[0], label="Table to score").style("min-width:260px")
    box: dict[str, Any] = {"job": None, "file": ""}

    def begin() -> None:
        with shell.telling():
            entry = context.tables.get(table.value)
            file = f"{slug(entry.name)}-by-{slug(name)}.csv"
            out = context.workspace.path("predictions", file)
            paths = (context.models.path(name), context.tables.parquet(entry.name), out)
            action, words = recipes.predict(name, entry, paths)
            box["job"] = context.jobs.start(f"Score {entry.name} with {name}", f"model:{name}", words)
            box["file"] = file
            shell.record(action)
            where.clear()
            with where:
                ui.label("Scoring…").props("aria-live=polite")
                ui.spinner()
                parts.code(action)
            timer.activate()

    async def look() -> None:
        job = context.jobs.get(box["job"].id)
        if job.state == RUNNING:
            return
        timer.deactivate()
        with shell.telling():
            await _scored(shell, where, job, box["file"])

    ui.button("Score it", icon="bolt", on_click=begin)
    where = ui.element("div").classes("full-width")
    timer = ui.timer(0.5, look, active=False)


async def _scored(shell: Shell, where: ui.element, job: Job, file: str) -> None:
    where.clear()
    with where:
        if job.state != DONE:
            parts.note(shell.context.jobs.why(job), "error")
            return
        path = shell.context.workspace.existing("predictions", file)
        head = await aside(lambda: pd.read_csv(path, nrows=PREVIEW))
        told = shell.context.jobs.log(job).strip().splitlines()[-1].split(" in ")[0]
        ui.label(f"{told}.").classes("tw-good").props("aria-live=polite")
        ui.button("Download predictions", icon="file_download",
                  on_click=lambda: ui.download(f"/files/predictions/{file}"))  # fmt: skip
        columns = [parts.column(f"c{j}", str(c), sort=False) for j, c in enumerate(head.columns)]
        parts.table(columns, texts(head), "#", "First predictions", 360)


def serve_panel(shell: Shell, name: str) -> None:
    """Start and stop a server of the model, and watch what it counts."""
    _Server(shell, name).show()


class _Server:
    def __init__(self, shell: Shell, name: str) -> None:
        self.shell, self.name = shell, name
        self._shown: tuple[str, str] | None = None

    def show(self) -> None:
        parts.soft("Answers in the protocols of KServe and Triton, SageMaker, Vertex AI, MLflow and Azure ML, on this "
                   "machine only; it goes on when this interface ends.")  # fmt: skip
        with ui.element("div").classes("tw-row"):
            self.start_button = ui.button("Start a server", icon="dns", on_click=self.start)
            self.stop_button = ui.button("Stop it", icon="stop", on_click=self.stop).props("color=negative outline")
        self.where = ui.element("div").classes("full-width")
        self.numbers = ui.element("div").classes("full-width")
        self.code = ui.element("div").classes("full-width")
        ui.timer(1.5, self.look)

    def start(self) -> None:
        with self.shell.telling():
            action, words = recipes.serve(self.name, self.shell.context.models.path(self.name))
            self.shell.context.jobs.start(f"Serve {self.name}", f"model:{self.name}", words)
            self.shell.record(action)
            with self.code:
                parts.code(action)

    def stop(self) -> None:
        found = server_of(self.shell.context.jobs, self.name)
        if found is not None:
            self.shell.context.jobs.stop(found[0])

    async def look(self) -> None:
        """Show whether it runs, and its figures."""
        found = await aside(server_of, self.shell.context.jobs, self.name)
        self.start_button.visible, self.stop_button.visible = found is None, found is not None
        state = ("", "") if found is None else (found[0].id, found[1])
        if state != self._shown:
            self._shown = state
            self.where.clear()
            with self.where:
                self._where(found)
        told = {} if found is None or not found[1] else await aside(monitoring, found[1])
        self.numbers.clear()
        with self.numbers:
            for figures in told.get("models", ()):
                _figures(figures, len(told.get("alerts", ())))

    def _where(self, found: tuple[Job, str] | None) -> None:
        if found is None:
            last = next((j for j in self.shell.context.jobs.about(f"model:{self.name}") if j.kind == "serve"), None)
            if last is not None and last.state == "failed":
                parts.note(self.shell.context.jobs.why(last), "error")
            return
        if not found[1]:
            parts.soft("Starting…")
            return
        with ui.element("div").classes("tw-row"):
            ui.link(f"{found[1]}", found[1]).classes("tw-link")
            ui.link("Monitoring page", f"{found[1]}/monitor", new_tab=True).classes("tw-link")
            ui.link("OpenAPI", f"{found[1]}/openapi.json", new_tab=True).classes("tw-link")
        schema = self.shell.context.models.load(self.name).schema
        row = shlex.quote(orjson.dumps([{c.name: c.example for c in schema.used}]).decode())  # NaN becomes null
        ui.code(f"curl -s {found[1]}/predict -H 'content-type: application/json' -d {row}", language="bash") \
            .classes("full-width")  # fmt: skip


def _figures(figures: dict[str, Any], alerts: int) -> None:
    """Some of what the monitoring page draws: of the window's traffic, and the worst drift."""
    shown = {"requests": f"{sum(t.get('requests', 0) for t in figures['traffic']):,}", "alerts": f"{alerts}"}
    shown |= {f"latency {name}, ms": f"{value * 1000:.2f}" for name, value in figures["latency"].items()}
    drifts = {column: drift["psi"] for column, drift in figures["columns"].items()}
    if drifts:
        worst = max(drifts, key=lambda c: drifts[c])
        shown[f"largest drift: {worst}"] = f"{drifts[worst]:.3f}"
    shown |= {f"live {name}": f"{value:.4f}" for name, value in figures["live"].items()}
    parts.figures(shown)
