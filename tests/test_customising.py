"""The parts of docs/customising.md, as a user's package: they pass the suites, run, are stored, exported or refused."""

import pickle
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLRegressor, load_model
from tabwright.errors import NotExportableError, OptionError, RunError

PAGE = Path(__file__).parents[1] / "docs" / "customising.md"
QUICK = {"max_runtime_secs": 60, "max_models": 2, "nfolds": 2, "n_jobs": 1, "progress": False}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The page's files on the path, in this process and in workers."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "my_parts").mkdir()
    (folder / "my_parts" / "__init__.py").write_text("")
    blocks = re.findall(r"```python\n# (my_parts/\w+\.py)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) >= 5
    for name, code in blocks:
        (folder / name).write_text(code)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in [m for m in sys.modules if m.startswith("my_parts")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(400, 4)), columns=list("abcd"))
    frame["y"] = frame["a"] * 2 - frame["b"] + 0.2 * rng.normal(size=400)
    return frame


def test_the_parts_pass_the_suites(package):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "my_parts/test_parts.py"]
    done = subprocess.run(command, cwd=package, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "skipped" not in done.stdout


def test_a_family_is_searched_stored_and_exported(package, frame, tmp_path):
    options = {**QUICK, "max_models": 3, "include_families": ["linear", "my_parts.ridge:RIDGE"]}
    made = AutoMLRegressor(**options, export_checkpoints_dir=tmp_path / "run").fit(frame, target="y")
    board = made.leaderboard()
    assert "ridge_1" in set(board["model_id"]) and (board[board.model_id == "ridge_1"].status == "ok").all()
    again = AutoMLRegressor.open(tmp_path / "run")
    np.testing.assert_array_equal(again.predict(frame), made.predict(frame))
    alone = AutoMLRegressor(**{**QUICK, "include_families": ["my_parts.ridge:RIDGE"], "max_models": 1})
    alone.fit(frame, target="y").export(tmp_path / "m.onnx")
    np.testing.assert_allclose(load_model(tmp_path / "m.onnx").predict(frame), alone.predict(frame), rtol=1e-9)


def test_what_a_file_names_is_only_built_where_the_user_has_named_it(package, frame, tmp_path):
    from tabwright.codec import _USERS

    options = {**QUICK, "include_families": ["my_parts.ridge:RIDGE"], "max_models": 1}
    made = AutoMLRegressor(**options, export_checkpoints_dir=tmp_path / "run").fit(frame, target="y")
    from tabwright.pipeline import CODEC

    data = made.run_dir.joinpath("folds", "ridge_1.0.tw").read_bytes()
    assert "model" in CODEC.loads(data)
    known = dict(_USERS)
    _USERS.clear()
    try:
        with pytest.raises(RunError, match="unknown type 'my_parts"):
            CODEC.loads(data)
    finally:
        _USERS.update(known)


def test_without_onnx_it_runs_and_says_why_it_cant_be_exported(package, frame, tmp_path):
    options = {**QUICK, "include_families": ["my_parts.nearest:NEAREST"], "max_models": 1}
    made = AutoMLRegressor(**options, export_checkpoints_dir=tmp_path / "run").fit(frame, target="y")
    assert made.model_performance(frame[list("abcd")], frame["y"])["r2"] > 0.6
    assert made.leaderboard("all")["latency_p50_us"].isna().all()
    with pytest.raises(NotExportableError, match="has no ONNX form"):
        made.export(tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()
    assert "a" in made.explain(max_evaluations=500, max_rows=60).importance["columns"].iloc[0]
    assert made.predict_interval(frame[list("abcd")]).shape == (400, 2)
    assert made.report(tmp_path / "r.html", max_rows=60, max_evaluations=500).exists()


def test_a_metric_and_a_splitter(package, frame, tmp_path):
    from my_parts.blocks import Blocks
    from my_parts.pinball import pinball90

    options = {**QUICK, "nfolds": Blocks(4), "include_families": ["linear"], "max_models": 1,
               "sort_metric": "my_parts.pinball:PINBALL90"}  # fmt: skip
    made = AutoMLRegressor(**options, export_checkpoints_dir=tmp_path / "run").fit(frame, target="y")
    problem = made._finished.problem
    assert [rows.tolist() for rows in problem.valid] == [list(range(k, k + 100)) for k in (0, 100, 200, 300)]
    board = made.leaderboard().set_index("model_id")
    out_of_fold = made._finished.out_of_fold(made.leader)[:, 0]
    assert board.loc["linear_1", "score"] == pytest.approx(pinball90(frame["y"].to_numpy(), out_of_fold), rel=0.05)
    assert len(AutoMLRegressor.open(tmp_path / "run").leaderboard()) == len(board)
    assert np.array_equal(pickle.loads(pickle.dumps(made)).predict(frame), made.predict(frame))


def test_a_metric_that_fails_is_named_before_anything_is_fitted(package, frame):
    options = {**QUICK, "include_families": ["linear"], "sort_metric": "my_parts.broken:BROKEN"}
    broken = "from dataclasses import replace\nfrom my_parts.pinball import PINBALL90\n"
    (package / "my_parts" / "broken.py").write_text(broken + "BROKEN = replace(PINBALL90, score=lambda y, p, w: p)\n")
    with pytest.raises(OptionError, match=r"sort_metric is 'my_parts.broken:BROKEN', which fails with \w+Error: "):
        AutoMLRegressor(**options).fit(frame, target="y")


@pytest.fixture(scope="module")
def curved():
    """Only the root of ``a`` is linear in the target."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": 100 * rng.uniform(size=400) ** 2, "shop": rng.choice(["x", "y"], 400)})
    frame["y"] = np.sqrt(frame["a"]) + (frame["shop"] == "x") + 0.01 * rng.normal(size=400)
    return frame


def test_a_transformer_is_a_feature_of_every_family_stored_and_exported(package, curved, tmp_path):
    options = {**QUICK, "include_families": ["linear", "lightgbm"], "transformers": ["my_parts.roots:ROOTS"]}
    made = AutoMLRegressor(**options, export_checkpoints_dir=tmp_path / "run").fit(curved, target="y")
    plain = AutoMLRegressor(**{**options, "transformers": None}).fit(curved, target="y")
    scores = [m.leaderboard().set_index("model_id").loc["linear_1", "score"] for m in (made, plain)]
    assert scores[0] < 0.3 * scores[1]
    for member in made.leader.members:
        assert "root of a" in member.folds[0].features.names
    again = AutoMLRegressor.open(tmp_path / "run")
    np.testing.assert_array_equal(again.predict(curved), made.predict(curved))
    made.export(tmp_path / "m.onnx")
    np.testing.assert_allclose(load_model(tmp_path / "m.onnx").predict(curved), made.predict(curved), rtol=1e-9)


def test_a_transformer_without_onnx_runs_and_is_named_by_the_export(package, curved, tmp_path):
    source = (package / "my_parts" / "roots.py").read_text()
    cut = re.sub(r"    def to_onnx.*?\n\n\n", "\n", source, flags=re.DOTALL).replace("FittedRoots", "FittedPlainRoots")
    (package / "my_parts" / "plain_roots.py").write_text(cut)
    options = {**QUICK, "max_models": 1, "include_families": ["linear"], "transformers": ["my_parts.plain_roots:ROOTS"]}
    made = AutoMLRegressor(**options, export_checkpoints_dir=tmp_path / "run").fit(curved, target="y")
    assert made.model_performance(curved, "y")["r2"] > 0.99
    assert made.leaderboard("all")["latency_p50_us"].isna().all()
    with pytest.raises(NotExportableError, match="transformer 'FittedPlainRoots' has no ONNX form"):
        made.export(tmp_path / "m.onnx")
    assert made.report(tmp_path / "r.html", max_rows=60, max_evaluations=500).exists()


def test_a_search_space_of_ones_own_is_what_is_searched(package, frame, tmp_path):
    options = {**QUICK, "max_models": 4, "include_families": ["my_parts.shallow:SHALLOW"]}
    made = AutoMLRegressor(**options, export_checkpoints_dir=tmp_path / "run").fit(frame, target="y")
    found = [e.candidate for e in made._finished.state.finished()]
    assert len(found) >= 2 and {c.family for c in found} == {"my_parts.shallow:SHALLOW"}
    for candidate in found:
        space = {k: v for k, v in candidate.params.items() if k != "features"}
        assert set(space) == {"num_leaves", "learning_rate", "max_bin"}
        assert 2 <= space["num_leaves"] <= 8 and space["max_bin"] == 63
    made.export(tmp_path / "m.onnx")


@pytest.mark.parametrize("name", ["my_parts.roots:NONE", "no_such.module:X", "nothing", "my_parts.ridge:RIDGE"])
def test_transformers_that_are_none_are_named(package, frame, name):
    with pytest.raises(OptionError, match="transformers"):
        AutoMLRegressor(**{**QUICK, "transformers": [name]}).fit(frame, target="y")
    with pytest.raises(OptionError, match="give a list"):
        AutoMLRegressor(**{**QUICK, "transformers": "my_parts.roots:ROOTS"}).fit(frame, target="y")


@pytest.mark.parametrize(("parts", "told"), [
    ([], "no folds"), ([([0, 1], [])], "no folds"), ([([0], [999])], "beyond the 400"),
    ([([0], [1]), ([2], [1])], "twice"), ([([0, 1], [1])], "twice"),
])  # fmt: skip
def test_odd_splitters_are_named(frame, parts, told):
    class Odd:
        def split(self, X, y=None, groups=None):
            return iter(parts)

    with pytest.raises(OptionError, match=told):
        AutoMLRegressor(**{**QUICK, "nfolds": Odd()}).fit(frame, target="y")


def test_parts_of_installed_packages_go_by_their_own_names(package, monkeypatch):
    from tabwright import plugins
    from tabwright.features.recipe import encoder
    from tabwright.metrics import find_metric
    from tabwright.models import family
    from tabwright.types import Task

    points = {plugins.FAMILIES: EntryPoint("ridge", "my_parts.ridge:RIDGE", plugins.FAMILIES),
              plugins.METRICS: EntryPoint("pinball90", "my_parts.pinball:PINBALL90", plugins.METRICS)}  # fmt: skip
    points[plugins.TRANSFORMERS] = EntryPoint("roots", "my_parts.roots:ROOTS", plugins.TRANSFORMERS)
    found = {(group, point.name): [point] for group, point in points.items()}
    monkeypatch.setattr(plugins, "entry_points", lambda group, name: found.get((group, name), []))
    assert family("ridge").title == "Ridge regression"
    assert encoder("roots").name == "roots" and encoder("numbers").name == "numbers"
    assert find_metric("pinball90", Task.REGRESSION).unit == "target"
    with pytest.raises(OptionError, match="does not score binary"):
        find_metric("pinball90", Task.BINARY)
    with pytest.raises(OptionError, match="can't be imported"):
        find_metric("no_such_module:X", Task.BINARY)
    with pytest.raises(OptionError, match="is no tabwright"):
        find_metric("my_parts.ridge:RIDGE", Task.REGRESSION)
