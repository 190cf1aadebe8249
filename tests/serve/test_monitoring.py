"""Counting, drift, feedback, live metrics and alerts: the figures by themselves, then over real servers."""

from __future__ import annotations

import os
import signal
import sqlite3
import time

import httpx
import numpy as np
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from scipy.spatial.distance import jensenshannon
from serving import ROW, SUMS, serving
from sklearn import metrics as sk

from tabwright import reference
from tabwright.errors import OptionError
from tabwright.serve import drift, quality
from tabwright.serve.ids import Ids
from tabwright.serve.monitor import Monitor
from tabwright.serve.slots import Slots
from tabwright.serve.store import Feedback, Store
from tabwright.types import Task


def random_rows(n, rng, shift=0.0):
    return [
        {"x": float(rng.normal() + shift), "n": int(rng.integers(0, 10)), "flag": bool(rng.integers(0, 2)),
         "when": f"1970-01-01T00:00:0{rng.integers(0, 5)}", "c": str(rng.choice(["a", "b", "ü"])), "t": "some text"}
        for _ in range(n)
    ]  # fmt: skip


def scraped(server, headers=None):
    """Every sample of /metrics by name and labels."""
    text = server.get("/metrics", headers=headers or {}).text
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text) for sample in family.samples
    }  # fmt: skip


class TestDistances:
    def test_against_scipy_and_by_hand(self):
        rng = np.random.default_rng(0)
        p, q = rng.integers(1, 500, 12), rng.integers(1, 500, 12)
        a, b = drift.shares(p), drift.shares(q)
        assert drift.jensen_shannon(p, q) == pytest.approx(jensenshannon(a, b, base=2))
        assert drift.psi(p, q) == pytest.approx(sum((b - a) * np.log(b / a)))
        assert drift.psi(p, p) == 0 == drift.jensen_shannon(p, p)

    def test_chance_alone_seldom_alarms(self):
        rng = np.random.default_rng(1)
        shares = np.full(11, 1 / 11)
        base = rng.multinomial(2000, shares)
        values = [drift.psi(base, rng.multinomial(250, shares)) for _ in range(2000)]
        beyond = np.mean(np.array(values) > drift.noise(11, 2000, 250))
        assert beyond < 0.006  # 0.001 wanted; the histogram's own error is in it
        assert drift.compare(base, rng.multinomial(199, shares)) is None
        assert drift.compare(base, rng.multinomial(1000, shares)).alarm is False
        assert drift.compare(base, np.roll(base, 3) * (np.arange(11) < 4)).alarm is True


class TestHistograms:
    def test_numbers(self):
        values = np.r_[np.arange(100.0), np.nan]
        made = reference.of_numbers(values)
        assert made.counts == (10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 1)
        assert made.count(np.array([-5.0, 1e9, np.nan, 9.0])).tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]
        ties = reference.of_numbers(np.array([0.0] * 95 + [1.0] * 5))
        assert (ties.edges, ties.counts) == ((0.0,), (95, 5, 0))
        assert reference.of_numbers(np.array([np.nan])).counts == (0, 1)

    def test_categories_and_lengths(self):
        made = reference.of_categories(["a", "b", "", "z"], ("a", "b"))
        assert made.counts == (1, 1, 1, 1)
        assert reference.of_lengths(["", "ab", "abc"]).counts[-1] == 1
        many = reference.of_categories([str(k) for k in range(50)], [str(k) for k in range(50)])
        assert many.n_bins == reference.MAX_CATEGORIES + 2
        for histogram in (made, many, reference.of_lengths(["", "ab"]), reference.of_numbers(np.arange(9.0))):
            assert reference.Histogram.from_json(histogram.to_json()) == histogram


