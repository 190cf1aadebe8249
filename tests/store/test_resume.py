"""A run that goes on: with its own table or the user's, from an older format, within a disk allowance."""

import json
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLClassifier, AutoMLRegressor
from tabwright.errors import OptionError, RunError
from tabwright.store.journal import Journal
from tabwright.store.run_dir import FORMAT, RunDir

ASSETS = Path(__file__).parents[1] / "assets"


def data(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.normal(size=rows), "b": rng.choice(["x", "y", "z"], rows)})
    frame["c"] = rng.normal(size=rows)
    frame["y"] = 2 * frame["a"] + (frame["b"] == "x") + 0.1 * rng.normal(size=rows)
    return frame


def fitted(path, frame, **options):
    options = {"max_runtime_secs": None, "max_models": 3, "nfolds": 3, "n_jobs": 2} | options
    families = ["linear", "lightgbm"]
    made = AutoMLRegressor(include_families=families, progress=False, export_checkpoints_dir=path, **options)
    return made.fit(frame, target="y")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("finished") / "run"
    fitted(path, data())
    return path


@pytest.fixture
def run(finished, tmp_path):
    """A copy of a finished run of three candidates, whose last one has lost a fold: a resume has something to do."""
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "folds" / "lightgbm_2.1.tw").unlink()
    return tmp_path / "run"


def resume(run, **options):
    return AutoMLRegressor.resume(run, progress=False, **options)


def ok_folds(run):
    journal = RunDir(run).read_journal()
    return [(f.model_id, f.fold) for f in journal.folds() if f.status == "ok"]


def test_resume_needs_no_data_and_takes_the_same(run, finished, tmp_path):
    expected = AutoMLRegressor.open(finished).predict(data())
    data().to_csv(tmp_path / "moved.csv", index=False)
    made = resume(run, data=tmp_path / "moved.csv")
    assert ok_folds(run) == [*ok_folds(finished), ("lightgbm_2", 1)]
    np.testing.assert_array_equal(made.predict(data()), expected)


def altered(what):
    frame = data()
    if what == "rows":
        return frame.head(390)
    if what == "column":
        return frame.drop(columns="a")
    if what == "number":
        frame.loc[7, "a"] += 1.0
    if what == "text":
        frame.loc[7, "b"] = "w"
    if what == "target":
        frame.loc[7, "y"] += 1.0
    if what == "kind":
        frame["a"] = "text"
    return frame


@pytest.mark.parametrize(("what", "reason"), [
    ("rows", "390 rows with a target and not 400"), ("column", "lacks column 'a'"), ("number", "column 'a' has other"),
    ("text", "column 'b' has other"), ("target", "target has other values"), ("kind", "Column 'a'"),
])  # fmt: skip
def test_other_data_is_refused_with_the_reason(what, reason, run):
    before = ok_folds(run)
    with pytest.raises(RunError, match="not the table of the run") as caught:
        resume(run, data=altered(what))
    assert reason in str(caught.value)
    assert ok_folds(run) == before


@pytest.mark.parametrize("damage", ["absent", "altered", "cut", "target"])
def test_a_lost_table_is_asked_for_and_made_anew(damage, run):
    numbers = run / "table" / "numbers.npy"
    content = bytearray(numbers.read_bytes())
    if damage == "absent":
        shutil.rmtree(run / "table")
    elif damage == "altered":
        content[-1] ^= 1
        numbers.write_bytes(bytes(content))
    elif damage == "cut":
        numbers.write_bytes(content[:200])
    else:
        (run / "target.y.npy").unlink()
    with pytest.raises(RunError, match="give the table again"):
        resume(run)
    made = resume(run, data=data())
    assert ok_folds(run)[-1] == ("lightgbm_2", 1)
    assert np.isfinite(made.predict(data())).all()
    with pytest.warns(UserWarning, match="nothing to do"):
        resume(run)  # and now the run has its own again


def test_extra_secs_is_blamed_under_its_own_name(run):
    for wrong in (-1, 0, "x"):
        with pytest.raises(OptionError, match="extra_secs"):
            resume(run, extra_secs=wrong)


