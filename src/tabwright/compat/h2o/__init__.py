"""H2O's Python module: ``from tabwright.compat import h2o`` instead of ``import h2o``."""

from __future__ import annotations

from typing import Any

from tabwright.compat.h2o import automl
from tabwright.compat.h2o.automl import H2OAutoML, get_leaderboard
from tabwright.compat.h2o.frame import H2OFrame
from tabwright.compat.h2o.model import H2OModel, ModelPerformance


def init(*_positional: Any, **_given: Any) -> None:
    """Nothing is needed: there is no server."""


connect = no_progress = show_progress = remove_all = shutdown = init


def import_file(path: Any = None, destination_frame: Any = None, parse: bool = True, header: int = 0, sep: Any = None,
                col_names: Any = None, col_types: Any = None, **_more: Any) -> H2OFrame:  # fmt: skip
    """Read a file: CSV, Parquet, JSON lines, Excel and more; -1 for ``header`` says that the first line is a row."""
    del destination_frame, parse
    return H2OFrame(path, header=header, separator=sep, column_names=col_names, column_types=col_types)


upload_file = import_file


def get_model(model_id: str) -> H2OModel:
    """A model of the run that was trained last of those that have one of this name."""
    return automl.get_model(model_id)


def explain(models: Any, frame: Any = None, **_more: Any) -> Any:
    """See :meth:`tabwright.AutoMLRegressor.explain`; shown as HTML in a notebook."""
    return models.explain(frame)


def download_model(model: H2OModel, path: str = ".", **_more: Any) -> str:
    return model.download_mojo(path)


save_model = download_model


def as_list(data: H2OFrame, use_pandas: bool = True, header: bool = True) -> Any:
    return data.as_data_frame(use_pandas, header)


__all__ = [
    "H2OAutoML", "H2OFrame", "H2OModel", "ModelPerformance", "as_list", "automl", "connect", "download_model",
    "explain", "get_leaderboard", "import_file", "init", "no_progress", "remove_all", "save_model", "show_progress",
    "shutdown", "upload_file",
]  # fmt: skip