class TestLiveMetrics:
    def test_against_scikit_learn(self):
        rng = np.random.default_rng(0)
        truth = rng.random(500) < 0.2
        score = np.round(np.clip(0.2 + 0.3 * truth + rng.normal(size=500) * 0.2, 0.001, 0.999), 2)  # with ties
        found = quality.live_metrics(Task.BINARY, (score > 0.5).astype(int), score, truth.astype(float))
        for name, wanted in (
            ("roc_auc", sk.roc_auc_score(truth, score)), ("log_loss", sk.log_loss(truth, score)),
            ("average_precision", sk.average_precision_score(truth, score)),
            ("average_precision_rare_class", sk.average_precision_score(truth, score)),
            ("brier", sk.brier_score_loss(truth, score)), ("accuracy", sk.accuracy_score(truth, score > 0.5)),
        ):  # fmt: skip
            assert found[name] == pytest.approx(wanted)
        flipped = quality.live_metrics(Task.BINARY, (score <= 0.5).astype(int), 1 - score, (~truth).astype(float))
        assert flipped["average_precision_rare_class"] == pytest.approx(found["average_precision"])
        value = rng.normal(size=50)
        found = quality.live_metrics(Task.REGRESSION, np.zeros(50, int), value, value + 2)
        assert found == {"rmse": pytest.approx(2), "mae": pytest.approx(2), "bias": pytest.approx(-2)}
        assert quality.live_metrics(Task.BINARY, np.ones(3, int), np.ones(3), np.ones(3)).keys() >= {"brier"}

    def test_calibration(self):
        rng = np.random.default_rng(0)
        score = rng.random(20_000)
        assert quality.calibration_error(score, rng.random(20_000) < score) < 0.02
        assert quality.calibration_error(score, rng.random(20_000) < score**3) > 0.2

    @pytest.mark.parametrize("task", list(Task))
    def test_alarms_beyond_chance_only(self, task):
        rng = np.random.default_rng(0)
        outcome = (rng.random(2000) < 0.4).astype(float)
        score = np.clip(0.4 + 0.2 * outcome + rng.normal(size=2000) * 0.2, 0, 1)
        label = (score > 0.5).astype(int)
        live = quality.live_metrics(task, label, score, outcome)
        name = quality.watched(task)
        sign = 1 if task is Task.REGRESSION else -1
        for shift, alarm in ((0.0, False), (0.005, False), (0.1, True)):
            promised = {name: live[name] - sign * shift}
            assert quality.worse_than(promised, task, live, (label, score, outcome)) is alarm
        few = tuple(v[:20] for v in (label, score, outcome))
        assert not quality.worse_than({name: live[name] - sign}, task, live, few)


def test_ids():
    ids, other = Ids(b"s" * 32), Ids(b"t" * 32)
    made = ids.make(bytes.fromhex("00ff00ff"), [1, 0, 3], [0.25, -1e300, np.nan])
    assert len(set(made)) == 3
    told = ids.read(made[0])
    assert (told.tag, told.label, told.score) == ("00ff00ff", 1, 0.25)
    assert abs(told.at - time.time()) < 3
    altered = made[0][:-8] + ("A" if made[0][-8] != "A" else "B") + made[0][-7:]
    for wrong in (altered, made[0][:-1], "", "x" * 48, "é" * 48, other.make(b"abcd", [0], [1.0])[0]):
        with pytest.raises(ValueError):  # noqa: PT011 - the message is the id
            ids.read(wrong)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    return str(tmp_path / "s.sqlite") if request.param == "sqlite" else request.getfixturevalue("postgres")


