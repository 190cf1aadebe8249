"""``from tabwright.compat.h2o.automl import H2OAutoML`` instead of ``from h2o.automl import H2OAutoML``."""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import PredefinedSplit

from tabwright.compat.common import Counterparts, estimator, metric_name, scores_of, with_mse
from tabwright.compat.h2o.frame import H2OFrame, pandas_of
from tabwright.compat.h2o.model import H2OModel
from tabwright.compat.options import Option, budget, ignored, refused, settle, used
from tabwright.errors import OptionError

ALGOS: Mapping[str, tuple[str, ...]] = {
    "gbm": ("lightgbm", "catboost"), "xgboost": ("xgboost",), "drf": ("random_forest", "extra_trees"),
    "glm": ("linear",), "deeplearning": ("mlp",), "stackedensemble": (),
}  # fmt: skip
OPTIONS: Mapping[str, Option] = {
    "nfolds": used(-1, "nfolds; -1 is 'auto', 0 a hold-out"), "balance_classes": used(False, "balance_classes"),
    "class_sampling_factors": refused(None, "classes are weighed, not sampled; see sample_weight"),
    "max_after_balance_size": ignored(5.0, "classes are weighed, not sampled"),
    "max_runtime_secs": used(None, "max_runtime_secs; 3600 where neither it nor max_models is given"),
    "max_runtime_secs_per_model": used(None, "max_runtime_secs_per_model"), "max_models": used(None, "max_models"),
    "distribution": refused("AUTO", "the loss is squared error or the likelihood of classes; "
                            "AutoMLRegressor takes sort_metric='mae' or 'pinball:0.9'"),
    "stopping_metric": ignored("AUTO", "each family stops by the loss that it is fitted with"),
    "stopping_tolerance": ignored(None, "each family has its own"),
    "stopping_rounds": ignored(3, "each family has its own"), "seed": used(None, "seed"),
    "project_name": used(None, "name of the run's folder in export_checkpoints_dir"),
    "exclude_algos": used(None, "exclude_families: GBM is lightgbm and catboost, DRF both forests, GLM linear, "
                          "DeepLearning mlp; an ensemble is always considered"),
    "include_algos": used(None, "include_families, as exclude_algos"),
    "exploitation_ratio": ignored(-1, "the search refines what is good as it goes"),
    "modeling_plan": refused(None, "the order of candidates is the portfolio's"),
    "preprocessing": ignored(None, "targets are encoded wherever a family profits"),
    "monotone_constraints": used(None, "monotone_constraints"),
    "keep_cross_validation_predictions": ignored(False, "the run always keeps them"),
    "keep_cross_validation_models": ignored(False, "the run always keeps them"),
    "keep_cross_validation_fold_assignment": ignored(False, "the run always keeps it"),
    "sort_metric": used("AUTO", "sort_metric; deviance and MSE rank as RMSE does"),
    "custom_metric_func": refused(None, "metrics are named here; AutoMLClassifier takes yours"),
    "export_checkpoints_dir": used(None, "export_checkpoints_dir: a folder in it for each run, to be resumed"),
    "verbosity": used("warn", "progress display unless 'warn', 'error' or None"),
}  # fmt: skip
TRAIN_OPTIONS: Mapping[str, Option] = {
    "x": used(None, "columns to use"), "y": used(None, "target"), "training_frame": used(None, "X with its target"),
    "fold_column": used(None, "nfolds: each value of the column is one fold"),
    "weights_column": used(None, "weights_column"),
    "validation_frame": ignored(None, "rows are validated on folds of the training frame"),
    "leaderboard_frame": used(None, "the leaderboard's scores are those on its rows"),
    "blending_frame": ignored(None, "the ensemble is chosen on out-of-fold predictions"),
}  # fmt: skip


