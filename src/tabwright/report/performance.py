"""The leader's curves, from predictions for rows that its models had not seen."""

from __future__ import annotations

from html import escape

import numpy as np

from tabwright.charts import Line, histogram, lines, matrix, scatter
from tabwright.curves import calibration, confusion, precision_recall, roc
from tabwright.finished import Finished
from tabwright.metrics import full_proba
from tabwright.types import Array, Floats, Task

MAX_POINTS, MAX_CLASSES = 1500, 12
DIAGONAL = Line("", [0.0, 1.0], [0.0, 1.0], dashed=True)


def figures(finished: Finished) -> str:
    """Charts side by side."""
    prediction = finished.out_of_fold(finished.ensemble)
    if prediction is None:
        return "<p>The out-of-fold predictions are gone (max_disk_mib).</p>"
    problem = finished.problem
    y, weight = problem.outcomes()
    classes = [str(c) for c in finished.schema.classes or ()]
    if problem.task is Task.REGRESSION:
        charts = _numbers(y, prediction[:, 0], str(finished.schema.target))
    elif problem.task is Task.BINARY:
        charts = _two(y, prediction[:, 0], weight, classes, finished.ensemble.threshold)
    else:
        charts = _many(y, full_proba(prediction), weight, classes)
    return f'<div class="grid2">{"".join(f"<figure>{chart}</figure>" for chart in charts)}</div>'


def _numbers(y: Array, prediction: Floats, target: str) -> list[str]:
    rows = np.random.default_rng(0).permutation(len(y))[:MAX_POINTS]
    residual = prediction - y
    low, high = np.quantile(residual, [0.005, 0.995])
    counts, edges = np.histogram(residual[(residual >= low) & (residual <= high)], bins=40)
    return [
        _titled("Predicted against true", scatter(
            y[rows].tolist(), prediction[rows].tolist(), f"true {target}", "predicted", diagonal=True)),
        _titled("Residuals against prediction", scatter(
            prediction[rows].tolist(), residual[rows].tolist(), f"predicted {target}", "predicted − true", level=0.0)),
        _titled("Residuals (99 % of rows)", histogram(edges.tolist(), counts.tolist(), "predicted − true", height=260)),
    ]  # fmt: skip


def _two(y: Array, p: Floats, weight: Floats | None, classes: list[str], threshold: float) -> list[str]:
    truth = y == 1
    a, b = roc(truth, p, weight), precision_recall(truth, p, weight)
    c, _ = calibration(truth, p, weight)
    share = float(np.average(truth, weights=weight))
    table = confusion(y, (p >= threshold).astype(np.int64), 2)
    return [
        _titled(f"ROC of {classes[1]!r}: area {a.area:.4f}", lines(
            [Line("", a.x.tolist(), a.y.tolist()), DIAGONAL], "false positive rate", "true positive rate",
            square=True)),
        _titled(f"Precision and recall of {classes[1]!r}: average precision {b.area:.4f}", lines(
            [Line("", b.x.tolist(), b.y.tolist()), Line("", [0.0, 1.0], [share, share], dashed=True)], "recall",
            "precision", square=True)),
        _titled("Calibration", lines(
            [Line("", c.x.tolist(), c.y.tolist()), DIAGONAL], "predicted probability", "share of rows", square=True)),
        _titled(f"Confusion at P({classes[1]}) ≥ {threshold:.3g}", matrix(table.tolist(), classes)),
    ]  # fmt: skip


def _many(y: Array, proba: Floats, weight: Floats | None, classes: list[str]) -> list[str]:
    common = np.argsort(-np.bincount(y, minlength=len(classes)), kind="stable")
    curves = []
    for k in common[:5].tolist():
        if 0 < (y == k).sum() < len(y):
            found = roc(y == k, proba[:, k], weight)
            curves.append(Line(f"{classes[k]} {found.area:.3f}", found.x.tolist(), found.y.tolist()))
    said = proba.argmax(axis=1)
    c, _ = calibration(said == y, proba.max(axis=1), weight)
    kept = np.sort(common[:MAX_CLASSES])
    table = confusion(y, said, len(classes))[np.ix_(kept, kept)]
    some = f" (the {MAX_CLASSES} commonest of {len(classes)})" if len(classes) > MAX_CLASSES else ""
    return [
        _titled("ROC of each class against the rest, with its area", lines(
            [*curves, DIAGONAL], "false positive rate", "true positive rate", square=True)),
        _titled("Calibration of the predicted class", lines(
            [Line("", c.x.tolist(), c.y.tolist()), DIAGONAL], "predicted probability", "share that is right",
            square=True)),
        _titled(f"Confusion{some}", matrix(table.tolist(), [classes[k] for k in kept])),
    ]  # fmt: skip


def _titled(title: str, chart: str) -> str:
    return f"<figcaption>{escape(title)}</figcaption>{chart}"
