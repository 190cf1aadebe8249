"""The audit of a real run that had failures and was resumed."""

import json
import warnings
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLRegressor
from tabwright.audit import audit
from tabwright.cli.main import main
from tabwright.timeline import page, svg

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(300, 3)), columns=["a", "b<&>", "c"])
    path = tmp_path_factory.mktemp("audit") / "run"
    aml = AutoMLRegressor(
        max_runtime_secs=40, max_models=3, nfolds=3, n_jobs=2, progress=False, export_checkpoints_dir=path,
        include_families=["tabwright.testing.faulty:RAISE", "linear", "lightgbm"],
    )  # fmt: skip
    aml.fit(X, X["a"] + rng.normal(size=300))
    aml.export(path.parent / "model.onnx")
    return path


def test_every_second_has_its_stage(run):
    made = audit(run)
    stages = made.stage_seconds()
    assert min(stages[k] for k in ("reading", "search", "ensembling", "export", "features", "folds")) > 0
    workers = max(made.lanes) + 1
    busy = stages["features"] + stages["folds"] + stages["predict_write"] + stages["lost"]
    assert busy <= workers * stages["search"]
    # what is neither busy nor idle is the way of jobs and outcomes between processes
    assert abs(busy + stages["idle"] - workers * stages["search"]) < 0.35 * workers * stages["search"]


def test_the_three_forms_tell_the_same(run, tmp_path, capsys):
    made = audit(run)
    assert made.killed() and made.killed()[0].reason.startswith("ZeroDivisionError")
    assert main(["audit", str(run), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["folds"]) == len(made.folds) and told["stage_seconds"] == made.stage_seconds()
    assert main(["audit", str(run)]) == 0
    lines = capsys.readouterr().out
    assert "ZeroDivisionError" in lines and "seconds by stage: reading" in lines
    assert main(["audit", str(run), "--out", str(tmp_path / "t.html")]) == 0
    text = (tmp_path / "t.html").read_text("utf-8")
    assert text == page(made) and "ZeroDivisionError" in text
    assert main(["audit", str(run), "--out", str(tmp_path / "t.pdf")]) == 2


def test_the_picture_is_well_formed_and_loads_nothing(run):
    made = audit(run)
    root = ET.fromstring(svg(made))
    name = "{http://www.w3.org/2000/svg}"
    titles = [t.text or "" for t in root.iter(f"{name}title")]
    for f in made.folds:
        assert any(t.startswith(f"{f.model_id} fold {f.fold + 1}: {f.status}") for t in titles)
    assert sum("killed" in (e.get("class") or "") for e in root.iter(f"{name}rect")) == len(made.killed()) + 1  # legend
    for bar in root.iter(f"{name}rect"):
        if bar.get("x"):
            assert float(bar.get("x")) >= 0 and float(bar.get("x")) + float(bar.get("width")) <= 1180
    assert "http" not in page(made).replace("http://www.w3.org/2000/svg", "")


def test_a_pause_between_sessions_takes_no_room(run):
    made = audit(run)
    before = made.run_seconds(float("inf"))
    later = [f.started + 86_400 for f in made.folds]
    import dataclasses

    moved = dataclasses.replace(made, sessions=(*made.sessions, (min(later), max(later) + 1.0)))
    assert moved.run_seconds(float("inf")) == pytest.approx(before + max(later) + 1.0 - min(later))


def test_a_run_of_format_1_has_lanes_too(tmp_path):
    with zipfile.ZipFile(HERE / "assets" / "run-format-1.zip") as archive:
        archive.extractall(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = audit(tmp_path / "run")
    assert len(made.folds) == 7 and set(made.lanes) <= {0, 1}
    ET.fromstring(svg(made))
