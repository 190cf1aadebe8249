"""Faults are real here: a segfault, endless allocation, endless sleep, exceptions, a worker killed from outside."""

import os
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest

from tabwright import AutoMLRegressor, load_model
from tabwright.engine import local
from tabwright.engine.local import LocalEngine
from tabwright.errors import RunError

FAULTY = "tabwright.testing.faulty"


def data(rows=300):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(rows, 4)), columns=list("abcd"))
    return X, X["a"] * 2 + X["b"] + rng.normal(size=rows) * 0.1


def fit(faults, **options):
    options = {"max_runtime_secs": 60, "nfolds": 3, "n_jobs": 2, "progress": False} | options
    return AutoMLRegressor(include_families=[*faults, "linear"], **options).fit(*data())


def n_folds(search, model_id):
    """How many folds of a candidate are fitted."""
    return len(search.state.entries[model_id].scores) if model_id in search.state.entries else 0


def is_late(search):
    """Whether only the last fold of LATE, which never ends, is still fitted."""
    return n_folds(search, "late_1") == 2 and ("late_1", 2) in {job.key for job in search.engine.running()}


@pytest.mark.parametrize(("fault", "status", "reason"), [
    ("SEGFAULT", "crashed", "ended with code -11"),
    ("RAISE", "failed", "ZeroDivisionError: one over nothing"),
    ("UNFIT", "failed", "this data can't be fitted"),
    ("NAN", "failed", "not finite"),
])  # fmt: skip
def test_a_failing_family_is_an_entry_in_the_ledger(fault, status, reason):
    aml = fit([f"{FAULTY}:{fault}"], max_models=4)
    ledger = aml.failures()
    assert set(ledger.status) == {status}
    assert reason in ledger.reason.iloc[0]
    assert aml.leader.members[0].family == "linear"


def test_a_family_that_sleeps_for_ever_is_killed_at_its_limit():
    began = time.monotonic()
    aml = fit([f"{FAULTY}:SLEEP"], max_runtime_secs=None, max_runtime_secs_per_model=4.0, max_models=3)
    assert set(aml.failures().status) == {"timeout"}
    assert aml.leader.members and time.monotonic() - began < 60.0


def test_a_family_that_allocates_without_end_is_killed_at_the_memory_limit():
    aml = fit([f"{FAULTY}:ALLOCATE"], max_memory_mib=1600, max_models=3, max_runtime_secs=None)  # no time, no timeout
    ledger = aml.failures()
    assert set(ledger.status) == {"memory"}
    assert "MiB" in ledger.reason.iloc[0]
    assert aml.leader.members


def test_a_worker_killed_from_outside_costs_only_its_fold(monkeypatch):
    submit = LocalEngine.submit

    def submit_and_kill(engine, job):
        submit(engine, job)
        if job.key == ("slow_1", 1):
            next(w for w in engine._workers if w.job is job).process.kill()

    monkeypatch.setattr(LocalEngine, "submit", submit_and_kill)
    aml = fit([f"{FAULTY}:SLOW"], max_models=4)
    assert aml.failures().set_index("model_id").status.to_dict() == {"slow_1": "crashed"}
    assert len(aml._finished.state.finished()) == 3
    assert np.isfinite(aml.predict(data()[0])).all()


def test_a_candidate_with_one_fold_leads_where_none_has_them_all(tmp_path, time_over):
    X, y = data()
    time_over(lambda search: n_folds(search, "stall_1") == 1)
    aml = AutoMLRegressor(max_runtime_secs=60, include_families=[f"{FAULTY}:STALL"], progress=False, n_jobs=2, nfolds=3,
                          export_checkpoints_dir=tmp_path / "run")  # fmt: skip
    with pytest.warns(UserWarning, match="the leader is judged by the first one alone"):
        aml.fit(X, y)
    assert aml.leader.members and aml._finished.problem.n_folds == 1
    assert np.corrcoef(aml.predict(X), y)[0, 1] > 0.9
    again = AutoMLRegressor.open(tmp_path / "run")
    np.testing.assert_array_equal(again.predict(X), aml.predict(X))
    assert again.leaderboard().iloc[0].model_id == aml.leaderboard().iloc[0].model_id == "stall_1"


def test_a_candidate_that_lacks_its_last_fold_counts_by_the_others_where_that_is_better(tmp_path, time_over):
    X, y = data(240)  # too few for a fold to stop a candidate
    time_over(lambda search: is_late(search) and "knn" in {e.candidate.family for e in search.state.finished()})
    aml = AutoMLRegressor(max_runtime_secs=60, include_families=["knn", f"{FAULTY}:LATE"], progress=False, n_jobs=2,
                          nfolds=3, export_checkpoints_dir=tmp_path / "run").fit(X, y)  # fmt: skip
    assert aml._finished.problem.n_folds == 2
    assert aml.leaderboard().iloc[0].model_id == "late_1" and aml.leaderboard().model_id.str.startswith("knn").any()
    assert len(aml.leader.members[0].folds) == 2
    assert np.corrcoef(aml.predict(X), y)[0, 1] > 0.99  # knn alone has less
    again = AutoMLRegressor.open(tmp_path / "run")
    np.testing.assert_array_equal(again.predict(X), aml.predict(X))
    assert again.leaderboard().model_id.tolist() == aml.leaderboard().model_id.tolist()
    assert load_model(aml.export(tmp_path / "model.onnx").path).predict(X) == pytest.approx(aml.predict(X), rel=1e-6)
    stored = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(RunError, match="This is not the table"):
        AutoMLRegressor.resume(tmp_path / "run", data=X.assign(target=y[::-1].to_numpy()))
    assert (tmp_path / "run" / "run.json").read_bytes() == stored
    # a run that goes on has all three again, until the time is over once more
    later = AutoMLRegressor.resume(tmp_path / "run")._finished
    assert later.problem.n_folds == 2 and later.run.config()["made_folds"] == 3


