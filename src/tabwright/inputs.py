"""What ``fit`` is given, brought into one form: a frame of features, a target column, and facts per row.

What is larger than memory is read in blocks, and the frame is a sample of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import DataConversionWarning

from tabwright.config import Config, column_name, plain
from tabwright.data import sql
from tabwright.data.delimited import ReadOptions
from tabwright.data.infer import infer_column
from tabwright.data.places import PACKED
from tabwright.data.readers import NOTES, in_many, read_table
from tabwright.data.sampling import draw
from tabwright.data.spool import spool
from tabwright.data.stream import DELIMITED, PARQUET, Stream
from tabwright.errors import ColumnError, DataError, OptionError
from tabwright.framing import Inputs, RowColumns
from tabwright.rows import positional
from tabwright.schema import Schema
from tabwright.search.budget import Budget
from tabwright.store.origin import Origin, Source, spool_dir
from tabwright.store.run_dir import RunDir
from tabwright.types import Floats, Kind

CELL_BYTES = 90.0  # of a table in memory: as read, in canonical form, as features in two processes, and in families
SAMPLE_ROWS = 200_000  # that a search sees of a larger table
SAMPLE_SHARE = 0.25  # of the memory, that the sample may take
FEWEST_ROWS = 100  # of a sample
DRAWING_SHARE = 0.25  # of the time, that drawing it may take
OPTIONS = {"target": "target", "weights": "weights_column", "group": "group_column", "time": "time_column"}


@dataclass(frozen=True)
class Roles:
    """What columns are for, beside features."""

    target: str | None = None
    weights: str | None = None
    group: str | None = None
    time: str | None = None

    def __post_init__(self) -> None:
        for role, option in OPTIONS.items():
            name = column_name(option, getattr(self, role))
            object.__setattr__(self, role, name)
            if role != "target" and name is not None and name == self.target:
                raise OptionError(option, f"is {name!r}, which is the target", "name another column")


@dataclass(frozen=True)
class Given:
    """What ``fit`` was called with; see :meth:`tabwright.AutoMLClassifier.fit`."""

    X: Any
    y: Any = None
    roles: Roles = field(default_factory=Roles)
    sample_weight: Any = None
    query: str | None = None
    search_rows: int | str = "auto"
    options: ReadOptions | None = None  # of delimited text

    def __post_init__(self) -> None:
        object.__setattr__(self, "search_rows", plain(self.search_rows))
        if self.sample_weight is not None and self.roles.weights is not None:
            raise OptionError("sample_weight", "is given, and weights_column too", "give one of them")
        if isinstance(self.y, str):  # the target's name
            if self.roles.target not in (None, self.y):
                raise OptionError("target", f"is {self.roles.target!r}, and y names {self.y!r}", "give one of them")
            object.__setattr__(self, "roles", replace(self.roles, target=self.y))
            object.__setattr__(self, "y", None)

    @property
    def named(self) -> bool:
        """Whether everything is a column of the source."""
        return self.y is None and self.sample_weight is None

    @property
    def path(self) -> str | None:
        return str(self.X) if isinstance(self.X, (str, Path)) else None


def gather(given: Given, config: Config, run: RunDir, budget: Budget) -> Inputs:
    """Read what ``fit`` is given, or a sample of it.

    Parameters
    ----------
    given : Given
    config : Config
        Of which memory, seed and time count.
    run : RunDir
        Keeps what a database sends.
    budget : Budget
        Already running.

    Raises
    ------
    DataError, OptionError
        Naming the source, column or option.
    """
    n, roles = given.search_rows, given.roles
    if n != "auto" and (isinstance(n, bool) or not isinstance(n, int) or n < FEWEST_ROWS):
        raise OptionError("search_rows", f"is {n!r}", f"give 'auto', or a whole number of at least {FEWEST_ROWS}")
    stream = _stream(given, run)
    if stream is None:
        return _whole(given)
    target = roles.target
    if target is None:
        raise _nothing_to_predict()
    if target not in stream.names:
        raise _no_target(target, stream.names)
    n_rows = _sample_rows(stream, config, n)
    if n_rows is None:
        if stream.source == given.path:
            return _whole(given)
        frame, y = read_inputs(read_table(stream.source), None, target)
        return _inputs(frame, y, roles, None)
    deadline = budget.started + DRAWING_SHARE * budget.total_s
    drawn = draw(stream, stream.names, n_rows, config.seed, deadline, given.options)
    frame, y = read_inputs(drawn.frame, None, target)
    found = _inputs(frame, y, roles, None)
    if len(drawn.frame) == drawn.n_rows and drawn.share >= 1.0:
        return found
    notes = [*found.notes, f"The search sees {len(drawn.frame):,} of {drawn.n_rows:,} rows"]
    if drawn.share < 1.0:
        notes[-1] += f"; the time was over when {drawn.share:.0%} of {stream.source} had been read"
    if roles.group or roles.time:
        notes.append("Nothing is fitted on all rows, since with a group_column or time_column no fair validation of "
                     "that is left: give more memory, or a smaller table")  # fmt: skip
        return replace(found, notes=tuple(notes))
    options = asdict(given.options or ReadOptions())
    origin = Origin(stream.source, target, roles.weights, drawn.n_rows, config.seed, options,
                    stream.pieces(config.seed))  # fmt: skip
    return replace(found, source=Source(origin, drawn.positions), notes=tuple(notes))


def _whole(given: Given) -> Inputs:
    frame, y = read_inputs(read_table(given.X, given.options), given.y, given.roles.target)
    return _inputs(frame, y, given.roles, given.sample_weight)


def _inputs(frame: pd.DataFrame, y: pd.Series, roles: Roles, sample_weight: Any) -> Inputs:
    if y.name in frame.columns and frame[y.name].equals(y):
        warnings.warn(f"X holds the target {y.name!r}; it is left out", UserWarning, stacklevel=5)
        frame = frame.drop(columns=[y.name])
    if y.name not in frame.columns:
        roles = replace(roles, target=str(y.name))  # refuses it as another role
    features, rows = row_columns(frame, roles.weights, roles.group, roles.time, sample_weight)
    return Inputs(features, y, rows, None, tuple(frame.attrs.get(NOTES, ())))


def _stream(given: Given, run: RunDir) -> Stream | None:
    """The source in blocks; None where it can only be read whole."""
    path = given.path
    if path is not None and sql.is_database(path):
        if given.query is None:
            raise OptionError("query", "is not given, and the source is a database", "give a query or a table's name")
        if not given.named:
            raise OptionError("y", "or sample_weight is an array, and the source is a database", "name columns")
        spool(sql.blocks(path, given.query), spool_dir(run))
        return Stream(str(spool_dir(run)))
    if given.query is not None:
        raise OptionError("query", "is given, and the source is no address of a database",
                          "give postgresql://…, sqlite:///FILE or duckdb:///FILE")  # fmt: skip
    if path is not None and given.named and _in_blocks(path):
        return Stream(path, given.options)
    if given.search_rows == "auto":
        return None
    raise OptionError("search_rows", "is given, and the table is in memory", "name a file, a folder or a database")


def _in_blocks(source: str) -> bool:
    """Whether a source is one that :class:`Stream` reads without holding it."""
    if in_many(source):
        return True
    path = Path(source).expanduser()
    if not path.is_file():
        return False
    *_, inner, last = ["", "", *(suffix.lower() for suffix in path.suffixes)]
    return last in (*PARQUET, *DELIMITED) or (last in PACKED and inner in DELIMITED)


def _sample_rows(stream: Stream, config: Config, search_rows: int | str) -> int | None:
    """Rows to draw; None where all can be held."""
    if isinstance(search_rows, int):
        return search_rows
    row_mib = CELL_BYTES * max(1, len(stream.names)) / 2**20
    allowed = config.memory_mib
    if stream.n_rows * row_mib <= allowed:
        return None
    return max(FEWEST_ROWS, min(SAMPLE_ROWS, int(SAMPLE_SHARE * allowed / row_mib)))


def _no_target(target: str, names: Any) -> DataError:
    listed = ", ".join(map(repr, list(names)[:20]))
    return DataError(f"There is no column {target!r} in the table, which has {listed}", "name one of them")


def _nothing_to_predict() -> DataError:
    return DataError("AutoML requires y to be passed, but the target y is None", "pass y, or name the target column")


def read_inputs(X: Any, y: Any, target: str | None) -> tuple[pd.DataFrame, pd.Series]:
    """Features and target, row by row alike; DataError or OptionError where they can't be told apart."""
    frame = read_table(X)
    if y is None and target is None:
        raise _nothing_to_predict()
    if target is not None and (y is None or isinstance(y, str)):
        if target not in frame.columns:
            raise _no_target(target, frame.columns)
        return frame.drop(columns=[target]), frame[target]
    values = y if isinstance(y, pd.Series) else _one_column(y)
    name = y.name if isinstance(y, pd.Series) else None
    series = pd.Series(values).rename(str(name) if name is not None else target or "target")
    if len(series) != len(frame):
        raise DataError(f"X has {len(frame)} rows and y has {len(series)}", "give one target value per row")
    return frame, series.reset_index(drop=True)


