"""What an image is made of: its install steps in a fresh environment, its entry point, and the files around it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml
from serving import ROW, SUMS, serving

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TRAINING = {"pandas", "scikit-learn", "lightgbm", "catboost", "xgboost-cpu", "onnx", "scipy", "pyarrow", "optuna"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The image's virtual environment, made by the image's own steps."""
    folder = tmp_path_factory.mktemp("image") / "env"
    subprocess.run(["sh", "deploy/install.sh", str(folder)], check=True, cwd=ROOT, capture_output=True, timeout=280)
    return folder


def test_it_is_small_and_holds_no_training_library(environment):
    size = sum(f.stat().st_size for f in environment.rglob("*") if f.is_file() and not f.is_symlink())
    assert size < 200 * 2**20
    names = {p.name.split("-")[0].replace("_", "-").lower() for p in environment.rglob("*.dist-info")}
    assert {"tabwright", "onnxruntime", "starlette"} <= names
    assert not names & TRAINING


def test_the_entry_point_as_sagemaker_starts_it(environment, models, tmp_path):
    """With the argument ``serve``, no key, and nothing of this checkout on the path."""
    served = tmp_path / "models"
    served.mkdir()
    (served / "sum.onnx").write_bytes((models / "sum.onnx").read_bytes())
    variables = {
        "PATH": f"{environment}/bin:/usr/bin:/bin", "TABWRIGHT_MODELS": str(served), "TABWRIGHT_WORKERS": "2",
        "TABWRIGHT_ALLOW_ANONYMOUS": "1", "AIP_HTTP_PORT": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    command = [str(environment / "bin/container"), "serve"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=variables,
                               cwd="/")  # fmt: skip
    try:
        port = re.search(r":(\d+) ", process.stdout.readline())[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            assert http.post("/invocations", json={"instances": [ROW]}).json() == {"predictions": [SUMS[0]]}
            assert http.get("/ping").status_code == 200
    finally:
        process.terminate()
        assert process.wait(40) == 0
        process.stdout.close()


def test_an_open_server_must_be_asked_for(environment, models):
    variables = {"PATH": f"{environment}/bin:/usr/bin:/bin"}
    command = [str(environment / "bin/container"), str(models)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no API key is asked for" in done.stderr


def test_the_dockerfile_copies_what_is_there():
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    copies = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    copied = [name for names in copies for name in names]
    assert copied and all((ROOT / name).exists() for name in copied)
    assert any(line.startswith("USER 10001") for line in lines)


def test_pins_agree_with_the_projects_own():
    own = {line.lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    pins = [p for p in (DEPLOY / "requirements-serve.txt").read_text().splitlines() if p and not p.startswith("#")]
    assert [pin for pin in pins if pin.lower() not in own] == []


def test_dashboards_and_alerts_ask_for_metrics_that_exist(models):
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert compose["services"]["tabwright"]["read_only"] is True
    for service in compose["services"].values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("./grafana") or source.endswith(".yaml"):
                assert (DEPLOY / source).exists()
    asked = []
    dashboard = json.loads((DEPLOY / "grafana/dashboards/tabwright.json").read_text())
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())
    asked += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    assert yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())["rule_files"] == ["alerts.yaml"]
    with serving(models, "--evaluate-secs", "0.3") as run:
        told = run.post("/models/sum/predict", json=[ROW] * 300).json()
        run.post("/feedback", json=[{"id": i, "outcome": 1.0} for i in told["ids"]])
        run.wait_for(lambda: "tabwright_prediction_drift_js{" in run.get("/metrics").text)
        exposed = set(re.findall(r"^(tabwright_\w+)", run.get("/metrics").text, re.MULTILINE))
    wanted = {name for expression in asked for name in re.findall(r"\btabwright_\w+", expression)}
    assert len(wanted) > 12
    assert wanted - exposed == set()
