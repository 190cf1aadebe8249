"""The leaderboard of a run: sorted, filtered, with the columns that are wanted; it follows a run that goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nicegui import app, ui

from tabwright.ui import charts, parts, recipes
from tabwright.ui import runs as reading
from tabwright.ui.actions import argv, command
from tabwright.ui.jobs import DONE, RUNNING, Job, Jobs
from tabwright.ui.shell import Shell

COLUMNS = {
    "rank": ("Rank", ""), "model_id": ("Model", None), "family": ("Family", None), "score": ("Score", ".5f"),
    "interval": ("95 % interval", None), "weight": ("Weight in the leader", ".3f"), "folds": ("Folds", None),
    "fit_seconds": ("Fit, s", ".1f"), "latency_p50_us": ("One row p50, µs", ".0f"),
    "latency_p99_us": ("One row p99, µs", ".0f"), "size_mib": ("Size, MiB", ".2f"),
    "rows_per_second": ("Rows a second", ",.0f"), "peak_memory_mib": ("Peak memory, MiB", ".0f"),
    "on_pareto_front": ("On the front", None), "origin": ("Proposed by", None), "stacked_on": ("Learned from", None),
    "status": ("Status", None),
}  # fmt: skip
FIRST = ("rank", "model_id", "family", "score", "interval", "weight", "folds", "fit_seconds", "latency_p50_us",
         "size_mib", "status")  # fmt: skip
HEIGHT = 560


class Leaderboard:
    """The table of one user."""

    def __init__(self, shell: Shell, name: str) -> None:
        self.shell, self.name = shell, name
        self.extra: dict[str, dict[str, Any]] = {}
        self.measuring: str | None = None  # the job's id
        self.shown = False
        self._seen: Any = None

    def show(self) -> None:
        self.shown = True
        wanted = [c for c in app.storage.user.get("columns", FIRST) if c in COLUMNS]
        with ui.element("div").classes("tw-row"):
            search = ui.input("Filter").props("clearable dense debounce=200").style("min-width:200px")
            chosen = ui.select({k: v[0] for k, v in COLUMNS.items()}, value=wanted, multiple=True, label="Columns") \
                .props("dense options-dense").style("min-width:200px;max-width:320px")  # fmt: skip
            chosen.props(f'display-value="{len(wanted)} columns"')
            self.measure_button = ui.button("Measure every model", icon="speed", on_click=lambda: self.measure("all"))
            self.measure_button.props("outline")
            self.compare_button = ui.button("Compare two", icon="compare_arrows", on_click=self.compare)
            self.compare_button.props("outline")
        self.told = parts.soft("")
        columns = [
            parts.column(k, label, number=spec is not None, sortOrder="ad")
            for k, (label, spec) in COLUMNS.items()
        ]
        self.table = parts.table(columns, [], "model_id", "Leaderboard", HEIGHT)
        parts.linked(self.table, "model_id")
        self.table.props["selection"] = "multiple"
        self.table.add_slot("header-selection", """<q-checkbox dense v-model="props.selected" aria-label="All" />""")
        self.table.add_slot("body-selection", """<q-checkbox dense v-model="props.selected"
            :aria-label="'Choose ' + props.row.model_id" />""")
        self.table.props["visible-columns"] = wanted
        search.bind_value_to(self.table, "filter", lambda v: v or "")
        for name, (_, spec) in COLUMNS.items():
            if spec and name != "rank":
                self.table.add_slot(f"body-cell-{name}", _formatted(spec))

        def choose(event: Any) -> None:
            self.table.props["visible-columns"] = list(event.value)
            self.table.update()
            chosen.props(f'display-value="{len(event.value)} columns"')
            app.storage.user["columns"] = list(event.value)

        chosen.on_value_change(choose)
        with ui.element("div").classes("full-width") as self.diagram:
            pass
        parts.code(recipes.on_run(
            self.name, "Leaderboard", f"{recipes.run_var(self.name)}.leaderboard()",
            command("leaderboard", self.shell.context.workspace.path("runs", self.name)),
        ))  # fmt: skip

    def waits(self) -> bool:
        """Whether measurements are under way."""
        return self.measuring is not None

    async def update(self, view: reading.View) -> None:
        """Show the candidates as they stand; measure the leader once the run has ended."""
        self._take_measurements(view)
        if view.audit is None:
            self.told.text = "No candidate yet."
            return
        board = reading.candidates(view.audit)
        if self.extra:
            board = reading.merged(board, self.extra)
        for b in (self.measure_button, self.compare_button):
            b.set_enabled(not view.is_live and not self.waits())
        base = f"/runs/{self.name}/models/"
        rows = [
            r | {"href": f"{base}{r['model_id']}" if _has_page(r) else "",
                 "interval": _interval(r), "on_pareto_front": "yes" if r.get("on_pareto_front") else ""}
            for r in board
        ]  # fmt: skip
        if (rows, view.design) != self._seen:
            self.table.rows = rows
            self._seen = rows, view.design
            self._draw(view)
        more = " Latency, size and intervals are being measured." if self.waits() else ""
        if self.extra and view.score is not None:
            more += (f" The leader's score is the estimate for what is delivered, less what having been chosen "
                     f"flatters it by; the search saw {view.score:.5f}.")  # fmt: skip
        n = len(view.audit.candidates)
        self.told.text = f"{n} candidates, best {view.metric} first." + more

    def _draw(self, view: reading.View) -> None:
        found = view.audit
        if found is None or not found.leaders or view.is_live:
            return
        inside = found.leaders[-1].members if view.chosen is None else view.chosen.weights
        family = {c.model_id: c.family for c in found.candidates}
        self.diagram.clear()
        with self.diagram, parts.card("What the leader is made of"):
            if len(inside) < 2:
                alone = inside[0][0] if inside else "constant"
                parts.soft(f"{alone} alone{_averaged(view)}.")
                for c in found.candidates:
                    if c.model_id == alone and (names := reading.bases(c)):
                        parts.soft(stacked(c.model_id, names))
                return
            members = [(m, family.get(m, "?"), w) for m, w in sorted(inside, key=lambda p: -p[1])]
            told = "; ".join(f"{m} {w:.0%}" for m, _, w in members)
            learned = {c.model_id: b for c in found.candidates if c.model_id in dict(inside)
                       and (b := reading.bases(c))}  # fmt: skip
            target = str(reading.schema_of(view.path).target)
            parts.chart(charts.ensemble(members, view.n_folds, target, learned), f"The ensemble: {told}",
                        max(200, 34 * len(members)))  # fmt: skip
            parts.soft(f"The leader is the weighted mean of its members{_averaged(view)}.")
            for stacker, names in learned.items():
                parts.soft(stacked(stacker, names))

    def _take_measurements(self, view: reading.View) -> None:
        jobs = self.shell.context.jobs
        fresh = measurements(jobs, self.name, view.job)
        running = next((j for j in fresh if j.state == RUNNING), None)
        self.measuring = running.id if running else None
        done = next((j for j in fresh if j.state == DONE), None)
        if view.is_live:
            self.extra = {}
        elif done is not None:
            text = jobs.log(done, whole=True)
            start = text.find("rank,model_id")
            self.extra = reading.measured(text[start:]) if start >= 0 else {}
        elif not fresh and view.audit is not None and view.audit.leaders:
            self.measure("leader")

    def measure(self, what: str) -> None:
        """Let the full leaderboard be worked out, in a process of its own."""
        context = self.shell.context
        path = context.workspace.path("runs", self.name)
        words = argv("leaderboard", path, csv=True, all=what == "all")
        job = context.jobs.start(f"Measure {what} of {self.name}", f"run:{self.name}", words)
        self.measuring = job.id
        if what == "all":
            self.shell.record(recipes.on_run(
                self.name, f"Measure every model of {self.name}",
                f'{recipes.run_var(self.name)}.leaderboard(extra_columns="all")',
                command("leaderboard", path, all=True),
            ))  # fmt: skip

    def compare(self) -> None:
        """Put the two chosen models beside each other."""
        chosen = [row["model_id"] for row in self.table.selected if row.get("href")]
        if len(chosen) != 2:
            ui.notify("Tick two finished models in the table first.", type="warning")
            return
        ui.navigate.to(f"/runs/{self.name}/compare?a={chosen[0]}&b={chosen[1]}")


def measurements(jobs: Jobs, name: str, fitted: Job | None) -> list[Job]:
    """The jobs that measure the leader of now, latest first: begun after the fit, and after another design's choice."""
    about = f"run:{name}"
    chosen = (j for j in jobs.since(about, "select", fitted) if j.state == DONE and _chooses(j))
    return jobs.since(about, "leaderboard", next(chosen, fitted))


