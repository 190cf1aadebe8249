"""TPOT's estimators: ``from tabwright.compat.tpot import TPOTClassifier`` instead of ``from tpot import ...``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from tabwright.compat.common import Lookalike, as_named, estimator, export_script, metric_name
from tabwright.compat.options import Option, budget, ignored, refused, settle, used

OPTIONS: Mapping[str, Option] = {
    "generations": used(100, "with population_size it bounds the candidates: population_size x (generations + 1)"),
    "population_size": used(100, "see generations"),
    "offspring_size": used(None, "candidates of each later generation; population_size by default"),
    "mutation_rate": ignored(0.9, "candidates are proposed by Bayesian optimisation, not bred"),
    "crossover_rate": ignored(0.1, "candidates are proposed by Bayesian optimisation, not bred"),
    "scoring": used(None, "sort_metric; a metric's name in scikit-learn's spelling"),
    "cv": used(5, "nfolds; a whole number"),
    "subsample": refused(1.0, "all rows are used"),
    "n_jobs": used(1, "n_jobs"),
    "max_time_mins": used(None, "max_runtime_secs / 60"),
    "max_eval_time_mins": used(5, "max_runtime_secs_per_model / 60"),
    "random_state": used(None, "seed"),
    "config_dict": refused(None, "the search space is fixed; AutoMLClassifier takes include_families"),
    "search_space": refused(None, "the search space is fixed; AutoMLClassifier takes include_families"),
    "template": refused(None, "pipelines have no template here"),
    "warm_start": refused(False, "continue a run with resume"),
    "memory": ignored(None, "features are always shared between candidates"),
    "use_dask": used(False, 'engine="dask"'),
    "periodic_checkpoint_folder": used(None, "export_checkpoints_dir: the whole run, to be resumed"),
    "early_stop": ignored(None, "the search uses the time that it has"),
    "verbosity": used(0, "progress display from 1 on"),
    "verbose": used(0, "progress display from 1 on"),
    "disable_update_check": ignored(False, "nothing is checked"),
    "log_file": ignored(None, "the journal of the run holds more; tabwright audit shows it"),
    "objective_function_names": ignored(None, "see objectives"),
}


class _TPOT(Lookalike):
    def __init__(self, *positional: Any, **given: Any) -> None:
        self._settings = settle(type(self).__name__, OPTIONS, given, positional)

    def fit(self, features: Any, target: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        s = self._settings
        limit = None if s["max_time_mins"] is None else 60.0 * s["max_time_mins"]
        size, later = s["population_size"], s["offspring_size"] or s["population_size"]
        candidates = None if s["generations"] is None else size + s["generations"] * later
        each = s["max_eval_time_mins"]
        made = estimator(self._classification)(
            max_runtime_secs=budget(limit), max_models=candidates, nfolds=s["cv"],
            max_runtime_secs_per_model=60.0 * each if each else None, seed=s["random_state"] or 0,
            sort_metric=metric_name(self._scoring(), "TPOT"), n_jobs=s["n_jobs"],
            export_checkpoints_dir=s["periodic_checkpoint_folder"], engine="dask" if s["use_dask"] else "local",
            progress="auto" if s["verbosity"] or s["verbose"] else False,
        )  # fmt: skip
        frame, weighted = features, {} if sample_weight is None else {"sample_weight": sample_weight}
        if groups is not None:
            import pandas as pd

            frame = pd.DataFrame(features).assign(__groups__=np.asarray(groups))
            weighted["group_column"] = "__groups__"
        self._aml = made.fit(frame, target, **weighted)
        return self

    def score(self, testing_features: Any, testing_target: Any) -> float:
        """The score in ``scoring``; losses are negative, as in scikit-learn."""
        metric = self.automl._finished.problem.metric
        return self._as_scorer(self.automl.model_performance(testing_features, testing_target)[metric.name])

    def _scoring(self) -> Any:
        return self._settings["scoring"] or ("accuracy" if self._classification else "neg_mean_squared_error")

    def _as_scorer(self, value: float) -> float:
        value = as_named(value, self._scoring())
        return value if self.automl._finished.problem.metric.greater_is_better else -value

    @property
    def fitted_pipeline_(self) -> Any:
        """The leader."""
        return self.automl.leader

    @property
    def evaluated_individuals_(self) -> dict[str, dict[str, Any]]:
        """Scores by candidate, as :meth:`score` gives them."""
        return {e.candidate.model_id: {"internal_cv_score": self._as_scorer(e.score), "operator_count": 1,
                                       "params": e.candidate.params}
                for e in self.automl._finished.state.finished()}  # fmt: skip

    def export(self, output_file_name: str | Path = "tpot_exported_pipeline.py", data_file_path: str = "") -> None:
        """Write a program that predicts, and the ONNX file that it loads, beside each other."""
        del data_file_path  # the program reads the file that it is given
        export_script(self.automl, output_file_name)


class TPOTClassifier(_TPOT):
    """TPOT's classifier, searched by tabwright; parameters in :data:`OPTIONS`."""

    _classification = True


class TPOTRegressor(_TPOT):
    """TPOT's regressor, searched by tabwright; parameters in :data:`OPTIONS`."""


__all__ = ["OPTIONS", "TPOTClassifier", "TPOTRegressor"]
