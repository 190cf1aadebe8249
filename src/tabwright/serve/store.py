"""Counts, feedback and alerts in SQLite or PostgreSQL, shared by all worker processes."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tabwright.database import Database
from tabwright.errors import OptionError

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS models (
    tag TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, facts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counts (
    slot BIGINT, tag TEXT, series TEXT, bin INTEGER, n BIGINT NOT NULL, PRIMARY KEY (tag, slot, series, bin));
CREATE TABLE IF NOT EXISTS feedback (
    tag TEXT, at BIGINT, nonce TEXT, label INTEGER, score DOUBLE PRECISION, outcome DOUBLE PRECISION NOT NULL,
    received BIGINT NOT NULL, PRIMARY KEY (tag, at, nonce));
CREATE TABLE IF NOT EXISTS alerts (alert TEXT PRIMARY KEY, since BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS workers (worker TEXT PRIMARY KEY, seen BIGINT, facts TEXT NOT NULL)
"""
FORMAT = "1"

CountKey = tuple[int, str, str, int]  # slot, tag, series, bin


@dataclass(frozen=True)
class Feedback:
    """One prediction with its outcome: the true value, or the position of the true class."""

    tag: str
    at: int
    nonce: str
    label: int
    score: float
    outcome: float


class Store:
    """One connection with a lock; every method is one transaction, and safe from any thread.

    Parameters
    ----------
    url : str
        An SQLite file, or ``postgresql://…``.

    Raises
    ------
    OptionError
        If it can't be opened, or a later version of the program wrote it.
    MissingExtraError
        For PostgreSQL without its driver.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url, "--store", _TABLES, lock=7242)
        self._transaction, self.close = self._database.transaction, self._database.close
        if self.fact("format", FORMAT) != FORMAT:
            raise OptionError("--store", "was written by a later version", "name another store, or update tabwright")

    def fact(self, name: str, default: str) -> str:
        """A stored fact; ``default`` becomes it where there is none yet."""
        with self._transaction() as run:
            run("INSERT INTO facts VALUES (?, ?) ON CONFLICT DO NOTHING", (name, default))
            return str(run("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()[0])

    def secret(self) -> bytes:
        """The secret that prediction ids are signed with; made when the store is new."""
        return bytes.fromhex(self.fact("secret", secrets.token_hex(32)))

    def add_model(self, tag: str, name: str, version: str, facts: Mapping[str, Any]) -> None:
        """Remember a model, so that feedback is understood after it is gone."""
        with self._transaction() as run:
            run(
                "INSERT INTO models VALUES (?, ?, ?, ?) ON CONFLICT (tag) DO UPDATE SET name = excluded.name, "
                "version = excluded.version", (tag, name, version, json.dumps(facts)),
            )  # fmt: skip

    def model(self, tag: str) -> dict[str, Any] | None:
        """What was remembered of a model."""
        with self._transaction() as run:
            row = run("SELECT name, version, facts FROM models WHERE tag = ?", (tag,)).fetchone()
        return None if row is None else {"name": row[0], "version": row[1], **json.loads(row[2])}

    def add_counts(self, counts: Mapping[CountKey, int]) -> None:
        with self._transaction() as run:
            run(
                "INSERT INTO counts VALUES (?, ?, ?, ?, ?) ON CONFLICT (tag, slot, series, bin) "
                "DO UPDATE SET n = counts.n + excluded.n",
                [(*key, n) for key, n in sorted(counts.items())], many=True,
            )  # fmt: skip

    def counts(self, tag: str, since_slot: int, series: str = "%") -> list[tuple[int, str, int, int]]:
        """Slot, series, bin and count from a slot on, of the series whose names match."""
        with self._transaction() as run:
            return list(
                run("SELECT slot, series, bin, n FROM counts WHERE tag = ? AND slot >= ? AND series LIKE ?",
                    (tag, since_slot, series)).fetchall()
            )  # fmt: skip

    def add_feedback(self, items: Iterable[Feedback]) -> None:
        """Store outcomes; a later one of the same prediction takes the place of the earlier."""
        now = int(time.time())
        rows = [(f.tag, f.at, f.nonce, f.label, f.score, f.outcome, now) for f in items]
        with self._transaction() as run:
            run(
                "INSERT INTO feedback VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tag, at, nonce) "
                "DO UPDATE SET outcome = excluded.outcome, received = excluded.received", rows, many=True,
            )  # fmt: skip

    def feedback(self, tag: str, since: int, limit: int = 50_000) -> list[tuple[int, int, float, float]]:
        """Time of prediction, label, score and outcome of predictions made since a time, newest first."""
        with self._transaction() as run:
            return list(
                run("SELECT at, label, score, outcome FROM feedback WHERE tag = ? AND at >= ? "
                    "ORDER BY at DESC LIMIT ?", (tag, since, limit)).fetchall()
            )  # fmt: skip

    def change_alert(self, alert: str, *, active: bool) -> bool:
        """Switch an alert on or off; whether that was news (to one process only, so it is logged once)."""
        if active == (alert in self.alerts()):  # the usual case takes no write
            return False
        with self._transaction() as run:
            if active:
                done = run("INSERT INTO alerts VALUES (?, ?) ON CONFLICT DO NOTHING", (alert, int(time.time())))
            else:
                done = run("DELETE FROM alerts WHERE alert = ?", (alert,))
            return bool(done.rowcount)

    def alerts(self) -> dict[str, int]:
        """Active alerts and since when."""
        with self._transaction() as run:
            return dict(run("SELECT alert, since FROM alerts ORDER BY since").fetchall())

    def report_worker(self, worker: str, facts: Mapping[str, Any]) -> None:
        """Tell that a process lives, and what it uses."""
        with self._transaction() as run:
            run(
                "INSERT INTO workers VALUES (?, ?, ?) ON CONFLICT (worker) DO UPDATE SET seen = excluded.seen, "
                "facts = excluded.facts", (worker, int(time.time()), json.dumps(facts)),
            )  # fmt: skip

    def workers(self, within_s: int = 10) -> dict[str, dict[str, Any]]:
        """Processes heard of lately."""
        with self._transaction() as run:
            rows = run("SELECT worker, facts FROM workers WHERE seen >= ? ORDER BY worker",
                       (int(time.time()) - within_s,)).fetchall()  # fmt: skip
        return {worker: json.loads(facts) for worker, facts in rows}

    def prune(self, before_slot: int, before: int) -> None:
        """Forget counts and workers that no window reaches; feedback is kept."""
        with self._transaction() as run:
            run("DELETE FROM counts WHERE slot < ?", (before_slot,))
            run("DELETE FROM workers WHERE seen < ?", (before,))
