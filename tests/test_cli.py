"""The real command line: searches in real processes, what is quick in this one."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from tabwright.cli.main import COMMANDS, main
from tabwright.store.run_dir import RunDir


def tabwright(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "tabwright.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"größe": rng.normal(size=400), "farbe": rng.choice(["rot", "blau"], 400), "n": rng.integers(0, 9, 400)}
    )
    frame["preis"] = 3 * frame["größe"] + 2 * (frame["farbe"] == "rot") + rng.normal(size=400) * 0.2
    path = tmp_path_factory.mktemp("data") / "teile.csv"
    frame.to_csv(path, index=False, sep=";", decimal=",")
    return path


@pytest.fixture(scope="module")
def run(csv):
    path = csv.parent / "run"
    done = tabwright(
        "fit",
        csv,
        "--target",
        "preis",
        "--out",
        path,
        "--max-models",
        2,
        "--max-runtime-secs",
        60,
        "--nfolds",
        3,
        "--include-families",
        "linear,lightgbm",
        "--export",
        csv.parent / "model.onnx",
    )
    assert done.returncode == 0, done.stderr
    assert "rank" in done.stdout and "linear_1" in done.stdout and "parity" in done.stdout
    return path


def allow(path, max_models):
    """As if the run had been asked for so many candidates."""
    stored = json.loads((path / "run.json").read_text())
    stored["config"]["max_models"] = max_models
    (path / "run.json").write_text(json.dumps(stored))


def finished_folds(path):
    journal = RunDir(path).journal()
    found = [(f.model_id, f.fold, f.score) for f in journal.folds() if f.status == "ok"]
    journal.close()
    return found


def test_commands_on_a_run(run, csv, capsys):
    model, out = csv.parent / "model.onnx", csv.parent / "predictions.csv"
    for arguments, expected in (
        (("leaderboard", run, "--all"), "lightgbm_1"),
        (("leaderboard", run, "--csv"), "score_ci_low"),
        (("failures", run), "nothing failed"),
        (("audit", run), "leader:"),
        (("replay", run), "predictions are identical"),
        (("export", run, "--out", csv.parent / "again.onnx"), "parity"),
        (("evaluate", model, csv), "rmse"),
        (("profile", model, csv), "rows/s"),
        (("predict", model, csv, "--out", out), "400 predictions"),
    ):
        code = main([*map(str, arguments)])
        told = capsys.readouterr()
        assert (code, told.err) == (0, "")
        assert expected in told.out
    assert len(pd.read_csv(out)) == 400
    assert json.loads(tabwright("audit", run, "--json").stdout)["candidates"][0]["family"]


def test_resume_goes_on_after_a_finished_run(run, tmp_path, capsys):
    before, path = finished_folds(run), tmp_path / "run"
    shutil.copytree(run, path)
    assert main(["resume", str(path), "--extra-secs", "60"]) == 0
    assert "There was nothing to do" in capsys.readouterr().err and finished_folds(path) == before
    allow(path, 3)
    assert main(["resume", str(path), "--extra-secs", "60"]) == 0
    after = finished_folds(path)
    assert after[: len(before)] == before and len(after) == len(before) + 3


CARELESS = [
    ("", "has no content|is empty"),
    ("a,b\n", "no rows"),
    ("a,b\n1,2\n", "at least 10 rows"),
    ("a,b\n" + "1,2\n" * 50, "in every row"),
]


@pytest.mark.parametrize(("text", "answer"), CARELESS, ids=["empty", "header only", "one row", "constant"])
def test_careless_files_get_one_sentence_and_exit_code_2(text, answer, tmp_path, capsys):
    path = tmp_path / "d.csv"
    path.write_text(text)
    code = main(["fit", str(path), "--target", "b", "--task", "regression", "--out", str(tmp_path / "run")])
    told = capsys.readouterr().err
    assert code == 2, told
    assert told.startswith("tabwright: ") and told.count("\n") == 1 and "Traceback" not in told
    assert re.search(answer, told), told


def test_careless_arguments(csv, run, tmp_path, capsys):
    for arguments, answer in (
        (("fit", "no.csv", "--target", "x", "--out", tmp_path / "r"), "no.csv"),
        (("fit", csv, "--target", "price", "--out", tmp_path / "r"), "no column 'price'"),
        (("fit", csv, "--target", "preis", "--out", run), "already holds a run"),
        (("fit", csv, "--target", "preis", "--out", tmp_path / "r", "--max-runtime-secs", 0), "max_runtime_secs"),
        (("fit", csv, "--target", "preis", "--out", tmp_path / "r", "--nfolds", "some"), "nfolds is 'some'"),
        (("resume", tmp_path), "no run in"),
        (("export", run, "--out", tmp_path / "no" / "m.onnx"), "Option --out is "),
        (("select", run, "--max-latency-us", -1), "Option --max-latency-us is -1.0"),
        (("evaluate", csv, csv), "teile.csv"),
        (("predict", csv.parent / "model.onnx", csv, "--out", tmp_path / "x.txt"), "--out"),
    ):
        code = main([*map(str, arguments)])
        told = capsys.readouterr().err
        assert code == 2, (arguments, told)
        assert answer in told and "Fix:" in told and "Traceback" not in told


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("resume r --extra-secs abc", "Option --extra-secs is 'abc'. Fix: give a number."),
        ("fit d.csv --target t --out r --seed 1.5", "Option --seed is '1.5'. Fix: give a whole number."),
        ("fit d.csv --target t --out r --task some", "Option --task is 'some'. Fix: give one of "),
        ("fit d.csv", "The command lacks --target, --out. Fix: give what 'tabwright fit --help' asks for."),
        ("predict m.onnx d.csv --out", "Option --out: expected one argument. Fix: see 'tabwright predict --help'."),
        ("predict m.onnx d.csv --out p.csv --many 3", "The command has unrecognized arguments: --many 3. Fix: see "),
        ("fitt", "Option COMMAND is 'fitt'. Fix: give one of 'fit', "),
    ],
)
def test_a_careless_line_gets_one_sentence(line, answer, capsys):
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    told = capsys.readouterr().err
    assert ended.value.code == 2 and told.startswith(f"tabwright: {answer}") and told.count("\n") == 1, told


def test_every_command_has_help(capsys):
    assert tabwright("--help").returncode == 0
    for command in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([command.name, "--help"])
        assert ended.value.code == 0 and command.help in capsys.readouterr().out


def start(csv, path, seconds):
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tabwright.cli.main",
            "fit",
            str(csv),
            "--target",
            "preis",
            "--out",
            str(path),
            "--max-runtime-secs",
            str(seconds),
            "--nfolds",
            "3",
            "--quiet",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_folds(path, n, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (path / "journal.sqlite").exists() and len(finished_folds(path)) >= n:
            return
        time.sleep(0.05)
    raise AssertionError("no fold was finished")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_with_a_valid_leader(how, csv, tmp_path):
    process = start(csv, tmp_path / "run", 120)
    wait_for_folds(tmp_path / "run", 6)
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "tabwright resume" in err and "rank" in out


def test_kill_minus_nine_loses_no_finished_fold(csv, tmp_path):
    import os

    path = tmp_path / "run"
    process = start(csv, path, 120)
    wait_for_folds(path, 4)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = finished_folds(path)
    board = tabwright("leaderboard", path, "--all").stdout
    assert "constant" in board and " running" not in board  # nobody works on it
    begun = json.loads(tabwright("audit", path, "--json").stdout)["candidates"]
    allow(path, len(begun) + 1)
    done = tabwright("resume", path, "--extra-secs", 120)
    assert done.returncode == 0, done.stderr
    after = finished_folds(path)
    assert after[: len(before)] == before and len(after) > len(before)
    assert len({(m, f) for m, f, _ in after}) == len(after)  # no finished fold was fitted again