class H2OAutoML(Counterparts):
    """H2O's AutoML, searched by tabwright; parameters in :data:`OPTIONS` and :data:`TRAIN_OPTIONS`."""

    def __init__(self, *positional: Any, **given: Any) -> None:
        self._settings = settle("H2OAutoML", OPTIONS, given, positional)
        self.project_name = self._settings["project_name"] or f"AutoML_{time.strftime('%Y%m%d_%H%M%S')}"
        self._aml: Any = None
        self._board: pd.DataFrame | None = None

    def train(self, *positional: Any, **given: Any) -> H2OModel:
        """Search; the leader."""
        s, t = self._settings, settle("H2OAutoML.train", TRAIN_OPTIONS, given, positional)
        frame = pandas_of(t["training_frame"])
        y = _names([t["y"]], frame)[0]
        x = [c for c in (frame.columns if t["x"] is None else _names(t["x"], frame)) if c != y]
        folds: Any = {-1: "auto", 0: 1}.get(s["nfolds"], s["nfolds"])
        if t["fold_column"]:
            frame = frame[frame[y].notna()]
            (of_fold,) = _names([t["fold_column"]], frame)
            x, folds = [c for c in x if c != of_fold], PredefinedSplit(pd.factorize(frame[of_fold])[0])
        kept = list(dict.fromkeys([*x, y, *([t["weights_column"]] if t["weights_column"] else [])]))
        numeric = pd.api.types.is_numeric_dtype(frame[y]) and not pd.api.types.is_bool_dtype(frame[y])
        classification = not numeric
        seconds = s["max_runtime_secs"] or (None if s["max_models"] else 3600)
        parent = s["export_checkpoints_dir"]
        made = estimator(classification)(
            max_runtime_secs=budget(seconds), max_models=s["max_models"] or None,
            max_runtime_secs_per_model=s["max_runtime_secs_per_model"] or None,
            nfolds=folds, balance_classes=s["balance_classes"], seed=s["seed"] if s["seed"] not in (None, -1) else 0,
            sort_metric=metric_name(s["sort_metric"], "H2OAutoML"),
            include_families=_families(s["include_algos"]), exclude_families=_families(s["exclude_algos"]),
            monotone_constraints=s["monotone_constraints"],
            export_checkpoints_dir=None if parent is None else _folder(parent, self.project_name),
            progress=False if s["verbosity"] in ("warn", "error", None) else "auto",
        )  # fmt: skip
        data = frame[kept]
        if classification:
            data = data.assign(**{y: data[y].astype(object)})
        self._aml = made.fit(data, target=y, weights_column=t["weights_column"])
        self._board = self._scores(t["leaderboard_frame"])
        _TRAINED.append(weakref.ref(self))
        return self.leader

    def _scores(self, frame: Any) -> pd.DataFrame:
        """model_id and its metrics, best first, out of fold or on a frame's rows."""
        scores = scores_of(self._aml)
        if frame is not None:
            scores = {m: dict(self.get_model(m).model_performance(frame)._scores) for m in scores}
        problem = self._aml._finished.problem
        order = sorted(scores, key=lambda m: scores[m][problem.metric.name], reverse=problem.metric.greater_is_better)
        columns = {"roc_auc": "auc", "log_loss": "logloss", "average_precision": "aucpr"}
        first = columns.get(problem.metric.name, problem.metric.name)
        rows = pd.DataFrame([{"model_id": m} | {columns.get(k, k): v for k, v in with_mse(scores[m]).items()}
                             for m in order])  # fmt: skip
        return rows[["model_id", first, *[c for c in rows if c not in ("model_id", first)]]]

    @property
    def automl(self) -> Any:
        """The estimator that did the work: :class:`tabwright.AutoMLClassifier` or ``AutoMLRegressor``."""
        if self._aml is None:
            raise OptionError("train", "was not called yet", "call train first")
        return self._aml

    @property
    def leader(self) -> H2OModel:
        return H2OModel(self.automl, self.automl._finished.state.leader.name)

    @property
    def leaderboard(self) -> H2OFrame:
        return get_leaderboard(self)

    def get_model(self, model_id: str) -> H2OModel:
        return H2OModel(self.automl, model_id)

    def get_best_model(self, algorithm: str | None = None, criterion: str | None = None) -> H2OModel | None:
        """The best candidate, of one of H2O's algorithms if that is named."""
        del criterion
        if algorithm is None:
            return self.leader
        wanted = ALGOS.get(algorithm.lower(), ())
        done = [e for e in self.automl._finished.state.finished() if e.candidate.family in wanted]
        return self.get_model(done[0].candidate.model_id) if done else None

    def predict(self, test_data: Any) -> H2OFrame:
        return self.leader.predict(test_data)

    def download_mojo(self, path: str = ".", get_genmodel_jar: bool = False, genmodel_name: str = "") -> str:
        """See :meth:`H2OModel.download_mojo`."""
        return self.leader.download_mojo(path, get_genmodel_jar, genmodel_name)

    def explain(self, frame: Any = None, **_more: Any) -> Any:
        return self.leader.explain(frame)

    @property
    def event_log(self) -> H2OFrame:
        """What happened when."""
        from tabwright.audit import audit

        rows = [(t, kind, text) for t, kind, text in audit(self.automl.run_dir).events]
        return H2OFrame(pd.DataFrame(rows, columns=["timestamp", "name", "value"]))


