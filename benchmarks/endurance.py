"""Many short runs in one process: what of memory, files, threads and processes is left behind.

    python benchmarks/endurance.py --runs 200 --seconds 5 [--data DIR --datasets a,b] [--every 10]

The tables take turns; each run is fitted, exported, loaded and scored. Told after every few runs: memory that the
process holds for itself, open files, threads, children, folders in the temporary directory; at the end what a run has
added to each, on the average of the last three quarters.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import psutil

from tables import Dataset, datasets
from tabwright import load_model

NAMES = ("memory MiB", "files", "threads", "children", "folders")


def held(process: psutil.Process) -> list[float]:
    """See ``NAMES``."""
    gc.collect()
    info = process.memory_info()
    folders = sum(path.is_dir() for path in Path(tempfile.gettempdir()).iterdir())
    own = (info.rss - info.shared) / 2**20
    return [own, process.num_fds(), process.num_threads(), len(process.children(recursive=True)), folders]


def once(data: Dataset, seconds: float) -> float:
    """One run, whole; seconds of ``fit``."""
    train, test = data.split(0)
    made = data.estimator(max_runtime_secs=seconds)
    began = time.monotonic()
    made.fit(train, target=data.target)
    took = time.monotonic() - began
    with tempfile.TemporaryDirectory() as folder:
        load_model(made.export(Path(folder) / "model.onnx").path).predict(test)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--data", help="folder with datasets.json (default: tables that every installation has)")
    parser.add_argument("--datasets", default="breast_cancer,diabetes,wine")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    process, seen, longest = psutil.Process(), [], 0.0
    print("runs, " + ", ".join(NAMES))
    for k, data in enumerate(itertools.islice(itertools.cycle(datasets(args.data, args.datasets)), args.runs)):
        longest = max(longest, once(data, args.seconds))
        if (k + 1) % args.every == 0:
            seen.append([k + 1.0, *held(process)])
            print(", ".join(f"{value:.0f}" for value in seen[-1]), flush=True)
    late = np.array(seen[len(seen) // 4 :])
    for name, values in zip(NAMES, late.T[1:], strict=True):
        print(f"{name}: {np.polyfit(late[:, 0], values, 1)[0]:+.4f} a run")
    print(f"longest fit {longest:.2f} s of {args.seconds:g} s")


if __name__ == "__main__":
    main()