class TestStore:
    def test_everything(self, url):
        first, second = Store(url), Store(url)
        try:
            assert first.secret() == second.secret()
            first.add_counts({(5, "m", "rows", 0): 2, (6, "m", "rows", 0): 3})
            second.add_counts({(5, "m", "rows", 0): 40})
            assert sorted(first.counts("m", 5)) == [(5, "rows", 0, 42), (6, "rows", 0, 3)]
            assert first.counts("m", 6, "row%") == [(6, "rows", 0, 3)]
            first.add_feedback([Feedback("m", 10, "a", 1, 0.5, 1.0), Feedback("m", 11, "b", 0, 0.25, 0.0)])
            second.add_feedback([Feedback("m", 10, "a", 1, 0.5, 0.0)])  # corrected
            assert first.feedback("m", 10) == [(11, 0, 0.25, 0.0), (10, 1, 0.5, 0.0)]
            assert first.feedback("m", 11) == [(11, 0, 0.25, 0.0)]
            assert [s.change_alert("x", active=True) for s in (first, second)] == [True, False]
            assert list(second.alerts()) == ["x"]
            assert [s.change_alert("x", active=False) for s in (second, first)] == [True, False]
            first.add_model("m", "name", "1", {"task": "binary", "classes": [False, True]})
            assert second.model("m") == {"name": "name", "version": "1", "task": "binary", "classes": [False, True]}
            assert second.model("none") is None
            facts = {"cpu_s": 1.0, "resident_bytes": 5, "in_flight": 0}
            first.report_worker("w:1", facts)
            assert second.workers() == {"w:1": facts}
            first.prune(6, 0)
            assert second.counts("m", 0) == [(6, "rows", 0, 3)]
        finally:
            first.close()
            second.close()

    def test_a_server_that_was_away_costs_one_transaction(self, postgres):
        store, other = Store(postgres), Store(postgres)
        try:
            with other._transaction() as run:
                run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND pid <> pg_backend_pid()")  # fmt: skip
            with pytest.raises(psycopg.OperationalError):
                store.alerts()
            assert store.alerts() == {}
        finally:
            store.close()
            other.close()

    def test_alerts_of_what_another_server_scores_are_left_alone(self, url):
        store, slots = Store(url), Slots(3600)
        try:
            alerts = [f"quality model=m version=1 checksum={tag} metric=rmse" for tag in ("busy", "gone")]
            for alert in alerts:
                store.change_alert(alert, active=True)
            store.add_counts({(slots.now(), "busy", "rows", 0): 7})
            Monitor(store, list, slots, 1.0).evaluate()
            assert list(store.alerts()) == [alerts[0]]
        finally:
            for alert in store.alerts():
                store.change_alert(alert, active=False)
            store.close()

    def test_of_a_later_version(self, tmp_path):
        path = tmp_path / "s.sqlite"
        Store(str(path)).close()
        with sqlite3.connect(path) as db:
            db.execute("UPDATE facts SET value = '2' WHERE name = 'format'")
        with pytest.raises(OptionError, match="later version"):
            Store(str(path))


def test_a_server_on_postgresql(models, postgres):
    with serving(models / "fraud.onnx", "--store", postgres, "--workers", "2", "--evaluate-secs", "0.3") as run:
        told = run.post("/predict", json=[ROW] * 60).json()
        answer = run.post("/feedback", json=[{"id": i, "outcome": "yes"} for i in told["ids"]])
        assert answer.json() == {"stored": 60}
        run.wait_for(lambda: scraped(run).get(("tabwright_window_outcomes", "1", "fraud")) == 60)


class TestFeedback:
    def test_outcomes_make_live_metrics(self, models, tmp_path):
        rng = np.random.default_rng(0)
        store = tmp_path / "store.sqlite"
        options = ("--store", store, "--evaluate-secs", "0.3")
        with serving(models, *options) as run:
            rows = random_rows(300, rng)
            told = {name: run.post(f"/models/{name}/predict", json=rows).json() for name in ("sum", "fraud")}
            proba = np.array(told["fraud"]["probabilities"])[:, 1]
            truth = rng.random(300) < proba
            values = np.array(told["sum"]["predictions"]) + rng.normal(size=300)
            outcomes = np.where(truth, "yes", "no").tolist()
            items = [{"id": i, "outcome": o} for i, o in zip(told["fraud"]["ids"], outcomes, strict=True)]
            assert run.post("/feedback", json=items[:150]).json() == {"stored": 150}
            assert run.post("/feedback", json=items[150]).json() == {"stored": 1}  # one by itself
        # and the rest after a restart: ids hold all that is needed
        with serving(models, *options) as run:
            assert run.post("/feedback", json=items[150:]).json() == {"stored": 150}
            items = [{"id": i, "outcome": float(v)} for i, v in zip(told["sum"]["ids"], values, strict=True)]
            assert run.post("/feedback", json=items).json() == {"stored": 300}
            run.wait_for(lambda: scraped(run).get(("tabwright_window_outcomes", "1", "sum")) == 300)
            found = scraped(run)
            assert found["tabwright_window_outcomes", "1", "fraud"] == 300
            auc = found["tabwright_live_metric", "1", "fraud", "roc_auc"]
            assert auc == pytest.approx(sk.roc_auc_score(truth, proba))
            rmse = found["tabwright_live_metric", "1", "rmse", "sum"]
            assert rmse == pytest.approx(np.sqrt(np.mean((values - told["sum"]["predictions"]) ** 2)))

    @pytest.mark.parametrize(("item", "message"), [
        ({"id": "x" * 48, "outcome": "yes"}, "an id that this server did not give"),
        ({"id": 3}, "no 'id' and 'outcome'"),
        (7, "no 'id' and 'outcome'"), ({"outcome": "maybe"}, "which is none of the classes"),
        ({"outcome": None}, "which is none of the classes"), ({"outcome": ["yes"]}, "which is none of the classes"),
    ])  # fmt: skip
    def test_faults_are_named(self, server, item, message):
        ids = server.post("/models/fraud/predict", json=[ROW, ROW]).json()["ids"]
        good = {"id": ids[0], "outcome": "yes"}
        bad = item if not isinstance(item, dict) or "id" in item else item | {"id": ids[1]}
        answer = server.post("/feedback", json=[good, bad])
        assert answer.status_code == 422
        assert message in answer.json()["error"]
        assert answer.json()["row"] == 1
        assert server.post("/feedback", json=[]).status_code == 422

    def test_numbers_must_be_numbers(self, server):
        made = server.post("/models/sum/predict", json=ROW).json()["ids"][0]
        for outcome in ("high", True, None):
            assert server.post("/feedback", json={"id": made, "outcome": outcome}).status_code == 422
        assert server.post("/feedback", json={"id": made, "outcome": 3}).status_code == 200


