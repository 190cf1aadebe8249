"""Models and versions by file, swapped under load; workers that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from serving import BINARY, REGRESSION, ROW, SUMS, references, serving

from tabwright.errors import ModelFileError, OptionError
from tabwright.schema import Column, Schema
from tabwright.serve.refusal import RefusalError
from tabwright.serve.registry import Registry
from tabwright.types import Kind, Task

ONE = Schema((Column("x", Kind.NUMERIC),), "y", Task.REGRESSION)


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


class TestPlaces:
    def names(self, *places):
        return sorted((s.name, s.version) for s in Registry(tuple(map(str, places))).all())

    def test_files_and_folders(self, tmp_path, make_model):
        data = make_model(ONE)
        for name in ("a.onnx", "b/1.onnx", "b/12.onnx", "c/3/model.onnx", ".hidden/x.onnx"):
            put(tmp_path / "all" / name, data)
        assert self.names(tmp_path / "all") == [("a", "1"), ("b", "1"), ("b", "12"), ("c", "3")]
        assert self.names(tmp_path / "all/b") == [("b", "1"), ("b", "12")]
        assert self.names(f"price={tmp_path / 'all/a.onnx'}") == [("price", "1")]
        assert self.names(f"price={tmp_path / 'all/b'}") == [("price", "1"), ("price", "12")]
        assert self.names(tmp_path / "all/a.onnx", f"z={tmp_path / 'all/a.onnx'}") == [("a", "1"), ("z", "1")]
        registry = Registry((str(tmp_path / "all/b"),))
        assert (registry.get().version, registry.get("b", "1").version) == ("12", "1")
        for name, version in (("x", None), ("b", "2")):
            with pytest.raises(RefusalError):
                registry.get(name, version)

    def test_nothing_outside_the_folder_is_served(self, tmp_path, make_model):
        put(tmp_path / "secret.onnx", make_model(ONE))
        put(tmp_path / "models/a.onnx", make_model(ONE))
        (tmp_path / "models/b.onnx").symlink_to(tmp_path / "secret.onnx")
        (tmp_path / "models/c").symlink_to(tmp_path)
        assert self.names(tmp_path / "models") == [("a", "1")]

    def test_faults(self, tmp_path, make_model):
        (tmp_path / "empty").mkdir()
        with pytest.raises(OptionError, match=r"holds no \.onnx file"):
            Registry((str(tmp_path / "empty"),))
        put(tmp_path / "bad/x.onnx", make_model(ONE)[:-3])
        with pytest.raises(ModelFileError):
            Registry((str(tmp_path / "bad"),))


def test_only_signed_models(tmp_path, make_model):
    """Under a public key, a file of another signer is neither served at the start nor taken over later."""
    owner, other = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    public = tmp_path / "owner.pem"
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(owner.public_key().public_bytes(*form))
    path = tmp_path / "models/m.onnx"
    put(path, make_model(REGRESSION, signing_key=owner))
    with serving(tmp_path / "models", "--public-key", public, "--reload-secs", "0.2") as run:
        assert run.post("/predict", json=ROW).json()["predictions"] == [SUMS[0]]
        for strange in (make_model(ONE, signing_key=other), make_model(ONE)):
            before = len(run.lines)
            put(path, strange)
            run.wait_for(lambda n=before: any("not loaded" in line for line in run.lines[n:]))
            assert run.post("/predict", json=ROW).json()["predictions"] == [SUMS[0]]
    command = [sys.executable, "-m", "tabwright.cli.main", "serve", str(path), "--public-key", str(public)]
    done = subprocess.run([*command, "--workers", "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "signed" in done.stderr


class TestRefresh:
    def test_changes(self, tmp_path, make_model):
        first, second = make_model(ONE), make_model(ONE, metrics={"rmse": 2.0})
        put(tmp_path / "a.onnx", first)
        registry = Registry((str(tmp_path),))
        assert not registry.refresh()
        before = registry.get("a")
        put(tmp_path / "a.onnx", second)
        put(tmp_path / "b/7.onnx", first)
        assert registry.refresh()
        assert registry.get("a").tag != before.tag
        assert registry.get("b").version == "7"
        put(tmp_path / "a.onnx", second[:-1])  # damaged: the old one stays, and it is tried once
        assert not registry.refresh() and not registry.refresh()
        assert registry.failures == 1
        assert registry.get("a").model.metrics == {"rmse": 2.0}
        (tmp_path / "b/7.onnx").unlink()
        assert registry.refresh()
        with pytest.raises(RefusalError):
            registry.get("b")
        (tmp_path / "a.onnx").unlink()
        assert not registry.refresh()  # nothing left: what is loaded stays
        assert registry.get("a")


def test_reloading_and_killing_workers_gives_no_wrong_answer(tmp_path, make_model):
    """Two models whose answers differ take turns under one name; callers repeat a request whose connection broke."""
    sums, fraud = make_model(REGRESSION, reference=references(REGRESSION)), make_model(BINARY)
    path, stop, wrong, seen, broken = tmp_path / "models/m.onnx", threading.Event(), [], set(), [0]
    put(path, sums)
    with serving(tmp_path / "models", "--workers", "2", "--reload-secs", "0.1") as run:
        tags = {}

        def ask():
            while not stop.is_set():
                try:
                    with httpx.Client(base_url=run.url, timeout=20) as http:
                        for _ in range(40):
                            answer = http.post("/predict", json=ROW)
                            if answer.status_code != 200:
                                wrong.append(answer.text)
                                continue
                            value, tag = answer.json()["predictions"], answer.headers["x-model-checksum"]
                            seen.add(tag)
                            if tags.setdefault(tag, value) != value or value not in ([SUMS[0]], ["yes"]):
                                wrong.append(value)
                except httpx.TransportError:
                    broken[0] += 1

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for k in range(12):
                put(path, (fraud, sums)[k % 2])
                time.sleep(0.4)
                if k in (4, 8):
                    os.kill(run.wait_for(run.workers)[0], signal.SIGKILL)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert wrong == []
        assert len(seen) == 2
        assert broken[0] <= 4 * len(threads)  # those that a killed worker held or had yet to take
        run.wait_for(lambda: len(run.workers()) == 2)
        stored = run.post("/feedback", json={"id": run.post("/predict", json=ROW).json()["ids"][0], "outcome": 3.0})
        assert stored.status_code == 200


def test_feedback_that_was_accepted_survives_a_killed_server(tmp_path, make_model):
    put(tmp_path / "models/m.onnx", make_model(REGRESSION))
    options = (tmp_path / "models", "--store", tmp_path / "s.sqlite", "--evaluate-secs", "0.3")
    with serving(*options) as run:
        ids = run.post("/predict", json=[ROW] * 80).json()["ids"]
        assert run.post("/feedback", json=[{"id": i, "outcome": 1.0} for i in ids]).json() == {"stored": 80}
        run.process.kill()
        run.process.wait()
    with serving(*options) as run:
        run.wait_for(lambda: 'tabwright_window_outcomes{model="m",version="1"} 80.0' in run.get("/metrics").text)


def test_a_worker_that_dies_while_it_is_asked_for_an_answer_is_replaced_at_once(tmp_path, make_model):
    put(tmp_path / "m.onnx", make_model(REGRESSION))
    with serving(tmp_path / "m.onnx", "--workers", "2") as run:
        first, _ = run.wait_for(lambda: run.workers() if len(run.workers()) == 2 else None)
        os.kill(first, signal.SIGSTOP)
        time.sleep(2)  # by now the supervisor waits for it, for 30 s
        os.kill(first, signal.SIGKILL)
        run.wait_for(lambda: first not in run.workers() and len(run.workers()) == 2, seconds=15)


def test_workers_of_a_killed_server_end(tmp_path, make_model):
    put(tmp_path / "m.onnx", make_model(REGRESSION))
    with serving(tmp_path / "m.onnx", "--workers", "2") as run:
        workers = run.wait_for(lambda: run.workers() if len(run.workers()) == 2 else None)
        run.process.kill()
        run.process.wait()
        run.wait_for(lambda: not any(alive(pid) for pid in workers))


def test_a_process_that_was_orphaned_before_it_looks_ends_too():
    code = ("import os, time; from tabwright.interrupts import when_orphaned; "
            "when_orphaned(lambda: os._exit(7), os.getppid() + 1); time.sleep(30)")  # fmt: skip
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=25).returncode == 7


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