def _chooses(job: Job) -> bool:
    """Whether a ``tabwright select`` does more than show the front."""
    return any(word == "--design" or word.startswith("--max-") for word in job.argv)


def stacked(stacker: str, names: Sequence[str]) -> str:
    """A sentence on what a stacker has learned from."""
    return f"{stacker} is stacked: it has learned from the columns and what {', '.join(names)} predicted out of fold."


def _has_page(row: dict[str, Any]) -> bool:
    return row["status"] in ("ok", "leader") and row["family"] != "constant"


def _averaged(view: reading.View) -> str:
    if view.design:
        return f", as it was chosen from the front: {view.design}"
    if view.in_time:
        return ", each fitted on all rows in the end, or on what its last fold had"
    return f", each the mean of its {view.n_folds} fold models" if view.n_folds > 1 else ""


def _interval(row: dict[str, Any]) -> str:
    low, high = row.get("score_ci_low"), row.get("score_ci_high")
    return "" if low is None or high is None else f"{low:.5g} … {high:.5g}"


def _formatted(spec: str) -> str:
    """A cell that shows a number with as many digits; the value itself stays a number, for sorting."""
    digits = spec.strip(",.f")
    grouped = "true" if "," in spec else "false"
    options = f"{{minimumFractionDigits: {digits}, maximumFractionDigits: {digits}, useGrouping: {grouped}}}"
    return f"""<q-td :props="props">{{{{ props.value === null || props.value === undefined ? ''
        : Number(props.value).toLocaleString('en', {options}) }}}}</q-td>"""