def as_trained(frame: pd.DataFrame, X: Any, schema: Schema) -> pd.DataFrame:
    """The frame that was made of ``X``; of an array, columns stand by position and get the names of training.

    Raises
    ------
    DataError
        For an array of another width.
    """
    return frame if has_names(X) else frame.set_axis(positional(frame.shape[1], schema), axis=1)


def _moments(column: pd.Series, name: str) -> Floats:
    """Times as numbers that order the rows: seconds since 1970, or the column's own numbers."""
    found = infer_column(column, name)
    if found.kind not in (Kind.DATETIME, Kind.NUMERIC, Kind.INTEGER):
        raise ColumnError(name, f"is {found.kind}, not dates or numbers, so it can't order rows in time",
                          "name a column of dates or numbers")
    moments = found.numbers(column)
    if np.isnan(moments).any():
        raise ColumnError(name, f"has {int(np.isnan(moments).sum())} rows without a time", "leave them out")
    return moments


def has_names(X: Any) -> bool:
    """Whether columns are told by name; arrays and lists of rows tell them by position."""
    return not isinstance(X, (np.ndarray, list, tuple)) or (
        isinstance(X, list) and bool(X) and isinstance(X[0], Mapping)
    )


def _one_column(y: Any) -> Any:
    if isinstance(y, pd.DataFrame):
        y = y.to_numpy()
    if hasattr(y, "to_pylist"):
        return y.to_pylist()
    values = np.asarray(y)
    if values.ndim == 0:
        raise DataError(f"y is {y!r}, one value", "give one target value per row, or a column's name, as text")
    if values.ndim == 2 and values.shape[1] == 1:
        message = "A column-vector y was passed when a 1d array was expected; pass y.ravel()"
        warnings.warn(message, DataConversionWarning, stacklevel=4)
        return values[:, 0]
    if values.ndim != 1:
        raise DataError(f"y has the shape {values.shape}", "give one target value per row, shape (n_rows,)")
    return values


