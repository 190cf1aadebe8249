"""Real servers on loopback, with small models whose answers can be worked out by hand."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from tabwright import reference
from tabwright.schema import Column, Schema
from tabwright.types import Kind, Task

COLUMNS = (
    Column("x", Kind.NUMERIC, minimum=-3.0, maximum=3.0, example=1.5),
    Column("n", Kind.INTEGER, minimum=0.0, maximum=9.0, example=4.0),
    Column("id", Kind.IDENTIFIER, used=False), Column("flag", Kind.BOOLEAN, example=1.0),
    Column("when", Kind.DATETIME, datetime_format="iso", example="1970-01-01"),
    Column("c", Kind.CATEGORICAL, values=("a", "b", "ü"), example="a"), Column("t", Kind.TEXT, example="some text"),
)  # fmt: skip
REGRESSION = Schema(COLUMNS, "y", Task.REGRESSION)
BINARY = Schema(COLUMNS, "fraud", Task.BINARY, ("no", "yes"), "str")
ROW = {"x": 1.5, "n": 2, "flag": True, "when": "1970-01-01T00:00:10", "c": "a", "t": "text"}
ROWS = [
    ROW, {"x": None, "n": 0, "flag": False, "when": None, "c": None, "t": ""},
    {"x": -3.25, "n": 1, "flag": None, "when": "1970-01-01T00:00:01", "c": "never seen", "t": "é 漢"},
]  # fmt: skip
SUMS = [1.5 + 2 + 1 + 10, 2.0, -3.25 + 1 + 1]  # numbers, plus one for each empty string
BACKGROUND = {"numbers": [[0.0, 0.0, 0.0, 0.0], [1.0, 2.0, None, 4.0]], "strings": [["a", "text"], ["", "b"]]}
PROBABILITIES = [1 / (1 + np.exp(-s)) for s in SUMS]


def references(schema, rows=2000, seed=0):
    """Reference histograms of random rows like those of :func:`random_rows`."""
    rng = np.random.default_rng(seed)
    numbers = np.column_stack([
        rng.normal(size=rows), rng.integers(0, 10, rows), rng.integers(0, 2, rows), rng.integers(0, 5, rows)
    ])  # fmt: skip
    strings = [rng.choice(["a", "b", "ü"], rows), np.array(["some text"] * rows, object)]
    prediction = numbers.sum(axis=1)
    if schema.task is Task.BINARY:
        prediction = 1 / (1 + np.exp(-prediction))
    return reference.build(schema, numbers, strings, prediction[:, None])


class Server:
    """One running ``tabwright serve``."""

    def __init__(self, process, url):
        self.process, self.url = process, url
        self.lines: list[str] = []
        self.client = httpx.Client(base_url=url, timeout=30, verify=False)  # the certificate is made here
        for method in ("get", "post"):
            setattr(self, method, getattr(self.client, method))

    def log(self) -> str:
        return "".join(self.lines)

    def wait_for(self, condition, seconds=20.0):
        """Poll until a condition holds, and return its value."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, self.log()
            time.sleep(0.05)
        return found

    def workers(self):
        """Process ids of the worker processes, or of the server itself where there is one."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(p) for p in children if b"spawn_main" in _command(p)]

    def stop(self):
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=40)


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended since
        return b""


@contextmanager
def serving(*arguments: object, **environment: str) -> Iterator[Server]:
    """``tabwright serve`` with these arguments, on a free port."""
    command = [sys.executable, "-m", "tabwright.cli.main", "serve", *map(str, arguments), "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | environment
    )
    found: queue.Queue[str] = queue.Queue()
    lines: list[str] = []

    def read():
        for line in process.stdout:
            lines.append(line)
            if match := re.search(r"serving on (\S+)", line):
                found.put(match[1])
        found.put("")

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    url = found.get(timeout=60)
    if not url:
        process.wait(10)
        process.stdout.close()
        raise AssertionError("".join(lines))
    server = Server(process, url)
    server.lines = lines
    try:
        end = time.monotonic() + 30
        while True:
            try:
                server.get("/ping")
                break
            except httpx.TransportError:  # workers are still starting
                assert time.monotonic() < end, server.log()
                time.sleep(0.05)
        yield server
    finally:
        try:
            server.stop()
        finally:
            process.kill()
            process.wait()
            reader.join(timeout=10)
            assert not reader.is_alive(), "a process of the server's has outlived it"  # closing the pipe would wait
            process.stdout.close()


