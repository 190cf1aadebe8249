"""One model of a run: how good it is out of fold, and what it is; and two of them beside each other."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from tabwright.errors import DataError
from tabwright.objectives.design import fold_name
from tabwright.types import Task
from tabwright.ui import charts, curves, parts, recipes
from tabwright.ui import runs as reading
from tabwright.ui.actions import Action, command
from tabwright.ui.pages import quality_parts
from tabwright.ui.pages.leaderboard import stacked
from tabwright.ui.shell import Page, Shell, aside, heading


async def build(shell: Shell) -> None:
    name, model_id = shell.path["name"], shell.path["model"]
    path = shell.context.workspace.existing("runs", name)
    view = await aside(reading.view, shell.context.workspace, shell.context.jobs, name)
    with ui.element("div").classes("tw-head"):
        heading(model_id, 1)
        ui.link(f"Run {name}", f"/runs/{name}").classes("tw-link")
    found = await aside(reading.out_of_fold, path, model_id)
    tabs = {"Quality": lambda: quality_parts.show(found, found.threshold),
            "Settings": lambda: _settings(view, model_id)}  # fmt: skip
    await parts.tabs(tabs, shell.query.get("tab"))
    parts.code(_action(shell, name, model_id))


def _action(shell: Shell, name: str, model_id: str) -> Action:
    python = f'board = {recipes.run_var(name)}.leaderboard()\nboard[board["model_id"] == {model_id!r}].T'
    words = command("leaderboard", shell.context.workspace.path("runs", name), csv=True)
    return recipes.on_run(name, f"Look at {model_id}", python, words)


def _settings(view: reading.View, model_id: str) -> None:
    assert view.audit is not None
    candidates = {c.model_id: c for c in view.audit.candidates}
    for member, weight in reading.members_of(view.audit, model_id):
        c = candidates[member]
        told = f"{weight:.1%} of the leader" if member != model_id else f"proposed by {c.origin}"
        with parts.card(member, told):
            if names := reading.bases(c):
                parts.soft(stacked(member, names))
            values = {"family": c.family, "seed": c.seed, **c.params}
            rows = [{"name": k, "value": f"{v:.6g}" if isinstance(v, float) else str(v)} for k, v in values.items()]
            parts.table([parts.column("name", "Setting"), parts.column("value", "Value")], rows, "name",
                        f"Settings of {member}")  # fmt: skip
            folds = sorted((f for f in view.audit.folds if f.model_id == member), key=lambda f: f.fold)
            made = [
                {"fold": fold_name(f.fold), "status": f.status, "score": None if f.score is None else round(f.score, 6),
                 "seconds": round(f.seconds, 2), "memory": round(f.peak_memory_mib), "iterations": f.n_iterations,
                 "id": k}
                for k, f in enumerate(folds)
            ]  # fmt: skip
            parts.table([
                parts.column("fold", "Part"), parts.column("status", "Status"),
                parts.column("score", view.metric, number=True), parts.column("seconds", "Seconds", number=True),
                parts.column("iterations", "Iterations", number=True), parts.column("memory", "MiB", number=True),
            ], made, "id", f"Folds of {member}")  # fmt: skip


async def compare(shell: Shell) -> None:
    name = shell.path["name"]
    path = shell.context.workspace.existing("runs", name)
    a, b = shell.query.get("a", ""), shell.query.get("b", "")
    with ui.element("div").classes("tw-head"):
        heading(f"{a} and {b}", 1)
        ui.link(f"Run {name}", f"/runs/{name}").classes("tw-link")
    if a == b:
        raise DataError(f"{a!r} is named twice", "choose two different models")
    found = {m: await aside(reading.out_of_fold, path, m) for m in (a, b)}
    first = found[a]
    parts.soft(f"On {first.told}.")
    with parts.card("Metrics"):
        values = {m: curves.metrics(o) for m, o in found.items()}
        rows = [{"metric": k, "a": _told(values[a][k]), "b": _told(values[b][k]),
                 "difference": _told(values[b][k] - values[a][k])} for k in values[a]]  # fmt: skip
        parts.table([parts.column("metric", "Metric"), parts.column("a", a, number=True),
                     parts.column("b", b, number=True), parts.column("difference", "Difference", number=True)],
                    rows, "metric", "Metrics of both")  # fmt: skip
    with ui.element("div").classes("tw-grid"):
        _both(found)
    python = f'board = {recipes.run_var(name)}.leaderboard()\nboard[board["model_id"].isin([{a!r}, {b!r}])].T'
    parts.code(recipes.on_run(name, f"Compare {a} with {b}", python, command("leaderboard", path, csv=True)))


def _both(found: dict[str, reading.Outcomes]) -> None:
    first = next(iter(found.values()))
    if first.task is Task.REGRESSION:
        (a, x), (b, y) = found.items()
        with parts.card("One against the other"):
            data = list(zip(x.prediction[:1500, 0].tolist(), y.prediction[:1500, 0].tolist(), strict=True))
            parts.chart(charts.points(data, a, b, diagonal=True), f"Predictions of {b} against {a}", 360)
        with parts.card("Distribution of residuals"):
            series = {m: list(zip(*curves.residual_histogram(o), strict=True)) for m, o in found.items()}
            parts.chart(charts.lines(series, "true − predicted", "rows"), "Residuals of both", 360)
        return
    draws: tuple[tuple[str, Any, str, str], ...] = (
        ("ROC", curves.roc, "false positive rate", "true positive rate"),
        ("Precision and recall", curves.precision_recall, "recall", "precision"),
        ("Calibration", lambda o: [(p, s) for p, s, _ in curves.calibration(o)], "predicted", "observed share"),
    )
    positive = first.classes[1]
    for title, draw, x_name, y_name in draws:
        with parts.card(f"{title} of {positive}"):
            series = {m: draw(o) for m, o in found.items()}
            parts.chart(charts.lines(series, x_name, y_name, diagonal=title != "Precision and recall",
                                     unit_square=True), f"{title} of both models", 320)  # fmt: skip


def _told(value: float) -> str:
    return f"{value:.6g}"


CANDIDATE = Page("/runs/{name}/models/{model}", "Model", build, "/runs")
COMPARE = Page("/runs/{name}/compare", "Compare", compare, "/runs")
