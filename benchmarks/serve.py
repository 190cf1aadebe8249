"""Load on the scoring server by wrk, single rows: requests/s and latency at 1, 8 and 64 connections.

    python benchmarks/serve.py --models adult.onnx fraud.onnx --tables adult.parquet fraud.parquet [--workers 1,2]
        [--mlflow PYTHON]     an interpreter with mlflow, pandas and onnxruntime: the same file behind MLflow's server

wrk (apt-get install wrk) runs on the same machine, so it takes processor time from the server.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil

ROOT = Path(__file__).parents[1]
SCRIPT = """
local bodies = {%s}
local k = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function() k = k %% #bodies + 1; return wrk.format(nil, nil, nil, bodies[k]) end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %%d %%d %%f %%f %%f %%f\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
MLFLOW = """
import sys
import mlflow.pyfunc

class Scorer(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        from tabwright.runtime import load_model
        self.model = load_model(context.artifacts["model"])

    def predict(self, context, model_input, params=None):
        is_classifier = self.model.classes_ is not None
        return (self.model.predict_proba if is_classifier else self.model.predict)(model_input)

mlflow.pyfunc.save_model(sys.argv[2], python_model=Scorer(), artifacts={"model": sys.argv[1]},
                         pip_requirements=["mlflow", "onnxruntime", "numpy", "pandas"])
"""


def rows_of(table: Path, columns: set[str], n: int = 200) -> list[dict[str, object]]:
    frame = pd.read_parquet(table).head(n)
    return json.loads(frame[[c for c in frame.columns if c in columns]].to_json(orient="records", date_format="iso"))


def lua(rows: list[dict[str, object]], wrap: Callable[[dict[str, object]], object], folder: Path) -> Path:
    def quoted(row: dict[str, object]) -> str:
        text = json.dumps(wrap(row))
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    path = folder / f"load{time.monotonic_ns()}.lua"
    path.write_text(SCRIPT % ",".join(map(quoted, rows)))
    return path


def wrk(url: str, script: Path, connections: int, seconds: int) -> dict[str, float]:
    threads = min(connections, 2)
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"RESULT (\S+) (\S+) (\S+) (\S+) (\S+) (\S+)", done.stdout)
    requests, micros, p50, p99, p999, errors = (float(v) for v in found.groups())
    return {"rps": requests / micros * 1e6, "p50": p50 / 1e3, "p99": p99 / 1e3, "p999": p999 / 1e3, "errors": errors}


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise SystemExit(f"nothing answers at {url}")


def await_silence(url: str, seconds: float = 30) -> None:
    """Until nothing answers any more, so that the next server is not taken for the last one's children."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=2):
                time.sleep(0.2)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return


def quietest(url: str, script: Path, connections: int, process: subprocess.Popen[bytes], args: argparse.Namespace
             ) -> dict[str, float]:  # fmt: skip
    """Of several tries the one during which other programs used least; the first that they left alone."""
    best: dict[str, float] = {}
    for _ in range(args.tries):
        await_quiet(args.pause)
        busy, own, began = all_seconds(), own_seconds(process.pid), time.monotonic()
        found = wrk(url, script, connections, args.seconds)
        own, busy = own_seconds(process.pid) - own, all_seconds() - busy
        found["others"] = max(0.0, busy - own) / (time.monotonic() - began)
        if not best or found["others"] < best["others"]:
            best = found
        if best["others"] < 0.08:
            break
    return best


def await_quiet(seconds: float) -> None:
    """Until one second passes in which programs use under a tenth of a core, or ``seconds`` have gone."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = all_seconds()
        time.sleep(1.0)
        if all_seconds() - before < 0.1:
            return


def all_seconds() -> float:
    """Processor time that all programs of this machine have used."""
    times = psutil.cpu_times()
    return times.user + times.system + times.nice


def own_seconds(pid: int) -> float:
    """Processor time of the server's processes and of finished load generators."""
    import resource

    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(p.cpu_times().user + p.cpu_times().system for p in tree) + used.ru_utime + used.ru_stime


def load(what: str, command: list[str], base: str, path: str, probe: str, script: Path, args: argparse.Namespace,
         environment: dict[str, str] | None = None) -> None:  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                               env=os.environ | (environment or {}))  # fmt: skip
    try:
        wait_for(base + probe, process)
        wrk(base + path, script, 8, 2)  # warm
        for connections in (1, 8, 64):
            r = quietest(base + path, script, connections, process, args)
            print(f"{what:30} {connections:3} connections {r['rps']:7,.0f} requests/s   p50 {r['p50']:7.2f}  p99 "
                  f"{r['p99']:7.2f}  p99.9 {r['p999']:7.2f} ms   errors {r['errors']:.0f}   (others used "
                  f"{r['others']:.0%} of a core)", flush=True)  # fmt: skip
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
        await_silence(base + probe)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", required=True, type=Path)
    parser.add_argument("--tables", nargs="+", required=True, type=Path)
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--tries", type=int, default=1, help="until other programs use little; the quietest is shown")
    parser.add_argument("--pause", type=float, default=0.0, help="wait so long for a quiet machine, seconds")
    parser.add_argument("--port", type=int, default=8181)
    parser.add_argument("--mlflow", metavar="PYTHON")
    args = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("this needs wrk: apt-get install wrk")
    from tabwright.runtime import load_model

    for model, table in zip(args.models, args.tables, strict=True):
        loaded = load_model(model)
        rows = rows_of(table, {c.name for c in loaded.schema.columns})
        with tempfile.TemporaryDirectory() as temporary:
            folder, base = Path(temporary), f"http://127.0.0.1:{args.port}"
            for workers in args.workers.split(","):
                command = [sys.executable, "-m", "tabwright.cli.main", "serve", str(model), "--port", str(args.port),
                           "--workers", workers]  # fmt: skip
                script = lua(rows, lambda row: row, folder)
                load(f"{model.stem}, {workers} process(es)", command, base, "/predict", "/ping", script, args)
            if args.mlflow:
                programs = f"{Path(args.mlflow).parent}:{os.environ['PATH']}"
                paths = {"PYTHONPATH": str(ROOT / "src"), "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": programs}
                saved = folder / "mlflow"
                subprocess.run([args.mlflow, "-c", MLFLOW, str(model), str(saved)], check=True, capture_output=True,
                               env=os.environ | paths)  # fmt: skip
                script = lua(rows, split, folder)
                for workers in args.workers.split(","):
                    command = [args.mlflow, "-m", "mlflow", "models", "serve", "-m", str(saved), "--env-manager",
                               "local", "-p", str(args.port), "-w", workers]  # fmt: skip
                    what = f"{model.stem}, MLflow, {workers} process(es)"
                    load(what, command, base, "/invocations", "/ping", script, args, paths)


def split(row: dict[str, object]) -> object:
    """A row as MLflow's clients send it."""
    return {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}



if __name__ == "__main__":
    main()
