"""Exported files as versions of a registered model in MLflow's registry."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabwright.errors import MissingExtraError, OptionError
from tabwright.runtime import Model, load_model
from tabwright.tracking.flavour import save_model
from tabwright.tracking.follower import DEFAULT, check, experiment_name

VARIABLE = "TABWRIGHT_REGISTER_AS"
"""Environment variable: the registered model that a tracked run's leader becomes a version of."""


@dataclass(frozen=True)
class Registered:
    """A version of a registered model."""

    name: str
    version: str
    run_id: str

    def __str__(self) -> str:
        return f"version {self.version} of the registered model {self.name!r} (models:/{self.name}/{self.version})"


def register(onnx_file: str | Path, name: str, tracking: str = DEFAULT) -> Registered:
    """Log an exported file to a tracking server, in a run of its own, and register it there.

    Parameters
    ----------
    onnx_file : path
        From ``export``.
    name : str
        Of the registered model; made if there is none.
    tracking : str
        "mlflow" (where ``MLFLOW_TRACKING_URI`` says), or an address.

    Raises
    ------
    MissingExtraError
        If MLflow is not installed.
    ModelFileError
        If the file is no export.
    OptionError
        If the server can't be reached, or refuses the name.
    """
    check(tracking)
    model = load_model(onnx_file)
    try:
        import mlflow
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError:
        raise MissingExtraError("MLflow", "mlflow") from None
    uri = None if tracking == DEFAULT else tracking
    client: Any = MlflowClient(tracking_uri=uri, registry_uri=uri)
    try:
        experiment = client.get_experiment_by_name(experiment_name())
        where = experiment.experiment_id if experiment else client.create_experiment(experiment_name())
        run_id = client.create_run(where, run_name=name).info.run_id
        for key, value in _figures(model).items():
            client.log_metric(run_id, key, value)
        with tempfile.TemporaryDirectory() as folder:
            save_model(onnx_file, Path(folder) / "model")
            client.log_artifacts(run_id, str(Path(folder) / "model"), "model")
        client.set_terminated(run_id)
        return add_version(client, name, run_id, model)
    except MlflowException as error:
        reason = str(error).strip().split("\n", maxsplit=1)[0][:300]
        address = tracking if uri else mlflow.get_tracking_uri()
        problem = f"can't be done at {address}: {reason}"
        raise OptionError("register", problem, "check the name and the server") from None


def add_version(client: Any, name: str, run_id: str, model: Model) -> Registered:
    """Make what a run holds under ``model`` the next version of a registered model; MlflowException if refused."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
    source = f"{client.get_run(run_id).info.artifact_uri}/model"
    facts = {"task": model.metadata["task"], "target": str(model.schema.target), "sha256": model.sha256}
    tags = {f"tabwright.{key}": str(value) for key, value in facts.items()}
    made = client.create_model_version(name, source, run_id, tags=tags, description=model.card or None)
    return Registered(name, str(made.version), run_id)


def _figures(model: Model) -> dict[str, float]:
    """Validation scores, and what the file was measured to cost."""
    scores = model.metrics.get("validation") or {}
    return {f"leader_{k}": float(v) for k, v in (scores | (model.metadata.get("profile") or {})).items()}
