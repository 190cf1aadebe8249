"""One model file: what was checked and measured, what-if, scoring of tables, programs that use it, and its server."""

from __future__ import annotations

from nicegui import ui

from tabwright.runtime import Model
from tabwright.types import Task
from tabwright.ui import parts, recipes
from tabwright.ui.jobs import FAILED, RUNNING
from tabwright.ui.models import outcomes
from tabwright.ui.pages import quality_parts
from tabwright.ui.pages.explained import explain_panel
from tabwright.ui.pages.model_use import predict_panel, serve_panel
from tabwright.ui.pages.what_if import what_if
from tabwright.ui.shell import Page, Shell, aside, busy, heading


async def build(shell: Shell) -> None:
    name = shell.path["name"]
    context = shell.context
    context.workspace.existing("models", name)
    if name not in context.models.names():
        _exporting(shell, name)
        return
    model = await aside(context.models.load, name)
    with ui.element("div").classes("tw-head"):
        heading(name, 1)
        ui.button("Download the file", icon="file_download", on_click=lambda: ui.download(f"/files/models/{name}"))
    parts.soft(f"Predicts {model.schema.target!r} ({model.metadata['task']}) from {len(model.schema.used)} columns.")
    await parts.tabs({
        "Report": lambda: _report(shell, name, model), "Explain": lambda: explain_panel(shell, name, model),
        "What if": lambda: what_if(shell, name, model), "Score a table": lambda: predict_panel(shell, name),
        "Test": lambda: _test(shell, name, model), "Serve": lambda: serve_panel(shell, name),
        "Other languages": lambda: _languages(shell, name),
    }, shell.query.get("tab"))  # fmt: skip


def _exporting(shell: Shell, name: str) -> None:
    """The file is being written, or could not be."""
    heading(name, 1)
    jobs = shell.context.jobs
    with parts.card():
        told = ui.label("The leader is being exported and checked row by row against the Python models…") \
            .props("aria-live=polite")  # fmt: skip
        spinner = ui.spinner(size="32px")

    def look() -> None:
        if name in shell.context.models.names():
            ui.navigate.to(f"/models/{name}")
            return
        job = next((j for j in jobs.about(f"model:{name}") if j.kind == "export"), None)
        if job is None or job.state != RUNNING:
            spinner.visible = False
            failed = job is not None and job.state == FAILED
            told.text = jobs.why(job) if job is not None and failed else "There is no file: the export was stopped."
            timer.deactivate()

    timer = ui.timer(0.7, look)


def _report(shell: Shell, name: str, model: Model) -> None:
    facts = model.metadata
    profile, parity = facts.get("profile") or {}, facts.get("parity") or {}
    with ui.element("div").classes("tw-grid"):
        with parts.card("Parity", "The file against the Python models, row by row, awkward rows among them, before it "
                        "was written."):  # fmt: skip
            parts.figures({
                "rows compared": f"{parity.get('rows', 0):,}",
                "largest difference": f"{parity.get('max_absolute', 0):.2g}",
                "largest relative difference": f"{parity.get('max_relative', 0):.2g}",
            })  # fmt: skip
        with parts.card("Cost", "Measured on this file where it was made; one thread."):
            parts.figures({
                "one row, p50": f"{profile.get('latency_p50_us', 0):,.0f} µs",
                "one row, p99": f"{profile.get('latency_p99_us', 0):,.0f} µs",
                "rows a second": f"{profile.get('rows_per_second', 0):,.0f}",
                "size": f"{profile.get('size_mib', 0):.2f} MiB",
            })  # fmt: skip
        with parts.card("Validation", "Out of fold, in the run."):
            parts.figures({k: f"{v:.5g}" for k, v in model.metrics.get("validation", {}).items()})
        with parts.card("Members"):
            rows = [{"model_id": m["model_id"], "family": m["family"], "weight": round(m["weight"], 4),
                     "folds": m["folds"], "learned": ", ".join(m.get("stacked_on", ()))}
                    for m in facts.get("members", ())]  # fmt: skip
            parts.table([parts.column("model_id", "Model"), parts.column("family", "Family"),
                         parts.column("weight", "Weight", number=True), parts.column("folds", "Folds", number=True)]
                        + [parts.column("learned", "Learned from")] * any(r["learned"] for r in rows),
                        rows, "model_id", "Members")  # fmt: skip
    with parts.card("File"):
        rows = [{"name": k, "value": str(v)} for k, v in (
            ("SHA-256", model.sha256), ("made", facts.get("created", "")),
            *([("threshold", facts.get("threshold"))] if model.schema.task is Task.BINARY else []),
            *facts.get("versions", {}).items(),
        )]  # fmt: skip
        parts.table([parts.column("name", "What"), parts.column("value", "Value")], rows, "name", "File")
    makers = [a for a in shell.context.log.every() if f"model:{name}" in a.makes]
    if makers:
        parts.code(makers[-1], opened=True)


def _test(shell: Shell, name: str, model: Model) -> None:
    tables = shell.context.tables
    target = model.schema.target
    fitting = [e.name for e in tables.every() if target in e.columns]
    parts.soft(f"On a table with known outcomes: it must have the column {target!r}. Rows that the model has learnt "
               "from flatter it.")  # fmt: skip
    if not fitting:
        parts.empty(f"No table here has a column {target!r}.")
        return
    table = ui.select(fitting, value=fitting[0], label="Table with outcomes").style("min-width:260px")

    async def test() -> None:
        with shell.telling(), busy(button):
            entry = tables.get(table.value)
            frame = await aside(tables.frame, entry.name)
            found = await aside(outcomes, model, frame, f"{entry.rows:,} rows of {entry.name}")
            paths = (shell.context.models.path(name), tables.parquet(entry.name))
            action = recipes.evaluate(name, entry, str(target), paths)
            shell.record(action)
            where.clear()
            with where:
                quality_parts.show(found, float(model.metadata.get("threshold") or 0.5))
                parts.code(action)

    button = ui.button("Test on it", on_click=test)
    where = ui.element("div").classes("full-width")


def _languages(shell: Shell, name: str) -> None:
    files = shell.context.models.examples(name)
    parts.soft("Programs beside the export, with rows to try and what must come out: Python, Node, browser, Java, C#.")
    if not files:
        parts.empty("This file was brought in. Export it from its run to have programs written beside it.")
        return
    for file in files:
        with ui.element("div").classes("tw-row"):
            ui.link(file, f"/files/models/{name}/{file}").classes("tw-link")
    shown = shell.context.workspace.existing("models", name, "examples", "score.py")
    with parts.card("Python"):
        ui.code(shown.read_text("utf-8"), language="python").classes("full-width")


MODEL = Page("/models/{name}", "Model", build, "/models")
