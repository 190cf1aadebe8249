"""Curves and figures of predictions held against what came true; shared by pages of candidates and of files."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from tabwright.types import Task
from tabwright.ui import charts, curves, parts
from tabwright.ui.runs import Outcomes

MANY_CLASSES = 30


def show(found: Outcomes, threshold: float = 0.5) -> None:
    """Everything that tells how good the predictions are."""
    parts.soft(f"On {found.told}.")
    with parts.card("Metrics"):
        parts.figures({k: f"{v:.5g}" for k, v in curves.metrics(found, threshold).items() if v == v})  # noqa: PLR0124
    if found.task is Task.REGRESSION:
        _regression(found)
    elif found.task is Task.BINARY:
        _one_class(found, 1)
        _threshold(found, threshold)
    else:
        _many(found)


def _regression(found: Outcomes) -> None:
    with ui.element("div").classes("tw-grid"):
        with parts.card("Predicted against true"):
            data = curves.predicted_against_true(found)
            parts.chart(charts.points(data, "true", "predicted", diagonal=True), "Predicted against true values", 340)
        with parts.card("Residuals"):
            parts.chart(charts.points(curves.residuals(found), "predicted", "true − predicted", level=True),
                        "Residuals by prediction", 340)  # fmt: skip
        with parts.card("Distribution of residuals"):
            middles, counts = curves.residual_histogram(found)
            parts.chart(charts.bars([charts.rounded(m) for m in middles], counts, x="true − predicted"),
                        "Distribution of residuals", 340)  # fmt: skip


def _one_class(found: Outcomes, positive: int) -> None:
    name = found.classes[positive]
    with ui.element("div").classes("tw-grid"):
        with parts.card("ROC"):
            parts.chart(charts.lines({"ROC": curves.roc(found, positive)}, "false positive rate", "true positive rate",
                                     diagonal=True, unit_square=True), f"ROC curve of {name}", 320)  # fmt: skip
        with parts.card("Precision and recall"):
            parts.chart(charts.lines({"precision": curves.precision_recall(found, positive)}, "recall", "precision",
                                     unit_square=True), f"Precision by recall of {name}", 320)  # fmt: skip
        made = curves.gains(found, positive)
        with parts.card("Cumulative gains"):
            parts.chart(charts.lines({"share found": made.gains}, "share of rows, most probable first",
                                     f"share of {name} found", diagonal=True, unit_square=True),
                        f"Cumulative gains of {name}", 320)  # fmt: skip
        with parts.card("Lift"):
            parts.chart(charts.lines({"lift": made.lift}, "share of rows, most probable first", "times random"),
                        f"Lift of {name}", 320)  # fmt: skip
        with parts.card("Calibration"):
            points = [(p, share) for p, share, _ in curves.calibration(found, positive)]
            parts.chart(charts.lines({"observed": points}, f"predicted probability of {name}", "observed share",
                                     diagonal=True, unit_square=True), f"Calibration of {name}", 320)  # fmt: skip


def _threshold(found: Outcomes, start: float) -> None:
    with parts.card("Confusion matrix", f"A row counts as {found.classes[1]!r} from this probability on."):
        with ui.element("div").classes("tw-row"):
            label = ui.label(f"{start:.2f}").classes("tw-number").style("width:60px")
            slider = ui.slider(min=0.0, max=1.0, step=0.01, value=start).style("max-width:520px;flex:1 1 200px")
            slider.props('aria-label="Threshold"')
        figures = ui.element("div").classes("full-width")
        matrix = parts.chart(charts.matrix(curves.confusion(found, start).tolist(), found.classes), "Confusion matrix",
                             280).style("max-width:560px")  # fmt: skip

        def redraw() -> None:
            value = float(slider.value)
            label.text = f"{value:.2f}"
            figures.clear()
            with figures:
                parts.figures({k: f"{v:.3f}" for k, v in curves.at_threshold(found, value).items()})
            matrix.options.update(charts.matrix(curves.confusion(found, value).tolist(), found.classes))
            matrix.update()

        slider.on("update:model-value", redraw, throttle=0.15)
        redraw()


def _many(found: Outcomes) -> None:
    with parts.card("Confusion matrix", "Shaded by the share of each true class."):
        if len(found.classes) > MANY_CLASSES:
            parts.soft(f"{len(found.classes)} classes are too many to draw.")
        else:
            height = 120 + 34 * min(len(found.classes), 16)
            parts.chart(charts.matrix(curves.confusion(found).tolist(), found.classes), "Confusion matrix", height)
    choices = dict(enumerate(found.classes))
    box: dict[str, Any] = {}

    def draw(positive: int) -> None:
        box["where"].clear()
        with box["where"]:
            _one_class(found, positive)

    ui.select(choices, value=0, label="Curves of one class against the others",
              on_change=lambda e: draw(int(e.value))).style("min-width:280px")  # fmt: skip
    box["where"] = ui.element("div").classes("full-width")
    draw(0)
