"""Setting a run up: every option with what it does, and what can be expected, before it is started."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from tabwright.data.target import infer_task
from tabwright.errors import UserError
from tabwright.types import Task
from tabwright.ui import options, parts, recipes
from tabwright.ui.estimate import Estimate, estimate
from tabwright.ui.options import Option
from tabwright.ui.shell import Page, Shell, aside, busy, heading
from tabwright.ui.tables import Entry

TASKS = {"classification": "classification", "regression": "regression"}


def build(shell: Shell) -> None:
    heading("New run", 1)
    names = [e.name for e in shell.context.tables.every()]
    if not names:
        with parts.card():
            parts.empty("A run needs a table.")
            ui.button("Bring in a table", on_click=lambda: ui.navigate.to("/data"))
        return
    chosen = shell.query.get("table")
    name = chosen if chosen in names else names[0]
    ui.select(names, value=name, label="Table", on_change=lambda e: ui.navigate.to(f"/new?table={e.value}")) \
        .style("min-width:min(420px,100%)")  # fmt: skip
    _Form(shell, shell.context.tables.get(name)).show()


class _Form:
    """The form of one user; ``values`` follow its fields."""

    def __init__(self, shell: Shell, entry: Entry) -> None:
        self.shell, self.entry = shell, entry
        self.values: dict[str, Any] = {}
        self.columns: dict[str, Any] = {}
        self.target, self.task, self.name = entry.target or "", "", ""
        self.metric: Any = None
        self.outcome: Any = None

    def show(self) -> None:
        with parts.card("What to predict"), ui.element("div").classes("tw-form"):
            ui.select(list(self.entry.columns), value=self.entry.target, label="Target", with_input=True,
                      on_change=self._target_chosen)  # fmt: skip
            self.tasks = ui.select(TASKS, label="Task", on_change=lambda e: self._task_chosen(e.value))
            self.metric = ui.select({"auto": "auto"}, value="auto", label="What is optimised (sort_metric)",
                                    on_change=lambda e: self._set("sort_metric", e.value))  # fmt: skip
            ui.input("Name of the run", value="", placeholder=self.entry.name,
                     on_change=lambda e: setattr(self, "name", e.value or "")).props("stack-label")  # fmt: skip
        for title, group in (("How long", options.TIME), ("How it is validated", options.VALIDATION),
                             ("Columns with a part of their own", options.COLUMNS),
                             ("Models", options.MODELS), ("What the leader may cost", options.DELIVERED),
                             ("Limits of the run, and repeatability", options.LIMITS),
                             ("Where it runs, and who is told", options.PLACES)):  # fmt: skip
            with parts.card(title), ui.element("div").classes("tw-form"):
                for option in group:
                    self._field(option)
        with parts.card("What to expect"):
            self.outcome = ui.element("div").classes("full-width").props("aria-live=polite")
            with ui.element("div").classes("tw-row"):
                self.start = ui.button("Start the run", icon="play_arrow", on_click=self._start)
        if self.entry.target:
            self._guess_task()
        ui.timer(0.1, self.refresh, once=True)

    def _field(self, option: Option) -> None:
        self.values[option.name] = option.default
        label, told = option.label, option.told
        store = self.columns if option.form == "columns" else self.values
        if option.form == "columns":
            del self.values[option.name]

        async def changed(event: Any) -> None:
            store[option.name] = event.value
            await self.refresh()

        made: Any
        if option.form == "number":
            made = ui.number(label, value=option.default, on_change=changed).props(f'debounce=500 hint="{told}"')
        elif option.form == "text":
            made = ui.input(label, value=option.default, on_change=changed).props("debounce=500 stack-label")
        elif option.form == "engine":
            self._engine(option)
            return
        elif option.form == "runs":
            runs = {str(self.shell.context.workspace.path("runs", name)): f"the winners of {name}"
                    for name in self.shell.context.workspace.names("runs")}  # fmt: skip
            named = {c: c for c in option.choices} | runs
            made = ui.select(named, value=option.default, label=label, on_change=changed)
        elif option.form == "switch":
            with ui.element("div"):
                made = ui.switch(label, value=option.default, on_change=changed)
                parts.soft(told).style("font-size:12px")
            return
        elif option.form == "choice":
            made = ui.select(list(option.choices), value=option.default, label=label, on_change=changed)
        elif option.form == "families":
            made = ui.select(list(option.choices), value=[], label=label, multiple=True, on_change=changed)
            made.props("use-chips")
        else:
            made = ui.select(["", *self.entry.columns], value="", label=label, with_input=True, on_change=changed)
        made.props(f'hint="{told}"').style("padding-bottom:34px")

    def _engine(self, option: Option) -> None:
        """Ask for this machine, Dask as it is set up, or the scheduler at an address."""

        async def changed() -> None:
            address.visible = kind.value == options.ADDRESS
            self.values[option.name] = (address.value or "").strip() or "tcp://" if address.visible else kind.value
            await self.refresh()

        kind = ui.select(options.ENGINES, value=option.default, label=option.label, on_change=changed)
        kind.props(f'hint="{option.told}"').style("padding-bottom:34px")
        address = ui.input("Scheduler's address", placeholder="tcp://host:8786", on_change=changed)
        address.props("debounce=500 stack-label")
        address.visible = False

    def _set(self, name: str, value: Any) -> None:
        self.values[name] = value
        ui.timer(0.01, self.refresh, once=True)

    async def _target_chosen(self, event: Any) -> None:
        self.target = event.value or ""
        self._guess_task()
        self._task_chosen(self.tasks.value)  # of the same sort, another target may have more classes
        await self.refresh()

    def _guess_task(self) -> None:
        frame = self.shell.context.tables.frame(self.entry.name)
        if self.target in frame.columns:
            task = infer_task(frame[self.target])
            self.tasks.value = "regression" if task is Task.REGRESSION else "classification"

    def _task_chosen(self, task: str) -> None:
        self.task = task
        kind = str(Task.REGRESSION)
        if task == "classification":
            n = self.shell.context.tables.frame(self.entry.name)[self.target].nunique() if self.target else 2
            kind = str(Task.BINARY if n <= 2 else Task.MULTICLASS)
        self.metric.set_options(options.metric_names(kind), value="auto")
        ui.timer(0.01, self.refresh, once=True)

    def _given(self) -> dict[str, Any]:
        return options.parameters(self.values)

    async def refresh(self) -> None:
        """Work the estimate out anew."""
        if self.outcome is None:
            return
        problem, found = "", None
        if not self.target or not self.task:
            problem = "Choose the column to predict."
        else:
            try:
                made = self._given()
                frame = await aside(self.shell.context.tables.frame, self.entry.name)
                config, kinds = options.config(made), self.entry.kinds
                found = await aside(estimate, frame, self.target, self.task, config, kinds, dict(self.columns))
            except UserError as error:
                problem = str(error)
        self.start.set_enabled(not problem)
        self.outcome.clear()
        with self.outcome:
            if found is None:
                parts.note(problem, "info" if not self.target else "error")
                return
            self._tell(found)

    def _tell(self, e: Estimate) -> None:
        better = "above" if e.greater_is_better else "below"
        parts.figures({
            "to learn from": f"{e.rows:,} rows, {e.columns:,} columns",
            "validated by": f"{e.folds} folds" if e.folds > 1 else "a hold-out",
            "first candidate complete after about": parts.seconds(e.first_s),
            "candidates in the time, roughly": f"{e.candidates:,}" if e.candidates else "as many as it takes",
            f"{e.metric} of a constant prediction": f"{e.trivial:.5g}",
        })  # fmt: skip
        parts.soft(f"A model is worth something when its {e.metric} is clearly {better} {e.trivial:.5g}. The figures "
                   "are rough: families differ, and candidates that add nothing are stopped early.")  # fmt: skip

    async def _start(self) -> None:
        context = self.shell.context
        with self.shell.telling(), busy(self.start):
            chosen = {"task": self.task, "target": self.target, "parameters": self._given(), "columns": self.columns}
            name = context.workspace.reserve("runs", self.name or self.entry.name)
            paths = (context.tables.parquet(self.entry.name), context.workspace.path("runs", name))
            action, words = recipes.fit(name, self.entry, chosen, paths)
            context.jobs.start(f"Run {name}", f"run:{name}", words)
            self.shell.record(action)
            ui.navigate.to(f"/runs/{name}")


NEW_RUN = Page("/new", "New run", build, "/runs")
