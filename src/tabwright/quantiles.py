"""Several quantiles of a target: one search for each, delivered as one file whose quantiles do not cross."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import NotFittedError

from tabwright.api import AutoMLRegressor
from tabwright.config import check_path, check_positive
from tabwright.data.readers import read_table
from tabwright.data.target import read_target
from tabwright.errors import DataError, OptionError, RunError
from tabwright.export import ExportReport, export
from tabwright.inputs import read_inputs
from tabwright.metrics import evaluate, find_metric
from tabwright.pipeline import Quantiles
from tabwright.reasons import MAX_ROWS
from tabwright.types import Floats, Task

FOLDER = "quantile_"
READ_ONCE_BYTES = 256 << 20


class QuantileRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """AutoML for quantiles of a numeric target.

    Each level is searched as with ``sort_metric="pinball:LEVEL"``, and then moved so that its share of the rows lies
    below it out of fold. Where levels cross in a row they are sorted, which never makes them worse.

    Parameters
    ----------
    estimator : AutoMLRegressor, optional
        How to search; its ``max_runtime_secs`` is for all levels together, its ``export_checkpoints_dir`` gets a folder
        for each. ``AutoMLRegressor()`` by default.
    levels : sequence of float, default (0.1, 0.5, 0.9)
        Ascending, each between 0 and 1.

    Attributes
    ----------
    estimators_ : list of AutoMLRegressor, one for each level
    shifts_ : float64, shape (n_levels,)
        What is added to each level's predictions, in the target's unit.

    References
    ----------
    Koenker and Bassett 1978, doi:10.2307/1913643; Chernozhukov, Fernández-Val and Galichon 2010 (sorting),
    doi:10.3982/ECTA7880; Romano, Patterson and Candès 2019 (moving), arXiv:1905.03222.
    """

    def __init__(
        self, estimator: AutoMLRegressor | None = None, levels: Sequence[float] = (0.1, 0.5, 0.9)
    ) -> None:  # fmt: skip
        self.estimator = estimator
        self.levels = levels

    def fit(self, X: Any, y: Any = None, *, target: str | None = None, **columns: Any) -> Self:
        """Search every level; parameters and errors as in :meth:`tabwright.AutoMLRegressor.fit`."""
        levels = _checked(self.levels)
        template = self.estimator if self.estimator is not None else AutoMLRegressor()
        if template.sort_metric != "auto":
            raise OptionError("sort_metric", f"is {template.sort_metric!r}", "leave it: each level has its own")
        check_positive("max_runtime_secs", template.max_runtime_secs)
        if template.export_checkpoints_dir is not None:
            check_path("export_checkpoints_dir", template.export_checkpoints_dir)
        started = time.monotonic()
        table = X
        if isinstance(X, (str, Path)) and "search_rows" not in columns and Path(X).is_file():
            # a file is read once for all levels; of what is larger than that, each search draws its sample
            table = read_table(X) if Path(X).stat().st_size <= READ_ONCE_BYTES else X
        made = []
        for k, level in enumerate(levels):
            one = clone(template).set_params(sort_metric=f"pinball:{level:g}")
            if template.max_runtime_secs is not None:
                left = template.max_runtime_secs - (time.monotonic() - started)
                one.set_params(max_runtime_secs=max(left / (len(levels) - k), 0.1))
            if template.export_checkpoints_dir is not None:
                one.set_params(export_checkpoints_dir=Path(template.export_checkpoints_dir) / f"{FOLDER}{level:g}")
            made.append(one.fit(table, y, target=target, **columns))
        return self._take(made)

    def _take(self, estimators: list[AutoMLRegressor]) -> Self:
        self.estimators_ = estimators
        self.shifts_ = np.array([_shift(e, q) for e, q in zip(estimators, _checked(self.levels), strict=True)])
        self.feature_names_in_, self.n_features_in_ = estimators[0].feature_names_in_, estimators[0].n_features_in_
        return self

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """What was searched with ``export_checkpoints_dir=folder``; RunError if there is nothing."""
        check_path("folder", folder)
        runs = {float(p.name.removeprefix(FOLDER)): p for p in Path(folder).glob(f"{FOLDER}*")}
        if not runs:
            raise RunError(f"{str(folder)!r} holds no runs of quantiles", "name the folder given to fit")
        levels = sorted(runs)
        return cls(levels=levels)._take([AutoMLRegressor.open(runs[q]) for q in levels])

    def _fitted(self) -> list[AutoMLRegressor]:
        if not hasattr(self, "estimators_"):
            raise NotFittedError("This QuantileRegressor instance is not fitted yet: call fit first")
        found: list[AutoMLRegressor] = self.estimators_
        return found

    def predict_quantiles(self, X: Any) -> Floats:
        """Quantiles in the order of ``levels``, float64 (n_rows, n_levels), ascending in each row."""
        raw = np.column_stack([e.predict(X) for e in self._fitted()])
        return np.sort(raw + self.shifts_, axis=1)

    def predict(self, X: Any) -> Floats:
        """The level nearest to the median, float64 (n_rows,)."""
        return np.asarray(self.predict_quantiles(X)[:, middle(_checked(self.levels))])

    def model_performance(self, X: Any, y: Any) -> pd.DataFrame:
        """On the given rows, for each level: the pinball loss, and the share of rows at or below it.

        Returns
        -------
        DataFrame
            Columns level, pinball (in the target's unit), coverage.
        """
        frame, column = read_inputs(X, y, y if isinstance(y, str) else None)
        truth, keep = read_target(column, str(column.name), None)
        found = self.predict_quantiles(frame[keep])
        rows = []
        for k, level in enumerate(_checked(self.levels)):
            metric = find_metric(f"pinball:{level:g}", Task.REGRESSION)
            loss = evaluate(Task.REGRESSION, truth, found[:, k : k + 1], also=metric)[metric.name]
            rows.append((level, loss, float(np.mean(truth <= found[:, k]))))
        return pd.DataFrame(rows, columns=["level", "pinball", "coverage"])

    def leaderboard(self) -> pd.DataFrame:
        """The leaderboards of all levels, with a column ``level``."""
        boards = [e.leaderboard() for e in self._fitted()]
        for board, level in zip(boards, _checked(self.levels), strict=True):
            board.insert(0, "level", level)
        return pd.concat(boards, ignore_index=True)

    def export(self, path: str | Path, signing_key: Any = None, *, background_rows: int = MAX_ROWS) -> ExportReport:
        """Write all levels as one checked ONNX file with the output ``quantiles``; see :meth:`AutoMLRegressor.export`.

        ``prediction`` is the level nearest to the median; ``load_model(path).predict_quantiles`` gives all.
        """
        check_path("path", path)
        levels, finished = _checked(self.levels), [e._fitted() for e in self._fitted()]
        if any(f.schema.to_json() != finished[0].schema.to_json() for f in finished):
            raise DataError("the levels were fitted on tables that differ in their columns", "fit them together")
        ensembles = tuple(
            replace(f.ensemble, **_moved(f.ensemble, s)) for f, s in zip(finished, self.shifts_.tolist(), strict=True)
        )
        whole = Quantiles(levels, ensembles, middle(levels))
        package = finished[whole.middle].package()
        return export(
            replace(package, conformal=None, quantiles=whole, background_rows=background_rows), path, signing_key
        )


def middle(levels: Sequence[float]) -> int:
    """Position of the level nearest to the median."""
    return int(np.argmin(np.abs(np.asarray(levels) - 0.5)))


def _moved(ensemble: Any, shift: float) -> dict[str, Any]:
    return {"mean": ensemble.mean + shift, "constant": tuple(c + shift for c in ensemble.constant)}


def _shift(estimator: AutoMLRegressor, level: float) -> float:
    """What moves a leader's predictions so that ``level`` of the rows lie below them, out of fold."""
    finished = estimator._fitted()
    prediction = finished.out_of_fold(finished.ensemble)
    if prediction is None or not finished.ensemble.members:
        return 0.0
    y, weight = finished.problem.outcomes()
    return float(np.quantile(y - prediction[:, 0], level, weights=weight, method="inverted_cdf"))


def _checked(levels: Sequence[float]) -> tuple[float, ...]:
    """OptionError unless they are numbers between 0 and 1 that ascend."""
    try:
        found = tuple(float(q) for q in levels)
    except (TypeError, ValueError):
        found = ()
    if not found or not all(0 < q < 1 for q in found) or any(b <= a for a, b in pairwise(found)):
        raise OptionError("levels", f"is {levels!r}", "give numbers between 0 and 1 that ascend, as in (0.1, 0.5, 0.9)")
    return found
