"""Limits, overload, shutdown, keys and TLS of real servers."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import httpx
import pytest
from serving import ROW, SUMS, serving

from tabwright.errors import DataError, OptionError
from tabwright.serve import auth
from tabwright.serve.config import Config, checked


def test_body_rows_and_junk(models):
    limits = ("--max-body-mib", "1", "--max-rows", "10")
    with serving(models / "sum.onnx", *limits) as run:
        junk = os.urandom(10_000_000)
        for headers in ({}, {"content-type": "application/json"}, {"content-type": "text/csv"}):
            answer = run.post("/predict", content=junk, headers=headers)
            assert (answer.status_code, "longer than 1 MiB" in answer.json()["error"]) == (413, True)
        answer = run.post("/predict", content=(junk[k : k + 65536] for k in range(0, len(junk), 65536)))
        assert answer.status_code == 413  # sent in chunks, without a length
        answer = run.post("/predict", json=[ROW] * 11)
        assert answer.status_code == 413
        assert answer.json()["problem"] == "the request holds 11 rows and this server takes 10"
        assert run.post("/predict", json=[ROW] * 10).json()["predictions"] == [SUMS[0]] * 10
        answer = run.post("/predict", json=ROW, headers={"content-encoding": "gzip"})
        assert answer.status_code == 415
        assert run.get("/ping").status_code == 200


def test_strict(models):
    with serving(models / "sum.onnx", "--strict") as run:
        assert run.post("/predict", json=ROW).status_code == 200
        answer = run.post("/predict", json=[ROW, ROW | {"c": "z"}])
        assert answer.status_code == 422
        assert answer.json() | {"fix": ""} == {
            "error": "column 'c' holds 'z' in row 1, never seen in training. Fix: send null, or one of 'a', 'b', 'ü'.",
            "problem": "column 'c' holds 'z' in row 1, never seen in training", "fix": "", "column": "c", "row": 1,
        }  # fmt: skip


def test_a_slow_sender_is_let_go(models):
    with serving(models / "sum.onnx", "--max-seconds", "1") as run:
        host, port = run.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as slow:
            slow.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
            assert b"503" in slow.recv(1000).split(b"\r\n")[0]
        assert run.post("/predict", json=ROW).status_code == 200


def test_overload_is_told_quickly_and_passes(models):
    with serving(models / "sum.onnx", "--max-in-flight", "8", "--max-seconds", "20") as run:
        host, port = run.url.removeprefix("http://").split(":")
        with contextlib.ExitStack() as stack:

            def hold_one_more_and_ask():
                """A request whose body does not end holds a place; one that comes when all are taken is refused."""
                held = stack.enter_context(socket.create_connection((host, int(port))))
                held.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
                return run.post("/predict", json=ROW).status_code == 503

            run.wait_for(hold_one_more_and_ask, 15)  # before those that are held are let go
            answer = run.post("/predict", json=ROW)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert run.get("/ping").status_code == 200  # probes are answered all the same
        run.wait_for(lambda: run.post("/predict", json=ROW).status_code == 200, 5)


def test_shutdown_finishes_what_is_in_flight(models):
    with serving(models / "sum.onnx") as run:
        body = json.dumps([ROW] * 50_000).encode()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(run.post, "/predict", content=body)
            run.wait_for(lambda: run.get("/v2/health/ready").status_code == 200)
            time.sleep(0.1)
            run.process.send_signal(signal.SIGTERM)
            assert answer.result(30).json()["predictions"] == [SUMS[0]] * 50_000
        assert run.process.wait(30) == 0


def test_many_clients_at_once_get_their_own_answers(server):
    """Requests that are scored in one batch are not mixed up."""
    wrong = []

    def ask(k):
        with httpx.Client(base_url=server.url, timeout=60) as http:
            for j in range(50):
                x = k * 1000.0 + j
                answer = http.post("/models/sum/predict", json=[ROW | {"x": x}] * (1 + j % 3)).json()
                if answer["predictions"] != [x + 13] * (1 + j % 3):
                    wrong.append((x, answer))

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


class TestKeys:
    def test_requests(self, models, tmp_path):
        keys = tmp_path / "keys"
        made = {name: auth.add_key(keys, name) for name in ("fraud-team", "prometheus")}
        assert all(key not in keys.read_text() for key in made.values())
        assert keys.stat().st_mode & 0o777 == 0o600
        with serving(models / "sum.onnx", "--keys", keys, "--reload-secs", "0.2") as run:
            for key in made.values():
                assert run.post("/predict", json=ROW, headers={"x-api-key": key}).status_code == 200
                headers = {"authorization": f"Bearer {key}"}
                assert run.get("/metrics", headers=headers).status_code == 200
            for headers in ({}, {"x-api-key": "tw_wrong"}, {"x-api-key": ""}, {"authorization": "Basic eDp5"}):
                for method, path in (("POST", "/predict"), ("GET", "/metrics"), ("GET", "/models"),
                                     ("POST", "/feedback"), ("GET", "/openapi.json"), ("GET", "/monitor.json"),
                                     ("POST", "/invocations"),
                                     ("POST", "/v2/models/sum/infer"), ("GET", "/nothing")):  # fmt: skip
                    answer = run.client.request(method, path, headers=headers)
                    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            for probe in ("/ping", "/v2/health/live", "/v2/health/ready", "/health", "/monitor"):
                assert run.get(probe).status_code == 200
            auth.remove_key(keys, "fraud-team")  # taken out while the server runs
            run.wait_for(lambda: run.post("/predict", json=ROW, headers={"x-api-key": made["fraud-team"]}
                                          ).status_code == 401)  # fmt: skip
            assert run.post("/predict", json=ROW, headers={"x-api-key": made["prometheus"]}).status_code == 200

    def test_the_command(self, tmp_path):
        def keys(*arguments):
            command = [sys.executable, "-m", "tabwright.cli.main", "keys", str(tmp_path / "k"), *arguments]
            return subprocess.run(command, capture_output=True, text=True, check=False)

        key = keys("--add", "me").stdout.strip()
        assert key.startswith("tw_") and len(key) == 46
        assert keys().stdout == "me\n"
        assert keys("--remove", "you").returncode == 2
        assert keys("--add", "a b").returncode == 2
        assert keys("--remove", "me").returncode == 0
        (tmp_path / "k").write_text("nonsense")
        assert "line 1 of the key file" in keys().stderr

    def test_files(self, tmp_path):
        with pytest.raises(DataError, match="can't be read"):
            auth.read_keys(tmp_path / "none")
        with pytest.raises(OptionError, match="folder that exists"):
            auth.add_key(tmp_path / "no" / "keys", "me")


class TestOptions:
    @pytest.mark.parametrize(("change", "message"), [
        ({"host": "0.0.0.0"}, "which other machines reach, and no API key is asked for"),
        ({"host": "example.org"}, "which other machines reach"), ({"workers": 0}, "--workers is 0"),
        ({"max_body_mib": -1.0}, "--max-body-mib"), ({"max_body_mib": float("inf")}, "--max-body-mib"),
        ({"tls_cert": __file__, "tls_key": __file__}, "are no certificate and its key"),
        ({"port": 70_000}, "--port is 70000"),
        ({"tls_cert": "x.pem"}, "--tls-key go together"), ({"keys": "none"}, "no such file"),
        ({"models": ()}, "MODEL is missing"),
        ({"host": "999.1.1.1"}, "--host is '999.1.1.1', which is no address"),
    ])  # fmt: skip
    def test_are_checked(self, change, message):
        with pytest.raises(OptionError) as error:
            checked(Config(**({"models": ("m.onnx",)} | change)), {})
        assert message in str(error.value)

    def test_an_open_server_must_be_meant(self, tmp_path):
        assert checked(Config(("m",), host="0.0.0.0", allow_anonymous=True), {})
        assert checked(Config(("m",), host="::"), {"TABWRIGHT_ALLOW_ANONYMOUS": "1"})
        assert checked(Config(("m",), host="::1"), {})
        assert checked(Config(()), {"AZUREML_MODEL_DIR": str(tmp_path)}).models == (str(tmp_path),)

    @pytest.mark.parametrize(("arguments", "message"), [
        (["none.onnx"], "there is no such file or folder"), ([__file__], "is not an ONNX file"),
        (["{models}", "--host", "0.0.0.0"], "no API key"), (["{models}", "--store", "/nowhere/s.sqlite"], "--store"),
        (["{models}", "--host", "no.such.invalid", "--allow-anonymous"], "which names no machine"),
        (["{models}", "--port", "99999"], "--port"), (["a b={models}/sum.onnx"], "MODEL is called 'a b'"),
        (["{models}/sum.onnx", "sum={models}/fraud.onnx"], "gives 'sum' version 1 twice"),
        (["{models}", "--port", "{busy}", "--workers", "2"], "which is in use"),
        (["{models}", "--port", "{busy}"], "which is in use"),
        (["{models}", "--store", "postgresql://nobody@127.0.0.1:1/x"], "can't be reached"),
    ])  # fmt: skip
    def test_faults_are_told_in_one_sentence(self, models, arguments, message):
        with socket.create_server(("127.0.0.1", 0)) as busy:
            places = {"models": models, "busy": busy.getsockname()[1]}
            command = [sys.executable, "-m", "tabwright.cli.main", "serve", *(a.format(**places) for a in arguments)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        told = [line for line in done.stderr.splitlines() if line.startswith("tabwright: ")]
        assert done.returncode == 2, done.stderr
        assert len(told) == 1 and message in told[0] and "Traceback" not in done.stderr


def test_tls(models, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
               "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    with serving(models / "sum.onnx", "--tls-cert", cert, "--tls-key", key) as run:
        assert run.url.startswith("https://")
        trusted = ssl.create_default_context(cafile=str(cert))
        with httpx.Client(base_url=run.url, verify=trusted, timeout=60) as http:
            assert http.post("/predict", json=ROW).json()["predictions"] == [SUMS[0]]


def test_no_answer_tells_a_path(models, server):
    for path in ("/models", "/openapi.json", "/monitor.json", "/metrics", "/v2/models/sum", "/version", "/monitor"):
        text = server.get(path).text
        assert not any(place in text for place in (str(models), "/home", "site-packages", "/tmp"))
