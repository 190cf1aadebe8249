"""FLAML's class: ``from tabwright.compat.flaml import AutoML`` instead of ``from flaml import AutoML``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from tabwright.compat.common import Lookalike, as_named, estimator, metric_name
from tabwright.compat.options import Option, budget, ignored, refused, settle, used
from tabwright.data.readers import read_table
from tabwright.errors import OptionError

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "lgbm": ("lightgbm",), "xgboost": ("xgboost",), "xgb_limitdepth": ("xgboost",), "catboost": ("catboost",),
    "rf": ("random_forest",), "extra_tree": ("extra_trees",), "kneighbor": ("knn",), "lrl1": ("linear",),
    "lrl2": ("linear",), "sgd": ("linear",), "enet": ("linear",),
}  # fmt: skip
OPTIONS: Mapping[str, Option] = {
    "X_train": used(None, "X"), "y_train": used(None, "y"), "dataframe": used(None, "X with its target"),
    "label": used(None, "target"), "metric": used(None, "sort_metric; 'auto' is r2 in regression"),
    "task": used(None, "'classification' or 'regression'"), "n_jobs": used(None, "n_jobs"),
    "log_file_name": ignored(None, "the journal of the run holds more"),
    "estimator_list": used(None, "include_families"), "time_budget": used(None, "max_runtime_secs; 60 where absent"),
    "max_iter": used(None, "max_models"), "sample": ignored(None, "rows are sampled where the budget needs it"),
    "ensemble": ignored(None, "the leader is an ensemble wherever that is better"),
    "eval_method": used(None, "'cv' or 'holdout'"), "log_type": ignored(None, "everything is kept"),
    "model_history": ignored(None, "every candidate's models are kept in the run"),
    "split_ratio": ignored(None, "a hold-out is a fifth"), "n_splits": used(None, "nfolds"),
    "log_training_metric": ignored(None, "only rows that a model has not seen are scored"),
    "mem_thres": used(None, "max_memory_mib x 2**20"),
    "pred_time_limit": used(None, "constraints={'latency_us': ...}"),
    "train_time_limit": used(None, "max_runtime_secs_per_model"),
    "X_val": refused(None, "validation rows are the run's own; put them into the training rows"),
    "y_val": refused(None, "validation rows are the run's own; put them into the training rows"),
    "sample_weight_val": refused(None, "validation rows are the run's own"),
    "groups_val": refused(None, "validation rows are the run's own"), "groups": used(None, "group_column"),
    "verbose": used(None, "progress display from 1 on"),
    "retrain_full": ignored(None, "fold models are averaged; together they have seen all rows, except a hold-out's"),
    "split_type": ignored(None, "stratified or by quantile; group_column and time_column are honoured"),
    "learner_selector": ignored(None, "Bayesian optimisation chooses"),
    "hpo_method": ignored(None, "Bayesian optimisation chooses"),
    "starting_points": refused(None, "candidates can't be given; AutoMLClassifier takes warm_start='RUN'"),
    "seed": used(None, "seed"),
    "n_concurrent_trials": ignored(None, "workers are as many as n_jobs"),
    "keep_search_state": ignored(None, "kept while the object lives; AutoMLClassifier takes export_checkpoints_dir"),
    "preserve_checkpoint": ignored(True, "kept while the object lives; AutoMLClassifier takes export_checkpoints_dir"),
    "early_stop": ignored(None, "the search uses the time that it has"), "force_cancel": ignored(None, "it always is"),
    "append_log": ignored(None, "there is no log"), "auto_augment": ignored(None, "rows are not repeated"),
    "min_sample_size": ignored(None, "rows are sampled where the budget needs it"),
    "use_ray": ignored(None, "workers are processes of this machine; AutoMLClassifier takes engine='dask'"),
    "use_spark": ignored(None, "workers are processes of this machine; AutoMLClassifier takes engine='dask'"),
    "free_mem_ratio": ignored(0, "see mem_thres"),
    "metric_constraints": refused(None, "limits are on costs, see constraints"),
    "custom_hp": refused(None, "search spaces are the families' own; docs/customising.md shows how to change one"),
    "time_col": used(None, "time_column"),
    "cv_score_agg_func": refused(None, "scores are over all rows"),
    "skip_transform": refused(None, "features are always made"), "allow_label_overlap": ignored(True, "always"),
    "mlflow_logging": ignored(None, "AutoMLClassifier takes tracking='ADDRESS'"),
    "mlflow_exp_name": ignored(None, "AutoMLClassifier takes tracking='ADDRESS'"),
    "fit_kwargs_by_estimator": refused(None, "families take no other arguments"),
    "resampler": refused(None, "rows are not resampled; see balance_classes"),
    "sample_weight": used(None, "sample_weight"),
}  # fmt: skip


class AutoML(Lookalike):
    """FLAML's ``AutoML``, searched by tabwright; parameters in :data:`OPTIONS`."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def _classifies(self) -> bool:
        return self._settings.get("task") != "regression" if self._aml is None else is_classifier(self._aml)

    def fit(self, *positional: Any, **given: Any) -> None:
        s = settle("AutoML.fit", OPTIONS, self._settings | given, positional)
        task = s["task"] or "classification"
        if task not in ("classification", "binary", "multiclass", "regression"):
            raise OptionError("task", f"is {task!r}", "give 'classification' or 'regression'")
        X, y = self._rows(s)
        seconds, limit = s["time_budget"], s["pred_time_limit"]
        seconds = 60.0 if seconds is None else None if seconds < 0 else float(seconds)
        families = None if s["estimator_list"] in (None, "auto") else sorted({
            f for name in s["estimator_list"] for f in _families(name)
        })  # fmt: skip
        folds: int | str = s["n_splits"] or "auto"
        metric = s["metric"] or "auto"
        self._metric = metric = "r2" if metric == "auto" and task == "regression" else metric
        made = estimator(task != "regression")(
            max_runtime_secs=budget(seconds), max_models=s["max_iter"], sort_metric=metric_name(metric, "FLAML"),
            include_families=families, n_jobs=s["n_jobs"] or -1, seed=s["seed"] or 0,
            nfolds=1 if s["eval_method"] == "holdout" else folds, max_runtime_secs_per_model=s["train_time_limit"],
            max_memory_mib=None if s["mem_thres"] is None else s["mem_thres"] / 2**20,
            constraints=None if limit in (None, np.inf) else {"latency_us": 1e6 * limit},
            progress="auto" if s["verbose"] is None or s["verbose"] > 0 else False,
        )  # fmt: skip
        more: dict[str, Any] = {"time_column": s["time_col"], "sample_weight": s["sample_weight"]}
        if s["groups"] is not None:
            X = read_table(X).assign(__groups__=np.asarray(s["groups"]))
            more["group_column"] = "__groups__"
        self._aml = made.fit(X, y, **more)

    @staticmethod
    def _rows(s: Mapping[str, Any]) -> tuple[Any, Any]:
        if s["dataframe"] is not None:
            frame = read_table(s["dataframe"])
            if s["label"] not in frame.columns:
                raise OptionError("label", f"is {s['label']!r}, which is no column", "name the target's column")
            return frame.drop(columns=[s["label"]]), frame[s["label"]]
        return s["X_train"], s["y_train"]

    @property
    def model(self) -> Any:
        """The estimator within."""
        return self.automl

    @property
    def best_estimator(self) -> str:
        """FLAML's name of the best candidate's family; ``"constant"`` where the budget was too short for any."""
        best = self._best()
        return "constant" if best is None else _flamls(best.candidate.family)

    @property
    def best_config(self) -> dict[str, Any]:
        best = self._best()
        return {} if best is None else dict(best.candidate.params)

    @property
    def best_config_per_estimator(self) -> dict[str, dict[str, Any] | None]:
        """By FLAML's names of what was tried; None where no candidate was completed."""
        return {name: None if e is None else dict(e.candidate.params) for name, e in self._best_of_each().items()}

    @property
    def best_loss_per_estimator(self) -> dict[str, float]:
        """See :attr:`best_loss`; infinite where no candidate was completed."""
        return {name: np.inf if e is None else self._loss(e.score) for name, e in self._best_of_each().items()}

    @property
    def best_iteration(self) -> int:
        """Place of the best candidate in the order in which they began, from 0."""
        best = self._best()
        return 0 if best is None else list(self.automl._finished.state.entries).index(best.candidate.model_id)

    @property
    def best_config_train_time(self) -> float:
        """Seconds that the best candidate's folds took together."""
        best = self._best()
        return 0.0 if best is None else float(best.seconds)

    @property
    def time_to_find_best_model(self) -> float:
        """Seconds into the run when its leader began to lead."""
        from tabwright.audit import audit

        found = audit(self.automl.run_dir)
        return found.run_seconds(found.leaders[-1].time) if found.leaders else 0.0

    def _best(self) -> Any:
        """The best finished candidate; None where there is none."""
        finished = self.automl._finished.state.finished()
        return finished[0] if finished else None

    def _best_of_each(self) -> dict[str, Any]:
        state = self.automl._finished.state
        found: dict[str, Any] = {_flamls(e.candidate.family): None for e in state.entries.values()}
        for entry in reversed(state.finished()):  # the best of each comes last
            found[_flamls(entry.candidate.family)] = entry
        return found

    @property
    def best_loss(self) -> float:
        """The leader's loss in the metric that was named: 1 minus a score that is to be large."""
        return self._loss(self.automl._finished.state.leader.score)

    def _loss(self, score: float) -> float:
        value = as_named(score, self._metric)
        return 1.0 - value if self.automl._finished.problem.metric.greater_is_better else value

    def score(self, X: Any, y: Any) -> float:
        """Accuracy, or R²."""
        found = self.automl.model_performance(X, y)
        return float(found.get("accuracy", found.get("r2", np.nan)))


def _flamls(family: str) -> str:
    """FLAML's name of a family, or ours where it has none."""
    return next((name for name, families in FAMILIES.items() if family in families), family)


def _families(name: str) -> tuple[str, ...]:
    if name not in FAMILIES:
        raise OptionError("estimator_list", f"names {name!r}", f"take some of {', '.join(FAMILIES)}")
    return FAMILIES[name]
