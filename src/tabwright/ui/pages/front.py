"""The Pareto front of a run: what can be delivered of it, and another point made the leader."""

from __future__ import annotations

import json
from typing import Any

from nicegui import ui

from tabwright.ui import charts, parts, recipes
from tabwright.ui import runs as reading
from tabwright.ui.jobs import DONE, RUNNING, Job
from tabwright.ui.shell import Shell

X, Y = ("latency_p50_us", "one row, median, µs (log scale)"), "score"


class Front:
    """The panel of one user."""

    def __init__(self, shell: Shell, name: str) -> None:
        self.shell, self.name = shell, name
        self.working: str | None = None
        self._drawn: tuple[str, bool] | None = None  # the job whose answer is shown, and whether one is under way
        self.shown = False

    def show(self) -> None:
        self.shown = True
        parts.soft("Each point can be delivered without a new search: fewer candidates, or fewer fold models of each, "
                   "exported and measured. None is beaten by another in both score and cost.")  # fmt: skip
        with ui.element("div").classes("tw-row"):
            self.button = ui.button("Work the front out", icon="insights", on_click=lambda: self.start(None, {}))
            self.latency = ui.number("One row, µs at most", min=0).style("width:170px")
            self.size = ui.number("Size, MiB at most", min=0).style("width:170px")
            self.limit_button = ui.button("Best within these limits", on_click=self.within).props("outline")
        self.told = ui.label().props("aria-live=polite")
        self.where = ui.element("div").classes("full-width")

    def waits(self) -> bool:
        """Whether the front is being worked out."""
        return self.working is not None

    def start(self, design: str | None, limits: dict[str, float]) -> None:
        """Ask for the front, or for another leader; seconds to a minute, in a process of its own."""
        context = self.shell.context
        with self.shell.telling():
            action, words = recipes.select(self.name, context.workspace.path("runs", self.name), design, limits)
            job = context.jobs.start(action.title, f"run:{self.name}", words)
            self.working = job.id
            self.shell.record(action)

    def within(self) -> None:
        limits = {"max_latency_us": self.latency.value, "max_size_mib": self.size.value}
        given = {k: float(v) for k, v in limits.items() if v}
        if not given:
            ui.notify("Give a limit first.", type="warning")
            return
        self.start(None, given)

    def update(self, view: reading.View) -> None:
        """Show the latest answer."""
        jobs = self.shell.context.jobs
        mine = jobs.since(f"run:{self.name}", "select", view.job)
        running = next((j for j in mine if j.state == RUNNING), None)
        self.working = running.id if running else None
        for control in (self.button, self.limit_button):
            control.set_enabled(not view.is_live and not self.waits() and view.score is not None)
        last = mine[0] if mine else None
        if view.is_live:
            self.told.text = "When the run has ended."
        elif running is not None:
            self.told.text = "Designs are exported and measured…"
        else:
            self.told.text = jobs.why(last) if last is not None and last.state != DONE else ""
        answered = next((j for j in mine if j.state == DONE), None)
        if answered is not None and self._drawn != (answered.id, self.waits()):
            self._drawn = (answered.id, self.waits())
            self._draw(answered, view)

    def _draw(self, job: Job, view: reading.View) -> None:
        rows = points(self.shell.context.jobs.log(job, whole=True))
        self.where.clear()
        if not rows:
            return
        leader = next((r["design"] for r in rows if r["leader"]), "")
        with self.where:
            better = "higher" if view.audit is not None and view.audit.greater_is_better else "lower"
            titles = (X[1], f"{view.metric} ({better} is better)")
            parts.chart(charts.front(rows, X[0], Y, titles, leader), "The Pareto front: score by latency", 380,
                        lambda event: self._clicked(str(event.name)))  # fmt: skip
            parts.soft("Click a point, or choose a row, to make it the leader: exports and predictions are its then.")
            self._table(rows)
            action, _ = recipes.select(self.name, view.path, None, {})
            parts.code(action)

    def _table(self, rows: list[dict[str, Any]]) -> None:
        columns = [
            parts.column("design", "What is delivered"), parts.column("score", "Score", number=True),
            parts.column("latency_p50_us", "One row p50, µs", number=True),
            parts.column("latency_p99_us", "p99, µs", number=True), parts.column("size_mib", "MiB", number=True),
            parts.column("n_models", "Models", number=True), parts.column("act", "", sort=False),
        ]  # fmt: skip
        digits = {"score": 5, "latency_p50_us": 1, "latency_p99_us": 1, "size_mib": 3}
        made = [{k: round(v, digits[k]) if k in digits and v is not None else v for k, v in r.items()} for r in rows]
        table = parts.table(columns, made, "design", "Points of the front")
        table.add_slot("body-cell-design", """<q-td :props="props"><span class="tw-why">{{ props.value }}</span>
            </q-td>""")
        table.add_slot("body-cell-act", """<q-td :props="props"><span v-if="props.row.leader" class="tw-badge tw-good">
            leader</span><q-btn v-else flat dense no-caps color="primary" label="Let it lead"
            @click="$parent.$emit('lead', props.row.design)" /></q-td>""")
        table.on("lead", lambda event: self._clicked(str(event.args)))

    def _clicked(self, design: str) -> None:
        if self.waits():
            ui.notify("One moment: the front is being worked out.", type="warning")
            return
        self.start(design, {})
        ui.notify(f"{design} will lead")


def points(log: str) -> list[dict[str, Any]]:
    """The front that ``tabwright select --json`` has printed; empty if it has not."""
    for line in reversed(log.splitlines()):
        if line.startswith("[{"):
            found: list[dict[str, Any]] = json.loads(line)
            return found
    return []
