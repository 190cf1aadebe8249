"""The estimators: scikit-learn's conventions around :mod:`tabwright.automl`."""

from __future__ import annotations

import contextlib
import html
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import NotFittedError

from tabwright import automl, clock
from tabwright.config import Config, check_path, check_positive, plain
from tabwright.conformal import decide, required
from tabwright.data.readers import read_table
from tabwright.data.splits import is_splitter
from tabwright.data.table import Table
from tabwright.display import fitted_html
from tabwright.errors import ColumnError, DataError, OptionError, RunError
from tabwright.export import ExportReport, export
from tabwright.finished import Finished
from tabwright.framing import Inputs
from tabwright.inputs import Given, Roles, as_trained, gather, has_names, read_inputs
from tabwright.metrics import full_proba
from tabwright.metrics.accuracy import ACCURACY
from tabwright.metrics.r2 import R2
from tabwright.progress import observer_for
from tabwright.reasons import MAX_ROWS
from tabwright.results import Results
from tabwright.rows import single_row
from tabwright.runtime import named
from tabwright.search.budget import Budget
from tabwright.store.run_dir import RunDir
from tabwright.stored import target_name
from tabwright.tracking import check as check_tracking
from tabwright.tracking import tracked
from tabwright.types import Array, Bools, Floats, Kind, Task


