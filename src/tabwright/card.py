"""The model card: what a model is, what it was learnt from and how far it can be trusted, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tabwright.metrics import find_metric
from tabwright.schema import Column, Schema
from tabwright.types import Kind, Task

MAX_COLUMNS = 60
LIMITS = (
    "Scores, intervals and sets hold for rows drawn as the training rows were; where the data have moved, they do not",
    "What the columns say of the target is correlation: changing one in the world need not change the outcome",
    "Groups may be served unequally: compare them (`explain(...).fairness(column)`) before decisions about people",
)


@dataclass(frozen=True)
class CardFacts:
    """What a card tells.

    Parameters
    ----------
    schema : Schema
        Of the training table, with target and classes.
    task : Task
    n_rows : int
    sort_metric : str
    metrics : mapping of metric to out-of-fold score
    interval : (score, low, high), optional
        Of the sort metric, corrected for the choice of the leader.
    members : sequence of (model_id, family, weight, folds)
    validation : str
        How rows were split, in words.
    versions : mapping of package to version
    created : str
        Date and time.
    notes : sequence of str
        What stood out while training.
    """

    schema: Schema
    task: Task
    n_rows: int
    sort_metric: str
    metrics: Mapping[str, float]
    members: Sequence[tuple[str, str, float, int]]
    validation: str
    created: str
    interval: tuple[float, float, float] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def card(facts: CardFacts, intended_use: str = "") -> str:
    """Markdown text.

    References
    ----------
    Mitchell et al. 2019, doi:10.1145/3287560.3287596.
    """
    schema = facts.schema
    what = {Task.REGRESSION: "a number", Task.BINARY: "one of two classes", Task.MULTICLASS: "one of several classes"}
    n_used = len(schema.used)
    told = f"Predicts {what[facts.task]}, `{schema.target}`, from {n_used} columns; trained {facts.created}."
    lines = [f"# Model card: {schema.target}", "", "## Model", "", told, ""]
    if schema.classes:
        shown = ", ".join(f"`{c}`" for c in schema.classes[:20])
        lines += [f"Classes: {shown}{' …' if len(schema.classes) > 20 else ''}.", ""]
    lines += _members(facts)
    lines += ["## Intended use", "", intended_use or _default_use(facts), "", "## Training data", ""]
    lines += [f"{facts.n_rows:,} rows. {facts.validation}", "", *_columns(schema)]
    lines += ["## Performance", "", *_scores(facts), "## Limits", ""]
    lines += [f"- {_sentence(note)}" for note in (*LIMITS, *facts.notes)]
    lines += ["", "## Reproduce", "", ", ".join(f"{k} {v}" for k, v in facts.versions.items()), ""]
    return "\n".join(lines)


def _default_use(facts: CardFacts) -> str:
    rows = f"Scoring rows like those of the training table whose `{facts.schema.target}` is not known yet."
    return f"{rows} The owner has not stated a use."


def _members(facts: CardFacts) -> list[str]:
    if not facts.members:
        return ["The prediction is constant: no candidate was better.", ""]
    rows = [f"| {m} | {family} | {weight:.2f} | {folds} |" for m, family, weight, folds in facts.members]
    return ["| member | family | weight | fold models |", "|---|---|---|---|", *rows, ""]


def _columns(schema: Schema) -> list[str]:
    rows = [f"| {_cell(c.name)} | {c.kind} | {_range(c)} | {c.missing_share:.1%} |" for c in schema.used[:MAX_COLUMNS]]
    more = len(schema.used) - MAX_COLUMNS
    rows += [f"| … and {more} more | | | |"] if more > 0 else []
    left_out = [f"`{c.name}` ({c.reason})" for c in schema.columns if not c.used]
    told = ["", f"Left out: {', '.join(left_out[:20])}."] if left_out else []
    return ["| column | kind | range or values | missing |", "|---|---|---|---|", *rows, *told, ""]


def _range(column: Column) -> str:
    if column.kind is Kind.CATEGORICAL:
        shown = ", ".join(_cell(v) for v in column.values[:4])
        return f"{len(column.values)}: {shown}{' …' if len(column.values) > 4 else ''}"
    if column.minimum is None or column.maximum is None or column.kind is Kind.BOOLEAN:
        return ""
    if column.kind is Kind.DATETIME:
        days = [np.datetime64(int(v), "s").astype("datetime64[D]") for v in (column.minimum, column.maximum)]
        return f"{days[0]} to {days[1]}"
    return f"{column.minimum:g} to {column.maximum:g}"


def _scores(facts: CardFacts) -> list[str]:
    metric = find_metric(facts.sort_metric, facts.task)
    lines = []
    if facts.interval is not None:
        score, low, high = facts.interval
        interval = f"95 % interval {low:.5g} to {high:.5g}; corrected for the choice of the model on the same rows"
        lines += [f"**{metric.title}: {score:.5g}** ({interval}).", ""]
    rows = [f"| {find_metric(name, facts.task).title} | {value:.5g} |" for name, value in facts.metrics.items()]
    head = ["Every row scored by models that had not seen it:", "", "| metric | value |", "|---|---|"]
    return [*lines, *head, *rows, ""]


def _cell(value: Any) -> str:
    text = str(value).replace("|", "\\|").replace("\n", " ")
    return text if len(text) <= 40 else text[:39] + "…"


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
