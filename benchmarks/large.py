"""Tables larger than memory.

    python benchmarks/large.py generate DIR --rows 50000000
    python benchmarks/large.py run DIR --seconds 1800 --memory-mib 4096 [--engine tcp://SCHEDULER:8786]
    python benchmarks/large.py sample DIR --seconds 300 --share 0.01
    python benchmarks/large.py growth --rows 10000,100000,1000000,10000000 --seconds 60 >> growth.csv
    PEER/bin/python benchmarks/large.py growth-h2o --rows 10000,100000,1000000,10000000 --seconds 60 >> growth.csv
    python benchmarks/large.py plot growth.csv

``generate`` writes 30 columns (numbers, small integers, categories of 5 to 5,000 values) and a target of two classes,
by 1,000,000 rows a file, and ``DIR.test.parquet``. ``run`` trains on the folder, exports, scores the folder with the
command, and scores the test rows; as root it does so in a control group that holds the process and its children to the
memory (the page cache included; Dask's workers have limits of their own). ``sample`` trains in memory on a part of the
rows. ``growth`` fits ever larger tables (made in memory) beside LightGBM's defaults on all cores, ``growth-h2o`` H2O
AutoML on the same in an environment that has it; ``plot`` draws both into growth.svg and tells the slopes. Memory is
told as the greatest sum of what the processes hold for themselves (resident without mapped files).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

PER_FILE = 1_000_000
LEVELS = (5, 50, 500, 5000)
TEST_ROWS = 200_000
os.environ.setdefault("TABWRIGHT_EXPERIENCE", "off")


def rows(n: int, seed: int) -> pd.DataFrame:
    """Rows whose target depends on waves, thresholds, products and the levels of categories."""
    rng = np.random.default_rng(seed)
    fixed = np.random.default_rng(12345)  # the same world in every file
    X = rng.normal(size=(n, 22)).astype(np.float32)
    small = rng.integers(0, 20, (n, 4)).astype(np.int16)
    logit = np.sin(2.5 * X[:, 0]) + 0.8 * X[:, 1] * X[:, 2] + 0.7 * np.abs(X[:, 3]) - 0.6 * (X[:, 4] > 0.5)
    logit += 0.5 * np.cos(4 * X[:, 5]) * X[:, 6] + 0.15 * (small[:, 0] % 3) + 0.4 * (X[:, 7] > X[:, 8]) - 0.9
    columns: dict[str, Any] = {f"x{j}": X[:, j] for j in range(22)} | {f"k{j}": small[:, j] for j in range(4)}
    for levels in LEVELS:
        effect = fixed.normal(size=levels) * 0.7
        code = np.minimum(rng.zipf(1.3, n) - 1, levels - 1) if levels > 100 else rng.integers(0, levels, n)
        logit += effect[code]
        names = np.array([f"c{levels}_{k}" for k in range(levels)])
        columns[f"c{levels}"] = pd.Categorical.from_codes(code, names)
    columns["y"] = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    return pd.DataFrame(columns)


def generate(args: argparse.Namespace) -> None:
    folder = Path(args.dir)
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for k in range(0, args.rows, PER_FILE):
        _write(rows(min(PER_FILE, args.rows - k), 1 + k // PER_FILE), folder / f"part-{k // PER_FILE:04d}.parquet")
    _write(rows(TEST_ROWS, 0), _test(folder))
    size = sum(f.stat().st_size for f in folder.iterdir()) / 2**30
    print(f"{args.rows:,} rows, {size:.2f} GiB, in {time.monotonic() - began:.0f} s")


def _write(frame: pd.DataFrame, path: Path) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table, path, row_group_size=250_000, compression="snappy")


def _test(folder: Path) -> Path:
    return folder.with_name(folder.name + ".test.parquet")


def held(process: psutil.Process) -> float:
    """MiB that a process and its children hold for themselves."""
    total = 0
    with contextlib.suppress(psutil.Error):
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                info = one.memory_info()
                total += info.rss - info.shared
    return total / 2**20


@contextlib.contextmanager
def watched() -> Iterator[list[float]]:
    """A list with the greatest memory held so far, in MiB."""
    peak, over = [0.0], threading.Event()

    def watch() -> None:
        me = psutil.Process()
        while not over.wait(0.1):
            peak[0] = max(peak[0], held(me))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield peak
    over.set()
    thread.join()


def confine(mib: float) -> str:
    """Put this process into a control group with a memory limit, where that is allowed; what was done."""
    name = f"tabwright-{os.getpid()}"
    root = Path("/sys/fs/cgroup")
    for folder, file in ((root / "memory" / name, "memory.limit_in_bytes"), (root / name, "memory.max")):
        try:
            folder.mkdir()
            (folder / file).write_text(str(int(mib * 2**20)))
            (folder / "cgroup.procs").write_text(str(os.getpid()))
        except OSError:
            continue
        return f"held to {mib:g} MiB by a control group"
    return "no control group could be made: max_memory_mib alone holds it"


def told(made: Any, took: float, peak: float, test: pd.DataFrame) -> Path:
    from tabwright import load_model
    from tabwright.evaluation import evaluate_model

    path = Path(tempfile.mkdtemp()) / "model.onnx"
    report = made.export(path)
    board = made.leaderboard()
    print(board[["model_id", "score", "fit_seconds", "peak_memory_mib"]].head(6).to_string(index=False))
    found = evaluate_model(load_model(path), test, test["y"])
    print(f"{took:.0f} s, peak {peak:.0f} MiB, test AUC {found['roc_auc']:.5f}, log loss {found['log_loss']:.5f}")
    profile = report.profile
    print(f"{profile.size_mib:.2f} MiB, {profile.latency_p50_us:.0f} µs: {made._finished.design}")
    for entry in made._finished.state.entries.values():
        if entry.candidate.origin == "whole":
            shown = {k: v for k, v in entry.candidate.params.items()
                     if k in ("learning_rate", "num_leaves", "n_estimators", "max_rows", "max_depth")}  # fmt: skip
            print(f"  {entry.candidate.model_id}: {entry.status} {entry.reason} {shown} {entry.iterations} rounds, "
                  f"{entry.seconds:.0f} s, {entry.peak_memory_mib:.0f} MiB")  # fmt: skip
    return path


def run(args: argparse.Namespace) -> None:
    from tabwright import AutoMLClassifier

    print(confine(args.memory_mib))
    made = AutoMLClassifier(max_runtime_secs=args.seconds, max_memory_mib=args.memory_mib, sort_metric="roc_auc",
                            engine=args.engine)  # fmt: skip
    began = time.monotonic()
    with watched() as peak:
        made.fit(args.dir, target="y")
        took = time.monotonic() - began
        for note in made._finished.notes:
            print(f"note: {note}")
        path = told(made, took, peak[0], pd.read_parquet(_test(Path(args.dir))))
    out = path.with_suffix(".parquet")
    began = time.monotonic()
    with watched() as peak:
        command = [sys.executable, "-m", "tabwright.cli.main", "predict", str(path), args.dir, "--out", str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    took, n = time.monotonic() - began, pq.ParquetFile(out).metadata.num_rows
    print(f"predict: {n:,} rows in {took:.0f} s, {n / took:,.0f} rows/s, peak {peak[0]:.0f} MiB")


def sample(args: argparse.Namespace) -> None:
    from tabwright import AutoMLClassifier
    from tabwright.data.sampling import draw
    from tabwright.data.stream import Stream

    stream = Stream(args.dir)
    frame = draw(stream, stream.names, int(args.share * stream.n_rows), 0, float("inf")).frame
    print(f"{len(frame):,} rows")
    made = AutoMLClassifier(max_runtime_secs=args.seconds, sort_metric="roc_auc")
    began = time.monotonic()
    with watched() as peak:
        made.fit(frame, target="y")
        told(made, time.monotonic() - began, peak[0], pd.read_parquet(_test(Path(args.dir))))


def growth(args: argparse.Namespace) -> None:
    import lightgbm

    from tabwright import AutoMLClassifier, load_model
    from tabwright.evaluation import evaluate_model

    test = rows(TEST_ROWS, 0)
    for n in args.rows_list:
        frame = many(n)
        began = time.monotonic()
        with watched() as peak:
            booster = lightgbm.LGBMClassifier(verbose=-1).fit(frame.drop(columns="y"), frame["y"])
        took = time.monotonic() - began
        from sklearn.metrics import roc_auc_score

        began = time.monotonic()
        auc = roc_auc_score(test["y"], booster.predict_proba(test.drop(columns="y"))[:, 1])
        speed = TEST_ROWS / (time.monotonic() - began)
        print(f"{n}, LightGBM, {took:.1f}, {peak[0]:.0f}, {auc:.5f}, {speed:.0f}", flush=True)
        made = AutoMLClassifier(max_runtime_secs=args.seconds, sort_metric="roc_auc")
        began = time.monotonic()
        with watched() as peak:
            made.fit(frame, target="y")
        took = time.monotonic() - began
        with tempfile.TemporaryDirectory() as folder:
            model = load_model(made.export(Path(folder) / "m.onnx").path)
            began = time.monotonic()
            auc = evaluate_model(model, test, test["y"])["roc_auc"]
            speed = TEST_ROWS / (time.monotonic() - began)
        print(f"{n}, tabwright, {took:.1f}, {peak[0]:.0f}, {auc:.5f}, {speed:.0f}, {made._finished.design}", flush=True)


def many(n: int) -> pd.DataFrame:
    """So many rows in memory."""
    parts = [rows(min(PER_FILE, n - k), 1 + k // PER_FILE) for k in range(0, n, PER_FILE)]
    return pd.concat(parts).reset_index(drop=True)


def growth_h2o(args: argparse.Namespace) -> None:
    import h2o
    from h2o.automl import H2OAutoML
    from sklearn.metrics import roc_auc_score

    test = rows(TEST_ROWS, 0)
    for n in args.rows_list:
        with watched() as peak:
            h2o.init(nthreads=2, max_mem_size="14G", log_level="FATA")
            h2o.no_progress()
            kinds = {c: "enum" if c[0] in "cy" else "real" for c in test.columns}
            frame, held_out = (h2o.H2OFrame(f, column_types=kinds) for f in (many(n), test))
            began = time.monotonic()
            made = H2OAutoML(max_runtime_secs=int(args.seconds), sort_metric="AUC", seed=1)
            made.train(y="y", training_frame=frame)
            took = time.monotonic() - began
            if made.leader is None:
                print(f"{n}, H2O AutoML, {took:.1f}, {peak[0]:.0f}, nan, nan, no model", flush=True)
            else:
                began = time.monotonic()
                found = made.leader.predict(held_out).as_data_frame().iloc[:, 2]
                speed = TEST_ROWS / (time.monotonic() - began)
                auc = roc_auc_score(test["y"], found)
                print(f"{n}, H2O AutoML, {took:.1f}, {peak[0]:.0f}, {auc:.5f}, {speed:.0f}, {made.leader.model_id}",
                      flush=True)  # fmt: skip
            h2o.cluster().shutdown()
            time.sleep(10)  # until its port is free: memory is told for each size alone


def plot(args: argparse.Namespace) -> None:
    from tabwright.charts import STYLE, Line, lines

    found: dict[str, list[list[float]]] = {}
    for line in Path(args.dir).read_text("utf-8").splitlines():
        cells = line.split(", ")
        if cells[0].isdigit():
            found.setdefault(cells[1], []).append([float(cells[k]) for k in (0, 2, 3, 5)])
    ticks = [(float(k), f"10^{k}") for k in range(4, 8)]
    parts = []
    for k, what in enumerate(("seconds of fit", "MiB held at most", "rows scored a second"), 1):
        curves = []
        for name, table in found.items():
            ok = np.log10(np.array([row for row in sorted(table) if row[k] > 0]))
            curves.append(Line(name, ok[:, 0].tolist(), ok[:, k].tolist()))
            print(f"{what}, {name}: slope {np.polyfit(ok[:, 0], ok[:, k], 1)[0]:.2f}")
        parts.append(lines(curves, "rows", f"{what}, common logarithm", what, x_ticks=ticks, height=230))
    inside = "".join(p.replace("<svg ", f'<svg y="{240 * k}" width="420" height="230" ') for k, p in enumerate(parts))
    style = f"<style>{STYLE.replace('.tw svg', 'svg.tw')} svg.tw {{ background: var(--panel); }}</style>"
    whole = f'<svg xmlns="http://www.w3.org/2000/svg" class="tw" viewBox="0 0 420 720">{style}{inside}</svg>'
    Path(args.dir).with_suffix(".svg").write_text(whole, "utf-8")


WHAT = {"generate": generate, "run": run, "sample": sample, "growth": growth, "growth-h2o": growth_h2o, "plot": plot}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=list(WHAT))
    parser.add_argument("dir", nargs="?", default="large", help="folder of the table; for plot, what was told")
    parser.add_argument("--rows", default="1000000")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--memory-mib", type=float, default=4096.0)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--engine", default="local", help="address of a Dask scheduler, whose workers share the rows")
    args = parser.parse_args()
    args.rows_list = [int(n) for n in args.rows.split(",")]
    args.rows = args.rows_list[0]
    warnings.simplefilter("ignore")
    WHAT[args.what](args)


if __name__ == "__main__":
    main()