def test_as_many_folds_count_as_the_best_candidate_has_where_none_has_them_all(time_over):
    X, y = data()
    time_over(is_late)
    with pytest.warns(UserWarning, match="the leader is judged by the first 2;"):
        aml = AutoMLRegressor(max_runtime_secs=60, include_families=[f"{FAULTY}:LATE"], progress=False, n_jobs=2,
                              nfolds=3).fit(X, y)  # fmt: skip
    assert aml._finished.problem.n_folds == len(aml.leader.members[0].folds) == 2
    assert np.corrcoef(aml.predict(X), y)[0, 1] > 0.9


def test_fewer_folds_are_no_harm_where_limits_were_looked_at_before(time_over):
    X, y = data()
    time_over(lambda search: n_folds(search, "stall_1") == 1, 3.0)  # near the end a free worker has limits looked at
    time_over(lambda search: "frontier" in vars(search))
    with pytest.warns(UserWarning, match="the leader is judged by"):
        aml = AutoMLRegressor(max_runtime_secs=60, include_families=[f"{FAULTY}:STALL"], progress=False, n_jobs=3,
                              nfolds=3, constraints={"latency_us": 5000}).fit(X, y)  # fmt: skip
    assert np.corrcoef(aml.predict(X), y)[0, 1] > 0.9


def test_a_late_candidate_that_is_no_better_changes_nothing(time_over):
    X, y = data()
    time_over(lambda search: is_late(search) and search.state.finished())
    aml = AutoMLRegressor(max_runtime_secs=60, include_families=["linear", f"{FAULTY}:LATE"], progress=False, n_jobs=2,
                          nfolds=3).fit(X, y)  # fmt: skip
    assert aml._finished.problem.n_folds == 3
    board = aml.leaderboard().set_index("model_id")
    assert board.status["late_1"] != "ok"


def test_when_everything_fails_it_is_said_and_the_trivial_model_predicts():
    X, y = data()
    aml = AutoMLRegressor(max_runtime_secs=60, max_models=2, include_families=[f"{FAULTY}:RAISE"], progress=False)
    with pytest.warns(UserWarning, match="No candidate beats a constant"):
        aml.fit(X, y)
    np.testing.assert_allclose(aml.predict(X), y.mean())


def test_no_process_is_left_behind():
    fit([], max_models=2)
    time.sleep(0.2)
    running = [c for c in psutil.Process(os.getpid()).children() if c.status() != psutil.STATUS_ZOMBIE]
    assert [c for c in running if "tabwright.engine.worker" in " ".join(c.cmdline())] == []


FULL = """
import resource, sys, warnings
import numpy as np, pandas as pd
from tabwright import AutoMLRegressor, load_model
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))  # the kernel refuses to let any file grow past this
rng = np.random.default_rng(0)
X = pd.DataFrame(rng.normal(size=(1500, 4)), columns=list("abcd"))
y = X["a"] * 2 + X["b"] + rng.normal(size=1500)
aml = AutoMLRegressor(max_runtime_secs=120, max_models=2, nfolds=3, include_families=["extra_trees", "linear"],
                      progress=False)
aml.fit(X, y)
print(aml.failures().reason.iloc[0], [m.family for m in aml.leader.members], np.isfinite(aml.predict(X)).all())
"""


def test_files_that_can_not_be_written_cost_only_their_candidate():
    import subprocess

    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "File too large" in done.stdout
    assert "['linear'] True" in done.stdout


def test_workers_that_take_too_much_memory_together_become_fewer(monkeypatch, tmp_path):
    """No fit is to blame that might have had enough alone: what is ended is fitted again."""
    monkeypatch.setattr(local, "_memory", lambda worker: 50.0 if worker.job is None else 200.0)
    monkeypatch.setattr(local, "MEMORY_CHECK_S", 0.01)
    X, y = data()
    made = AutoMLRegressor(max_runtime_secs=60, max_models=3, n_jobs=2, include_families=["linear", "lightgbm"],
                           progress=False, max_memory_mib=300, export_checkpoints_dir=tmp_path / "run")  # fmt: skip
    made.fit(X, y)
    assert made.failures().empty and len(made._finished.state.finished()) == 3
    ended = [f for f in made._finished.run.read_journal().folds() if f.status == "cancelled"]
    assert ended and all("all workers" in f.reason for f in ended)
