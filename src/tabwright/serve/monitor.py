"""What a process saw, gathered off the request path and shared through the store.

Requests only append to a queue. A thread empties it each second: it counts rows into the bins of the file's
reference histograms, latencies and outcomes into bins of their own, adds them to the store, and every few seconds
works out drift, live metrics and alerts for all processes together.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tabwright.serve.figures import Figures, figures_of, tag_of
from tabwright.serve.registry import Served
from tabwright.serve.slots import LATENCY_EDGES_S, Slots
from tabwright.serve.store import CountKey, Store
from tabwright.types import Array, Task

log = logging.getLogger("tabwright.serve")
FLUSH_S = 1.0
MAX_ROWS_PER_FLUSH = 2000
"""Rows counted for drift per model and flush; more are sampled, since counting takes the interpreter's time."""
_QUEUE = 200_000
_SERVER = ""  # the tag under which counts of the server as a whole stand


@dataclass
class _Seen:
    """Rows of one model since the last flush."""

    served: Served
    feeds: list[Mapping[str, Array]] = field(default_factory=list)
    outputs: list[Mapping[str, Array]] = field(default_factory=list)


class Monitor:
    """Counts of this process, and the figures of all of them.

    Parameters
    ----------
    store : Store
    models : callable
        The versions served now.
    slots : Slots
    evaluate_s : float
    unseen : callable
        Told of a model, a column and how many rows held a category never seen in training.
    """

    def __init__(
        self, store: Store, models: Callable[[], list[Served]], slots: Slots, evaluate_s: float,
        unseen: Callable[[Served, str, int], None] = lambda _served, _column, _n: None,
    ) -> None:  # fmt: skip
        self._store, self._models, self._slots, self._unseen = store, models, slots, unseen
        self._evaluate_s = evaluate_s
        self._scored: deque[tuple[Served, Mapping[str, Array], Mapping[str, Array]]] = deque(maxlen=_QUEUE)
        self._answered: deque[tuple[str, int, float]] = deque(maxlen=_QUEUE)
        self._unsaved: Counter[CountKey] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)
        self._evaluated = 0.0
        self.in_flight: Callable[[], int] = lambda: 0
        self.figures: list[Figures] = []

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Flush what is left and stop."""
        self._stop.set()
        self._thread.join(timeout=10)
        self.flush()

    def scored(self, served: Served, feeds: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
        """Rows were scored."""
        self._scored.append((served, feeds, outputs))

    def answered(self, tag: str, status: int, seconds: float) -> None:
        """A request about a model (or none: ``""``) was answered."""
        self._answered.append((tag, status, seconds))

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_S):
            try:
                self.flush()
                if time.monotonic() - self._evaluated >= self._evaluate_s:
                    self.evaluate()
            except Exception:
                # a full disk or a database that is away must not stop scoring; counts stay for the next turn
                log.exception("monitoring could not be stored")

    def flush(self) -> None:
        """Count what has gathered and add it to the store."""
        slot = self._slots.now()
        for seen in self._gather().values():
            self._count_rows(seen, slot)
        answered = [self._answered.popleft() for _ in range(len(self._answered))]
        bins = np.searchsorted(LATENCY_EDGES_S, [seconds for _, _, seconds in answered], side="left").tolist()
        for (tag, status, _), bin_ in zip(answered, bins, strict=True):
            self._unsaved[slot, tag or _SERVER, "status", status] += 1
            if status < 400:
                self._unsaved[slot, tag or _SERVER, "latency", bin_] += 1
        if self._unsaved:
            self._store.add_counts(self._unsaved)
            self._unsaved = Counter()
        self._store.report_worker(f"{os.uname().nodename}:{os.getpid()}", _usage() | {"in_flight": self.in_flight()})

    def evaluate(self) -> None:
        """Work out the figures of every model, and switch alerts."""
        self._evaluated = time.monotonic()
        self.figures = [figures_of(served, self._store, self._slots) for served in self._models()]
        wanted = {str(alert): on for found in self.figures for alert, on in found.alerts().items()}
        # of versions that nobody serves any more: what another server on this store scores has rows in the window
        gone = {alert: False for alert in self._store.alerts()
                if not self._store.counts(tag_of(alert), self._slots.since(), "rows")}  # fmt: skip
        for alert, on in (gone | wanted).items():
            if self._store.change_alert(alert, active=on):
                log.warning("alert %s: %s", "raised" if on else "cleared", alert)
        self._store.prune(self._slots.oldest(), int(time.time()) - 3600)

    def _gather(self) -> dict[str, _Seen]:
        gathered: dict[str, _Seen] = {}
        while self._scored:
            served, feeds, outputs = self._scored.popleft()
            seen = gathered.setdefault(served.tag, _Seen(served))
            seen.feeds.append(feeds)
            seen.outputs.append(outputs)
        return gathered

    def _count_rows(self, seen: _Seen, slot: int) -> None:
        served, schema = seen.served, seen.served.model.schema
        tag = served.tag
        joined = {k: np.concatenate([f[k] for f in seen.feeds]) for k in seen.feeds[0]}
        scores, labels = summary(served, {k: np.concatenate([o[k] for o in seen.outputs]) for k in seen.outputs[0]})
        n_rows = len(scores)
        self._unsaved[slot, tag, "rows", 0] += n_rows
        if n_rows > MAX_ROWS_PER_FLUSH:
            rows = np.random.default_rng(slot).choice(n_rows, MAX_ROWS_PER_FLUSH, replace=False)
            joined, scores, labels = {k: v[rows] for k, v in joined.items()}, scores[rows], labels[rows]
        for j, column in enumerate(schema.numeric):
            self._count(served, column.name, joined["numbers"][:, j], slot)
        for j, column in enumerate(schema.strings):
            texts = joined["strings"][:, j].tolist()
            known = served.vocabularies.get(j)
            if known is None:
                self._count(served, column.name, texts, slot)
                continue
            found = Counter(texts)
            self._count(served, column.name, found, slot)
            if n := sum(times for value, times in found.items() if value not in known):
                self._unseen(served, column.name, n)
        histogram = served.prediction_histogram
        if histogram is not None:
            values = [str(served.classes[k]) for k in labels.tolist()] if histogram.values else scores
            self._add(slot, tag, "prediction", histogram.count(values))

    def _count(self, served: Served, name: str, values: Any, slot: int) -> None:
        histogram = served.histograms.get(name)
        if histogram is not None:
            self._add(slot, served.tag, "column:" + name, histogram.count(values))

    def _add(self, slot: int, tag: str, series: str, counts: Array) -> None:
        for bin_ in np.flatnonzero(counts).tolist():
            self._unsaved[slot, tag, series, bin_] += int(counts[bin_])


def summary(served: Served, outputs: Mapping[str, Array]) -> tuple[Array, Array]:
    """Score and class position of each row, as prediction ids and live metrics hold them: (n,) and (n,)."""
    if served.task is Task.REGRESSION:
        values = outputs["prediction"]
        return values, np.zeros(len(values), np.int64)
    position = served.class_position
    labels = np.fromiter((position[v] for v in outputs["label"].tolist()), np.int64, len(outputs["label"]))
    proba = outputs["probabilities"]
    if served.task is Task.BINARY:
        return proba[:, 1], labels
    return proba[np.arange(len(proba)), labels], labels


def _usage() -> dict[str, float]:
    """Processor time and resident memory of this process."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no path object for two numbers
            resident = int(file.read().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux: the peak is the best there is
        resident = used.ru_maxrss * 1024
    return {"cpu_s": used.ru_utime + used.ru_stime, "resident_bytes": resident}
