"""The machine, the jobs on it, and their logs."""

from __future__ import annotations

import platform
import shutil
import time
from importlib.metadata import version
from typing import Any

import psutil
from nicegui import ui

from tabwright.ui import parts
from tabwright.ui.jobs import RUNNING
from tabwright.ui.pages import machine_cluster, machine_experience
from tabwright.ui.shell import Page, Shell, aside, heading

PACKAGES = ("tabwright", "lightgbm", "xgboost-cpu", "xgboost", "catboost", "scikit-learn", "onnxruntime", "numpy",
            "pandas")  # fmt: skip
SHOWN = 200


async def build(shell: Shell) -> None:
    heading("Machine", 1)
    await _Machine(shell).show()


class _Machine:
    """One user's view."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.chosen = ""

    async def show(self) -> None:
        with parts.card("Now"):
            self.now = ui.element("div").classes("full-width")
        with parts.card("Jobs", "Each is a tabwright command in a process of its own: it goes on when this interface "
                        "ends. Choose one to read its log."):  # fmt: skip
            columns = [
                parts.column("title", "Job"), parts.column("state", "State"), parts.column("started", "Started"),
                parts.column("seconds", "Took"), parts.column("memory", "MiB", number=True),
                parts.column("pid", "Process", number=True), parts.column("act", "", sort=False),
            ]  # fmt: skip
            self.table = parts.table(columns, [], "id", "Jobs").style("max-height:420px")
            self.table.add_slot("body-cell-title", """<q-td :props="props"><q-btn flat dense no-caps color="primary"
                :label="props.value" @click="$parent.$emit('log', props.row.id)" /></q-td>""")
            self.table.add_slot("body-cell-act", """<q-td :props="props">
                <q-btn v-if="props.row.state === 'running'" flat dense no-caps color="negative"
                icon="stop" label="Stop" :aria-label="'Stop ' + props.row.title"
                @click="$parent.$emit('stop', props.row.id)" /></q-td>""")
            self.table.on("log", lambda event: self._choose(event.args))
            self.table.on("stop", lambda event: self._stop(event.args))
            self.none = ui.element("div").classes("full-width")
            with self.none:
                parts.empty("No job yet.")
        with parts.card("Log"):
            self.command = parts.soft("Choose a job above.")
            self.log = ui.label().classes("tw-log full-width").props("tabindex=0 role=log aria-label=Log")
        await machine_cluster.build(self.shell)
        await machine_experience.build(self.shell)
        self._software()
        await self.update()
        ui.timer(2.0, self.update)

    def _software(self) -> None:
        with parts.card("Software"):
            rows = [{"name": "Python", "value": platform.python_version()},
                    {"name": "System", "value": platform.platform()}]  # fmt: skip
            for name in PACKAGES:
                try:
                    rows.append({"name": name, "value": version(name)})
                except ImportError:
                    continue
            rows.append({"name": "Workspace", "value": str(self.shell.context.workspace.root)})
            parts.table([parts.column("name", "What"), parts.column("value", "Version")], rows, "name", "Software")

    async def update(self) -> None:
        """Look again."""
        jobs = (await aside(self.shell.context.jobs.every))[:SHOWN]
        memory, disk = psutil.virtual_memory(), shutil.disk_usage(self.shell.context.workspace.root)
        self.now.clear()
        with self.now:
            parts.figures({
                "processors": str(psutil.cpu_count()), "busy": f"{psutil.cpu_percent():.0f} %",
                "memory in use": f"{memory.used / 2**30:.1f} of {memory.total / 2**30:.1f} GiB",
                "room on the disk": f"{disk.free / 2**30:.1f} GiB",
                "jobs running": str(sum(j.state == RUNNING for j in jobs)),
            })  # fmt: skip
        rows = [
            {"id": j.id, "title": j.title, "state": j.state, "pid": j.pid, "seconds": parts.seconds(j.seconds),
             "started": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(j.started)),
             "memory": round(self.shell.context.jobs.usage(j)[1]) if j.state == RUNNING else None}
            for j in jobs
        ]  # fmt: skip
        if rows != self.table.rows:
            self.table.rows = rows
        self.none.visible, self.table.visible = not rows, bool(rows)
        if self.chosen:
            self._read()

    def _choose(self, name: Any) -> None:
        self.chosen = str(name)
        self._read()

    def _read(self) -> None:
        with self.shell.telling():
            job = self.shell.context.jobs.get(self.chosen)
            self.command.text = " ".join(job.argv)
            self.log.text = self.shell.context.jobs.log(job) or "It has printed nothing."

    def _stop(self, name: Any) -> None:
        with self.shell.telling():
            jobs = self.shell.context.jobs
            jobs.stop(jobs.get(str(name)))
            ui.notify("It ends in good order.")


MACHINE = Page("/machine", "Machine", build)
