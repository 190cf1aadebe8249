"""Limits with real faults: a full disk, a folder that can't be written, a clock that jumps, signals in each stage."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLRegressor
from tabwright.errors import RunError
from tabwright.store.run_dir import RunDir


def data(rows=1500):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(rows, 4)), columns=list("abcd"))
    frame["y"] = frame["a"] * 2 + frame["b"] + rng.normal(size=rows)
    return frame


def estimator(path, **options):
    options = {"max_runtime_secs": 60, "max_models": 3, "nfolds": 2, "n_jobs": 2} | options
    return AutoMLRegressor(progress=False, export_checkpoints_dir=path, **options)


@contextlib.contextmanager
def mounted(folder, options):
    """A small file system of its own, where this process may mount one."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "--lazy", folder], check=True)


# --- disk -----------------------------------------------------------------------------------------------------------

FULL = """
import resource, sys, warnings
import numpy as np, pandas as pd
from tabwright import AutoMLRegressor
frame = pd.read_parquet(sys.argv[1])
if sys.argv[3] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))  # the kernel refuses to let any file grow past this
warnings.simplefilter("ignore")
aml = AutoMLRegressor(max_runtime_secs=60, max_models=4, n_jobs=2, include_families=["linear", "extra_trees"],
                      progress=False, export_checkpoints_dir=sys.argv[2])
aml.fit(frame, target="y")
print(set(aml.failures().reason), [m.family for m in aml.leader.members], np.isfinite(aml.predict(frame)).all())
"""


def test_a_full_disk_costs_candidates_and_not_the_leader(tmp_path):
    """A file system of 1.5 MiB where one can be mounted, else a limit on each file's size."""
    data().to_parquet(tmp_path / "table.parquet")
    disk = tmp_path / "disk"
    with mounted(disk, "size=1500k") as small:
        how = "mount" if small else "limit"
        command = [sys.executable, "-c", FULL, tmp_path / "table.parquet", disk / "run", how]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        assert ("No space left on device" if small else "File too large") in done.stdout
        assert "linear" in done.stdout and "True" in done.stdout
        assert not list(disk.rglob("*.tmp"))  # no half-written file keeps what little room there is
        again = AutoMLRegressor.open(disk / "run")  # and what was finished can be opened
        assert np.isfinite(again.predict(data())).all()


def test_a_disk_that_holds_not_even_the_table_is_said_at_once(tmp_path):
    with mounted(tmp_path / "disk", "size=40k") as small:
        if small:
            with pytest.raises(RunError, match=r"can't be written .*(No space|requested and .* written)"):
                estimator(tmp_path / "disk" / "run").fit(data(), target="y")
        else:
            (tmp_path / "disk" / "run").touch()
            with pytest.raises(RunError, match="can't be written"):
                estimator(tmp_path / "disk" / "run").fit(data(), target="y")


READ_ONLY = """
import os, sys
from tabwright import AutoMLRegressor
from tabwright.errors import RunError
import numpy as np, pandas as pd
path = sys.argv[1]
aml = AutoMLRegressor.open(path)
print(len(aml.leaderboard()), len(aml.failures()), float(aml.predict(pd.read_parquet(sys.argv[2])).sum()))
try:
    AutoMLRegressor.resume(path, 5, progress=False)
except RunError as error:
    print(error)
try:
    AutoMLRegressor(export_checkpoints_dir=path + "-new", progress=False).fit(pd.read_parquet(sys.argv[2]), target="y")
except RunError as error:
    print(error)
"""


def _obey_modes():
    """Root may write anywhere by CAP_DAC_OVERRIDE: a child without it obeys the folders' modes as others do."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP; fails, and is not needed, where the user is not root


def test_a_run_that_can_not_be_written_is_read_and_not_resumed(tmp_path):
    data().to_parquet(tmp_path / "table.parquet")
    run = tmp_path / "disk" / "run"
    estimator(run).fit(data(), target="y")
    folders = [tmp_path / "disk", run, *(p for p in run.iterdir() if p.is_dir())]
    files = [p for p in run.rglob("*") if p.is_file()]
    for path in folders + files:
        path.chmod(0o555 if path.is_dir() else 0o444)
    command = [sys.executable, "-W", "ignore", "-c", READ_ONLY, run, tmp_path / "table.parquet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, preexec_fn=_obey_modes)
    for path in folders:
        path.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("can't be written (Permission denied)") == 2, done.stdout
    assert float(done.stdout.split("\n")[0].split()[-1]) != 0.0


# --- time -----------------------------------------------------------------------------------------------------------

JUMPING = """
import random, time
_real, _random = time.time, random.Random(1)
time.time = lambda: _real() + _random.choice([-86400.0, 0.0, 3600.0, 86400.0 * 365])
"""


def test_a_clock_that_jumps_changes_neither_budget_nor_limits(tmp_path, monkeypatch):
    """``time.time`` jumps by hours and years at every call, in the run and in its workers."""
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    data().to_parquet(tmp_path / "table.parquet")
    code = f"""
import time, pandas as pd
assert abs(time.time() - time.time()) + abs(time.time() - time.time()) + abs(time.time() - time.time()) > 60
from tabwright import AutoMLRegressor
start = time.monotonic()
aml = AutoMLRegressor(max_runtime_secs=8, nfolds=2, n_jobs=2, include_families=["linear", "lightgbm"], progress=False,
                      export_checkpoints_dir={str(tmp_path / "run")!r})
