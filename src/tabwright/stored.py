"""What a run directory holds of its problem: written once, read back, and held against data that is given again."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import pandas as pd

from tabwright import clock
from tabwright.config import Config
from tabwright.data.table import Table, string_column
from tabwright.data.target import make_target
from tabwright.errors import DataError, ModelFileError, OptionError, RunError, UserError
from tabwright.metrics import find_metric
from tabwright.schema import Schema
from tabwright.search.problem import Problem
from tabwright.store.fingerprint import Fingerprint, fingerprint
from tabwright.store.run_dir import RunDir
from tabwright.types import Array, Task

SAME_DATA = "give the table that the run was started with, or start a new run with this one"


def store(run: RunDir, table: Table, problem: Problem, notes: Sequence[str], config: Config) -> None:
    """Write everything that a resume needs; ``run.json`` last, so that a folder with it is complete.

    Raises
    ------
    RunError
        If the folder can't be written.
    OptionError
        If the table alone takes more than ``max_disk_mib``.
    """
    try:
        table.save(run.table_dir)
        run.save_schema(table.schema)
        beside = {"weight": problem.weight, "group": problem.group}
        run.save_arrays("target", y=problem.y, **{k: v for k, v in beside.items() if v is not None})
        for k in range(problem.n_folds):
            run.save_arrays("fold", **{f"train{k}": problem.train[k], f"valid{k}": problem.valid[k]})
        if config.max_disk_mib is not None and run.size_mib() > config.max_disk_mib:
            problem_told = f"is {config.max_disk_mib:g}, and the table alone takes {run.size_mib():.1f} MiB in the run"
            raise OptionError("max_disk_mib", problem_told, "allow several times as much")
        run.write_config({
            "created": clock.now(), "task": str(problem.task), "n_classes": problem.n_classes,
            "n_folds": problem.n_folds, "is_open": problem.is_open, "in_time": problem.in_time,
            "sort_metric": problem.metric.name, "mean": problem.mean, "scale": problem.scale, "notes": list(notes),
            "config": config.to_dict(),
            "fingerprint": fingerprint(table, problem.y).to_dict(),
            "environment": {"python": platform.python_version(), "platform": platform.platform(),
                            "cores": os.cpu_count(), "tabwright": version("tabwright")},
        })  # fmt: skip
    except OSError as error:
        raise RunError(f"The run directory {run.path} can't be written ({error.strerror or error})",
                       "name a folder with more room") from error


def load_table(run: RunDir) -> Table:
    """The run's own copy of its table; RunError if it is absent or can't be read."""
    if not run.config_file.exists():
        raise RunError(f"The run directory {run.path} of this estimator is gone, and its training table with it",
                       "fit with export_checkpoints_dir, and keep that folder")  # fmt: skip
    try:
        return Table.load(run.table_dir, mmap=True)
    except DataError as error:
        raise RunError(f"The run in {run.path} has lost its copy of the training table ({error.problem})",
                       f"give the table again: tabwright resume {run.path} --data FILE, or resume(..., data=...)"
                       ) from None  # fmt: skip


def load_problem(run: RunDir) -> Problem:
    """Target, weights and folds; RunError if a file of them is absent or damaged."""
    stored = run.config()
    task = Task(stored["task"])
    folds = range(stored["n_folds"])
    try:
        return Problem(
            task, find_metric(stored["sort_metric"], task), stored["n_classes"], run.load_array("target", "y"),
            stored["mean"], stored["scale"],
            run.load_array("target", "weight") if run.has_array("target", "weight") else None,
            tuple(run.load_array("fold", f"valid{k}") for k in folds),
            tuple(run.load_array("fold", f"train{k}") for k in folds),
            run.load_array("target", "group") if run.has_array("target", "group") else None,
            stored.get("in_time", False), stored.get("is_open", False),
        )  # fmt: skip
    except (OSError, ValueError, EOFError) as error:
        raise RunError(f"The run in {run.path} lacks its folds or its target ({error})",
                       "restore the folder from a copy, or start a new run") from error


def checked_table(run: RunDir, data: tuple[pd.DataFrame, pd.Series] | None) -> Table:
    """The table of a run that is about to go on, known to be the one that it was started with.

    Parameters
    ----------
    run : RunDir
        In today's format.
    data : (features, target), optional
        Given again by the user; must be the same, and replaces the run's own copy where that is lost.

    Raises
    ------
    RunError
        If the given data differ (and how), or if none are given and the run's own copy is lost.
    """
    recorded = Fingerprint.from_dict(run.config()["fingerprint"])
    own = _own_table(run, recorded)
    if data is not None:
        table, y = _as_trained(run, *data)
        found = recorded.differences(fingerprint(table, y))
        if found:
            raise RunError(f"This is not the table of the run in {run.path}: {', and '.join(found)}", SAME_DATA)
        if own is None:
            table.save(run.table_dir)
            run.save_arrays("target", y=y)
            own = Table.load(run.table_dir, mmap=True)
    if own is None:
        raise RunError(f"The run in {run.path} has lost its copy of the training table, or it was altered",
                       f"give the table again: tabwright resume {run.path} --data FILE, or resume(..., data=...)")
    return own


def _own_table(run: RunDir, recorded: Fingerprint) -> Table | None:
    """The run's copy, or None if it is absent, damaged or altered."""
    try:
        table = Table.load(run.table_dir, mmap=True)
        return table if fingerprint(table, run.load_array("target", "y")) == recorded else None
    except (UserError, OSError, ValueError, EOFError):
        return None


