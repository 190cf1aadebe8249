"""A form with every input of a model, and its prediction as the values change."""

from __future__ import annotations

from typing import Any

import pandas as pd
from nicegui import ui

from tabwright.errors import UserError
from tabwright.explain import explain
from tabwright.runtime import Model
from tabwright.types import Kind
from tabwright.ui import charts, parts, recipes
from tabwright.ui.models import Field, answer, fields
from tabwright.ui.pages.explained import fitting
from tabwright.ui.shell import Shell, aside, busy

SHOWN_CLASSES = 12
BACKGROUND = 500


def what_if(shell: Shell, name: str, model: Model) -> None:
    """The form; each change is scored at once."""
    form = _WhatIf(shell, name, model)
    form.show()


class _WhatIf:
    def __init__(self, shell: Shell, name: str, model: Model) -> None:
        self.shell, self.name, self.model = shell, name, model
        self.fields = fields(model)
        self.row: dict[str, Any] = {f.name: f.value for f in self.fields}
        self.start: list[tuple[str, float]] = []

    def show(self) -> None:
        with parts.card("Prediction"):
            self.told = ui.label().classes("tw-number").props("aria-live=polite data-testid=prediction")
            self.moved = parts.soft("")
            self.problem = ui.label().classes("tw-note error").props("role=alert")
            has_classes = self.model.classes_ is not None
            self.chart = parts.chart(charts.bars([], []), "Probabilities", 60) if has_classes else None
        with parts.card("Inputs", "Empty means unknown."), ui.element("div").classes("tw-form"):
            for field in self.fields:
                self._field(field)
        with parts.card("What moves it", "Each column's contribution to this row's prediction, against the rows of a "
                        "table; together with the base they add up to it."):  # fmt: skip
            self._background()
        self.code = ui.element("div").classes("full-width")
        ui.button("Keep this row in the notebook", icon="bookmark_add", on_click=self.keep).props("outline")
        self.score()

    def _field(self, field: Field) -> None:
        def changed(event: Any) -> None:
            self.row[field.name] = event.value
            self.score()

        if field.choices:
            made: Any = ui.select(["", *field.choices], value=field.value, label=field.name, on_change=changed,
                                  with_input=len(field.choices) > 12)  # fmt: skip
        elif field.kind in (Kind.NUMERIC, Kind.INTEGER):
            made = ui.number(field.name, value=field.value, on_change=changed).props("debounce=200")
            if field.low is not None and field.high is not None:
                made.props(f'hint="in training from {field.low:g} to {field.high:g}"').style("padding-bottom:22px")
        else:
            made = ui.input(field.name, value=field.value, on_change=changed).props("debounce=300")

    def _background(self) -> None:
        tables = fitting(self.shell, self.model)
        if not tables:
            parts.empty("No table here has all the columns that the model reads, to compare the row with.")
            return
        self.table = ui.select(tables, value=tables[0], label="Against rows of").style("min-width:220px")
        self.button = ui.button("Show contributions", icon="psychology", on_click=self.contributions)
        self.moves = ui.element("div").classes("full-width")

    async def contributions(self) -> None:
        """Shapley values of the row as it stands."""
        with self.shell.telling(), busy(self.button):
            frame = await aside(self.shell.context.tables.frame, self.table.value)
            given = pd.DataFrame([{k: None if v == "" else v for k, v in self.row.items()}])
            said = None if self.model.classes_ is None else self._said(answer(self.model, self.row))
            made = await aside(lambda: explain(self.model, frame, max_rows=BACKGROUND).contributions(given, said))
            base, *values, prediction = map(float, made.iloc[0])  # by position: columns may be called so, too
            moves = zip(map(str, made.columns[1:-1]), values, strict=True)
            top = sorted(moves, key=lambda pair: -abs(pair[1]))[:SHOWN_CLASSES]
            self.moves.clear()
            with self.moves:
                told = "prediction" if said is None else f"P({said})"
                parts.figures({"base": f"{base:.5g}", told: f"{prediction:.5g}"})
                parts.chart(charts.bars([k for k, _ in top], [round(v, 6) for _, v in top], "contribution",
                                        sideways=True), "Contributions", 70 + 24 * len(top))  # fmt: skip

    def score(self) -> None:
        """Predict for the row as it stands."""
        try:
            found = answer(self.model, self.row)
        except UserError as error:
            self.problem.text, self.problem.visible = str(error), True
            return
        self.problem.visible = False
        self.start = self.start or found
        if self.model.classes_ is None:
            value, before = found[0][1], self.start[0][1]
            self.told.text = f"{self.model.schema.target} = {value:.6g}"
            self.moved.text = f"{value - before:+.6g} against the row at the start ({before:.6g})"
            return
        said = self._said(found)
        self.told.text = f"{self.model.schema.target} = {said} ({dict(found)[said]:.1%})"
        last, before = found[-1][0], dict(self.start)[found[-1][0]]
        self.moved.text = f"P({last}) {dict(found)[last] - before:+.2%} against the row at the start ({before:.2%})"
        shown = sorted(found, key=lambda pair: -pair[1])[:SHOWN_CLASSES] if len(found) > 2 else found
        assert self.chart is not None
        options = charts.bars([c for c, _ in shown], [round(v, 4) for _, v in shown], "probability", sideways=True)
        options["xAxis"] |= {"min": 0, "max": 1}
        self.chart.options.clear()
        self.chart.options.update(options)
        self.chart.style(f"height:{70 + 26 * len(shown)}px")
        self.chart.update()

    def _said(self, found: list[tuple[str, float]]) -> str:
        """The class that is predicted: of two, by the model's threshold."""
        if len(found) != 2:
            return max(found, key=lambda pair: pair[1])[0]
        threshold = float(self.model.metadata.get("threshold") or 0.5)
        return found[1][0] if found[1][1] >= threshold else found[0][0]

    def keep(self) -> None:
        """Record the question, as Python."""
        row = {k: None if v == "" else v for k, v in self.row.items()}
        method = "predict" if self.model.classes_ is None else "predict_proba"
        body = ",\n    ".join(f"{k!r}: {v!r}" for k, v in row.items())
        python = f"row = {{\n    {body},\n}}\n{recipes.model_var(self.name)}.{method}(row)"
        action = self.shell.record(recipes.on_model(self.name, f"What if, with {self.name}", python))
        self.code.clear()
        with self.code:
            parts.code(action, opened=True)
