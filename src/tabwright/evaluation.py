"""All metrics of an exported model on rows with known outcomes."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tabwright.data.target import read_target
from tabwright.errors import DataError
from tabwright.metrics import evaluate
from tabwright.types import Task


def evaluate_model(model: Any, X: pd.DataFrame, y: pd.Series) -> dict[str, float]:
    """Metrics by name; rows with a missing target are left out."""
    classes = None if model.classes_ is None else tuple(model.classes_.tolist())
    y_true, keep = read_target(y, str(y.name), classes)
    if not keep.any():
        raise DataError(f"no row has a target {str(y.name)!r}", "pass rows whose outcome is known")
    if classes is None:
        return evaluate(Task.REGRESSION, y_true, model.predict(X[keep])[:, None])
    proba = model.predict_proba(X[keep])
    task = Task.BINARY if len(classes) == 2 else Task.MULTICLASS
    prediction = proba[:, 1:] if task is Task.BINARY else proba
    return evaluate(task, y_true, prediction, model.metadata.get("threshold") or 0.5)
