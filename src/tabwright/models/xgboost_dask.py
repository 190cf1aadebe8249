"""XGBoost trained by the workers of a Dask cluster together, by its own Dask interface."""

from __future__ import annotations

import time
from typing import Any

import dask.array as da
import numpy as np
import xgboost
from xgboost import collective
from xgboost import dask as dask_xgboost

from tabwright.errors import FitError
from tabwright.models.base import Parts, Sample
from tabwright.models.fitting import patience
from tabwright.types import Params


class UntilLate(xgboost.callback.TrainingCallback):
    """Stops all workers after the same round, the first that is late for one of them."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def before_training(self, model: Any) -> Any:
        self._began = time.monotonic()
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        late = time.monotonic() - self._began > self._seconds
        return bool(collective.allreduce(np.array([late], np.int32), collective.Op.MAX)[0])


def booster_of(train: Parts, valid: Sample | None, settings: Params, n_rounds: int, seconds: float) -> Any:
    """A booster of at most so many rounds, begun in so many seconds; with ``valid``, those up to the best.

    Raises
    ------
    FitError
        If XGBoost refuses, or a worker is lost.
    """
    client, bins = train.client, settings["max_bin"]
    settings = {name: value for name, value in settings.items() if name != "nthread"}  # each worker has its own
    data = dask_xgboost.DaskQuantileDMatrix(
        client, train.X, train.y, weight=train.weight, missing=np.nan, max_bin=bins
    )
    callbacks: list[Any] = [UntilLate(seconds)]
    evals = []
    if valid is not None:
        arrays = [None if a is None else da.from_array(a, chunks=-1) for a in (valid.X, valid.y, valid.weight)]
        X, y, weight = (None if a is None else client.persist(a) for a in arrays)
        held_out = dask_xgboost.DaskQuantileDMatrix(client, X, y, weight=weight, missing=np.nan, max_bin=bins, ref=data)
        evals = [(held_out, "valid")]
        callbacks.append(xgboost.callback.EarlyStopping(
            patience(settings["learning_rate"]), metric_name=settings["eval_metric"], data_name="valid", save_best=True
        ))  # fmt: skip
    try:
        found = dask_xgboost.train(client, settings, data, n_rounds, evals=evals, verbose_eval=False,
                                   callbacks=callbacks)  # fmt: skip
    except (xgboost.core.XGBoostError, RuntimeError) as error:
        raise FitError(f"XGBoost refused: {error}") from error
    return found["booster"]
