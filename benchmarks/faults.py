"""Real faults, one run each, as a table of what the user saw and what was lost: python benchmarks/faults.py.

"lost" is what a run had finished before the fault and has not afterwards: candidates or folds of the journal whose
files are gone, or a leader. "budget" is the time that the command took of what it was allowed (max_runtime_secs, or
for a signal: from the signal to the end of the process). Needs root for the full disk (a small file system is
mounted); elsewhere a limit on file sizes takes its place.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from tabwright.engine.base import Status
from tabwright.errors import RunError
from tabwright.store.journal import Journal
from tabwright.store.run_dir import RunDir

FAMILIES = """
import ctypes, dataclasses, time
import numpy as np
from tabwright.models.linear import LINEAR

def segfault(train, valid, params, context):
    ctypes.string_at(0)

def allocate(train, valid, params, context):
    kept = []
    while True:
        kept.append(np.ones(4_000_000))
        time.sleep(0.002)

def sleep(train, valid, params, context):
    time.sleep(600)

def fail(train, valid, params, context):
    raise ZeroDivisionError("one over nothing")

SEGFAULT, ALLOCATE, SLEEP, FAIL = (
    dataclasses.replace(LINEAR, fit=f, title=f.__name__, space={}) for f in (segfault, allocate, sleep, fail)
)
"""
GRACE_S = 1.0  # what a run may be late


@dataclass
class Seen:
    """One line of the table."""

    fault: str
    said: str
    lost: str
    budget: str


def command(table: Path, run: Path, seconds: float, *more: str) -> list[str]:
    return [sys.executable, "-m", "tabwright.cli.main", "fit", str(table), "--target", "y", "--out", str(run),
            "--max-runtime-secs", str(seconds), "--quiet", *more]  # fmt: skip


def start(arguments: list[str], folder: Path, limit_bytes: int | None = None) -> subprocess.Popen[str]:
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}

    def limit() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    return subprocess.Popen(
        arguments, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=limit,  # noqa: PLW1509 - it only sets a limit
    )  # fmt: skip


def journal(run: Path) -> Journal | None:
    if (run / "journal.sqlite").exists():
        with contextlib.suppress(RunError):
            return RunDir(run).read_journal()
    return None


def wait(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the stage was not reached"
        time.sleep(0.01)


def said(run: Path, process: subprocess.Popen[str]) -> tuple[str, str]:
    """The last line on standard error, or the ledger's most frequent reason; and the output."""
    out, err = process.communicate(timeout=120)
    found = journal(run)
    reasons = [f"{f.status}: {f.reason}" for f in found.folds() if f.status not in ("ok", "cancelled")] if found else []
    lines = [line for line in err.strip().split("\n") if line]
    what = max(set(reasons), key=reasons.count) + f" ({len(reasons)} in the ledger)" if reasons else ""
    hint = lines[-1] if lines else ""
    return "; ".join(filter(None, [what, hint])) or f"exit code {process.returncode}", out


def lost(run: Path, folder: Path) -> str:
    """Finished folds without their files, and whether there is a leader that can be opened."""
    found = journal(run)
    if found is None:
        return "nothing was begun"
    directory = RunDir(run)
    done = [f for f in found.folds() if f.status == Status.OK]
    gone = sum(not directory.has_fold(f.model_id, f.fold, f.artefact_sha256) for f in done)
    leading = start([sys.executable, "-m", "tabwright.cli.main", "leaderboard", str(run)], folder)
    leading.communicate()
    opened = "no leader yet" if not found.leaders() else "leader opens" if leading.returncode == 0 else "LEADER LOST"
    return f"{'nothing' if not gone else f'{gone} folds'} of {len(done)} finished folds; {opened}"


def in_budget(took: float, allowed: float) -> str:
    return f"{'held' if took <= max(allowed + GRACE_S, 1.02 * allowed) else 'OVERRUN'}: {took:.1f} of {allowed:.0f} s"