class _AutoML(Results, BaseEstimator):  # type: ignore[misc]
    """What both estimators share. Parameters are stored as given and checked in ``fit``."""

    _is_classifier = False

    def __init__(  # noqa: PLR0913 - scikit-learn keeps each parameter under its own name
        self, max_runtime_secs: float | None = 300, max_models: int | None = None,
        max_runtime_secs_per_model: float | None = None, max_memory_mib: float | None = None,
        sort_metric: str = "auto", objectives: Sequence[str] = ("score",),
        constraints: Mapping[str, float] | None = None, balance_classes: bool = False,
        include_families: Sequence[str] | None = None, exclude_families: Sequence[str] | None = None,
        monotone_constraints: Mapping[str, int] | None = None, nfolds: Any = "auto", seed: int = 0,
        n_jobs: int = -1, engine: Any = "local", export_checkpoints_dir: str | Path | None = None,
        warm_start: bool | str = True, tracking: str | None = None, progress: bool | str = "auto",
        transformers: Sequence[str] | None = None, max_disk_mib: float | None = None,
    ) -> None:  # fmt: skip
        self.max_runtime_secs = max_runtime_secs
        self.max_models = max_models
        self.max_runtime_secs_per_model = max_runtime_secs_per_model
        self.max_memory_mib = max_memory_mib
        self.max_disk_mib = max_disk_mib
        self.sort_metric = sort_metric
        self.objectives = objectives
        self.constraints = constraints
        self.balance_classes = balance_classes
        self.include_families = include_families
        self.exclude_families = exclude_families
        self.monotone_constraints = monotone_constraints
        self.nfolds = nfolds
        self.seed = seed
        self.n_jobs = n_jobs
        self.engine = engine
        self.export_checkpoints_dir = export_checkpoints_dir
        self.warm_start = warm_start
        self.tracking = tracking
        self.progress = progress
        self.transformers = transformers

    def _config(self, kinds: Mapping[str, str] | None) -> Config:
        check_tracking(self.tracking)
        _progress(self.progress)
        if self.export_checkpoints_dir is not None:
            check_path("export_checkpoints_dir", self.export_checkpoints_dir)
        return Config(
            self.max_runtime_secs, self.max_models, self.max_runtime_secs_per_model, self.max_memory_mib,
            self.max_disk_mib, self.sort_metric, self.balance_classes, self.include_families, self.exclude_families,
            self.monotone_constraints, "auto" if is_splitter(self.nfolds) else self.nfolds,
            self.seed, self.n_jobs, kinds or {},
            self.objectives, self.constraints, self.tracking, self.warm_start, self.engine, self.transformers,
        )  # fmt: skip

    def fit(  # noqa: PLR0913 - each under its own name
        self, X: Any, y: Any = None, *, target: str | None = None, weights_column: str | None = None,
        group_column: str | None = None, time_column: str | None = None, sample_weight: Any = None,
        kinds: Mapping[str, str] | None = None, query: str | None = None, search_rows: int | str = "auto",
    ) -> Self:  # fmt: skip
        """Search for the best pipeline within the budget.

        Parameters
        ----------
        X : DataFrame, array, path or table-like, shape (n_rows, n_columns)
            pandas, polars, Arrow, NumPy, lists, or a file: CSV, TSV, JSON lines, Parquet, Feather, Excel; a folder or a
            glob of CSV or Parquet files, here or at ``s3://``, ``gs://``, ``abfs://``; or a database's address
            (``postgresql://``, ``sqlite:///``, ``duckdb:///``), with ``query``.
        y : array-like, shape (n_rows,), or str, optional
            The target, or the name of its column in ``X``.
        target : str, optional
            The name of its column, instead of ``y``.
        weights_column, group_column, time_column : str, optional
            Columns of ``X`` that weigh rows, keep groups of rows within one fold, or order rows in time; the
            first two are not used as features. Rows of weight 0 are left out. In an order of time each fold learns from
            what lies before its validation rows, and what is delivered has learned from all rows, the latest included
            (or, of a candidate for which no time was left, from what the last fold has). Groups and an order of time
            can't be given together.
        sample_weight : array-like, shape (n_rows,), optional
            Row weights, instead of ``weights_column``.
        kinds : mapping of column name to kind, optional
            Overrides the inferred kinds: numeric, integer, boolean, categorical, text, datetime, identifier,
            constant.
        query : str, optional
            A SELECT statement or a table's name, where ``X`` is a database's address.
        search_rows : int or "auto"
            Rows, 100 at least, of a sample that the search sees, where the source can be read in blocks; its best
            boosted candidates are then fitted on all rows, in blocks from disk. By default that is done where the table
            does not fit into memory (``max_memory_mib``).

        Returns
        -------
        self

        Raises
        ------
        UserError
            With one sentence that names the column or option and how to mend it.
        """
        config = self._config(kinds)
        budget = Budget(config.budget_s)
        run = RunDir.create(self.export_checkpoints_dir)
        with run.discarded_on_error():
            roles = Roles(target, weights_column, group_column, time_column)
            given = Given(X, y, roles, sample_weight, query, search_rows)
            return self._search(gather(given, config, run, budget), config, run, budget)

    def _search(self, inputs: Inputs, config: Config, run: RunDir, budget: Budget) -> Self:
        if is_splitter(self.nfolds):
            inputs = replace(inputs, rows=replace(inputs.rows, splitter=self.nfolds))
        task = self._task(inputs.y)
        with (
            observer_for(_progress(self.progress), config, str(inputs.y.name)) as observer,
            tracked(run, self.tracking) as told,
        ):
            finished = automl.fit(inputs, task, config, run=run, observer=observer, budget=budget)
        finished.notes = [*finished.notes, *told]
        self._take(finished)
        for note in finished.notes:
            warnings.warn(note, UserWarning, stacklevel=3)
        return self

    def _task(self, y: pd.Series) -> Task:
        if not self._is_classifier:
            return Task.REGRESSION
        try:
            distinct = y.nunique()
        except TypeError:
            raise ColumnError(str(y.name), "holds lists or other containers",
                              "predict a column of numbers, words or truth values") from None  # fmt: skip
        if pd.api.types.is_float_dtype(y.dtype) and distinct > max(20, 0.5 * len(y)) and (y.dropna() % 1 != 0).any():
            raise DataError(
                f"Unknown label type: {y.name!r} is continuous, with {distinct} different values", "use AutoMLRegressor"
            )
        return Task.MULTICLASS if distinct > 2 else Task.BINARY

    def _take(self, finished: Finished) -> None:
        self._finished = finished
        self._schema, self._ensemble = finished.schema, finished.ensemble
        self.feature_names_in_ = np.array([c.name for c in finished.schema.columns], dtype=object)
        self.n_features_in_ = len(finished.schema.columns)
        if self._is_classifier:
            dtype = finished.schema.class_dtype
            values = finished.schema.classes or ()
            self.classes_ = np.array(values, dtype=object if dtype in (None, "str", "object") else dtype)

    def _fitted(self) -> Finished:
        if not hasattr(self, "_finished"):
            raise NotFittedError(f"This {type(self).__name__} instance is not fitted yet: call fit first")
        finished: Finished = self._finished
        return finished

    def _table(self, X: Any) -> Table:
        schema = self._fitted().schema
        row = single_row(X, schema) if hasattr(X, "iloc") else None
        if row is not None:
            return Table.from_matrices(schema, *self._fitted().encode_row(row))
        frame = read_table(X)
        if not has_names(X) and frame.shape[1] != self.n_features_in_:
            raise DataError(
                f"X has {frame.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input",
                "give the columns of training in their order, or a table with column names",
            )
        return Table.from_frame(as_trained(frame, X, schema), schema)

    def _predict_canonical(self, X: Any) -> Floats:
        table = self._table(X)
        return self._fitted().scorer()(table)

    # --- export -----------------------------------------------------------------------------------------------

    def export(self, path: str | Path, signing_key: Any = None, *, background_rows: int = MAX_ROWS) -> ExportReport:
        """Write the leader, preprocessing included, as one ONNX file that is checked before it appears.

        Parameters
        ----------
        path : path
        signing_key : path of a PEM file, PEM bytes, 32 raw bytes, or Ed25519PrivateKey, optional
            Sign the file, for ``load_model(path, public_key=...)``; needs ``tabwright[sign]``.
        background_rows : int
            Rows of the training table that the file holds for ``load_model(path).reasons``, 32 at most and in 32 KiB;
            0 where nobody who has the file may see one.

        Raises
        ------
        OptionError
            For another number of rows, or a path or key that can't be used.
        ParityError
            If the file would not predict what :meth:`predict` does; nothing is written then.
        """
        if isinstance(background_rows, bool) or background_rows not in range(MAX_ROWS + 1):
            raise OptionError("background_rows", f"is {background_rows!r}", f"give a number from 0 to {MAX_ROWS}")
        check_path("path", path)
        finished = self._fitted()
        report = export(replace(finished.package(), background_rows=background_rows), path, signing_key)
        finished.profiles[finished.ensemble.name] = report.profile.to_dict()
        if finished.run.config_file.exists():
            with contextlib.suppress(RunError):  # a run that can't be written can still be exported
                journal = finished.run.journal()
                journal.add_stage("export", clock.now() - report.seconds, report.seconds)
                journal.close()
        return report

    @classmethod
    def resume(
        cls, run: str | Path, extra_secs: float | None = None, progress: bool | str = "auto", *, data: Any = None,
        engine: Any = None,
    ) -> Self:  # fmt: skip
        """Continue a run of ``export_checkpoints_dir`` from its last finished fold.

        Parameters
        ----------
        run : path
        extra_secs : float, optional
            Time for the continuation; the run's own ``max_runtime_secs`` by default.
        progress : bool or "auto"
        data : table or path, optional
            The training table with its target. The run has its own copy; this one is compared with it, and
            replaces it where it is lost.
        engine : optional
            Where to go on, as for the estimator; by default where the run was.

        Raises
        ------
        RunError
            If another process works on the run, its folder can't be written or is damaged, or ``data`` is not what
            the run was started with.
        """
        check_positive("extra_secs", extra_secs)
        progress = _progress(progress)
        directory, made = cls._from_run(run)
        if engine is not None:
            made.engine = engine
        given = None if data is None else read_inputs(data, None, target_name(directory))
        observing = observer_for(progress, made._config(None), "")
        with observing as observer, tracked(directory, made.tracking) as told:
            finished = automl.resume(directory, plain(extra_secs), observer, given, made.engine)
        finished.notes = [*finished.notes, *told]
        made._take(finished)
        for note in finished.notes:
            warnings.warn(note, UserWarning, stacklevel=2)
        return made

    @classmethod
    def open(cls, run: str | Path) -> Self:
        """A run's estimator as it stands, without continuing the search."""
        directory, made = cls._from_run(run)
        made._take(automl.load(directory))
        return made

    @classmethod
    def _from_run(cls, run: str | Path) -> tuple[RunDir, Self]:
        check_path("run", run)
        directory = RunDir.open(run)
        stored = directory.config()
        task = Task(stored["task"])
        if task.is_classification != cls._is_classifier:
            other = "AutoMLClassifier" if task.is_classification else "AutoMLRegressor"
            raise OptionError("run", f"holds a {task} run", f"call {other} instead")
        config = Config.from_dict(stored["config"])
        not_of_it = ("kinds", "teaches", "client")
        made = cls(**{k: getattr(config, k) for k in Config.__dataclass_fields__ if k not in not_of_it})
        made.export_checkpoints_dir = str(run)
        return directory, made

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        found = {"text/plain": repr(self)}
        if hasattr(self, "_finished"):
            found["text/html"] = self._repr_html_()
        return found

    def _repr_html_(self) -> str:
        """What notebooks show: the leader and the best of the leaderboard, once fitted."""
        if not hasattr(self, "_finished"):
            return f"<pre>{html.escape(repr(self))}</pre>"
        finished = self._finished
        return fitted_html(
            type(self).__name__, str(finished.schema.target), finished.problem.metric.name, self.leaderboard(),
            finished.state.leader.name, len(finished.state.finished()),
        )  # fmt: skip

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = tags.input_tags.string = True
        tags.non_deterministic = self.max_models is None  # what fits into a time budget differs from run to run
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_finished")


