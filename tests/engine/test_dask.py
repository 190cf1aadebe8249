"""A real scheduler and real workers, each a process of its own."""

import datetime as dt
import gc
import ipaddress
import json
import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import dask
import distributed
import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLRegressor
from tabwright.engine import dask as engine_module
from tabwright.engine import dask_connect
from tabwright.engine.base import Status
from tabwright.engine.dask import DaskEngine
from tabwright.engine.dask_connect import connect, engine_name
from tabwright.errors import OptionError, RunError
from tabwright.features.screen import Interactions
from tabwright.pipeline import FEATURES, FULL, TEACHER
from tabwright.store.run_dir import RunDir
from tabwright.testing.clusters import LoopbackCluster
from tabwright.testing.engines import EngineContract, job, small_run


@pytest.fixture(scope="module")
def cluster():
    with LoopbackCluster() as cluster:
        cluster.add(2)
        yield cluster


@pytest.fixture
def small(tmp_path):
    run = small_run(tmp_path / "run")
    yield run
    run.release()


def start(address, slots=None, memory_limit_mib=None):
    return DaskEngine(connect(address, 1), 1, memory_limit_mib, slots)


def wait(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def folders(cluster):
    """What runs keep on the workers' hosts."""
    walked = os.walk(cluster.path)  # which does not mind that they are being removed
    return [Path(folder, name) for folder, names, _ in walked for name in names if name.startswith("tabwright-")]


def table(rows=400):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(rows, 4)), columns=list("abcd"))
    frame["y"] = frame["a"] * 2 + frame["b"] + rng.normal(size=rows) * 0.1
    return frame


class TestDaskEngine(EngineContract):
    """Workers that see the run directory read it."""

    @pytest.fixture(autouse=True)
    def _on(self, cluster):
        self.address = cluster.address
        yield
        wait(lambda: not cluster.fold_processes())  # whatever happened, none is left
        wait(lambda: not folders(cluster))

    def start(self, n_workers, memory_limit_mib=None):
        return start(self.address, n_workers, memory_limit_mib)

    def test_files_are_sent_where_the_run_directory_is_not_seen(self, run, cluster):
        with dask.config.set({dask_connect.COPY: True}):
            engine = self.start(2)
        try:
            engine.open(run.path)
            first = self.fitted(engine, job("linear", 0), job("linear", 1))
            assert {o.status for o in first.values()} == {Status.OK}
            sent = {str(f.relative_to(p)) for p in folders(cluster) for f in p.rglob("*")}
            assert "table/numbers.npy" in sent and "interactions.json" not in sent
            run.interactions_file.write_text(json.dumps(Interactions().to_json()), "ascii")
            later = job("linear", 0, name="student_1")  # learns from files that were not there before
            later.candidate.params.update({FEATURES: FULL, TEACHER: (("linear_1", 1.0),)})
            outcome = self.fitted(engine, later)["student_1.0"]
            assert (outcome.status, outcome.reason) == (Status.OK, "")
            assert run.has_fold("student_1", 0, outcome.result.artefact_sha256)
        finally:
            engine.close()


def test_a_run_has_the_same_candidates_as_locally(cluster, tmp_path):
    options = {"max_runtime_secs": None, "max_models": 3, "nfolds": 3, "n_jobs": 2, "progress": False,
               "include_families": ["linear", "lightgbm"]}  # fmt: skip
    boards = []
    with distributed.Client(cluster.address, set_as_default=False) as client:
        for engine in ("local", cluster.address, client, "dask"):
            path = tmp_path / f"run{len(boards)}"
            aml = AutoMLRegressor(engine=engine, export_checkpoints_dir=path, **options).fit(table(), target="y")
            boards.append(aml.leaderboard()[["model_id", "score"]])
            assert not list(path.glob(".dask-*"))
            assert json.loads((path / "run.json").read_text())["config"]["engine"] == (
                engine if isinstance(engine, str) else cluster.address
            )
        for board in boards[1:]:
            pd.testing.assert_frame_equal(board, boards[0])
        assert client.submit(sum, [1, 2]).result() == 3  # the user's client is theirs, and open
    next((tmp_path / "run1" / "folds").glob("lightgbm_*.1.tw")).unlink()
    again = AutoMLRegressor.resume(tmp_path / "run1", progress=False, engine="local")
    pd.testing.assert_frame_equal(again.leaderboard()[["model_id", "score"]], boards[0])


