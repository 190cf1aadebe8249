"""Prometheus metrics: counters and a latency histogram of all processes, and gauges from the monitor's figures."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tabwright.serve.figures import Figures
from tabwright.serve.registry import Served
from tabwright.serve.store import Store

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


def prepare() -> Path:
    """Make the folder that processes share their counters in; before prometheus_client is imported."""
    if DIRECTORY not in os.environ:
        os.environ[DIRECTORY] = tempfile.mkdtemp(prefix="tabwright-metrics-")
    return Path(os.environ[DIRECTORY])


class Metrics:
    """The process's counters, and the text that Prometheus reads."""

    def __init__(self, store: Store, figures: Callable[[], list[Figures]]) -> None:
        prepare()
        import prometheus_client as prometheus

        self._store, self._figures = store, figures
        self._registry = prometheus.CollectorRegistry()
        common: dict[str, Any] = {"registry": self._registry}
        by_model = ("model", "version")
        self._latency = prometheus.Histogram(
            "tabwright_request_seconds", "Time from a request's head to its answer", by_model, buckets=BUCKETS, **common
        )
        self._requests = prometheus.Counter("tabwright_requests", "Requests answered", ("model", "status"), **common)
        self._rows = prometheus.Counter("tabwright_rows", "Rows scored", by_model, **common)
        self._unseen = prometheus.Counter(
            "tabwright_unseen_categories", "Rows with a category never seen in training", (*by_model, "column"),
            **common,
        )  # fmt: skip
        self._feedback = prometheus.Counter("tabwright_feedback", "Outcomes stored", by_model, **common)
        self._loads = prometheus.Counter("tabwright_model_load_failures", "Files that could not be loaded", **common)
        self._kept: dict[tuple[Any, ...], Any] = {}

    def answered(self, served: Served | None, status: int, seconds: float, rows: int) -> None:
        """Count a request."""
        name = served.name if served else ""
        self._child(self._requests, name, str(status)).inc()
        if served is not None and status < 400:
            self._child(self._latency, name, served.version).observe(seconds)
            self._child(self._rows, name, served.version).inc(rows)

    def unseen(self, served: Served, column: str, n: int) -> None:
        self._child(self._unseen, served.name, served.version, column).inc(n)

    def fed_back(self, name: str, version: str, n: int) -> None:
        self._child(self._feedback, name, version).inc(n)

    def load_failed(self, n: int) -> None:
        self._loads.inc(n)

    def _child(self, metric: Any, *labels: str) -> Any:
        key = (id(metric), *labels)
        child = self._kept.get(key)
        if child is None:
            child = self._kept[key] = metric.labels(*labels)
        return child

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        registry.register(_Gauges(self._store, self._figures()))
        return generate_latest(registry)


class _Gauges:
    """What is worked out at a scrape rather than counted."""

    def __init__(self, store: Store, figures: list[Figures]) -> None:
        self._store, self._figures = store, figures

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        workers = self._store.workers()
        processor = CounterMetricFamily("tabwright_worker_cpu_seconds", "Processor time", labels=["worker"])
        resident = GaugeMetricFamily("tabwright_worker_resident_bytes", "Resident memory", labels=["worker"])
        queue = GaugeMetricFamily("tabwright_in_flight_requests", "Requests being answered", labels=["worker"])
        for worker, facts in workers.items():
            processor.add_metric([worker], facts["cpu_s"])
            resident.add_metric([worker], facts["resident_bytes"])
            queue.add_metric([worker], facts["in_flight"])
        yield from (processor, resident, queue, *self._drift(), *self._quality(), *self._alerts())

    def _drift(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        by_column = ["model", "version", "column"]
        psi = GaugeMetricFamily("tabwright_column_drift_psi", "Population stability index", labels=by_column)
        js = GaugeMetricFamily("tabwright_column_drift_js", "Jensen-Shannon distance", labels=by_column)
        prediction_psi = GaugeMetricFamily("tabwright_prediction_drift_psi", "Population stability index of "
                                           "predictions", labels=by_column[:2])  # fmt: skip
        prediction_js = GaugeMetricFamily("tabwright_prediction_drift_js", "Jensen-Shannon distance of predictions",
                                          labels=by_column[:2])  # fmt: skip
        for f in self._figures:
            for column, drift in f.columns.items():
                psi.add_metric([f.name, f.version, column], drift.psi)
                js.add_metric([f.name, f.version, column], drift.js)
            if f.prediction is not None:
                prediction_psi.add_metric([f.name, f.version], f.prediction.psi)
                prediction_js.add_metric([f.name, f.version], f.prediction.js)
        yield from (psi, js, prediction_psi, prediction_js)

    def _quality(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        labels = ["model", "version", "metric"]
        live = GaugeMetricFamily("tabwright_live_metric", "Metric of predictions with outcomes", labels=labels)
        promised = GaugeMetricFamily("tabwright_validation_metric", "The same metric out of fold", labels=labels)
        outcomes = GaugeMetricFamily("tabwright_window_outcomes", "Outcomes in the window", labels=labels[:2])
        for f in self._figures:
            outcomes.add_metric([f.name, f.version], f.outcomes)
            for name, value in f.live.items():
                live.add_metric([f.name, f.version, name], value)
                if name in f.promised:
                    promised.add_metric([f.name, f.version, name], f.promised[name])
        yield from (live, promised, outcomes)

    def _alerts(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        alerts = GaugeMetricFamily("tabwright_alert", "1 where an alarm is on",
                                   labels=["kind", "model", "version", "column", "metric"])  # fmt: skip
        active = self._store.alerts()
        for f in self._figures:
            for alert in f.alerts():
                who = [alert.kind, f.name, f.version, alert.column, alert.metric]
                alerts.add_metric(who, float(str(alert) in active))
        yield alerts
