"""One table: its columns and their kinds, its rows, and what stands out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from nicegui import ui

from tabwright.data.profile import ColumnProfile, TableProfile
from tabwright.types import Kind
from tabwright.ui import charts, parts, recipes
from tabwright.ui.pages import table_join, table_parts
from tabwright.ui.shell import Page, Shell, aside, heading
from tabwright.ui.tables import Entry

KINDS = [str(k) for k in Kind if k is not Kind.CONSTANT]
BAR_HEIGHT = 26


async def build(shell: Shell) -> None:
    entry = shell.context.tables.get(shell.path["name"])
    with ui.element("div").classes("tw-head"):
        heading(entry.name, 1)
        ui.button("New run", icon="play_arrow", on_click=lambda: ui.navigate.to(f"/new?table={entry.name}"))
    parts.figures({"rows": f"{entry.rows:,}", "columns": f"{len(entry.columns):,}", "from": entry.source.kind})
    for text in entry.notes:
        parts.note(text)
    await parts.tabs({
        "Columns": lambda: _columns(shell, entry.name), "Rows": lambda: table_parts.rows(shell, entry),
        "Quality": lambda: _quality(shell, entry.name), "Set-up": lambda: table_parts.setup(shell, entry),
        "Split and compare": lambda: _split_and_compare(shell, entry),
        "Join and append": lambda: table_join.build(shell, entry),
    }, shell.query.get("tab"))  # fmt: skip


def _split_and_compare(shell: Shell, entry: Entry) -> None:
    table_parts.split(shell, entry)
    table_parts.compare(shell, entry)


@ui.refreshable
def _columns(shell: Shell, name: str) -> None:
    tables = shell.context.tables
    entry = tables.get(name)

    async def choose(event: Any) -> None:
        tables.save(replace(tables.get(name), target=event.value))
        _columns.refresh()
        _quality.refresh()

    ui.select(list(entry.columns), value=entry.target, label="Column to predict (target)", with_input=True,
              clearable=True, on_change=choose).classes("full-width").style("max-width:420px")  # fmt: skip
    with ui.element("div").classes("full-width tw-stack") as where:
        pass

    async def fill() -> None:
        with where, shell.telling():
            with parts.waiting(f"{len(entry.columns):,} columns are being looked at…"):
                found = await aside(tables.profile, name)
            _profiled(shell, entry, found)

    ui.timer(0.05, fill, once=True)  # the page is there before a large table has been looked at


def _profiled(shell: Shell, entry: Entry, found: TableProfile) -> None:
    tables, name = shell.context.tables, entry.name
    if found.problem:
        parts.note(found.problem, "error")
    made = parts.table(_head(entry), [_row(c, found.rows) for c in found.columns], "name", "Columns", page=100)
    _slots(made)

    async def change(event: Any) -> None:
        column, kind = event.args["name"], event.args["kind"]
        before = tables.get(name)
        tables.save(replace(before, kinds={**before.kinds, column: kind}))
        try:
            with shell.telling():
                await aside(tables.profile, name)
                after = tables.get(name)
                title = f"Take column {column} as {kind}"
                shell.record(recipes.describe(after, tables.parquet(name), title))
                ui.notify(f"{column} is {kind} now", timeout=1500)
                return
            tables.save(before)  # the values contradict it
        finally:
            _columns.refresh()
            _quality.refresh()

    made.on("kind", change)
    made.on("look", lambda event: _look(found, event.args))
    parts.code(recipes.describe(entry, tables.parquet(name)))


def _head(entry: Entry) -> list[dict[str, Any]]:
    column = parts.column
    columns = [
        column("name", "Column"), column("kind", "Holds", sort=False), column("bars", "Distribution", sort=False),
        column("missing", "Missing", number=True), column("distinct", "Distinct", number=True),
        column("middle", "Median or most frequent"), column("reason", "Why"),
    ]  # fmt: skip
    if entry.target:
        columns.insert(5, column("share", "Tells of the target", number=True))
    return columns


def _row(c: ColumnProfile, rows: int) -> dict[str, Any]:
    top = max(c.counts, default=0)
    return {
        "name": c.name, "kind": c.kind, "missing": f"{c.missing / max(rows, 1):.1%}", "distinct": c.distinct,
        "bars": [round(BAR_HEIGHT * n / top, 1) if top else 0 for n in c.counts][:20],
        "middle": _middle(c), "reason": c.reason,
        "share": "" if c.target_share is None else f"{max(c.target_share, 0.0):.1%}",
    }  # fmt: skip


def _middle(c: ColumnProfile) -> str:
    if c.labels:
        return c.labels[0][:40]
    if c.median is None:
        return ""
    return _date(c.median) if c.kind == "datetime" else f"{c.median:,.6g}"


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _slots(made: ui.table) -> None:
    kinds = str(KINDS)
    made.add_slot("body-cell-name", """<q-td :props="props"><q-btn flat dense no-caps color="primary"
        :label="props.value" @click="$parent.$emit('look', props.value)" /></q-td>""")
    made.add_slot("body-cell-kind", f"""<q-td :props="props"><q-select v-if="props.row.kind !== 'constant'" dense
        options-dense borderless class="tw-kind" :model-value="props.row.kind" :options="{kinds}"
        :aria-label="'Kind of ' + props.row.name"
        @update:model-value="v => $parent.$emit('kind', {{name: props.row.name, kind: v}})" />
        <span v-else>constant</span></q-td>""")
    made.add_slot("body-cell-bars", f"""<q-td :props="props"><svg class="tw-bars" width="124" height="{BAR_HEIGHT}"
        aria-hidden="true"><rect v-for="(h, i) in props.row.bars" :key="i" :x="i * 124 / props.row.bars.length"
        :y="{BAR_HEIGHT} - h" :width="Math.max(1, 124 / props.row.bars.length - 1)" :height="h" /></svg></q-td>""")
    made.add_slot("body-cell-reason", """<q-td :props="props"><span class="tw-soft tw-why">{{ props.value }}</span>
        </q-td>""")


def _look(found: TableProfile, name: str) -> None:
    """A column at full size."""
    c = next(column for column in found.columns if column.name == name)
    with ui.dialog(value=True) as dialog, ui.card().style("width:min(760px,94vw);max-width:none"):
        heading(c.name)
        parts.soft(f"{c.kind}: {c.reason}")
        shown = {"missing": f"{c.missing:,}", "distinct": f"{c.distinct:,}"}
        for label, value in (("smallest", c.minimum), ("median", c.median), ("mean", c.mean), ("largest", c.maximum)):
            if value is not None:
                shown[label] = _date(value) if c.kind == "datetime" else f"{value:,.5g}"
        if c.deviation is not None and c.kind != "datetime":
            shown["standard deviation"] = f"{c.deviation:,.5g}"
        if c.target_share is not None:
            shown["tells of the target"] = f"{max(c.target_share, 0.0):.1%}"
        parts.figures(shown)
        if c.labels:
            labels, counts = [*c.labels], [*c.counts]
            if c.other:
                labels, counts = [*labels, "(all others)"], [*counts, c.other]
            parts.chart(charts.bars(labels, counts, sideways=True), f"Most frequent values of {c.name}",
                        60 + 24 * len(labels))  # fmt: skip
        elif c.edges:
            middles = [(a + b) / 2 for a, b in zip(c.edges[:-1], c.edges[1:], strict=True)]
            names = [_date(m) if c.kind == "datetime" else charts.rounded(m, 4) for m in middles]
            parts.chart(charts.bars(names, list(c.counts), x=c.name), f"Distribution of {c.name}")
        ui.button("Close", on_click=dialog.close).props("flat")


@ui.refreshable
async def _quality(shell: Shell, name: str) -> None:
    entry = shell.context.tables.get(name)
    if entry.target is None:
        parts.empty("Choose the column to predict under Columns: leaks, duplicates, imbalance and skew are then told.")
        return
    found = await aside(shell.context.tables.profile, name)
    if found.problem:
        parts.note(found.problem, "error")
        return
    parts.figures({"task": str(found.task), "warnings": str(sum(n.level == "warning" for n in found.notes)),
                   "notes": str(sum(n.level != "warning" for n in found.notes))})  # fmt: skip
    if not found.notes:
        parts.note("Nothing stands out.")
    for item in found.notes:
        parts.note(str(item), item.level)


TABLE = Page("/data/{name}", "Table", build, "/data")
