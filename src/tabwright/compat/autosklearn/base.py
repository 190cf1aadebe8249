"""What auto-sklearn's classifier and regressor have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd

from tabwright.compat.common import Lookalike, as_named, estimator, metric_name
from tabwright.compat.options import Option, budget, ignored, refused, settle, used
from tabwright.errors import OptionError

OPTIONS: Mapping[str, Option] = {
    "time_left_for_this_task": used(3600, "max_runtime_secs"),
    "per_run_time_limit": used(None, "max_runtime_secs_per_model"),
    "initial_configurations_via_metalearning": ignored(25, "the portfolio and the defaults are always tried first"),
    "ensemble_size": ignored(None, "the ensemble's size is chosen on out-of-fold predictions"),
    "ensemble_class": ignored("default", "the ensemble is greedy selection"),
    "ensemble_kwargs": ignored(None, "the ensemble is greedy selection"),
    "ensemble_nbest": ignored(50, "every candidate may enter the ensemble"),
    "max_models_on_disc": ignored(50, "the run keeps what leads; AutoMLClassifier takes max_disk_mib"),
    "seed": used(1, "seed"),
    "memory_limit": used(3072, "max_memory_mib, of all workers together"),
    "include": refused(None, "components have other names here; AutoMLClassifier takes include_families"),
    "exclude": refused(None, "components have other names here; see exclude_families in docs/migrate/autosklearn.md"),
    "resampling_strategy": used("holdout", "'holdout' is nfolds=1; 'cv' is nfolds"),
    "resampling_strategy_arguments": used(None, "folds of {'folds': n}"),
    "tmp_folder": used(None, "export_checkpoints_dir"),
    "delete_tmp_folder_after_terminate": ignored(True, "a run in a folder of yours is kept"),
    "n_jobs": used(None, "n_jobs"),
    "dask_client": used(None, "engine"),
    "disable_evaluator_output": ignored(False, "the journal holds every candidate"),
    "get_smac_object_callback": refused(None, "candidates are not proposed by SMAC"),
    "smac_scenario_args": refused(None, "candidates are not proposed by SMAC"),
    "logging_config": ignored(None, "nothing is logged; tabwright audit tells what was done"),
    "metadata_directory": ignored(None, "there is none"),
    "metric": used(None, "sort_metric; one of autosklearn.metrics"),
    "scoring_functions": ignored(None, "model_performance tells every metric"),
    "load_models": ignored(True, "the leader is always loaded"),
    "get_trials_callback": refused(None, "there is no callback"),
    "dataset_compression": ignored(True, "a table that is too large for its budget is sampled, and that is told"),
    "allow_string_features": ignored(True, "texts and categories are always features"),
    "disable_progress_bar": used(False, "progress=False"),
}

STATUS: Mapping[str, str] = {
    "ok": "Success", "failed": "Crash", "cancelled": "Timeout",
    "pruned": "Success (but do not advance to higher budget)",
}  # fmt: skip
"""auto-sklearn's words for what became of a candidate."""


