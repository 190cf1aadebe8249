"""The object that ``explain`` returns: each part is computed when it is first asked for, on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tabwright.data.readers import read_table
from tabwright.data.target import read_target
from tabwright.errors import DataError, OptionError
from tabwright.explain import dependence as _dependence
from tabwright.explain import fairness as _fairness
from tabwright.explain import importance as _importance
from tabwright.explain import slices as _slices
from tabwright.explain.subject import Subject, of_model
from tabwright.explain.surrogate import Surrogate, surrogate
from tabwright.explain.what_if import counterfactuals
from tabwright.inputs import as_trained, has_names
from tabwright.reasons import sentence, shown, stored_rows, strongest
from tabwright.rows import columns_of
from tabwright.runtime import Model
from tabwright.schema import encode
from tabwright.shapley import MAX_EVALUATIONS, Rows, Shapley, scored, shapley
from tabwright.types import Array, Floats, Kind, Task

MAX_ROWS, SHAP_ROWS, BACKGROUND = 2000, 200, 64


class Explanation:
    """Explanations of one model on some rows, in the table's own columns and the prediction's unit.

    Parameters
    ----------
    subject : Subject
    rows : Rows
    y : shape (n_rows,), optional
        True values or class codes.
    frame : DataFrame, optional
        The rows as they were given, for :meth:`fairness` by a column that the model does not see.
    out_of_fold : Subject, optional
        Scores all of ``rows`` at once by models that have not seen them; used for all that needs ``y``.
    seed, max_evaluations : int
        Of sampling; rows scored for Shapley values at most, roughly.

    Attributes
    ----------
    importance : DataFrame
        See :func:`tabwright.explain.importance.importance`.
    shap : Shapley
        Of the first 200 rows; see :func:`tabwright.shapley.shapley`.
    surrogate : Surrogate
    slices : DataFrame
        See :func:`tabwright.explain.slices.slices`; needs ``y``.
    """

    def __init__(
        self, subject: Subject, rows: Rows, y: Array | None = None, frame: pd.DataFrame | None = None,
        out_of_fold: Subject | None = None, seed: int = 0, max_evaluations: int = MAX_EVALUATIONS,
    ) -> None:  # fmt: skip
        self.subject, self.rows, self.y, self.frame = subject, rows, y, frame
        self._honest, self._seed, self._max_evaluations = out_of_fold, seed, max_evaluations

    def __repr__(self) -> str:
        return f"<explanation of {self.subject.schema.target!r} on {len(self.rows)} rows: importance, shap, slices, …>"

    def _repr_html_(self) -> str:
        from tabwright.explain.html import fragment

        return fragment(self)

    @cached_property
    def prediction(self) -> Floats:
        """(n_rows, 1) values, or (n_rows, n_classes) probabilities."""
        return scored(self.subject.score, self.rows)

    @cached_property
    def honest_prediction(self) -> Floats:
        """As :attr:`prediction`, by models that have not seen the rows where these are the training table's."""
        return self.prediction if self._honest is None else self._honest.score(self.rows)

    @cached_property
    def importance(self) -> pd.DataFrame:
        subject = self._honest or self.subject
        return _importance.importance(
            subject, self.rows, self.y, aligned=self._honest is not None, seed=self._seed
        )  # fmt: skip

    # --- contributions ----------------------------------------------------------------------------------------

    @cached_property
    def background(self) -> Rows:
        """Rows from which absent columns are filled."""
        chosen = np.random.default_rng(self._seed).permutation(len(self.rows))[:BACKGROUND]
        return self.rows.take(np.sort(chosen))

    @cached_property
    def shap(self) -> Shapley:
        return self._shapley(self.rows.take(slice(SHAP_ROWS)))

    def _shapley(self, rows: Rows) -> Shapley:
        return shapley(
            self.subject.score, rows, self.background, max_evaluations=self._max_evaluations, seed=self._seed
        )

    def contributions(self, X: Any = None, class_: Any = None) -> pd.DataFrame:
        """Shapley values row by row.

        Parameters
        ----------
        X : table, optional
            Rows to explain; the first 200 of the explanation's own by default.
        class_ : class, optional
            Whose probability; the last of two classes, or the commonest prediction of many, by default.

        Returns
        -------
        DataFrame
            base, one column per column of the table, prediction; base plus contributions is the prediction.
        """
        found = self.shap if X is None else self._shapley(_canonical(self.subject, X))
        k = self.output(class_)
        return self._adding_up(found.values[:, :, k], np.full(len(found.values), found.base[k]))

    def _adding_up(self, values: Floats, base: Floats) -> pd.DataFrame:
        prediction = base + values.sum(axis=1)
        # the table's columns may have the same names
        return pd.DataFrame(np.column_stack([base, values, prediction]),
                            columns=["base", *self.subject.names, "prediction"])  # fmt: skip

    def row_by_row(self, top: int = 3) -> pd.DataFrame:
        """Contributions to what is predicted of each of the first 200 rows, and the reasons, which are of the same.

        Columns as of :meth:`contributions`; of a classifier ``class``, the predicted one, whose probability
        ``prediction`` is; reason_1, … reason_top.
        """
        found, reasons = self.shap, self.reasons(top=top)
        codes = self._said(found)
        every = np.arange(len(codes))
        told = reasons.rename(columns={"prediction": "class"})
        if self.subject.task is Task.REGRESSION:
            told = told.drop(columns=["class"])
        return pd.concat([self._adding_up(found.values[every, :, codes], found.base[codes]), told], axis=1)

    def _said(self, found: Shapley) -> Array:
        """Outputs that explained rows are told by: of a classifier, the class that is predicted."""
        prediction = found.base + found.values.sum(axis=1)
        if self.subject.task is Task.REGRESSION:
            return np.zeros(len(prediction), np.int64)
        return self.subject.labels(prediction)

    @property
    def shap_importance(self) -> pd.DataFrame:
        """Mean absolute contribution of each column (mean over classes), largest first: column, mean_abs, error."""
        found = self.shap
        size = np.abs(found.values).mean(axis=2)
        frame = pd.DataFrame({
            "column": self.subject.names, "mean_abs": size.mean(axis=0),
            "error": size.std(axis=0, ddof=1) / np.sqrt(len(size)) if len(size) > 1 else 0.0,
        })  # fmt: skip
        return frame.sort_values("mean_abs", ascending=False, kind="stable").reset_index(drop=True)

    def reasons(self, X: Any = None, top: int = 3) -> pd.DataFrame:
        """Reason codes: the columns that moved each row's prediction most, with their values and contributions.

        Of a classifier, those of the class that is predicted. Columns: prediction, reason_1, … reason_top (text).
        """
        rows = self.rows.take(slice(SHAP_ROWS)) if X is None else _canonical(self.subject, X)
        found = self.shap if X is None else self._shapley(rows)
        prediction = found.base + found.values.sum(axis=1)
        regression = self.subject.task is Task.REGRESSION
        out = []
        for i, k in enumerate(self._said(found).tolist()):
            values = found.values[i, :, k]
            best = strongest(values, top)
            record = {"prediction": prediction[i, 0] if regression else self.subject.classes[k]}
            out.append(record | {f"reason_{r + 1}": self._reason(rows, i, j, values[j]) for r, j in enumerate(best)})
        return pd.DataFrame(out)

    def _reason(self, rows: Rows, i: int, j: int, value: float) -> str:
        column = self.subject.columns[j]
        return sentence(column.name, shown(column, self.subject.cells(rows, j)[i]), value)

    # --- effects ----------------------------------------------------------------------------------------------

    def dependence(self, column: str, class_: Any = None, grid: int = 20) -> _dependence.Dependence:
        """Partial dependence, single rows' curves and accumulated local effects; OptionError for an unknown column."""
        return _dependence.dependence(
            self.subject, self.rows, self._position(column), self.output(class_), grid=grid, seed=self._seed
        )

    @cached_property
    def surrogate(self) -> Surrogate:
        return surrogate(self.subject, self.rows, self.prediction[:, self.output(None)], seed=self._seed)

    # --- errors and groups ------------------------------------------------------------------------------------

    @cached_property
    def slices(self) -> pd.DataFrame:
        if self.y is None:
            raise DataError("Where a model is worst can't be told without true values", "pass y, or a table with it")
        loss = _slices.row_loss(self.subject.task, self.y, self.honest_prediction)
        return _slices.slices(self.subject, self.rows, loss)

    def fairness(self, by: str | Sequence[Any], positive: Any = None) -> _fairness.Fairness:
        """Rates and errors by group.

        Parameters
        ----------
        by : str or array-like, shape (n_rows,)
            A column of the given table, which the model need not use, or the groups themselves. Numbers with more
            than 10 values are cut into quarters.
        positive : class, optional
            The class that counts as selected; the last by default.
        """
        group = self._groups(by)
        code = None if positive is None else self.output(positive)
        return _fairness.fairness(self.subject, self.honest_prediction, self.y, group, code)

    def _groups(self, by: str | Sequence[Any]) -> Array:
        if not isinstance(by, str):
            values = pd.Series(by).reset_index(drop=True)
        elif self.frame is not None and by in self.frame.columns:
            values = self.frame[by].reset_index(drop=True)
        else:
            values = pd.Series(self.subject.cells(self.rows, self._position(by)))
        if len(values) != len(self.rows):
            raise OptionError("by", f"has {len(values)} values for {len(self.rows)} rows", "give one per row")
        if pd.api.types.is_numeric_dtype(values) and values.nunique() > 10:
            values = pd.qcut(values, 4, duplicates="drop")
        return np.asarray(values.astype(object).where(values.notna(), "missing").astype(str), dtype=str)

    def counterfactuals(
        self, row: Any = 0, *, want: Any = None, below: float | None = None, above: float | None = None,
        fixed: Sequence[str] = (), top: int = 5,
    ) -> pd.DataFrame:  # fmt: skip
        """What would have to change for another prediction; see :func:`tabwright.explain.what_if.counterfactuals`.

        Parameters
        ----------
        row : int, or one row as a table or dict
        want : class, optional
            The class to reach; the other one of two by default.
        below, above : float, optional
            In regression: the range to reach, in the target's unit.
        fixed : sequence of str
            Columns that can't change.
        top : int
        """
        if isinstance(row, int) and not 0 <= row < len(self.rows):
            raise OptionError("row", f"is {row}, and there are rows 0 to {len(self.rows) - 1}", "give one of them")
        one = self.rows.take(slice(row, row + 1)) if isinstance(row, int) else _canonical(self.subject, row)
        kept = {self._position(name) for name in fixed}
        free = [j for j in range(one.n_columns) if j not in kept and self.subject.columns[j].kind is not Kind.TEXT]
        goal = self._goal(one, want, below, above)
        return counterfactuals(self.subject, one, self.rows, goal, free, top=top)

    def _goal(self, one: Rows, want: Any, below: float | None, above: float | None) -> Any:
        subject = self.subject
        if subject.task is Task.REGRESSION:
            if below is None and above is None:
                raise OptionError("below", "and above are both absent, so there is no goal", "give one of them")
            low, high = -np.inf if above is None else above, np.inf if below is None else below
            return lambda p: np.maximum(np.maximum(low - p[:, 0], p[:, 0] - high), 0.0)
        if want is None:
            if subject.task is not Task.BINARY:
                raise OptionError("want", "is absent, and there are more than two classes", "name the class to reach")
            code = 1 - int(subject.labels(subject.score(one))[0])
        else:
            code = self.output(want)

        def distance(prediction: Floats) -> Floats:
            reached = subject.labels(prediction) == code
            return np.where(reached, 0.0, np.maximum(1.0 - prediction[:, code], 1e-9))

        return distance

    # --- names ------------------------------------------------------------------------------------------------

    def output(self, class_: Any) -> int:
        """Position of a class among the outputs; OptionError if it is not known."""
        if self.subject.task is Task.REGRESSION:
            return 0
        if class_ is None:
            if self.subject.task is Task.BINARY:
                return 1
            return int(np.bincount(self.prediction.argmax(axis=1)).argmax())
        known = [str(c).strip() for c in self.subject.classes]
        if str(class_).strip() not in known:
            raise OptionError("class_", f"is {class_!r}, which is no class", f"name one of {', '.join(known[:20])}")
        return known.index(str(class_).strip())

    def _position(self, column: str) -> int:
        names = self.subject.names
        if column not in names:
            raise OptionError("column", f"is {column!r}, which the model does not use",
                              f"name one of {', '.join(names[:20])}")  # fmt: skip
        return names.index(column)


