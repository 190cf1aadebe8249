"""AutoGluon's predictor: ``from tabwright.compat.autogluon import TabularPredictor, TabularDataset``."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from tabwright.compat.common import Counterparts, alone, estimator, metric_name
from tabwright.compat.options import Option, budget, ignored, refused, settle, used
from tabwright.data.readers import read_table
from tabwright.data.target import infer_task, read_target
from tabwright.errors import DataError, OptionError
from tabwright.metrics import evaluate, find_metric, full_proba
from tabwright.pipeline import Ensemble
from tabwright.quantiles import FOLDER, QuantileRegressor, middle
from tabwright.store.run_dir import RunDir
from tabwright.types import Floats, Task

DEFAULT_SECS = 600.0
OPTIONS: Mapping[str, Option] = {
    "label": used(None, "target"),
    "problem_type": used(None, "binary, multiclass, regression, quantile; inferred where absent"),
    "eval_metric": used(None, "sort_metric"),
    "path": used(None, "export_checkpoints_dir; AutogluonModels/ag-TIME where absent"),
    "verbosity": used(2, "progress display from 1 on"), "log_to_file": ignored(False, "the run has a journal"),
    "log_file_path": ignored("auto", "the run has a journal"),
    "sample_weight": used(None, "weights_column; balance_weight is balance_classes"),
    "weight_evaluation": ignored(False, "weights count in scores too"), "groups": used(None, "group_column"),
    "quantile_levels": used(None, "levels of tabwright.quantiles.QuantileRegressor"),
    "positive_class": ignored(None, "the second class in sorted order"),
}  # fmt: skip
FIT_OPTIONS: Mapping[str, Option] = {
    "train_data": used(None, "X with its target"),
    "tuning_data": refused(None, "validation rows are the run's own; put them into the training rows"),
    "time_limit": used(None, "max_runtime_secs; 600 where absent"),
    "presets": ignored(None, "there is one way: all the time goes into the best leader"),
    "hyperparameters": refused(None, "families have other names; AutoMLClassifier takes include_families"),
    "feature_metadata": ignored("infer", "kinds are inferred"),
    "infer_limit": used(None, "constraints={'latency_us': ...}"),
    "infer_limit_batch_size": ignored(None, "latency is that of one row"),
    "fit_weighted_ensemble": ignored(True, "the leader is an ensemble wherever that is better"),
    "fit_full_last_level_weighted_ensemble": ignored(True, "a second level leads where it is clearly better"),
    "full_weighted_ensemble_additionally": ignored(False, "a second level leads where it is clearly better"),
    "dynamic_stacking": ignored(False, "a second level leads where it is clearly better"),
    "calibrate_decision_threshold": ignored("auto", "chosen wherever the metric reads labels"),
    "num_cpus": used("auto", "n_jobs"), "num_gpus": ignored("auto", "only realmlp uses one, where there is one"),
    "fit_strategy": ignored("sequential", "folds run in parallel"),
    "memory_limit": used("auto", "max_memory_mib, in GiB"),
    "callbacks": refused(None, "there is no callback"), "num_bag_folds": used(None, "nfolds"),
    "auto_stack": ignored(None, "folds are always bagged"),
    "num_stack_levels": ignored(None, "a second level leads where it is clearly better"),
    "refit_full": ignored(None, "fold models are averaged"),
    "excluded_model_types": refused(None, "families have other names; AutoMLClassifier takes exclude_families"),
    "included_model_types": refused(None, "families have other names; AutoMLClassifier takes include_families"),
    "hyperparameter_tune_kwargs": ignored(None, "every family is tuned"),
    "num_bag_sets": ignored(None, "folds are drawn once"), "holdout_frac": ignored(None, "folds are the run's own"),
    "ag_args": ignored(None, "there is nothing of the kind"),
    "ag_args_fit": ignored(None, "there is nothing of the kind"),
    "ag_args_ensemble": ignored(None, "there is nothing of the kind"),
}  # fmt: skip

_SILENT = {"silent": used(None, "nothing is printed"), "display": ignored(False, "nothing is printed")}
_TRANSFORMED = {"transform_features": refused(True, "rows have the columns of train_data")}
_THRESHOLD = {"decision_threshold": refused(None, "labels are scored at the leader's own threshold; predict takes one")}
METHODS: Mapping[str, Mapping[str, Option]] = {
    "predict": _TRANSFORMED | {
        "decision_threshold": used(None, "P(second class) from which that is predicted; the leader's own where absent"),
    },
    "predict_proba": _TRANSFORMED | {
        "as_multiclass": used(True, "False gives the second of two classes alone"),
    },
    "evaluate": _THRESHOLD | _SILENT | {
        "auxiliary_metrics": ignored(True, "every metric is told"),
        "detailed_report": refused(False, "predictor.automl.report(path) has the confusion matrix"),
    },
    "leaderboard": _THRESHOLD | _SILENT | {
        "extra_info": refused(False, "predictor.automl.leaderboard(extra_columns='all') tells more"),
        "extra_metrics": refused(None, "evaluate tells every metric of the leader"),
        "score_format": refused("score", "higher is better in every column"),
        "only_pareto_frontier": refused(False, "predictor.automl.pareto() is the front"),
        "skip_score": refused(False, "leave data out"),
        "refit_full": ignored(None, "fold models are averaged"),
        "set_refit_score_to_parent": ignored(False, "fold models are averaged"),
    },
    "feature_importance": _SILENT | {
        "features": used(None, "names of columns"),
        "feature_stage": refused("original", "importance is that of the table's columns"),
        "subsample_size": ignored(5000, "rows are 2,000 at most"), "time_limit": ignored(None, "it takes seconds"),
        "num_shuffle_sets": ignored(None, "each column has its own"),
        "include_confidence_band": ignored(True, "the interval is always told"),
        "confidence_level": refused(0.99, "the interval is that of 95 %"),
    },
    "fit_summary": {"verbosity": ignored(3, "nothing is printed"), "show_plot": ignored(False, "nothing is drawn")},
    "load": {
        "verbosity": ignored(None, "nothing is printed"),
        "require_version_match": ignored(True, "runs have a format of their own, which later versions read"),
        "require_py_version_match": ignored(True, "nothing stored depends on Python's version"),
        "check_packages": ignored(False, "nothing stored depends on packages"),
    },
    "save": _SILENT,
}  # fmt: skip


def TabularDataset(data: Any, **more: Any) -> pd.DataFrame:  # noqa: N802 - AutoGluon's name
    """A pandas frame, read from a file where a path is given."""
    return pd.DataFrame(read_table(data) if isinstance(data, (str, Path)) else data, **more)


class TabularPredictor(Counterparts):
    """AutoGluon's predictor, searched by tabwright; parameters in :data:`OPTIONS` and :data:`FIT_OPTIONS`."""

    def __init__(self, *positional: Any, **given: Any) -> None:
        self._settings = settle("TabularPredictor", OPTIONS, given, positional)
        if self._settings["label"] is None:
            raise OptionError("label", "of TabularPredictor is absent", "name the target's column")
        self._aml: Any = None
        self._quantiles: QuantileRegressor | None = None

    def fit(self, *positional: Any, **given: Any) -> Self:
        s, f = self._settings, settle("TabularPredictor.fit", FIT_OPTIONS, given, positional)
        frame = read_table(f["train_data"])
        if s["label"] not in frame.columns:
            problem = f"is {s['label']!r}, which is no column of train_data"
            raise OptionError("label", problem, "name the target's column")
        kind = s["problem_type"] or str(infer_task(frame[s["label"]]))
        if kind not in ("binary", "multiclass", "regression", "quantile"):
            raise OptionError("problem_type", f"is {kind!r}", "give binary, multiclass, regression or quantile")
        is_classifier = kind in ("binary", "multiclass")
        limit, cpus, memory = f["infer_limit"], f["num_cpus"], f["memory_limit"]
        made = estimator(is_classifier)(
            max_runtime_secs=budget(DEFAULT_SECS if f["time_limit"] is None else float(f["time_limit"])),
            sort_metric=self._metric(kind, is_classifier=is_classifier),
            nfolds=f["num_bag_folds"] or "auto", n_jobs=-1 if cpus == "auto" else int(cpus),
            max_memory_mib=None if memory in ("auto", None) else 1024.0 * float(memory),
            constraints=None if limit is None else {"latency_us": 1e6 * limit},
            export_checkpoints_dir=s["path"] or _new_folder(),
            balance_classes=is_classifier and s["sample_weight"] == "balance_weight",
            progress="auto" if s["verbosity"] else False,
        )  # fmt: skip
        weights = self._weights(frame)
        if kind == "quantile":
            return self._fit_quantiles(made, frame, weights)
        self._aml = made.fit(frame, target=s["label"], weights_column=weights, group_column=s["groups"])
        return self

    def _weights(self, frame: pd.DataFrame) -> str | None:
        """The column of weights, where it is one."""
        wanted = self._settings["sample_weight"]
        if wanted in (None, "auto_weight", "balance_weight"):
            return None
        if wanted not in frame.columns:
            raise OptionError("sample_weight", f"is {wanted!r}, which is no column of train_data",
                              "name a column, or balance_weight")  # fmt: skip
        return str(wanted)

    def _metric(self, kind: str, *, is_classifier: bool) -> str:
        wanted = self._settings["eval_metric"]
        if kind != "quantile":
            return metric_name(wanted or ("accuracy" if is_classifier else "rmse"), "AutoGluon")
        if wanted not in (None, "pinball_loss", "pinball"):
            raise OptionError("eval_metric", f"is {wanted!r}", "leave it out: quantiles are scored by pinball_loss")
        return "auto"

    def _fit_quantiles(self, made: Any, frame: pd.DataFrame, weights: str | None) -> Self:
        s = self._settings
        if s["quantile_levels"] is None:
            raise OptionError("quantile_levels", "is absent", "give the levels, as in [0.1, 0.5, 0.9]")
        found = QuantileRegressor(made, tuple(s["quantile_levels"]))
        return self._hold(found.fit(frame, target=s["label"], weights_column=weights, group_column=s["groups"]))

    def _hold(self, quantiles: QuantileRegressor) -> Self:
        self._quantiles, self._aml = quantiles, quantiles.estimators_[middle(quantiles.levels)]
        return self

    @classmethod
    def load(cls, path: str, **more: Any) -> Self:
        """The predictor whose run lies in ``path``."""
        _rest("load", more)
        if any(Path(path).glob(f"{FOLDER}*")):
            quantiles = QuantileRegressor.open(path)
            found = cls(label=quantiles.estimators_[0].schema.target, path=path, problem_type="quantile",
                        quantile_levels=quantiles.levels)  # fmt: skip
            return found._hold(quantiles)
        task = Task(RunDir.open(path).config()["task"])
        opened: Any = estimator(task.is_classification).open(path)
        made = cls(label=opened.schema.target, path=path, problem_type=str(task))
        made._aml = opened
        return made

    def save(self, **more: Any) -> str:
        """Nothing is needed: the run lies in :attr:`path`."""
        _rest("save", more)
        return self.path

    @property
    def automl(self) -> Any:
        """The estimator that did the work."""
        if self._aml is None:
            raise OptionError("fit", "was not called yet", "call fit first")
        return self._aml

    @property
    def path(self) -> str:
        run = self.automl.run_dir
        return str(run if self._quantiles is None else run.parent)

    @property
    def label(self) -> str:
        return str(self._settings["label"])

    @property
    def problem_type(self) -> str:
        return "quantile" if self._quantiles is not None else str(self.automl._finished.problem.task)

    @property
    def class_labels(self) -> list[Any]:
        return list(self.automl.classes_)

    @property
    def model_best(self) -> str:
        return str(self.automl._finished.state.leader.name)

    def model_names(self) -> list[str]:
        return [str(m) for m in self.automl.leaderboard()["model_id"]]

    get_model_names = model_names  # as older versions call it

    def predict(self, data: Any, model: str | None = None, as_pandas: bool = True, **more: Any) -> Any:
        threshold = _rest("predict", more)["decision_threshold"]
        frame = read_table(data)
        if threshold is not None and self.problem_type != "binary":
            raise OptionError("decision_threshold", f"is {threshold!r}, and there are not two classes", "leave it out")
        if self._quantiles is not None:
            self._only_leader(model)
            levels = self._quantiles.predict_quantiles(frame)
            columns = list(self._quantiles.levels)
            return pd.DataFrame(levels, index=_index(data, frame), columns=columns) if as_pandas else levels
        ensemble, canonical = self._canonical(frame, model)
        if self.problem_type == "regression":
            found = canonical[:, 0]
        else:
            ensemble = ensemble if threshold is None else replace(ensemble, threshold=float(threshold))
            found = self.automl.classes_[ensemble.labels(full_proba(canonical))]
        return pd.Series(found, index=_index(data, frame), name=self.label) if as_pandas else found

    def predict_proba(self, data: Any, model: str | None = None, as_pandas: bool = True, **more: Any) -> Any:
        as_multiclass = _rest("predict_proba", more)["as_multiclass"]
        frame = read_table(data)
        if not self.automl._finished.problem.task.is_classification:
            raise OptionError("predict_proba", f"has no meaning in {self.problem_type}", "call predict")
        found = full_proba(self._canonical(frame, model)[1])
        if not as_multiclass and self.problem_type == "binary":
            return pd.Series(found[:, 1], _index(data, frame), name=self.label) if as_pandas else found[:, 1]
        return pd.DataFrame(found, index=_index(data, frame), columns=self.class_labels) if as_pandas else found

    def predict_multi(self, data: Any, models: Sequence[str] | None = None, as_pandas: bool = True,
                      **more: Any) -> dict[str, Any]:  # fmt: skip
        """:meth:`predict` of every model that can be loaded, or of those."""
        return {m: self.predict(data, m, as_pandas, **more) for m in self._loadable(models)}

    def predict_proba_multi(self, data: Any, models: Sequence[str] | None = None, as_pandas: bool = True,
                            **more: Any) -> dict[str, Any]:  # fmt: skip
        """:meth:`predict_proba` of every model that can be loaded, or of those."""
        return {m: self.predict_proba(data, m, as_pandas, **more) for m in self._loadable(models)}

    def _loadable(self, models: Sequence[str] | None = None) -> list[str]:
        """The leader and the candidates whose models are on disk, best first; or those that are named."""
        if models is not None:
            return list(models)
        if self._quantiles is not None:
            return [self.model_best]
        entries = self.automl._finished.state.entries
        return [m for m in self.model_names()
                if m == self.model_best or (m in entries and entries[m].status == "ok" and not entries[m].discarded)]

    def _canonical(self, frame: pd.DataFrame, model: str | None) -> tuple[Ensemble, Floats]:
        """A model, and what it predicts before it is labelled."""
        if model in (None, self.model_best):  # which has its graph in memory
            return self.automl._finished.ensemble, np.asarray(self.automl._predict_canonical(frame))
        ensemble = alone(self.automl, str(model))
        return ensemble, ensemble.predict_canonical(self.automl._table(frame))

    def _only_leader(self, model: str | None) -> None:
        if model not in (None, self.model_best):
            raise OptionError("model", f"is {model!r}, and only the leader does this", "make another design the leader "
                              "with predictor.automl.select(design=...)")  # fmt: skip

    def evaluate(self, data: Any, model: str | None = None, **more: Any) -> dict[str, float]:
        """All metrics, higher is better: losses are negative, as AutoGluon gives them; ``eval_metric`` first."""
        _rest("evaluate", more)
        frame = read_table(data)
        if self.label not in frame.columns:
            raise DataError(f"the table has no column {self.label!r}, which is predicted", "give rows with outcomes")
        if self._quantiles is not None:
            self._only_leader(model)
            told = self._quantiles.model_performance(frame.drop(columns=[self.label]), frame[self.label])
            return {"pinball_loss": -float(told["pinball"].mean())}
        problem = self.automl._finished.problem
        if model in (None, self.model_best):
            found = self.automl.model_performance(frame.drop(columns=[self.label]), frame[self.label])
        else:
            y, known = read_target(frame[self.label], self.label, self.automl.schema.classes)
            ensemble, canonical = self._canonical(frame[known], model)
            found = evaluate(problem.task, y, canonical, ensemble.threshold, also=problem.metric)
        signed = {n: v if find_metric(n, problem.task).greater_is_better else -v for n, v in found.items()}
        return {problem.metric.name: signed[problem.metric.name], **signed}

    def leaderboard(self, data: Any = None, **more: Any) -> pd.DataFrame:
        """model, score_val (higher is better), eval_metric, fit_time and stack_level, best first.

        With ``data``, which holds the target, ``score_test`` of every model that can be loaded, and sorted by it.
        """
        _rest("leaderboard", more)
        board = self.automl.leaderboard()
        metric = self.automl._finished.problem.metric
        sign = 1.0 if metric.greater_is_better else -1.0
        out = pd.DataFrame({"model": board["model_id"], "score_val": sign * board["score"], "eval_metric": metric.name,
                            "fit_time": board["fit_seconds"], "stack_level": board["stack_level"]})  # fmt: skip
        order = ["score_val"]
        if data is not None:
            frame, order = read_table(data), ["score_test", "score_val"]
            reached = {m: next(iter(self.evaluate(frame, m).values())) for m in self._loadable()}
            out.insert(1, "score_test", out["model"].map(reached).astype(float))
        return out.sort_values(order, ascending=False, kind="stable").reset_index(drop=True)

    def feature_importance(self, data: Any = None, model: str | None = None, **more: Any) -> pd.DataFrame:
        """Permutation importance by column."""
        wanted = _rest("feature_importance", more)["features"]
        self._only_leader(model)
        every: pd.DataFrame = self.automl.explain(data, None if data is None else self.label).importance
        found = every[~every["is_group"]].set_index("columns")
        if wanted is not None:
            unknown = [name for name in wanted if name not in found.index]
            if unknown:
                raise OptionError("features", f"names {unknown[0]!r}, which the model does not use",
                                  f"name some of {', '.join(map(str, found.index[:20]))}")  # fmt: skip
            found = found[found.index.isin(wanted)]
        return found.rename(columns={"low": "p_low", "high": "p_high"}).drop(columns=["is_group"])

    def fit_summary(self, **more: Any) -> dict[str, Any]:
        _rest("fit_summary", more)
        return {"model_best": self.model_best, "leaderboard": self.leaderboard()}

    def delete_models(self, **_more: Any) -> None:
        warnings.warn("delete_models: accepted without effect: bound the run's size with max_disk_mib", UserWarning,
                      stacklevel=2)  # fmt: skip


def _index(data: Any, frame: pd.DataFrame) -> pd.Index[Any]:
    return data.index if isinstance(data, pd.DataFrame) else frame.index


def _rest(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a method was given beside the parameters that it names."""
    return settle(f"TabularPredictor.{method}", METHODS[method], given)


def _new_folder() -> Path:
    """AutoGluon's own place for what is to outlive the process; made at once, so that no two fits have the same."""
    base = folder = Path("AutogluonModels") / time.strftime("ag-%Y%m%d_%H%M%S")
    k = 0
    while True:
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            k += 1
            folder = base.with_name(f"{base.name}-{k:03d}")
            continue
        except OSError:
            pass  # the run itself says what is wrong with its folder
        return folder