class AutoSklearnEstimator(Lookalike):
    """See :data:`OPTIONS` for the parameters."""

    def __init__(self, *positional: Any, **given: Any) -> None:
        self._settings = settle(type(self).__name__, OPTIONS, given, positional)

    def fit(
        self, X: Any, y: Any, X_test: Any = None, y_test: Any = None, feat_type: Any = None, dataset_name: Any = None
    ) -> Self:
        """Search; ``X_test`` and ``y_test`` are not looked at, and kinds of columns are inferred."""
        del X_test, y_test, feat_type, dataset_name
        s = self._settings
        default = "accuracy" if self._classification else "r2"
        self._aml = estimator(self._classification)(
            max_runtime_secs=budget(s["time_left_for_this_task"]), seed=s["seed"] or 0, nfolds=self._folds(),
            max_runtime_secs_per_model=s["per_run_time_limit"], max_memory_mib=s["memory_limit"],
            sort_metric=metric_name(s["metric"] or default, "auto-sklearn"), n_jobs=s["n_jobs"] or 1,
            export_checkpoints_dir=s["tmp_folder"], engine=s["dask_client"] or "local",
            progress=False if s["disable_progress_bar"] else "auto",
        ).fit(X, y)  # fmt: skip
        return self

    def _folds(self) -> int:
        strategy, more = self._settings["resampling_strategy"], self._settings["resampling_strategy_arguments"] or {}
        if strategy == "holdout":
            return 1
        if strategy == "cv":
            return int(more.get("folds", 5))
        raise OptionError("resampling_strategy", f"is {strategy!r}", "give 'holdout' or 'cv'")

    def refit(self, X: Any, y: Any) -> Self:
        """Nothing is done: with 'cv' the leader's fold models have together learned from all rows.

        With 'holdout' nothing has learned from the rows that were held out: take 'cv' instead.
        """
        del X, y
        return self

    def score(self, X: Any, y: Any) -> float:
        """Accuracy, or R²."""
        found = self.automl.model_performance(X, y)
        return float(found["accuracy" if self._classification else "r2"])

    def leaderboard(self, detailed: bool = False, ensemble_only: bool = True, top_k: Any = "all", sort_by: str = "cost",
                    sort_order: str = "auto", include: Any = None) -> pd.DataFrame:  # fmt: skip
        """Candidates by model_id: rank, ensemble_weight, type, cost (1 - score, or the loss), duration in seconds."""
        del detailed, sort_order, include
        finished = self.automl._finished
        weights = dict(finished.state.leader.weights)
        metric = finished.problem.metric
        rows = [
            (e.candidate.model_id, weights.get(e.candidate.model_id, 0.0), e.candidate.family,
             1.0 - e.score if metric.greater_is_better else as_named(e.score, self._settings["metric"]), e.seconds)
            for e in finished.state.finished() if not ensemble_only or e.candidate.model_id in weights
        ]  # fmt: skip
        frame = pd.DataFrame(rows, columns=["model_id", "ensemble_weight", "type", "cost", "duration"])
        frame = frame.sort_values(sort_by, kind="stable")
        frame.insert(1, "rank", np.arange(1, len(frame) + 1))
        return frame.set_index("model_id") if top_k == "all" else frame.set_index("model_id").head(int(top_k))

    @property
    def cv_results_(self) -> dict[str, Any]:
        """Every candidate in the order in which they began; NaN is the score of one that was not completed."""
        finished = self.automl._finished
        entries = list(finished.state.entries.values())
        scores = np.array([
            as_named(e.score, self._settings["metric"]) if e.status == "ok" else np.nan for e in entries
        ])  # fmt: skip
        losses = pd.Series(-scores if finished.problem.metric.greater_is_better else scores, dtype=np.float64)
        return {
            "mean_test_score": scores, "mean_fit_time": np.array([e.seconds for e in entries]),
            "params": [{"family": e.candidate.family, **e.candidate.params} for e in entries],
            "rank_test_scores": losses.rank(method="min", na_option="bottom").astype(np.int64).to_numpy(),
            "status": [STATUS.get(e.status, "Abort") for e in entries],
        }  # fmt: skip

    def show_models(self) -> dict[str, dict[str, Any]]:
        """The ensemble's members by model_id: rank, cost, ensemble_weight, family, params."""
        board = self.leaderboard()
        entries = self.automl._finished.state.entries
        return {str(i): {"model_id": i, "rank": int(row["rank"]), "cost": float(row["cost"]),
                         "ensemble_weight": float(row["ensemble_weight"]), "family": entries[i].candidate.family,
                         "params": entries[i].candidate.params} for i, row in board.iterrows()}  # fmt: skip

    def get_models_with_weights(self) -> list[tuple[float, Any]]:
        return [(m.weight, m) for m in self.automl.leader.members]

    def sprint_statistics(self) -> str:
        """The run in a few lines."""
        finished = self.automl._finished
        metric = self._settings["metric"] or finished.problem.metric.name
        best = as_named(finished.state.leader.score, metric)
        entries = list(finished.state.entries.values())
        count = {s: sum(e.status == s for e in entries) for s in ("ok", "failed", "pruned", "cancelled")}
        return (
            f"tabwright results:\n  Dataset name: {finished.schema.target}\n  Metric: {metric}\n"
            f"  Best validation score: {best:.6f}\n"
            f"  Number of target algorithm runs: {len(entries)}\n"
            f"  Number of successful target algorithm runs: {count['ok']}\n"
            f"  Number of crashed target algorithm runs: {count['failed']}\n"
            f"  Number of target algorithms that were stopped early: {count['pruned']}\n"
            f"  Number of target algorithms that did not end in time: {count['cancelled']}\n"
        )