def _as_trained(run: RunDir, frame: pd.DataFrame, column: pd.Series) -> tuple[Table, Array]:
    """Given data in the run's canonical form; RunError where it has no such form."""
    try:
        schema = run.load_schema()
    except (OSError, ValueError, ModelFileError) as error:
        raise RunError(f"The run in {run.path} lacks its schema ({error})", "restore the folder from a copy") from error
    lacking = [repr(c.name) for c in schema.used if c.name not in frame.columns]
    if lacking:
        raise RunError(f"This is not the table of the run in {run.path}: it lacks column "
                       f"{', '.join(lacking[:5])}", SAME_DATA)  # fmt: skip
    if run.has_array("target", "used"):  # rows of weight 0 are not among them
        used = run.load_array("target", "used")
        if len(frame) <= used.max():
            raise RunError(f"This is not the table of the run in {run.path}: it has fewer rows", SAME_DATA)
        frame, column = frame.iloc[used].reset_index(drop=True), column.iloc[used].reset_index(drop=True)
    target = make_target(column, str(column.name), classification=schema.classes is not None)
    if target.classes != (schema.classes or ()):
        raise RunError(f"This is not the table of the run in {run.path}: the target has other classes", SAME_DATA)
    frame = frame[target.keep].reset_index(drop=True)
    _readable(run, frame, schema)
    return Table.from_frame(frame, schema), target.standard


def _readable(run: RunDir, frame: pd.DataFrame, schema: Schema) -> None:
    """Every column's cells have the form that they had."""
    for column in schema.used:
        try:
            if column in schema.strings:
                string_column(frame[column.name], column.name)
            else:
                column.numbers(frame[column.name])
        except UserError as error:
            problem = f"This is not the table of the run in {run.path}: {str(error).split(' Fix:', maxsplit=1)[0]}"
            raise RunError(problem.rstrip("."), SAME_DATA) from error


def target_name(run: RunDir) -> str:
    """The column that the run predicts."""
    schema: Any = None
    for read in (run.load_schema, lambda: Table.load(run.table_dir).schema):
        try:
            schema = read()
            break
        except (OSError, ValueError, UserError):
            continue
    if schema is None or schema.target is None:
        raise RunError(f"The run in {run.path} lacks its schema", "restore the folder from a copy")
    return str(schema.target)