def family(name: str, table: Path, folder: Path, seconds: float, *more: str) -> Seen:
    run = folder / name
    process = start(command(table, run, seconds, "--include-families", f"faults_here:{name},linear,lightgbm", *more),
                    folder)  # fmt: skip
    wait((run / "run.json").exists)
    told, out = said(run, process)
    took = float(out.rsplit(" s; run in", 1)[0].rsplit("\n", 1)[-1])
    return Seen(f"family: {name.lower()}", told, lost(run, folder), in_budget(took, seconds))


def full_disk(table: Path, folder: Path) -> Seen:
    disk, seconds = folder / "disk", 10.0
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", disk]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        run = disk / "run"
        process = start(command(table, run, seconds), folder, None if mounted else 150_000)
        told, out = said(run, process)
        took = float(out.rsplit(" s; run in", 1)[0].rsplit("\n", 1)[-1]) if "run in" in out else 0.0
        name = "full disk (1.5 MiB)" if mounted else "files limited to 150 kB"
        return Seen(name, told, lost(run, folder), in_budget(took, seconds))
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", disk], check=True)


def killed_worker(table: Path, folder: Path) -> Seen:
    run, seconds = folder / "killed", 20.0
    process = start(command(table, run, seconds), folder)
    wait(lambda: STAGES["search"](run))
    for child in psutil.Process(process.pid).children():
        child.kill()
    told, out = said(run, process)
    took = float(out.rsplit(" s; run in", 1)[0].rsplit("\n", 1)[-1])
    return Seen("workers killed from outside", told, lost(run, folder), in_budget(took, seconds))


STAGES: dict[str, Callable[[Path], bool]] = {
    "reading": lambda run: run.exists() and not (run / "run.json").exists(),
    "first fold": lambda run: (j := journal(run)) is not None and bool(j.candidates()),
    "search": lambda run: (j := journal(run)) is not None and bool(j.leaders()),
    "ending": lambda run: (j := journal(run)) is not None and any(kind == "finished" for _, kind, _ in j.events()),
}


def signalled(stage: str, number: signal.Signals, tables: tuple[Path, Path], folder: Path) -> Seen:
    run = folder / f"{stage}-{number.name}"
    process = start(command(tables[stage == "reading"], run, 10 if stage == "ending" else 120), folder)
    wait(lambda: STAGES[stage](run))
    os.killpg(process.pid, number)
    began = time.monotonic()
    told, _ = said(run, process)
    took = time.monotonic() - began
    return Seen(f"{number.name} while {stage}", told, lost(run, folder), f"ended {took:.1f} s later")


def faults(folder: Path) -> Iterator[Seen]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(150_000, 4)), columns=list("abcd"))
    frame["y"] = 2 * frame["a"] + frame["b"] + rng.normal(size=len(frame))
    small, large = folder / "small.csv", folder / "large.csv"
    frame.head(2000).to_csv(small, index=False)
    frame.to_csv(large, index=False)
    (folder / "faults_here.py").write_text(FAMILIES)
    yield family("SEGFAULT", small, folder, 10)
    yield family("ALLOCATE", small, folder, 25, "--max-memory-mib", "1400")
    yield family("SLEEP", small, folder, 12, "--max-runtime-secs-per-model", "6")
    yield family("FAIL", small, folder, 10)
    yield full_disk(small, folder)
    yield killed_worker(small, folder)
    for number in (signal.SIGTERM, signal.SIGINT):
        for stage in STAGES:
            yield signalled(stage, number, (small, large), folder)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print("| fault | what the user saw | what was lost | budget |\n|---|---|---|---|")
        for seen in faults(Path(folder)):
            told = seen.said.replace(folder, "").replace("|", "/")
            print(f"| {seen.fault} | {told} | {seen.lost} | {seen.budget} |", flush=True)


if __name__ == "__main__":
    main()
