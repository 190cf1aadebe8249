"""How long the ordinary takes before anything is learned: commands, imports, and a run up to its first leader.

    python benchmarks/start.py [--data DIR] [--dataset california_housing] [--times 7]

Medians of new processes, after one that fills the disk's cache. Of a run are told the seconds from the call of ``fit``
until a fold began and ended for the first time, until the first candidate led, and what the driver did meanwhile.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

from tables import Dataset, datasets
from tabwright.store.run_dir import RunDir

COMMANDS = {
    "python": ["-c", "pass"],
    "import numpy": ["-c", "import numpy"],
    "import tabwright": ["-c", "import tabwright"],
    "from tabwright import load_model": ["-c", "from tabwright import load_model"],
    "from tabwright import AutoMLClassifier": ["-c", "from tabwright import AutoMLClassifier"],
    "tabwright --help": ["-m", "tabwright", "--help"],
    "tabwright fit --help": ["-m", "tabwright", "fit", "--help"],
    "tabwright predict --help": ["-m", "tabwright", "predict", "--help"],
}  # fmt: skip


def seconds_of(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def first(data: Dataset, seconds: float) -> tuple[dict[str, float], Counter[str]]:
    """Seconds from the call of ``fit`` to each first event, and those of the driver's stages until the first leader."""
    train, _ = data.split(0)
    with tempfile.TemporaryDirectory() as folder:
        made = data.estimator(max_runtime_secs=seconds, export_checkpoints_dir=f"{folder}/run")
        began = time.time()
        made.fit(train.reset_index(drop=True), target=data.target)
        journal = RunDir.open(Path(folder) / "run").read_journal()
        folds, leaders = journal.folds(), journal.leaders()
        at = {"first fold begins": min(f.started for f in folds), "first fold ends":
              min(f.started + f.seconds for f in folds), "first leader": leaders[0][0]}  # fmt: skip
        stages: Counter[str] = Counter()
        for name, started, took in journal.stages():
            if started + took <= leaders[0][0]:  # the search goes on after it
                stages[name] += took
        journal.close()
    return {name: value - began for name, value in at.items()}, stages


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--data", help="folder with datasets.json (default: tables that every installation has)")
    ap.add_argument("--dataset", default="california_housing")
    ap.add_argument("--seconds", type=float, default=10)
    ap.add_argument("--times", type=int, default=7)
    args = ap.parse_args()
    warnings.simplefilter("ignore")
    for name, arguments in COMMANDS.items():
        seconds_of(arguments)
        print(f"{name:40} {statistics.median(seconds_of(arguments) for _ in range(args.times)):.3f} s", flush=True)
    for data in datasets(args.data, args.dataset):
        runs = [first(data, args.seconds) for _ in range(max(2, args.times // 2))]
        print(f"\n{data.name}, seconds after the call of fit")
        for name in runs[0][0]:
            print(f"{name:40} {statistics.median(at[name] for at, _ in runs):.2f} s")
        for name in runs[0][1]:
            print(f"  of it, {name:32} {statistics.median(stages[name] for _, stages in runs):.2f} s")


if __name__ == "__main__":
    main()
