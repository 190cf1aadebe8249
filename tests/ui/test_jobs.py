"""Jobs: real commands in processes of their own."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tabwright.errors import DataError
from tabwright.testing.clusters import LoopbackCluster
from tabwright.ui import cluster
from tabwright.ui.jobs import Job, Jobs
from tabwright.ui.pages.leaderboard import measurements
from tabwright.ui.workspace import write_json


def wait(jobs, job, seconds=60.0):
    end = time.monotonic() + seconds
    while (now := jobs.get(job.id)).state == "running":
        assert time.monotonic() < end, jobs.log(job)
        time.sleep(0.05)
    return now


@pytest.fixture
def jobs(workspace):
    return Jobs(workspace)


def test_workers_of_a_cluster():
    with LoopbackCluster() as made:
        made.add(1)
        end = time.monotonic() + 60
        while not (found := cluster.workers(made.address)):
            assert time.monotonic() < end
            time.sleep(0.1)
        (worker,) = found
        assert worker.threads >= 1 and worker.memory > 0
        address = made.address
    with pytest.raises(DataError, match=f"no Dask scheduler answers at {address}"):
        cluster.workers(address)


def test_where_jobs_fit(workspace, monkeypatch):
    def job(title, *argv, state="running"):
        return Job(title, title, "run:r", ("tabwright", *argv), 1, 0.0, 0.0, state=state)

    jobs = [job("here", "fit", "t"), job("a", "fit", "t", "--engine", "tcp://h:1"), job("b", "fit", "--engine", "dask"),
            job("gone", "fit", "--engine", "tcp://h:2", state="done"), job("other", "export", "r")]  # fmt: skip
    monkeypatch.delenv(cluster.VARIABLE, raising=False)
    assert cluster.engines(jobs, workspace) == {"tcp://h:1": ["a"], "dask": ["b"]}
    monkeypatch.setenv(cluster.VARIABLE, "tcp://h:1")
    assert cluster.engines(jobs, workspace) == {"tcp://h:1": ["a", "b"]}


def test_a_job_ends_and_is_remembered(jobs, workspace, people, tables):
    out = workspace.root / "predictions" / "copy.csv"
    job = jobs.start("Copy", "table:people", ["tabwright", "parse", str(tables.parquet("people")), "--out", str(out)])
    done = wait(jobs, job)
    assert (done.state, done.code, done.kind) == ("done", 0, "parse")
    assert out.is_file()
    assert "900 rows" in jobs.log(done)
    assert done.seconds > 0
    later = Jobs(workspace)  # another server
    assert later.get(job.id).state == "done"
    assert [j.id for j in later.about("table:people")] == [job.id]
    assert later.about("table:x") == []


def test_a_job_that_fails_says_why(jobs):
    done = wait(jobs, jobs.start("No", "x", ["tabwright", "failures", "/none/there"]))
    assert (done.state, done.code) == ("failed", 2)
    assert jobs.why(done).startswith("There is no run in /none/there")


def test_a_job_that_no_command_knows(jobs):
    done = wait(jobs, jobs.start("No", "x", ["tabwright", "nonsense"]))
    assert (done.state, done.code) == ("failed", 2)


def test_jobs_outlive_the_server_and_can_be_stopped_by_another(jobs, workspace, write_model):
    from tabwright.schema import Column, Schema
    from tabwright.types import Kind, Task

    model = write_model(Schema((Column("x", Kind.NUMERIC),), "y", Task.REGRESSION))
    job = jobs.start("Serve", "model:m", ["tabwright", "serve", str(model), "--port", "0"])
    end = time.monotonic() + 60
    while "serving on" not in jobs.log(job):
        assert time.monotonic() < end, jobs.log(job)
        time.sleep(0.05)
    later = Jobs(workspace)
    assert jobs.get(job.id).state == later.get(job.id).state == "running"
    cpu, memory, processes = later.usage(job)
    assert cpu > 0 and memory > 10 and processes >= 1
    later.stop(job)
    assert wait(jobs, job).state == "stopped"
    later.stop(job)  # nothing to do any more


def test_a_killed_job_is_told_from_a_stopped_one(jobs, write_model):
    from tabwright.schema import Column, Schema
    from tabwright.types import Kind, Task

    model = write_model(Schema((Column("x", Kind.NUMERIC),), "y", Task.REGRESSION))
    job = jobs.start("Serve", "model:m", ["tabwright", "serve", str(model), "--port", "0"])
    os.kill(job.pid, signal.SIGKILL)
    assert wait(jobs, job).state == "killed"


def test_what_was_measured_before_another_design_leads_is_old(jobs, workspace):
    def record(k, *words):
        """The files of a job that was done at second k."""
        path = workspace.root / "jobs" / f"j{k}.json"
        write_json(path, {"id": f"j{k}", "title": "", "about": "run:r", "argv": ["tabwright", *words], "pid": 0,
                          "process_started": 0.0, "started": k - 0.5})  # fmt: skip
        path.with_suffix(".code").write_text("0")
        os.utime(path.with_suffix(".code"), (k, k))

    record(1, "fit")
    record(2, "leaderboard")
    record(3, "select", "run", "--json")  # only shows the front
    fit = jobs.get("j1")
    assert [j.id for j in measurements(jobs, "r", fit)] == ["j2"]
    record(4, "select", "run", "--design", "linear_1 x1")
    assert measurements(jobs, "r", fit) == []
    record(5, "leaderboard")
    assert [j.id for j in measurements(jobs, "r", fit)] == ["j5"]


@pytest.mark.parametrize("name", ["nothing", "../people", ""])
def test_no_such_job(jobs, name):
    with pytest.raises(DataError, match="no job"):
        jobs.get(name)
