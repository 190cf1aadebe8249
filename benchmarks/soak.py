"""Load with a model swapped every few seconds and workers killed: counts wrong answers and lost ones.

Two models whose answers differ take turns under one name while callers score rows, compare each answer with what the
file named by the answer's checksum predicts, and tell outcomes. A caller whose connection breaks repeats the request.
At the end every outcome that was accepted must be in the store.

    python benchmarks/soak.py --minutes 10 [--data DIR --dataset adult]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pandas as pd

from tables import datasets
from tabwright.runtime import load_model


def train(folder: Path, data: str | None, name: str) -> tuple[list[Path], pd.DataFrame]:
    """Two exported models of different families, and rows to score."""
    (dataset,) = datasets(data, name)
    fit, test = dataset.split(0)
    paths = []
    for family in ("linear", "lightgbm"):
        path = folder / f"{family}.onnx"
        made = dataset.estimator(max_runtime_secs=60, max_models=1, include_families=[family], nfolds=2)
        made.fit(fit, target=dataset.target).export(path)
        paths.append(path)
    return paths, test.drop(columns=[dataset.target]).head(500)


class Caller(threading.Thread):
    """Scores rows until told to stop."""

    def __init__(self, url: str, rows: list[dict[str, object]], expected: dict[str, np.ndarray], seed: int) -> None:
        super().__init__()
        self.url, self.rows, self.expected, self.rng = url, rows, expected, np.random.default_rng(seed)
        self.answers = self.wrong = self.broken = self.refused = self.outcomes = 0
        self.waits: list[float] = []
        self.stop = threading.Event()

    def run(self) -> None:
        http = httpx.Client(base_url=self.url, timeout=30)
        while not self.stop.is_set():
            k = int(self.rng.integers(len(self.rows)))
            began = time.perf_counter()
            while True:  # a request is repeated until it is answered
                try:
                    answer = http.post("/predict", json=self.rows[k])
                    break
                except httpx.TransportError:
                    self.broken += 1
                    http.close()
                    http = httpx.Client(base_url=self.url, timeout=30)
            self.waits.append(time.perf_counter() - began)
            if answer.status_code != 200:
                self.refused += 1
                continue
            self.answers += 1
            told = answer.json()
            value = told["probabilities"][0][-1] if "probabilities" in told else told["predictions"][0]
            if not np.isclose(value, self.expected[answer.headers["x-model-checksum"]][k], rtol=1e-9, atol=1e-12):
                self.wrong += 1
            if self.answers % 20 == 0:
                outcome = {"id": told["ids"][0], "outcome": told["predictions"][0]}
                try:
                    self.outcomes += http.post("/feedback", json=outcome).status_code == 200
                except httpx.TransportError:
                    self.broken += 1  # not accepted, so not counted
        http.close()


def workers(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(p) for p in children if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--reload-every", type=float, default=5.0, metavar="S")
    parser.add_argument("--kill-every", type=float, default=60.0, metavar="S")
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--data")
    parser.add_argument("--dataset", default="breast_cancer")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths, frame = train(folder, args.data, args.dataset)
        rows, expected = json.loads(frame.to_json(orient="records")), {}
        for path in paths:
            model = load_model(path)
            values = model.predict_proba(rows)[:, -1] if model.classes_ is not None else model.predict(rows)
            expected[model.sha256[:8]] = values
        served, store = folder / "models/m.onnx", folder / "store.sqlite"
        served.parent.mkdir()
        served.write_bytes(paths[0].read_bytes())
        command = [sys.executable, "-m", "tabwright.cli.main", "serve", str(served.parent), "--port", "0",
                   "--workers", "2", "--store", str(store), "--reload-secs", "1"]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        url = re.search(r"http://\S+", process.stdout.readline())[0]
        threads = [Caller(url, rows, expected, seed) for seed in range(args.callers)]
        for thread in threads:
            thread.start()
        swaps = kills = 0
        began = last_kill = time.monotonic()
        while time.monotonic() - began < 60 * args.minutes:
            time.sleep(args.reload_every)
            swaps += 1
            fresh = served.with_suffix(".tmp")
            fresh.write_bytes(paths[swaps % 2].read_bytes())
            fresh.replace(served)
            if time.monotonic() - last_kill >= args.kill_every:
                os.kill(workers(process.pid)[kills % 2], signal.SIGKILL)
                kills, last_kill = kills + 1, time.monotonic()
        for thread in threads:
            thread.stop.set()
        for thread in threads:
            thread.join()
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        with sqlite3.connect(store) as db:
            stored = db.execute("SELECT count(*) FROM feedback").fetchone()[0]
        names = ("answers", "wrong", "refused", "broken", "outcomes")
        total = {name: sum(getattr(t, name) for t in threads) for name in names}
        waits = np.array([w for t in threads for w in t.waits]) * 1000
        print(f"{args.minutes:g} min, {args.callers} callers: {swaps} model swaps, {kills} workers killed")
        print(f"answers {total['answers']:,}, wrong {total['wrong']}, refused {total['refused']}; connections that the "
              f"kills broke {total['broken']} (each request repeated and answered)")
        print(f"outcomes accepted {total['outcomes']:,}, stored {stored:,}")
        shown = ", ".join(f"p{q:g} {np.percentile(waits, q):.1f}" for q in (50, 99, 99.9, 100))
        print(f"wait for an answer, repeats included, ms: {shown}")
        return int(bool(total["wrong"] or total["refused"]) or stored < total["outcomes"])


if __name__ == "__main__":
    sys.exit(main())
