"""The target column: its task, its values as models take them, and how predictions go back to the user's type."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from tabwright import coerce
from tabwright.errors import ColumnError, DataError
from tabwright.types import Array, Bools, Floats, Task

MIN_ROWS = 10
MAX_CLASSES = 1000
_FEW_VALUES = 20


@dataclass(frozen=True)
class Target:
    """The target of the rows that have one.

    Parameters
    ----------
    name : str
    task : Task
    y : float64 (n_kept,) in the user's unit, or int64 class codes (n_kept,)
    keep : bool, shape (n_rows,)
        Rows of the table whose target is present.
    classes : tuple of int, bool, float or str
        Sorted; empty in regression. Position k is code k.
    class_dtype : str or None
        NumPy's name of the type that predictions come back in: ``int64``, ``bool``, ``float64``, ``str``, ...
    mean, scale : float
        Regression: mean and standard deviation of ``y``; models see ``(y - mean) / scale``.
    notes : tuple of str
        What the user should know.
    """

    name: str
    task: Task
    y: Array
    keep: Bools
    classes: tuple[Any, ...] = ()
    class_dtype: str | None = None
    mean: float = 0.0
    scale: float = 1.0
    notes: tuple[str, ...] = ()

    @property
    def n_classes(self) -> int:
        """Number of classes; 1 in regression."""
        return max(len(self.classes), 1)

    @property
    def standard(self) -> Array:
        """What models learn: mean 0 and deviation 1 in regression, class codes in classification."""
        return self.y if self.task.is_classification else (self.y - self.mean) / self.scale

    def restore(self, codes: Array) -> Array:
        """Class codes as the user's classes, in the user's type."""
        return class_array(self.classes, self.class_dtype)[codes]


def class_array(classes: tuple[Any, ...], class_dtype: str | None) -> Array:
    """The classes as an array of the user's type; strings as an object array."""
    out: Array = np.empty(len(classes), dtype=object)
    out[:] = classes
    return out if class_dtype in (None, "str") else out.astype(class_dtype)


def infer_task(values: Any) -> Task:
    """The task that a target column suggests, for callers that name none.

    Truth values, words and two numbers are classes. Whole numbers are classes where they take at most 20 values
    that make up no more than 5 % of the rows, unless they are stored as decimals without need (no row is empty);
    other numbers are regression.
    """
    array = coerce.as_array(values)
    decimals = array.dtype.kind == "f" and not np.isnan(array).any()
    if array.dtype.kind not in "biuf":
        try:
            array = coerce.numbers(array, "target", coerce.text_parser(coerce.read_number))
        except ColumnError:
            known = {text for text in _texts(array.tolist(), "target") if text}
            return Task.BINARY if len(known) == 2 else Task.MULTICLASS
        if array.size and _only_booleans(values):
            return Task.BINARY
    if array.dtype.kind == "b":
        return Task.BINARY
    finite = array[np.isfinite(array)]
    distinct = np.unique(finite)
    if len(distinct) == 2:
        return Task.BINARY
    few = len(distinct) <= _FEW_VALUES and len(distinct) <= 0.05 * len(finite)
    whole = bool((finite == np.round(finite)).all())
    return Task.MULTICLASS if few and whole and not decimals and len(distinct) > 2 else Task.REGRESSION


def _only_booleans(values: Any) -> bool:
    return {type(v) for v in coerce.as_array(values).tolist() if not coerce.is_missing(v)} <= {bool, np.bool_}


def make_target(values: Any, name: str = "target", *, classification: bool) -> Target:
    """The target from its column.

    Parameters
    ----------
    values : array-like, shape (n_rows,)
    name : str
        For messages.
    classification : bool
        Whether the values are classes, whatever they look like.

    Raises
    ------
    DataError
        With fewer than 10 rows that have a target, one class or one value, or over 1000 classes.
    ColumnError
        For a regression target that is not a number, or infinite.
    """
    return _classes(values, name) if classification else _regression(values, name)


