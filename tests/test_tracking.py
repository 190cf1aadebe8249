"""Runs told to a real MLflow server on loopback, and servers that fail or hang."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLClassifier, AutoMLRegressor, load_model, tracking
from tabwright.cli.main import main
from tabwright.errors import OptionError

QUICK = {"max_runtime_secs": 60, "max_models": 2, "include_families": ["lightgbm", "linear"], "nfolds": 2,
         "progress": False}  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning",
                                        "ignore:.*Any type hint.*:UserWarning")  # fmt: skip


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def begin(command, health, log, seconds=180, **environment):
    with log.open("wb") as out:
        settings = os.environ | environment
        process = subprocess.Popen(command, stdout=out, stderr=out, env=settings, start_new_session=True)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(health, timeout=2).status_code == 200:
                return process
        except httpx.HTTPError:
            time.sleep(0.3)
    os.killpg(process.pid, signal.SIGKILL)
    raise AssertionError(log.read_text())


def end(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
               "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination",
               str(folder / "artefacts")]  # fmt: skip
    process = begin(command, f"http://127.0.0.1:{port}/health", folder / "server.log")
    yield f"http://127.0.0.1:{port}"
    end(process)


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=300), "shop": rng.choice(["x", "y"], 300), "n": rng.integers(0, 9, 300)})
    frame["price"] = 3 * frame["a"] + (frame["shop"] == "x") + 0.1 * rng.normal(size=300)
    return frame


def version_of(server, name, number):
    import mlflow

    mlflow.set_tracking_uri(server)
    mlflow.set_registry_uri(server)
    return mlflow.tracking.MlflowClient(server).get_model_version(name, number)


@pytest.fixture(scope="module")
def told(server, frame, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "prices"
    tracking.wait(60)  # for what other tests' runs have left, such as servers that never answered
    made = AutoMLRegressor(**QUICK, tracking=server, export_checkpoints_dir=folder)
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("TABWRIGHT_REGISTER_AS", "prices")
        warnings.simplefilter("ignore", UserWarning)  # a loaded machine may be slower than two small fits
        made.fit(frame, target="price")
    assert tracking.wait(120), (folder / "tracking.log").read_text()
    return made


def test_the_run_tree_holds_what_the_run_holds(server, told):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(server)
    experiment = client.get_experiment_by_name("tabwright")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    children = {r.info.run_name: r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id}
    board = told.leaderboard().set_index("model_id")
    assert set(children) == set(board.index) - {"ensemble", "constant"}
    assert parent.info.status == "FINISHED" and {c.info.status for c in children.values()} == {"FINISHED"}
    assert parent.data.params["max_models"] == "2" and parent.data.tags["task"] == "regression"
    assert parent.data.metrics["leader_rmse"] == pytest.approx(told._finished.metrics["rmse"])
    assert len(client.get_metric_history(parent.info.run_id, "rmse")) >= 1
    child = children["lightgbm_1"]
    assert len(client.get_metric_history(child.info.run_id, "fold_rmse")) == 2
    assert float(child.data.params["learning_rate"]) > 0 and child.data.tags["family"] == "lightgbm"
    files = {f.path for f in client.list_artifacts(parent.info.run_id)}
    assert {"leaderboard.csv", "model_card.md", "model"} <= files


def test_the_model_is_an_mlflow_model_and_is_served(server, told, frame, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    mlflow.set_tracking_uri(server)
    run_id = mlflow.tracking.MlflowClient(server).search_runs(
        [mlflow.get_experiment_by_name("tabwright").experiment_id], "attributes.status = 'FINISHED'"
    )
    parent = next(r.info.run_id for r in run_id if "mlflow.parentRunId" not in r.data.tags)
    local = mlflow.artifacts.download_artifacts(f"runs:/{parent}/model", dst_path=str(tmp_path))
    rows = frame.drop(columns=["price"]).head(20)
    expected = told.predict(rows)
    np.testing.assert_allclose(mlflow.pyfunc.load_model(local).predict(rows), expected, rtol=1e-9)
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", local, "--env-manager", "local", "--host",
               "127.0.0.1", "--port", str(port)]  # fmt: skip
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = begin(command, f"http://127.0.0.1:{port}/ping", tmp_path / "serve.log", PATH=path)
    try:
        body = {"dataframe_split": rows.to_dict(orient="split")}
        answer = httpx.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        np.testing.assert_allclose(answer.json()["predictions"], expected, rtol=1e-9)
    finally:
        end(process)


def test_a_tracked_runs_leader_is_registered(server, told, frame):
    import mlflow

    made = version_of(server, "prices", 1)
    assert made.status == "READY" and made.tags["tabwright.target"] == "price"
    assert "# " in made.description  # the model card
    rows = frame.drop(columns=["price"]).head(20)
    loaded = mlflow.pyfunc.load_model("models:/prices/1")
    np.testing.assert_allclose(loaded.predict(rows), told.predict(rows), rtol=1e-9)


def test_an_export_is_registered_as_the_next_version(server, told, frame, tmp_path, capsys):
    import mlflow

    version_of(server, "prices", 1)
    command = ["export", str(told.run_dir), "--out", str(tmp_path / "m.onnx"), "--tracking", server, "--register"]
    assert main([*command, "prices"]) == 0
    assert "version 2 of the registered model 'prices'" in capsys.readouterr().out
    made = version_of(server, "prices", 2)
    assert made.tags["tabwright.sha256"] == load_model(tmp_path / "m.onnx").sha256
    run = mlflow.tracking.MlflowClient(server).get_run(made.run_id)
    assert run.info.status == "FINISHED" and run.data.metrics["leader_rmse"] == told._finished.metrics["rmse"]
    rows = frame.drop(columns=["price"]).head(20)
    loaded = mlflow.pyfunc.load_model("models:/prices/2")
    np.testing.assert_allclose(loaded.predict(rows), told.predict(rows), rtol=1e-9)
    assert main([*command, "other"]) == 0 and version_of(server, "other", 1).status == "READY"
    assert main([*command, "a/b:c"]) == 2
    assert "register" in capsys.readouterr().err


def test_registering_where_nothing_answers_is_told(told, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    told.export(tmp_path / "m.onnx")
    with pytest.raises(OptionError, match=r"can't be done at http://127\.0\.0\.1"):
        tracking.register(tmp_path / "m.onnx", "prices", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(OptionError, match="no tracking address"):
        tracking.register(tmp_path / "m.onnx", "prices", "ftp://x")


def test_classes_and_probabilities_by_the_flavour(frame, tmp_path):
    import mlflow

    from tabwright.tracking.flavour import save_model

    y = np.where(frame["price"] > 0.5, "dear", "cheap")
    made = AutoMLClassifier(**{**QUICK, "max_models": 1}).fit(frame[["a", "shop", "n"]], y)
    made.export(tmp_path / "m.onnx")
    save_model(tmp_path / "m.onnx", tmp_path / "model")
    shutil.rmtree(tmp_path / "m.onnx", ignore_errors=True)
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    rows = frame[["a", "shop", "n"]].head(9)
    assert list(model.predict(rows)) == list(made.predict(rows))
    np.testing.assert_allclose(model.predict(rows, params={"proba": True}), made.predict_proba(rows))
    assert load_model(next((tmp_path / "model").rglob("*.onnx"))).schema.target == made.schema.target


@pytest.mark.parametrize("kind", ["refused", "hangs", "faulty"])
def test_a_bad_server_costs_one_warning_and_no_time(kind, frame, tmp_path):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{listening.getsockname()[1]}"
        if kind == "hangs":
            listening.listen(64)  # takes connections and never answers
        if kind == "faulty":
            uri = f"sqlite:///{tmp_path}/no/such/folder/m.db"
        made = AutoMLRegressor(**QUICK, tracking=uri, export_checkpoints_dir=tmp_path / "run")
        with pytest.warns(UserWarning, match="not tracked|not answered") as caught:
            made.fit(frame, target="price")
        assert len([w for w in caught if "track" in str(w.message)]) == 1
        assert made.predict(frame.head(3)).shape == (3,) and len(made.leaderboard()) >= 3
    for follower in list(tracking.follower._LIVE):
        follower.stop()
        tracking.follower._LIVE.discard(follower)


def test_odd_addresses_are_named():
    for odd in ("nonsense", "ftp://x", 5, "http"):
        with pytest.raises(OptionError, match="no tracking address"):
            AutoMLRegressor(**QUICK, tracking=odd).fit([[1.0], [2.0]], [1.0, 2.0])