class AutoMLRegressor(RegressorMixin, _AutoML):  # type: ignore[misc]
    """AutoML for a numeric target. For the parameters see :class:`AutoMLClassifier`."""

    def predict(self, X: Any) -> Floats:
        """Predictions, float64 (n_rows,), in the target's unit."""
        return self._predict_canonical(X)[:, 0]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Coefficient of determination on rows that have a target; ``y`` may name its column."""
        return self._score(X, y, sample_weight, R2)

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Floats:
        """Lower and upper ends, float64 (n_rows, 2); see :meth:`tabwright.runtime.Model.predict_interval`."""
        return required(self._fitted().conformal()).interval(self.predict(X), coverage)


class AutoMLClassifier(ClassifierMixin, _AutoML):  # type: ignore[misc]
    """AutoML for classes, two or many.

    Parameters
    ----------
    max_runtime_secs : float or None, default 300
        Wall time for everything, in seconds; ``fit`` returns at most 1 s or 2 % later. None: no limit, then
        ``max_models`` must be given.
    max_models : int, optional
        Candidates to fit at most, not counting the ensemble.
    max_runtime_secs_per_model : float, optional
        Wall time per candidate, all its folds together.
    max_memory_mib : float, optional
        Resident memory of all worker processes together; where they pass it, the one that takes most is stopped and
        recorded. Without it that happens at 80 % of what is free when the run begins.
    max_disk_mib : float, optional
        Size of the run directory. Fold models, then out-of-fold predictions, of candidates that the leader does not
        use are removed, worst first; they stay in the journal and on the leaderboard.
    sort_metric : str, default "auto"
        What is optimised: rmse, mae, r2, rmsle; roc_auc, log_loss, average_precision, accuracy,
        balanced_accuracy, f1, brier; "pinball:0.9" is for that quantile, which is then fitted. "auto" is rmse, roc_auc
        for two classes, log_loss for more.
    balance_classes : bool, default False
        Weigh rows so that all classes count the same, in the scores of the leaderboard too;
        :meth:`model_performance` does not weigh.
    include_families, exclude_families : sequence of str, optional
        Of lightgbm, xgboost, catboost, extra_trees, random_forest, linear, quadratic, knn, mlp; and realmlp, a larger
        network for larger budgets, which is only tried where it is included and needs ``tabwright[neural]``.
    transformers : sequence of str, optional
        Encoders of yours whose columns every family gets, as ``package.module:NAME`` or by the name under which an
        installed package offers them.
    monotone_constraints : mapping of column name to -1, 0 or 1, optional
        Direction in which predictions may move with a numeric column.
    nfolds : int, "auto" or splitter
        Folds of cross-validation; 1 is a hold-out. "auto" is 5, of a table below 2,000 rows 10, or 3 or a hold-out
        where the time does not allow more. Any object with scikit-learn's ``split(X, y, groups)`` gives the
        folds itself.
    seed : int
    n_jobs : int, default -1
        Processor cores to use; -1 is all, -2 all but one.
    export_checkpoints_dir : path, optional
        Folder for this one run, which holds none yet; the run can then be resumed and audited.
    progress : bool or "auto"
        "auto" shows a live display on a terminal or in a notebook and nothing elsewhere.
    objectives : sequence of str, default ("score",)
        "score" and costs to search the front of: latency_us, latency_p99_us, size_mib, memory_mib, train_cpu_s. See
        :meth:`pareto`.
    constraints : mapping of cost to limit, optional
        What the leader may cost at most, such as ``{"latency_us": 200, "size_mib": 5}``, measured on the exported
        graph. Where nothing found keeps them, the nearest leads and a warning says so.
    tracking : str, optional
        "mlflow" (where ``MLFLOW_TRACKING_URI`` says) or the address of an MLflow tracking server or store, which is
        told of the run while it goes on; needs ``tabwright[mlflow]``. With the environment variable
        TABWRIGHT_REGISTER_AS the leader becomes a version of that registered model.
    warm_start : bool or path, default True
        True: what earlier runs on tables alike have taught is tried, and this run is added to it (see
        :mod:`tabwright.meta.experience`; nothing of the data's content is stored; the environment variable
        TABWRIGHT_EXPERIENCE=off switches it off everywhere). A run with ``max_models`` only adds to it, so that it can
        be repeated. The folder of an earlier run: its winners are tried first.
    engine : {"local", "dask"}, address or distributed.Client, default "local"
        Where folds are fitted: in processes of this machine; on the workers of the Dask cluster whose scheduler has
        the address ("tcp://host:8786", "tls://host:8786") or that the client is connected to; "dask" is the current
        client, else the cluster that ``DASK_SCHEDULER_ADDRESS`` names, else one made for the run. ``n_jobs`` above 0
        then is the number of folds that are fitted at a time, and ``max_memory_mib`` counts for each Dask worker.
        Needs ``tabwright[dask]``, here and on the workers.

    Attributes
    ----------
    classes_ : array, shape (n_classes,)
    leader : Ensemble
    feature_names_in_, n_features_in_
    """

    _is_classifier = True

    def predict(self, X: Any) -> Array:
        """The most probable class of each row, (n_rows,), in the target's own type."""
        proba = self.predict_proba(X)
        return np.asarray(self.classes_[self._fitted().ensemble.labels(proba)])

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy on rows that have a target; ``y`` may name its column. A class that is not known is a wrong one."""
        return self._score(X, y, sample_weight, ACCURACY)

    def predict_proba(self, X: Any) -> Floats:
        """Class probabilities, float64 (n_rows, n_classes), columns in the order of ``classes_``."""
        return full_proba(self._predict_canonical(X))

    def predict_set(self, X: Any, coverage: float = 0.9, *, empty: bool = False) -> Bools:
        """Sets of classes, bool (n_rows, n_classes); see :meth:`tabwright.runtime.Model.predict_set`."""
        return required(self._fitted().conformal()).sets(self.predict_proba(X), coverage, empty=empty)

    def decide(self, X: Any, costs: Any = None, abstain_cost: float | None = None) -> Array:
        """Classes of least expected cost, or None; see :meth:`tabwright.runtime.Model.decide`."""
        return named(self.classes_, decide(self.predict_proba(X), costs, abstain_cost))


def _progress(given: Any) -> bool | str:
    """The option, once it is known to be one of its values."""
    value = plain(given)
    if isinstance(value, bool) or (isinstance(value, str) and value == "auto"):
        return value
    raise OptionError("progress", f"is {given!r}", "give True, False or 'auto'")


__all__ = ["AutoMLClassifier", "AutoMLRegressor", "Kind"]
