"""All metrics of an exported model on rows with known outcomes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tabwright.errors import ColumnError
from tabwright.metrics import evaluate
from tabwright.types import Array, Task


def class_codes(y: pd.Series, classes: Any) -> Array:
    """Position of each value in ``classes``; ColumnError for a class that training did not have."""
    known = {str(c): k for k, c in enumerate(classes)}
    codes = np.array([known.get(str(v), -1) for v in y], np.int64)
    if (codes < 0).any():
        odd = y.iloc[int(np.argmax(codes < 0))]
        raise ColumnError(str(y.name), f"holds the class {odd!r}, which training did not have", "leave such rows out")
    return codes


def evaluate_model(model: Any, X: pd.DataFrame, y: pd.Series) -> dict[str, float]:
    """Metrics by name; rows with a missing target are left out."""
    keep = y.notna().to_numpy()
    X, y = X[keep], y[keep]
    if model.classes_ is None:
        return evaluate(Task.REGRESSION, np.asarray(pd.to_numeric(y), np.float64), model.predict(X)[:, None])
    proba = model.predict_proba(X)
    task = Task.BINARY if len(model.classes_) == 2 else Task.MULTICLASS
    prediction = proba[:, 1:] if task is Task.BINARY else proba
    threshold = model.metadata.get("threshold") or 0.5
    return evaluate(task, class_codes(y, model.classes_), prediction, threshold)
