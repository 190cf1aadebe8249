"""One run: watched while it goes on, stopped, resumed, and looked at afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui

from tabwright import timeline
from tabwright.errors import DataError
from tabwright.ui import parts, recipes
from tabwright.ui import runs as reading
from tabwright.ui.pages.front import Front
from tabwright.ui.pages.leaderboard import Leaderboard
from tabwright.ui.pages.live import Live
from tabwright.ui.shell import Page, Shell, aside, heading

EVERY_S = 1.0


async def build(shell: Shell) -> None:
    await _Run(shell, shell.path["name"]).show()


class _Run:
    """One user's view of a run; all that it shows is read from the run's folder."""

    def __init__(self, shell: Shell, name: str) -> None:
        self.shell, self.name = shell, name
        self.was: str | None = None
        self.panes: dict[str, _Pane] = {}
        self.live, self.board, self.front = Live(shell), Leaderboard(shell, name), Front(shell, name)

    def read(self) -> reading.View:
        return reading.view(self.shell.context.workspace, self.shell.context.jobs, self.name)

    async def show(self) -> None:
        self.view = view = await aside(self.read)
        with ui.element("div").classes("tw-head"):
            with ui.element("div").classes("tw-row").style("width:auto"):
                heading(self.name, 1)
                self.state = ui.element("div").props("aria-live=polite")
            self.buttons = ui.element("div").classes("tw-row").style("width:auto")
        self.told = ui.element("div").classes("full-width")
        self.live.show(view)
        self._turn(view)
        self.live.update(view)
        panels = await parts.tabs({
            "Leaderboard": self._board, "Front": self._front, "Families": lambda: self._pane("Families", _families),
            "Failures": lambda: self._pane("Failures", _failures),
            "Time line": lambda: self._pane("Time line", _line),
            "Settings": lambda: self._pane("Settings", self._settings), "Log": self._log,
        }, self.shell.query.get("tab"))  # fmt: skip
        self.open = str(panels.value)
        panels.on_value_change(self._opened)
        self.timer = ui.timer(EVERY_S, self.tick)

    async def _opened(self, event: Any) -> None:
        self.open = str(event.value)
        self._fill()

    async def _board(self) -> None:
        self.board.show()
        await self.board.update(self.view)

    def _front(self) -> None:
        self.front.show()
        self.front.update(self.view)

    def _log(self) -> None:
        self.log = ui.label().classes("tw-log full-width").props("tabindex=0 role=log aria-label=Log")
        self._read_log()

    def _read_log(self) -> None:
        job = self.view.job
        self.log.text = "No job of this workspace." if job is None else self.shell.context.jobs.log(job)

    def _pane(self, name: str, draw: Callable[[reading.View], None]) -> None:
        self.panes[name] = _Pane(ui.element("div").classes("tw-stack tw-scroll"), draw)
        self.panes[name].fill(self.view)

    async def tick(self) -> None:
        """Look again; what is finished changes no more, and is looked at only for a new job."""
        try:
            view = await aside(self.read)
        except DataError:  # it was removed
            self.timer.cancel()
            return
        if view.is_live or view.state != self.was or self.board.waits() or self.front.waits():
            await self.update(view)

    async def update(self, view: reading.View) -> None:
        """Show the run as it stands now."""
        self.view = view
        if view.state != self.was:
            self._turn(view)
        self.live.update(view)
        if self.board.shown:
            await self.board.update(view)
        if self.front.shown:
            self.front.update(view)
        self._fill()

    def _fill(self) -> None:
        """Bring the tab that is open up to date."""
        if self.open in self.panes:
            self.panes[self.open].fill(self.view)
        elif self.open == "Log":
            self._read_log()

    def _turn(self, view: reading.View) -> None:
        """The run has begun or ended: other buttons, another state."""
        self.was = view.state
        self.state.clear()
        with self.state:
            parts.badge(view.state)
        self.told.clear()
        with self.told:
            if view.told:
                parts.note(view.told, "error")
        self.buttons.clear()
        with self.buttons:
            if view.is_live:
                ui.button("Stop", icon="stop", on_click=self.stop).props("color=negative outline")
            elif view.audit is not None:
                ui.button("Go on", icon="more_time", on_click=lambda: self.go_on(view)).props("outline")
                ui.button("Export the leader", icon="file_download", on_click=self.export)

    def stop(self) -> None:
        view = self.read()
        with self.shell.telling():
            if view.job is not None and view.is_live:
                self.shell.context.jobs.stop(view.job)
                ui.notify("It ends in good order, and keeps its leader.")

    async def go_on(self, view: reading.View) -> None:
        """Ask for how long, and resume."""
        with ui.dialog() as dialog, ui.card():
            heading("Go on with this run")
            seconds = ui.number("Seconds more", value=view.budget_s or 60.0, min=1)
            with ui.row().classes("full-width justify-end"):
                ui.button("Cancel", on_click=lambda: dialog.submit(None)).props("flat")
                ui.button("Go on", on_click=lambda: dialog.submit(seconds.value))
        given = await dialog
        if not given or view.task is None:
            return
        with self.shell.telling():
            task = "classification" if view.task.is_classification else "regression"
            action, words = recipes.resume(self.name, task, view.path, float(given))
            self.shell.context.jobs.start(f"Go on with {self.name}", f"run:{self.name}", words)
            self.shell.record(action)

    async def export(self) -> None:
        """Write the leader as a model of the workspace."""
        context = self.shell.context
        with self.shell.telling():
            model = context.workspace.reserve("models", self.name)
            paths = (context.workspace.path("runs", self.name), context.workspace.path("models", model) / "model.onnx")
            action, words = recipes.export(self.name, model, paths)
            context.jobs.start(f"Export {model}", f"model:{model}", words)
            self.shell.record(action)
            ui.navigate.to(f"/models/{model}")

    def _settings(self, view: reading.View) -> None:
        assert view.audit is not None
        stored = view.audit.config
        given = {k: v for k, v in stored["config"].items() if v not in (None, {}, [], False)}
        shown = {"task": stored["task"], "metric": stored["sort_metric"], "folds": stored["n_folds"], **given,
                 **stored["environment"]}  # fmt: skip
        rows = [{"name": k, "value": str(v)} for k, v in shown.items()]
        parts.table([parts.column("name", "Setting"), parts.column("value", "Value")], rows, "name", "Settings")
        made = [a for a in self.shell.context.log.every() if f"run:{self.name}" in a.makes]
        if made:
            parts.code(made[-1], opened=True)


class _Pane:
    """What a tab shows of the journal; drawn anew only when that, or the run's state, has changed."""

    def __init__(self, where: ui.element, draw: Callable[[reading.View], None]) -> None:
        self.where, self.draw = where, draw
        self.drawn: tuple[Any, str] | None = None

    def fill(self, view: reading.View) -> None:
        if self.drawn is not None and self.drawn[0] is view.audit and self.drawn[1] == view.state:
            return
        self.drawn = (view.audit, view.state)
        self.where.clear()
        with self.where:
            if view.audit is None:
                parts.empty("The run has not begun.")
            else:
                self.draw(view)