def explain(
    model: Model, X: Any = None, y: Any = None, *, seed: int = 0, max_rows: int = MAX_ROWS,
    max_evaluations: int = MAX_EVALUATIONS,
) -> Explanation:  # fmt: skip
    """Explain a loaded model on some rows.

    Parameters
    ----------
    model : Model
        From :func:`tabwright.load_model`.
    X : table or path, optional
        pandas, polars, Arrow, NumPy, or a file. By default the few rows of the training table that the file holds.
    y : array-like or str, optional
        True values, or the name of their column in ``X``; taken from ``X`` where it has the target's column.
    seed, max_rows, max_evaluations : int
        Of sampling; rows used at most; rows scored for Shapley values at most, roughly.

    Raises
    ------
    DataError, ColumnError
        If the rows do not fit the model, or there are none and the file holds none.
    """
    if X is None:
        rows = stored_rows(model.metadata.get("background"), model.schema)
        return Explanation(of_model(model), rows, None, None, None, seed, max_evaluations)
    return explain_subject(of_model(model), X, y, seed=seed, max_rows=max_rows, max_evaluations=max_evaluations)


def explain_subject(
    subject: Subject, X: Any, y: Any = None, *, seed: int = 0, max_rows: int = MAX_ROWS,
    max_evaluations: int = MAX_EVALUATIONS,
) -> Explanation:  # fmt: skip
    """As :func:`explain`, for anything that scores."""
    table = read_table(X).reset_index(drop=True)
    target = str(y) if isinstance(y, str) else str(subject.schema.target)
    values = table[target] if (y is None or isinstance(y, str)) and target in table.columns else y
    if isinstance(y, str) and not has_names(X):  # the others are features by position
        table = table.drop(columns=[target], errors="ignore")
    frame = as_trained(table, X, subject.schema)
    if isinstance(values, str):
        raise DataError(f"There is no column {values!r} in the table", "pass y, or name a column that is there")
    codes = None
    if values is not None:
        classes = tuple(subject.classes.tolist()) if subject.task.is_classification else None
        series = pd.Series(values).reset_index(drop=True)
        if len(series) != len(frame):
            raise DataError(f"X has {len(frame)} rows and y has {len(series)}", "give one target value per row")
        codes, keep = read_target(series, target, classes)
        frame = frame[keep].reset_index(drop=True)
    if not len(frame):
        raise DataError("There are no rows to explain", "pass rows, with a target where y is given")
    if len(frame) > max_rows:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(frame))[:max_rows])
        frame = frame.iloc[chosen].reset_index(drop=True)
        codes = None if codes is None else codes[chosen]
    return Explanation(subject, _canonical(subject, frame), codes, frame, None, seed, max_evaluations)


def _canonical(subject: Subject, X: Any) -> Rows:
    table = pd.DataFrame([X]) if isinstance(X, dict) and all(np.isscalar(v) or v is None for v in X.values()) else X
    return Rows(*encode(columns_of(table, subject.schema), subject.schema))
