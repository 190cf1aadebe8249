"""An exported file as an MLflow model: a Python function that needs onnxruntime and NumPy, served as any other."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tabwright.errors import MissingExtraError
from tabwright.runtime import Model, load_model
from tabwright.types import Kind

LOADER = "tabwright.tracking.flavour"


class Predictor:
    """What ``mlflow.pyfunc.load_model`` wraps."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, X: Any, params: dict[str, Any] | None = None) -> Any:
        """Predictions of a frame, (n_rows,); probabilities (n_rows, n_classes) with ``params={"proba": True}``."""
        if params and params.get("proba"):
            return self.model.predict_proba(X)
        found = self.model.predict(X)
        return found.tolist() if found.dtype == object else np.asarray(found)


def _load_pyfunc(path: str) -> Predictor:
    """Called by MLflow with the exported file, or the folder that holds it."""
    file = Path(path)
    return Predictor(load_model(next(file.glob("*.onnx")) if file.is_dir() else file))


def save_model(onnx_file: str | Path, path: str | Path) -> None:
    """Write an exported file as a folder in MLflow's model format.

    Parameters
    ----------
    onnx_file : path
        From ``export``.
    path : path
        Folder to make; it must not exist.

    Raises
    ------
    MissingExtraError
        If MLflow is not installed.
    """
    try:
        from mlflow import pyfunc
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
        from mlflow.types.schema import AnyType
    except ImportError:
        raise MissingExtraError("MLflow", "mlflow") from None
    model = load_model(onnx_file)
    # MLflow refuses whole numbers where decimals stand, and the other way round; the file itself takes both
    columns: list[Any] = [ColSpec(AnyType(), c.name, required=False) for c in model.schema.used]  # type: ignore[no-untyped-call]
    options = ParamSchema([ParamSpec("proba", "boolean", False)])
    signature = ModelSignature(inputs=Schema(columns), params=options)
    needed = [f"{name}=={version(name)}" for name in ("tabwright", "numpy", "onnxruntime")]
    pyfunc.save_model(
        str(path), loader_module=LOADER, data_path=str(onnx_file), signature=signature, input_example=_example(model),
        pip_requirements=[*needed, "pandas"], metadata={"tabwright": model.metadata.get("metrics", {})},
    )  # fmt: skip


def _example(model: Model) -> Any:
    """A row of values that the training table held."""
    import pandas as pd

    row: dict[str, Any] = {}
    for column in model.schema.used:
        value = column.example
        row[column.name] = pd.Timestamp(value, unit="s").isoformat() if (
            column.kind is Kind.DATETIME and isinstance(value, float)) else value  # fmt: skip
    return pd.DataFrame([row])