def read_target(
    values: Any, name: str, classes: tuple[Any, ...] | None, unknown: str = "raise"
) -> tuple[Array, Bools]:
    """A target column of new rows, as training read it.

    Parameters
    ----------
    values : array-like, shape (n_rows,)
    name : str
    classes : tuple, optional
        None in regression.
    unknown : {"raise", "leave out", "mark"}
        What becomes of rows of a class that training did not have; marked ones have the position -1.

    Returns
    -------
    y : float64 values, or int64 positions in ``classes``, shape (n_kept,)
    keep : bool, shape (n_rows,)
        Rows that have a target.

    Raises
    ------
    ColumnError
        For a class that training did not have, if that is not allowed, or text in a numeric target.
    """
    raw = coerce.as_array(values)
    if classes is None:
        y = coerce.numbers(raw, name, coerce.text_parser(coerce.read_number))
        keep = np.isfinite(y)
        return y[keep], keep
    keep, labels, _ = _labels(raw, values, name)
    labels = labels[keep]
    if labels.dtype.kind == "f" and (labels == np.round(labels)).all() and all(isinstance(c, int) for c in classes):
        labels = labels.astype(np.int64)
    known = {str(c).strip(): k for k, c in enumerate(classes)}
    if all(isinstance(c, float) and c.is_integer() for c in classes):  # whole numbers name them as well
        known |= {str(int(c)): k for k, c in enumerate(classes)}
    spelt = [str(v) for v in labels.tolist()]
    if all(isinstance(c, bool) for c in classes):  # text says true or TRUE, numbers say 0 or 1, too
        spelt = [text.capitalize() for text in spelt]
        known |= {text: k for k, c in enumerate(classes) for text in (str(int(c)), str(float(c)))}
    codes = np.array([known.get(text, -1) for text in spelt], np.int64)
    if (codes < 0).any() and unknown != "mark":
        if unknown == "raise":
            odd = labels.tolist()[int(np.argmax(codes < 0))]
            raise ColumnError(name, f"holds the class {odd!r}, which training did not have", "leave such rows out")
        keep[np.flatnonzero(keep)[codes < 0]] = False
        codes = codes[codes >= 0]
    return codes, keep


def _dropped(keep: Bools, name: str) -> tuple[str, ...]:
    n_missing = int((~keep).sum())
    if int(keep.sum()) < MIN_ROWS:
        found = f"only {int(keep.sum())} of {len(keep)} rows have a target {name!r}"
        raise DataError(found, f"pass at least {MIN_ROWS} rows with a target")
    if not n_missing:
        return ()
    return (f"{n_missing:,} of {len(keep):,} rows have no target {name!r} and were left out.",)


def _regression(values: Any, name: str) -> Target:
    raw = coerce.as_array(values)
    if raw.dtype.kind == "M":
        raise ColumnError(name, "holds dates, which can't be predicted as numbers", "convert it to a number of days")
    flat = raw.astype(np.float64) if raw.dtype.kind == "f" else np.array([_infinite(v) for v in raw.tolist()], float)
    _check_finite(flat, name)
    try:
        y = coerce.numbers(raw, name, coerce.text_parser(coerce.read_number))
    except ColumnError as error:
        fix = "predict a column of numbers, or use AutoMLClassifier for classes"
        raise ColumnError(name, error.problem, fix) from None
    keep = ~np.isnan(y)
    notes = _dropped(keep, name)
    y = y[keep]
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = float(y.mean()), float(y.std())
    if not np.isfinite(scale):
        raise ColumnError(name, f"has values as large as {np.abs(y).max():g}", "scale it down, or take its logarithm")
    if y.min() == y.max():
        raise DataError(f"the target {name!r} is {y[0]:g} in every row", "pass rows with different targets")
    if not scale > 0.0:
        raise ColumnError(name, "differs by less than numbers can tell when squared", "scale it up")
    return Target(name, Task.REGRESSION, y, keep, mean=mean, scale=scale, notes=notes)


def _check_finite(values: Floats, name: str) -> None:
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        told = f"has {len(infinite)} infinite values, first in row {infinite[0]}"
        raise ColumnError(name, told, "correct or empty them")


def _infinite(value: Any) -> float:
    return float(value) if isinstance(value, float) and np.isinf(value) else 0.0