def test_the_command_line_takes_an_address(cluster, tmp_path):
    table().to_csv(tmp_path / "t.csv", index=False)
    command = [sys.executable, "-m", "tabwright.cli.main", "fit", tmp_path / "t.csv", "--target", "y", "--out",
               tmp_path / "run", "--max-models", "1", "--include-families", "linear", "--quiet"]  # fmt: skip
    done = subprocess.run([*command, "--engine", cluster.address], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "") and "linear_1" in done.stdout
    done = subprocess.run([*command, "--engine", "nowhere"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Option engine is 'nowhere'. Fix: give 'local', 'dask'" in done.stderr


def slow_run(cluster, path):
    """A run with folds that take a moment."""
    aml = AutoMLRegressor(
        max_runtime_secs=120, nfolds=3, engine=cluster.address, export_checkpoints_dir=path,
        include_families=["tabwright.testing.faulty:SLOW"], progress=False,
    )  # fmt: skip
    return aml.fit(table(240), target="y")  # too few rows for a fold to stop a candidate, so that it goes on


def test_a_worker_that_is_killed_costs_nothing_and_one_that_joins_is_used(tmp_path, time_over):
    with LoopbackCluster() as cluster:
        first, _ = cluster.add(2)
        stages, over = [], []

        def has_recovered(search):
            n = search.n_recorded
            if not stages and n >= 2 and len(cluster.fold_processes()) == 2:
                first.kill()
                stages.append(n)
                cluster.add(1)
            elif len(stages) == 1 and len(cluster.fold_processes()) == 2 and n > stages[0] + 3:
                stages.append(n)
                over.append(time.monotonic())
            return over

        time_over(has_recovered)
        aml = slow_run(cluster, tmp_path / "run")
        took = time.monotonic() - over[0]  # 4 s are set aside for what follows the search
        wait(lambda: not cluster.fold_processes())
    assert len(stages) == 2 and took < 5.0
    assert aml.failures().empty and aml.leader.members
    folds = [(f.model_id, f.fold) for f in RunDir(tmp_path / "run").read_journal().folds() if f.status == "ok"]
    assert len(folds) == len(set(folds)) > stages[1] - 3


def test_a_run_whose_workers_all_die_ends_in_its_budget_with_what_it_has(tmp_path, time_over):
    with LoopbackCluster() as cluster:
        (worker,) = cluster.add(1)
        killed = []

        def has_lost_all(search):
            if not killed and search.state.finished():
                worker.kill()
                killed.append(time.monotonic())
            return killed

        time_over(has_lost_all, 3.0)
        aml = slow_run(cluster, tmp_path / "run")
        assert 3.0 <= time.monotonic() - killed[0] < 8.0  # 4 s are set aside for what follows the search
        assert aml.leader.members and aml.failures().empty


def test_a_fold_is_put_again_until_too_many_workers_were_lost_with_it(small):
    with LoopbackCluster() as cluster:
        cluster.add(1)
        engine = start(cluster.address)
        try:
            engine.open(small.path)
            EngineContract().busy(engine, job("SLEEP", seconds=600.0))
            where = [engine._works[0].member.address]
            for _ in range(engine_module.MAX_LOSSES - 1):
                cluster.workers[-1].kill()
                cluster.add(1)
                end = time.monotonic() + 120
                while engine._works[0].member is None or engine._works[0].member.address in where:
                    assert engine.poll(0.1) == [] and time.monotonic() < end
                where.append(engine._works[0].member.address)
                assert [j.key for j in engine.running()] == [("sleep_1", 0)]
            cluster.workers[-1].kill()
            wait(lambda: not cluster.fold_processes())  # which do not outlive their workers
            outcomes = engine.poll(60.0)
            assert [o.status for o in outcomes] == [Status.CRASHED]
            assert "3 workers were lost with it" in outcomes[0].reason
            assert engine.n_workers == 1 and engine.free() == 0 and engine.running() == []
        finally:
            engine.close()


def test_a_worker_that_falls_silent_is_not_waited_for_and_used_again_when_it_comes_back(small, monkeypatch):
    monkeypatch.setattr(engine_module, "UNSEEN_S", 2.0)
    with LoopbackCluster() as cluster:
        (worker,) = cluster.add(1)
        engine = start(cluster.address)
        try:
            engine.open(small.path)
            EngineContract().busy(engine, job("SLEEP", seconds=2.0))
            worker.send_signal(signal.SIGSTOP)
            end = time.monotonic() + 60
            while engine._works[0].member is not None:
                assert engine.poll(0.1) == [] and time.monotonic() < end
            assert engine.free() == 0 and [j.key for j in engine.running()] == [("sleep_1", 0)]
            worker.send_signal(signal.SIGCONT)
            outcomes = engine.poll(120.0)
            assert [o.status for o in outcomes] == [Status.TIMEOUT]
        finally:
            engine.close()


DRIVER = """
import sys
from tabwright.testing.engines import EngineContract, job, small_run
from tabwright.engine.dask import DaskEngine
from tabwright.engine.dask_connect import connect
engine = DaskEngine(connect(sys.argv[1], 1), 1, None)
engine.open(small_run(sys.argv[2]).path)
EngineContract().busy(engine, job("SLEEP"))
print("busy", flush=True)
while True:
    engine.poll(1.0)
"""


def test_a_driver_that_is_killed_leaves_nothing_on_the_workers(cluster, tmp_path):
    command = [sys.executable, "-c", DRIVER, cluster.address, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout.readline() == "busy\n"
        assert cluster.fold_processes()
        driver.kill()
    wait(lambda: not cluster.fold_processes(), 5.0)
    wait(lambda: not folders(cluster), 5.0)


# --- what can't work is said in a sentence ----------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["ray", "tcp://", "http://host:1", 3, None, object()])
def test_an_engine_that_is_none_is_refused(engine):
    with pytest.raises(OptionError, match=r"Option engine is .* Fix: give 'local', 'dask', a scheduler's address"):
        engine_name(engine)


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(dask_connect, "CONNECT_S", 0.5)
    with pytest.raises(OptionError, match=r"is 'tcp://127.0.0.1:9', where no Dask scheduler answers"):
        connect("tcp://127.0.0.1:9", 1)
    with pytest.raises(OptionError, match=r"name the certificates in Dask's configuration"):
        connect("tls://127.0.0.1:9", 1)
    left = [o for o in gc.get_objects() if distributed.Client in type(o).__mro__ and o.status != "closed"]
    assert not left  # the garbage collector would close them, at a time when Dask may hold its lock


def test_a_cluster_without_usable_workers_is_said(small, tmp_path, monkeypatch):
    monkeypatch.setattr(engine_module, "NO_WORKER_S", 1.0)
    other = tmp_path / "packages" / "tabwright-99.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: tabwright\nVersion: 99.0\n")
    with LoopbackCluster() as cluster:

        def used():
            engine = start(cluster.address)
            try:
                engine.open(small.path)
                for _ in range(200):
                    engine.poll(0.25)
            finally:
                engine.close()

        with pytest.raises(RunError, match=rf"The Dask cluster {cluster.address} has had no worker for \d+ s"):
            used()
        cluster.add(1, environment={"PYTHONPATH": str(other.parent)})
        monkeypatch.setattr(engine_module, "NO_WORKER_S", 60.0)
        with pytest.raises(RunError, match=rf"has tabwright 99.0, and the run {metadata.version('tabwright')}"):
            used()


def certificates(folder):
    """An authority of our own and a certificate of 127.0.0.1; Dask's settings that name the files."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now, names, keys, made = dt.datetime.now(dt.UTC), {}, {}, {}
    for who in ("authority", "member"):
        keys[who] = ec.generate_private_key(ec.SECP256R1())
        names[who] = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, who)])
        builder = x509.CertificateBuilder(
            names["authority"], names[who], keys[who].public_key(), x509.random_serial_number(), now,
            now + dt.timedelta(days=1),
        )  # fmt: skip
        builder = builder.add_extension(x509.BasicConstraints(ca=who == "authority", path_length=None), critical=True)
        if who == "member":
            host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
            builder = builder.add_extension(host, critical=False)
        made[who] = builder.sign(keys["authority"], hashes.SHA256())
        (folder / f"{who}.pem").write_bytes(made[who].public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(keys["member"].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))  # fmt: skip
    settings = {"require-encryption": True, "tls.ca-file": str(folder / "authority.pem")}
    for role in ("scheduler", "worker", "client"):
        settings |= {f"tls.{role}.cert": str(folder / "member.pem"), f"tls.{role}.key": str(folder / "key.pem")}
    return {f"distributed.comm.{k}": v for k, v in settings.items()}


def test_connections_are_encrypted_with_certificates_of_dasks_configuration(small, tmp_path):
    settings = certificates(tmp_path)
    environment = {f"DASK_{k.replace('-', '_').replace('.', '__').upper()}": str(v) for k, v in settings.items()}
    with LoopbackCluster(environment, "tls") as cluster, dask.config.set(settings):
        cluster.add(1)
        assert cluster.address.startswith("tls://")
        engine = start(cluster.address)
        try:
            engine.open(small.path)
            outcome = EngineContract().fitted(engine, job("linear"))["linear_1.0"]
            assert outcome.status is Status.OK
        finally:
            engine.close()