_TRAINED: list[weakref.ref[H2OAutoML]] = []


def get_model(model_id: str) -> H2OModel:
    """See :func:`tabwright.compat.h2o.get_model`."""
    for known in reversed(_TRAINED):
        aml = known()
        if aml is not None and aml._board is not None and model_id in set(aml._board["model_id"]):
            return aml.get_model(model_id)
    raise OptionError("model_id", f"is {model_id!r}, which no run of this process has", "take one of a leaderboard")


def get_leaderboard(aml: H2OAutoML, extra_columns: Any = None) -> H2OFrame:
    """The leaderboard; "ALL" or names of extra columns: training_time_ms, predict_time_per_row_ms, algo."""
    _ = aml.automl
    assert aml._board is not None
    frame = aml._board.copy()
    if extra_columns is None:
        return H2OFrame(frame)
    every = ["training_time_ms", "predict_time_per_row_ms", "algo"]
    asked = every if str(extra_columns).upper() == "ALL" else [extra_columns] if isinstance(extra_columns, str) else (
        list(extra_columns))  # fmt: skip
    board = aml.automl.leaderboard("all").set_index("model_id")
    more = {"training_time_ms": board["fit_seconds"] * 1e3, "predict_time_per_row_ms": board["latency_p50_us"] / 1e3,
            "algo": board["family"]}  # fmt: skip
    for name in asked:
        if name not in more:
            raise OptionError("extra_columns", f"names {name!r}", f"take some of {', '.join(every)}, or 'ALL'")
        frame[name] = more[name].reindex(frame["model_id"]).to_numpy()
    return H2OFrame(frame)


def _names(columns: Sequence[Any], frame: pd.DataFrame) -> list[str]:
    """Columns by name or position; OptionError for one that is not there."""
    names = [frame.columns[int(c)] if isinstance(c, (int, np.integer)) else c for c in columns]
    for name in names:
        if name not in frame.columns:
            listed = ", ".join(map(repr, list(frame.columns)[:20]))
            option = "y" if len(names) == 1 else "x"
            raise OptionError(option, f"names {name!r}, and the frame has {listed}", "name one of them")
    return names


def _families(algos: Sequence[str] | None) -> list[str] | None:
    if algos is None:
        return None
    unknown = [a for a in algos if a.lower() not in ALGOS]
    if unknown:
        raise OptionError("include_algos", f"or exclude_algos names {unknown[0]!r}", f"take some of {', '.join(ALGOS)}")
    return sorted({family for a in algos for family in ALGOS[a.lower()]})


def _folder(parent: Any, name: str) -> Path:
    """A new folder in the checkpoints' folder, as each run needs its own."""
    folder, k = Path(parent) / name, 1
    while (folder / "run.json").exists():
        k += 1
        folder = Path(parent) / f"{name}_{k}"
    return folder


__all__ = ["OPTIONS", "TRAIN_OPTIONS", "H2OAutoML", "get_leaderboard"]