aml.fit(pd.read_parquet({str(tmp_path / "table.parquet")!r}), target="y")
print(time.monotonic() - start, len(aml.leader.members))
"""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seconds, members = done.stdout.split()
    assert 5 < float(seconds) < 9.5 and int(members) > 0
    folds = RunDir(tmp_path / "run").read_journal().folds()
    assert all(0 < f.seconds < 8 for f in folds)
    spread = max(f.started + f.seconds for f in folds) - min(f.started for f in folds)
    assert 0 < spread < 10  # the record itself does not jump


# --- signals --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "small.csv"
    data(2000).to_csv(path, index=False)
    return path


HELD = """
import sys, time
from pathlib import Path
from tabwright import automl
from tabwright.cli.main import main
name, sign, *command = sys.argv[1:]
function = getattr(automl, name)

def held(*arguments):
    while not Path(sign).exists():
        time.sleep(0.01)
    return function(*arguments)

setattr(automl, name, held)
sys.exit(main(command))
"""


def start(table, path, *more, held=None):
    """A run by the command line; one that is ``held`` waits in a function until the file ``path.sign`` is there."""
    program = ["-m", "tabwright.cli.main"] if held is None else ["-c", HELD, held, f"{path}.sign"]
    command = [sys.executable, *program, "fit", table, "--target", "y", "--out", path, "--quiet", "--max-runtime-secs",
               "120", *more]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def journal_holds(path, what):
    file = path / "journal.sqlite"
    if not file.exists():
        return False
    with contextlib.suppress(RunError):
        journal = RunDir(path).read_journal()
        return bool(what(journal))
    return False


STAGES = {
    "reading": Path.exists,
    "first fold": lambda path: journal_holds(path, lambda j: j.candidates()),
    "search": lambda path: journal_holds(path, lambda j: j.leaders()),
    "ending": lambda path: journal_holds(path, lambda j: any(kind == "finished" for _, kind, _ in j.events())),
}
HELD_IN = {"reading": "infer_schema", "ending": "_finish"}  # which else are over too soon to be seen


@pytest.mark.parametrize(("stage", "how"), [
    *((stage, signal.SIGTERM) for stage in STAGES), ("search", signal.SIGINT),
    *(pytest.param(stage, signal.SIGINT, marks=pytest.mark.slow) for stage in STAGES if stage != "search"),
])  # fmt: skip
def test_a_signal_in_any_stage_ends_in_order(stage, how, small, tmp_path):
    path = tmp_path / "run"
    few = ["--max-models", "2", "--nfolds", "3", "--include-families", "linear"] if stage == "ending" else []
    process = start(small, path, *few, held=HELD_IN.get(stage))
    wait(lambda: STAGES[stage](path))
    os.killpg(process.pid, how)  # to the whole group, as a terminal and an init system send it
    Path(f"{path}.sign").touch()
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    if stage == "reading":
        assert process.returncode == 130 and "before the run had begun" in err
        return
    assert f"tabwright resume {path}" in err
    assert process.returncode == 0
    assert "rank" in out
    statuses = {f.status for f in RunDir(path).read_journal().folds()}
    assert statuses <= {"ok", "cancelled", "timeout"}
    if stage != "first fold":
        assert AutoMLRegressor.open(path).leader.members


def test_a_second_signal_ends_at_once_and_tells_how_to_go_on(small, tmp_path):
    path = tmp_path / "run"
    process = start(small, path)
    wait(lambda: STAGES["search"](path))
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    _, err = process.communicate(timeout=60)
    assert f"tabwright resume {path}" in err and "Traceback" not in err


def test_a_worker_terminated_from_outside_is_recorded_and_replaced(tmp_path):
    """SIGKILL to each worker once, as the kernel does when memory runs out."""
    import psutil

    data().to_csv(tmp_path / "table.csv", index=False)
    path = tmp_path / "run"
    process = start(tmp_path / "table.csv", path, "--max-models", "3", "--nfolds", "3", "--include-families",
                    "linear,lightgbm")  # fmt: skip
    wait(lambda: STAGES["first fold"](path))
    for child in psutil.Process(process.pid).children():
        if "tabwright.engine.worker" in " ".join(child.cmdline()):
            child.kill()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "rank" in out
    folds = RunDir(path).read_journal().folds()
    assert {f.reason for f in folds if f.status == "crashed"} == {"the worker process ended with code -9"}
    fitted = [f.started for f in folds if f.status == "ok"]
    assert len(fitted) > 2 and max(fitted) > max(f.started for f in folds if f.status == "crashed")
    assert Path(path, "run.json").exists()


def test_an_interrupt_that_was_swallowed_still_ends_the_run():
    class Handler:
        asked = True

        def __call__(self, _signal, _frame):
            raise AssertionError

    before = signal.signal(signal.SIGTERM, Handler())
    try:
        with pytest.raises(KeyboardInterrupt):
            AutoMLRegressor(max_models=1, progress=False).fit(data(100), target="y")
    finally:
        signal.signal(signal.SIGTERM, before)