def test_a_finished_run_says_why_there_is_nothing_to_do(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    with pytest.warns(UserWarning, match="all 3 of max_models=3 candidates had been finished"):
        resume(tmp_path / "run")


def test_a_second_process_is_refused(run):
    holder = RunDir.open(run)
    holder.acquire()
    with pytest.raises(RunError, match="Another process works"):
        resume(run)
    holder.release()


# --- older formats ------------------------------------------------------------------------------------------------


@pytest.fixture
def format_1(tmp_path):
    """A run that a program of format 1 began and that was killed: its journal's log is not yet merged."""
    with zipfile.ZipFile(ASSETS / "run-format-1.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path


def test_format_1_is_read_as_it_stands(format_1):
    before = {p: p.read_bytes() for p in sorted(format_1.rglob("*")) if p.is_file()}
    frame = pd.read_csv(format_1 / "table.csv")
    made = AutoMLClassifier.open(format_1 / "run")
    np.testing.assert_allclose(made.predict_proba(frame), np.load(format_1 / "expected.npy"), rtol=1e-12)
    assert len(RunDir(format_1 / "run").read_journal().folds()) == 7
    assert {p: p.read_bytes() for p in sorted(format_1.rglob("*")) if p.is_file()} == before


def allow_four(run):
    """Let a run that has begun three candidates end with the next one, not with its time."""
    stored = json.loads((run / "run.json").read_text())
    stored["config"]["max_models"] = 4
    (run / "run.json").write_text(json.dumps(stored))


def test_format_1_goes_on_in_todays_format(format_1):
    run = format_1 / "run"
    allow_four(run)
    before = ok_folds(run)
    made = AutoMLClassifier.resume(run, progress=False, data=format_1 / "table.csv")
    after = ok_folds(run)
    assert after[: len(before)] == before and len(set(after)) == len(after) > len(before)
    assert json.loads((run / "run.json").read_text())["format"] == FORMAT
    assert made.leader.members
    frame = pd.read_csv(format_1 / "table.csv")
    frame.loc[3, "colour"] = "red" if frame.loc[3, "colour"] == "blue" else "blue"
    with pytest.raises(RunError, match="column 'colour' has other values"):
        AutoMLClassifier.resume(run, 5, progress=False, data=frame)


def test_an_upgrade_that_was_broken_off_is_repeated(format_1):
    run = format_1 / "run"
    allow_four(run)
    Journal(run / "journal.sqlite").close()  # only the journal has been upgraded
    AutoMLClassifier.resume(run, progress=False)
    assert RunDir.open(run).config()["format"] == FORMAT


def test_a_damaged_run_of_format_1_is_refused(format_1):
    (format_1 / "run" / "table" / "index_0.npy").unlink()
    with pytest.raises(RunError, match="format 1, and its table is missing"):
        AutoMLClassifier.resume(format_1 / "run", 4, progress=False)


def test_a_newer_format_is_refused(run):
    config = json.loads((run / "run.json").read_text()) | {"format": FORMAT + 1}
    (run / "run.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match=f"format {FORMAT + 1}, and this version reads up to {FORMAT}.*newer tabwright"):
        resume(run)


# --- disk -----------------------------------------------------------------------------------------------------------


def test_disk_use_stays_bounded_and_nothing_that_leads_is_lost(tmp_path):
    frame = data(900)
    frame["y"] += np.random.default_rng(1).normal(size=900)  # of which boosting has soon learned all that there is
    free = fitted(tmp_path / "free", frame, max_models=6)
    size = RunDir(tmp_path / "free").size_mib()
    limit = 0.9 * size
    made = fitted(tmp_path / "bound", frame, max_models=6, max_disk_mib=limit)
    run = RunDir(tmp_path / "bound")
    journal = run.read_journal()
    assert run.size_mib() <= limit
    assert journal.discarded()
    assert len(made.leaderboard()) == len(free.leaderboard())  # those removed stay on the board
    assert made.leaderboard("all").model_id.tolist() == made.leaderboard().model_id.tolist()
    leading = {m.model_id for m in made.leader.members}
    assert leading and not leading & set(journal.discarded())
    again = AutoMLRegressor.open(tmp_path / "bound")
    np.testing.assert_array_equal(again.predict(frame), made.predict(frame))
    before = ok_folds(tmp_path / "bound")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        resumed = resume(tmp_path / "bound")
    assert ok_folds(tmp_path / "bound") == before  # what was removed is not fitted again
    np.testing.assert_array_equal(resumed.predict(frame), made.predict(frame))


def test_a_table_that_fills_the_allowance_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"max_disk_mib is 0\.01, and the table alone takes"):
        fitted(tmp_path / "run", data(3000), max_disk_mib=0.01)