class TestDrift:
    def test_shifted_rows_raise_an_alarm_that_clears(self, models):
        rng = np.random.default_rng(0)
        with serving(models / "fraud.onnx", "--evaluate-secs", "0.3", "--window-secs", "12") as run:
            run.post("/predict", json=random_rows(2000, rng))
            run.wait_for(lambda: ("tabwright_column_drift_psi", "1", "fraud", "x") in scraped(run))
            found = scraped(run)
            assert max(v for k, v in found.items() if k[0] == "tabwright_column_drift_psi") < 0.05
            assert not any(v for k, v in found.items() if k[0] == "tabwright_alert")
            run.post("/predict", json=random_rows(4000, rng, shift=2.0))
            alert = ("tabwright_alert", "", "1", "column_drift", "fraud", "x")
            run.wait_for(lambda: scraped(run).get(alert) == 1)
            found = scraped(run)
            assert found["tabwright_column_drift_psi", "1", "fraud", "x"] > 0.2
            assert found["tabwright_column_drift_js", "1", "fraud", "x"] > 0.2
            assert found["tabwright_alert", "", "1", "column_drift", "fraud", "n"] == 0
            assert any("alert raised: column_drift" in line and "column=x" in line for line in run.lines)
            assert run.get("/monitor.json").json()["alerts"]
            run.wait_for(lambda: scraped(run).get(alert) == 0, 30)  # the window has moved on
            assert any("alert cleared: column_drift" in line for line in run.lines)


def processes(found):
    """The series of workers' memory."""
    return [k for k in found if k[0] == "tabwright_worker_resident_bytes"]


def test_counts_of_all_processes(models):
    with serving(models, "--workers", "2", "--evaluate-secs", "0.3") as run:
        run.wait_for(lambda: len(run.workers()) == 2)
        for _ in range(30):
            with httpx.Client(base_url=run.url, timeout=60) as http:  # another connection, so perhaps another worker
                assert http.post("/models/sum/predict", json=[ROW] * 2).json()["predictions"] == [SUMS[0]] * 2
        run.post("/models/sum/predict", json={"x": "abc"})
        run.post("/models/sum/predict", json=ROW | {"c": "z"})
        run.wait_for(lambda: ("tabwright_unseen_categories_total", "1", "c", "sum") in scraped(run))
        run.wait_for(lambda: len(processes(scraped(run))) == 2)  # each tells its own, once it has
        found = scraped(run)
        assert found["tabwright_requests_total", "200", "sum"] == 31
        assert found["tabwright_requests_total", "422", "sum"] == 1
        assert found["tabwright_rows_total", "1", "sum"] == 61
        assert found["tabwright_request_seconds_count", "1", "sum"] == 31
        assert found["tabwright_unseen_categories_total", "1", "c", "sum"] == 1
        assert all(1e7 < found[k] < 1e9 for k in processes(found))
        assert all(found["tabwright_worker_cpu_seconds_total", k[1]] > 0 for k in processes(found))
        killed = run.workers()[0]
        os.kill(killed, signal.SIGKILL)  # its counts stay
        run.wait_for(lambda: killed not in run.workers() and len(run.workers()) == 2)
        assert scraped(run)["tabwright_requests_total", "200", "sum"] == 31