def row_columns(
    frame: pd.DataFrame, weights: str | None, group: str | None, time: str | None, sample_weight: Any
) -> tuple[pd.DataFrame, RowColumns]:
    for option, name in (("weights_column", weights), ("group_column", group), ("time_column", time)):
        if name is not None and name not in frame.columns:
            raise OptionError(option, f"is {name!r}, which is no column of the table", "name a column that is there")
    weight = None if sample_weight is None else row_weights(sample_weight, len(frame))
    if weights is not None:
        weight = row_weights(pd.to_numeric(frame[weights], errors="coerce"), len(frame), "weights_column")
    groups = None if group is None else frame[group].to_numpy()
    rows = RowColumns(weight, groups, None if time is None else _moments(frame[time], time))
    return frame.drop(columns=[c for c in (weights, group) if c is not None]), rows


def row_weights(values: Any, n_rows: int, option: str = "sample_weight") -> Floats:
    """Weights, float64 (n_rows,), of which not all are 0; OptionError for others."""
    try:
        weight = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise OptionError(option, "holds values that are no numbers", "give one number per row") from None
    if weight.shape != (n_rows,):
        raise OptionError(option, f"has the shape {weight.shape}", f"give one weight for each of {n_rows} rows")
    if not np.isfinite(weight).all() or (weight < 0).any() or not weight.any():
        raise OptionError(option, "has missing, negative or only zero weights", "give numbers that are 0 or more")
    return weight