def _families(view: reading.View) -> None:
    assert view.audit is not None
    rows = [
        r | {"best": None if r["best"] is None else round(r["best"], 6), "seconds": round(r["seconds"], 1)}
        for r in reading.families(view.audit)
    ]
    if not rows:
        parts.empty("No candidate yet.")
        return
    columns = [
        parts.column("family", "Family"), parts.column("candidates", "Candidates", number=True),
        parts.column("folds", "Folds finished", number=True), parts.column("failed", "Folds failed", number=True),
        parts.column("best", f"Best {view.metric}", number=True),
        parts.column("seconds", "Worker seconds", number=True),
    ]  # fmt: skip
    parts.table(columns, rows, "family", "Folds by family")


def _failures(view: reading.View) -> None:
    assert view.audit is not None
    rows = reading.failures(view.audit)
    if not rows:
        parts.empty("Nothing has failed and nothing was killed.")
        return
    rows = [r | {"after_s": round(r["after_s"], 1), "memory_mib": round(r["memory_mib"]), "at_s": round(r["at_s"], 1)}
            for r in rows]  # fmt: skip
    columns = [
        parts.column("at_s", "At, s", number=True), parts.column("model_id", "Candidate"),
        parts.column("fold", "Part"), parts.column("status", "What"),
        parts.column("after_s", "After, s", number=True), parts.column("memory_mib", "MiB", number=True),
        parts.column("reason", "Why"),
    ]  # fmt: skip
    parts.table(columns, rows, "id", "Failures")
    parts.soft("The search goes on after each of these; nothing of them is in the leader.")


def _line(view: reading.View) -> None:
    assert view.audit is not None
    if view.is_live:
        parts.empty("It is drawn when the run has ended.")
        return
    if not view.audit.folds:
        parts.empty("No fold was finished.")
        return
    ui.html(timeline.svg(view.audit), sanitize=False).classes("tw-timeline")


RUN = Page("/runs/{name}", "Run", build, "/runs")
