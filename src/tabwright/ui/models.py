"""Exported model files of the workspace: what they tell of themselves, and what they predict."""

from __future__ import annotations

import json
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tabwright.data.target import read_target
from tabwright.errors import DataError
from tabwright.runtime import Model, load_model
from tabwright.schema import Column
from tabwright.types import Floats, Kind, Task
from tabwright.ui.jobs import RUNNING, Job, Jobs
from tabwright.ui.runs import Outcomes
from tabwright.ui.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

FILE = "model.onnx"
_SERVING = re.compile(r"serving on (https?://\S+)")


class Models:
    """The models of a workspace. Sessions that were used last are kept."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def names(self) -> list[str]:
        """Latest first."""
        return [n for n in self.workspace.names("models") if (self.workspace.path("models", n) / FILE).is_file()]

    def path(self, name: str) -> Path:
        """The file; DataError where there is none."""
        return self.workspace.existing("models", name, FILE)

    def load(self, name: str) -> Model:
        """The model, for scoring; errors as :func:`tabwright.load_model`."""
        path = self.path(name)
        return _loaded(path, path.stat().st_mtime)

    def bring(self, filename: str, data: Path) -> str:
        """Take a model file over (it is moved), if it is one; its name."""
        load_model(data)
        name = self.workspace.reserve("models", Path(filename).name.removesuffix(".onnx"))
        shutil.move(data, self.workspace.path("models", name, FILE))
        return name

    def examples(self, name: str) -> list[str]:
        """The files beside it that score it in other languages."""
        folder = self.workspace.path("models", name) / "examples"
        return sorted(p.name for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []


@lru_cache(maxsize=4)
def _loaded(path: Path, _changed: float) -> Model:
    return load_model(path)


@dataclass(frozen=True)
class Field:
    """One input of the what-if form. ``choices`` is empty for numbers, dates and texts."""

    name: str
    kind: Kind
    value: Any
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


def fields(model: Model) -> list[Field]:
    """What the model reads, with values to begin with."""
    return [_field(c) for c in model.schema.used]


def _field(column: Column) -> Field:
    value: Any = column.example
    if column.kind is Kind.BOOLEAN:
        words = column.values or ("false", "true")
        if isinstance(value, str):  # a spelling of one of the two
            value = next((k for k, w in enumerate(words) if w.lower() == value.lower()), 0)
        return Field(column.name, column.kind, words[int(value or 0)], words)
    if column.kind is Kind.CATEGORICAL:
        known = column.values[:500]
        return Field(column.name, column.kind, value if value in known else known[0] if known else "", known)
    if column.kind in (Kind.NUMERIC, Kind.INTEGER):
        return Field(column.name, column.kind, value, (), column.minimum, column.maximum)
    return Field(column.name, column.kind, "" if value is None else str(value))


def answer(model: Model, row: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The prediction for one row: (target, value), or each class with its probability.

    Raises
    ------
    UserError
        For a value that a column can't hold.
    """
    given = {k: None if v == "" else v for k, v in row.items()}
    if model.classes_ is None:
        return [(str(model.schema.target), float(model.predict(given)[0]))]
    proba = model.predict_proba(given)[0]
    return [(str(c), float(p)) for c, p in zip(model.classes_, proba, strict=True)]


def outcomes(model: Model, frame: pd.DataFrame, told: str) -> Outcomes:
    """A model's predictions for a table with known outcomes.

    Raises
    ------
    DataError
        If the table lacks the target.
    """
    target = str(model.schema.target)
    if target not in frame.columns:
        raise DataError(f"the table has no column {target!r}, which the model predicts", "choose one with outcomes")
    classes = None if model.classes_ is None else tuple(model.classes_.tolist())
    y, keep = read_target(frame[target], target, classes)
    rows = frame[keep]
    if not len(rows):
        raise DataError(f"no row of the table has a {target!r}", "choose a table with outcomes")
    prediction: Floats
    if classes is None:
        task, prediction = Task.REGRESSION, np.asarray(model.predict(rows))[:, None]
    else:
        task = Task.BINARY if len(classes) == 2 else Task.MULTICLASS
        proba = model.predict_proba(rows)
        prediction = proba[:, 1:] if task is Task.BINARY else proba
    return Outcomes(task, y, prediction, None, tuple(map(str, classes or ())), told)


def server_of(jobs: Jobs, name: str) -> tuple[Job, str] | None:
    """The running server of a model and its address (empty while it starts), or None."""
    for job in jobs.about(f"model:{name}"):
        if job.kind == "serve" and job.state == RUNNING:
            found = _SERVING.search(jobs.head(job))
            return job, found[1] if found else ""
    return None


def monitoring(url: str) -> dict[str, Any]:
    """What a server of ``tabwright serve`` tells of itself; empty where it does not answer."""
    try:
        with urllib.request.urlopen(f"{url}/monitor.json", timeout=2) as reply:  # noqa: S310 - our own server's
            return dict(json.loads(reply.read()))
    except (urllib.error.URLError, OSError, ValueError):
        return {}