def _classes(values: Any, name: str) -> Target:
    raw = coerce.as_array(values)
    if raw.dtype.kind == "O" and (found := _numbers_of(raw)) is not None:
        raw = values = found
    if raw.dtype.kind == "f":
        _check_finite(raw, name)
    keep, labels, class_dtype = _labels(raw, values, name)
    if class_dtype == "str":
        labels = _as_spelled(raw, labels)
    classes, y = np.unique(labels[keep], return_inverse=True)
    if len(classes) == 1:
        only = classes.tolist()[0]
        raise DataError(f"the target {name!r} is {only!r} in every row", "pass rows of at least two classes")
    notes = list(_dropped(keep, name))
    if len(classes) > MAX_CLASSES:
        raise DataError(
            f"the target {name!r} has {len(classes):,} classes, more than {MAX_CLASSES:,}",
            "group the classes, or use AutoMLRegressor if it is a number",
        )
    if len(classes) > 0.5 * len(y) and len(y) > 50:
        raise DataError(
            f"the target {name!r} has {len(classes):,} classes in {len(y):,} rows",
            "use AutoMLRegressor if it is a number, or group the classes",
        )
    counts = np.bincount(y)
    single = [classes[k].item() if hasattr(classes[k], "item") else classes[k] for k in np.flatnonzero(counts == 1)]
    if single:
        shown = ", ".join(map(repr, single[:5])) + (", ..." if len(single) > 5 else "")
        notes.append(f"{len(single)} of {len(classes)} classes of {name!r} have a single row: {shown}.")
    task = Task.BINARY if len(classes) == 2 else Task.MULTICLASS
    return Target(name, task, y.astype(np.int64), keep, tuple(classes.tolist()), class_dtype, notes=tuple(notes))


def _labels(raw: Array, values: Any, name: str) -> tuple[Bools, Array, str]:
    """Which rows have a class, the classes row by row, and the type to give them back in."""
    kind = raw.dtype.kind
    if kind == "O" and _only_booleans(raw):
        missing = np.array([coerce.is_missing(v) for v in raw.tolist()], dtype=bool)
        return ~missing, np.where(missing, False, raw).astype(bool), "bool"
    if kind == "O" and (found := _numbers_of(raw)) is not None:
        return _labels(found, found, name)
    if kind in "biu":
        return np.ones(len(raw), bool), raw, raw.dtype.name
    if kind == "f":
        keep = np.isfinite(raw)
        finite = raw[keep]
        stored = str(getattr(values, "dtype", "")).lower()
        if len(finite) and (finite == np.round(finite)).all() and np.abs(finite).max() < 2**53:
            if "bool" in stored:  # masked truth values arrive as 0 and 1
                return keep, np.where(keep, raw, 0).astype(bool), "bool"
            if "int" in stored or len(finite) < len(raw):  # whole numbers are floats only for their missing rows
                return keep, np.where(keep, raw, 0).astype(np.int64), "int64"
        return keep, raw, raw.dtype.name
    # A class may well be called "None" or "NA": only cells that are really empty have no class.
    items = raw.tolist()
    texts = np.array([v.strip() if isinstance(v, str) else t for v, t in zip(items, _texts(items, name), strict=True)],
                     dtype=object)  # fmt: skip
    return texts != "", texts, "str"


def _numbers_of(raw: Array) -> Array | None:
    """Numbers that are stored as objects, as numbers: int64 where all are whole, else float64 with NaN for missing."""
    missing = np.array([coerce.is_missing(v) for v in raw.tolist()], bool)
    present = raw[~missing].tolist()
    if not present or not {type(v) for v in present} <= {int, float, Decimal}:
        return None
    whole = all(isinstance(v, int) or (isinstance(v, Decimal) and v == v.to_integral_value()) for v in present)
    if whole and any(abs(v) > 2**53 for v in present):
        return None  # more digits than a number that may be missing has
    values = np.full(len(raw), np.nan)
    values[~missing] = [float(v) for v in present]
    return values.astype(np.int64) if whole and not missing.any() else values


def _as_spelled(raw: Array, labels: Array) -> Array:
    """Labels with the blanks around them, where all rows of a class have the same."""
    spelt: dict[str, set[str]] = {}
    for cell, label in set(zip(raw.tolist(), labels.tolist(), strict=True)):
        spelt.setdefault(label, set()).add(cell if isinstance(cell, str) else label)
    one = {label: found.pop() if len(found) == 1 else label for label, found in spelt.items()}
    return np.array([one[label] for label in labels.tolist()], dtype=object)


def _texts(items: list[Any], name: str) -> list[str]:
    try:
        return [coerce.canonical_string(v) for v in items]
    except TypeError:
        raise ColumnError(name, "holds lists or other containers", "predict a column of numbers, words or truth values"
                          ) from None  # fmt: skip
