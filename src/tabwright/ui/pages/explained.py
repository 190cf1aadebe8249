"""What moves a model's predictions: importance, Shapley values, dependence on a column, and where it is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from nicegui import ui

from tabwright.errors import DataError
from tabwright.explain import Explanation, explain
from tabwright.runtime import Model
from tabwright.schema import require_columns
from tabwright.types import Kind
from tabwright.ui import charts, parts, recipes
from tabwright.ui.shell import Shell, aside, busy

MAX_ROWS = 1000
SHOWN = 15
CURVES = 12


def fitting(shell: Shell, model: Model) -> list[str]:
    """Tables that hold all columns that the model reads; those with outcomes first."""
    found = []
    for entry in shell.context.tables.every():
        try:
            require_columns(entry.columns, model.schema)
        except DataError:
            continue
        found.append((model.schema.target not in entry.columns, entry.name))
    return [name for _, name in sorted(found)]


def explain_panel(shell: Shell, name: str, model: Model) -> None:
    """Explain the model on rows of a table."""
    tables = fitting(shell, model)
    parts.soft("In the table's own columns, for the whole file: every model of the ensemble and all preprocessing.")
    if not tables:
        parts.empty("No table here has all the columns that the model reads.")
        return
    table = ui.select(tables, value=tables[0], label="Rows of the table").style("min-width:260px")

    async def work() -> None:
        with shell.telling(), busy(button):
            entry = shell.context.tables.get(table.value)
            frame = await aside(shell.context.tables.frame, entry.name)
            found = await aside(explained, model, frame)
            paths = (shell.context.models.path(name), shell.context.tables.parquet(entry.name))
            action = shell.record(recipes.explain(name, entry, paths))
            where.clear()
            with where:
                _show(found, entry.name)
                parts.code(action)

    button = ui.button("Explain", icon="psychology", on_click=work)
    where = ui.element("div").classes("full-width").style("display:flex;flex-direction:column;gap:16px")


def explained(model: Model, frame: pd.DataFrame) -> Explanation:
    """The explanation with its slow parts worked out."""
    found = explain(model, frame, max_rows=MAX_ROWS)
    _ = found.importance, found.shap_importance
    if found.y is not None:
        _ = found.slices
    return found


def _show(found: Explanation, table: str) -> None:
    parts.soft(f"On {len(found.rows):,} rows of {table}.")
    with ui.element("div").classes("tw-grid"):
        with parts.card("Importance", "How much worse the model gets when a column's values are shuffled; columns that "
                        "go together are shuffled together."):  # fmt: skip
            top = found.importance.head(SHOWN)
            _bars(top["columns"].tolist(), top["importance"].tolist(), "loss", "Importance of columns")
        with parts.card("Mean size of contributions", "Shapley values: a row's contributions and the base add up to "
                        "its prediction."):  # fmt: skip
            top = found.shap_importance.head(SHOWN)
            _bars(top["column"].tolist(), top["mean_abs"].tolist(), found.subject.unit, "Mean size of contributions")
        with parts.card("One column's effect", "Mean prediction as the column is set to each value (partial "
                        "dependence), where 80 % of rows lie, and some rows' own curves (ICE)."):  # fmt: skip
            _dependence(found)
    if found.y is not None:
        with parts.card("Where it is worst"):
            _slices(found.slices)


def _bars(names: list[str], values: list[float], unit: str, told: str) -> None:
    parts.chart(charts.bars(names, [round(v, 6) for v in values], unit, sideways=True), told, 70 + 24 * len(names))


def _dependence(found: Explanation) -> None:
    names = found.shap_importance["column"].tolist()
    chosen = ui.select(names, value=names[0], label="Column", with_input=True).style("min-width:220px")
    where = ui.element("div").classes("full-width")

    async def draw(column: str) -> None:
        made = await aside(found.dependence, column)
        where.clear()
        with where:
            kind = found.subject.schema.column(column).kind
            values = made.table["value"].tolist()
            if kind in (Kind.NUMERIC, Kind.INTEGER):
                x = [float(v) for v in values]
                series = {label: list(zip(x, made.table[key].tolist(), strict=True))
                          for label, key in (("mean", "mean"), ("10 %", "low"), ("90 %", "high"))}  # fmt: skip
                options = charts.lines(series, column, found.subject.unit, scale=True)
                for row in np.asarray(made.ice)[:CURVES]:
                    data = [[a, float(b)] for a, b in zip(x, row, strict=True)]
                    options["series"].append({
                        "type": "line", "data": data, "showSymbol": False, "silent": True, "tooltip": {"show": False},
                        "lineStyle": {"width": 1, "opacity": 0.3, "color": charts.INK},
                    })  # fmt: skip
                parts.chart(options, f"Effect of {column}", 340)
            else:
                means = [round(float(v), 6) for v in made.table["mean"]]
                parts.chart(charts.bars([str(v) for v in values], means, found.subject.unit, sideways=True),
                            f"Effect of {column}", 70 + 24 * len(values))  # fmt: skip

    chosen.on_value_change(lambda event: draw(event.value))
    ui.timer(0.05, lambda: draw(names[0]), once=True)


def _slices(frame: pd.DataFrame) -> None:
    if not len(frame):
        parts.soft("No slice of the rows is clearly worse than the rest.")
        return
    records = frame.head(10).to_dict("records")
    rows: list[dict[str, Any]] = [
        {str(k): round(v, 5) if isinstance(v, float) else v for k, v in r.items()} for r in records
    ]
    numeric = frame.select_dtypes("number").columns
    columns = [parts.column(c, c.replace("_", " "), number=c in numeric) for c in map(str, frame.columns)]
    parts.table(columns, rows, str(frame.columns[0]), "Slices where the model is worst")
