"""What a run is doing: time left, best score over time, what runs, and what it takes of the machine."""

from __future__ import annotations

import time

import psutil
from nicegui import ui

from tabwright.ui import charts, parts
from tabwright.ui import runs as reading
from tabwright.ui.shell import Shell

SCORE = "score in the search"
FIGURES = ("time left", "leader", SCORE, "candidates finished", "failed", "processors busy", "memory")


class Live:
    """The upper part of a run's page."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self._cpu: tuple[float, float] | None = None  # (moment, processor seconds)
        self._drawn = -1

    def show(self, view: reading.View) -> None:
        with parts.card():
            self.progress = ui.linear_progress(0.0, show_value=False, size="10px").props(
                'aria-label="Share of the time that is over" color=primary rounded'
            )
            self.labels: dict[str, ui.label] = {}
            self.boxes: dict[str, ui.element] = {}
            with ui.element("div").classes("tw-figures"):
                for name in FIGURES:
                    with ui.element("div").classes("tw-figure") as box:
                        self.labels[name] = ui.label("").classes("tw-number")
                        ui.label(name).classes("tw-soft").style("font-size:13px")
                    self.boxes[name] = box
            self.design = ui.label().classes("tw-note")
            self.running = parts.soft("")
            self.chart = parts.chart(self._options(view), "Score of the leader over time", 240)
            self.none_yet = parts.soft("No candidate has been finished yet: a constant prediction leads.")

    def _options(self, view: reading.View) -> charts.Options:
        points = [] if view.audit is None else reading.scores_over_time(view.audit)
        data = [(round(t, 2), s) for t, s, _ in points]
        if view.audit is not None and data:
            data.append((round(view.audit.run_seconds(time.time()), 2), data[-1][1]))
        better = "higher" if view.audit is not None and view.audit.greater_is_better else "lower"
        return charts.lines({"leader": data}, "seconds", f"{view.metric} ({better} is better)", step=True, scale=True)

    def update(self, view: reading.View) -> None:
        """Show the run as it stands now."""
        left, total = view.status.get("left_s"), view.budget_s
        for name in ("time left", "processors busy", "memory"):
            self.boxes[name].visible = view.is_live
        self.progress.visible = view.is_live
        if view.is_live:
            known = left is not None and total is not None and left == left  # noqa: PLR0124 - NaN
            self.progress.props(remove="indeterminate" if known else "")
            if known:
                assert left is not None
                assert total is not None
                self.progress.value = min(1.0, max(0.0, 1.0 - left / total))
                self.labels["time left"].text = parts.seconds(max(0.0, left))
            else:
                self.progress.props("indeterminate")
                self.labels["time left"].text = "reading the table" if view.state == reading.STARTING else "no limit"
            self._usage(view)
        found = view.audit
        leader = found.leaders[-1] if found is not None and found.leaders else None
        self.labels["leader"].text = leader.name if leader else "constant"
        self.labels[SCORE].text = f"{parts.number(view.score)} {view.metric}" if leader else "-"
        board = [] if found is None else reading.candidates(found)
        done = sum(r["status"] in ("ok", "leader") and r["family"] != "ensemble" for r in board)
        self.labels["candidates finished"].text = f"{done} of {0 if found is None else len(found.candidates)} begun"
        self.labels["failed"].text = "0" if found is None else f"{len(found.killed())} folds"
        design = view.design
        self.design.text, self.design.visible = f"Delivered: {design}, chosen from the front.", bool(design)
        running = reading.running_now(view) if view.is_live else []
        self.running.text = f"Running now: {'; '.join(running)}" if running else ""
        self.running.visible = bool(running)
        drawn = 0 if found is None else len(found.leaders)
        self.none_yet.visible = not drawn
        self.chart.visible = bool(drawn)
        if view.is_live or drawn != self._drawn:
            self.chart.options.clear()
            self.chart.options.update(self._options(view))
            self.chart.update()
        self._drawn = drawn

    def _usage(self, view: reading.View) -> None:
        if view.job is None:
            return
        cpu, memory, processes = self.shell.context.jobs.usage(view.job)
        now = time.monotonic()
        if self._cpu is not None and now > self._cpu[0] and cpu >= self._cpu[1]:
            busy = (cpu - self._cpu[1]) / (now - self._cpu[0])
            self.labels["processors busy"].text = f"{busy:.1f} of {psutil.cpu_count()}"
        else:
            self.labels["processors busy"].text = "…"
        self._cpu = (now, cpu)
        self.labels["memory"].text = f"{memory:,.0f} MiB in {processes}"
