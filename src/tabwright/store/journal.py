"""The journal of a run: every candidate, fold, leader and event, in SQLite with a write-ahead log."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS candidates (
    model_id TEXT PRIMARY KEY, family TEXT NOT NULL, params TEXT NOT NULL, seed INTEGER NOT NULL,
    origin TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS folds (
    model_id TEXT NOT NULL REFERENCES candidates, fold INTEGER NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL,
    started REAL NOT NULL, seconds REAL NOT NULL, cpu_seconds REAL NOT NULL, peak_memory_mib REAL NOT NULL,
    score REAL, n_iterations INTEGER, artefact_sha256 TEXT, PRIMARY KEY (model_id, fold, started));
CREATE TABLE IF NOT EXISTS pruned (model_id TEXT PRIMARY KEY, time REAL NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS leaders (time REAL NOT NULL, name TEXT NOT NULL, score REAL, members TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (time REAL NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL);
"""


@dataclass(frozen=True)
class FoldRecord:
    """One attempt at one fold of one candidate. Times are seconds since 1970; memory is resident, MiB."""

    model_id: str
    fold: int
    status: str  # ok, failed, timeout, memory, crashed, cancelled
    reason: str
    started: float
    seconds: float
    cpu_seconds: float
    peak_memory_mib: float
    score: float | None = None
    n_iterations: int | None = None
    artefact_sha256: str | None = None


@dataclass(frozen=True)
class CandidateRecord:
    """One candidate as it was proposed."""

    model_id: str
    family: str
    params: dict[str, Any]
    seed: int
    origin: str
    created: float


class Journal:
    """Append-only record; each call is one committed transaction, so ``kill -9`` loses at most the call in flight."""

    def __init__(self, path: Path) -> None:
        self.broken = ""  # why writing failed, if it did
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(SCHEMA)

    def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        """Commit, or note that the journal can't be written any more: a full disk must not end the search."""
        try:
            self._db.execute(statement, values)
        except sqlite3.OperationalError as error:
            self.broken = self.broken or str(error)

    def add_candidate(self, record: CandidateRecord) -> None:
        self._write(
            "INSERT OR IGNORE INTO candidates VALUES (?,?,?,?,?,?)",
            (record.model_id, record.family, json.dumps(record.params, sort_keys=True), record.seed, record.origin,
             record.created),
        )  # fmt: skip

    def add_fold(self, r: FoldRecord) -> None:
        self._write(
            "INSERT INTO folds VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            (r.model_id, r.fold, r.status, r.reason, r.started, r.seconds, r.cpu_seconds, r.peak_memory_mib, r.score,
             r.n_iterations, r.artefact_sha256),
        )  # fmt: skip

    def add_pruned(self, model_id: str, reason: str) -> None:
        self._write("INSERT OR REPLACE INTO pruned VALUES (?,?,?)", (model_id, time.time(), reason))

    def pruned(self) -> dict[str, str]:
        """Reasons by model_id of candidates that were stopped early."""
        return dict(self._db.execute("SELECT model_id, reason FROM pruned"))

    def add_leader(self, name: str, score: float | None, members: Sequence[tuple[str, float]]) -> None:
        self._write("INSERT INTO leaders VALUES (?,?,?,?)", (time.time(), name, score, json.dumps(list(members))))

    def add_event(self, kind: str, message: str) -> None:
        self._write("INSERT INTO events VALUES (?,?,?)", (time.time(), kind, message))

    def candidates(self) -> list[CandidateRecord]:
        """In the order in which they were proposed."""
        rows = self._db.execute("SELECT model_id, family, params, seed, origin, created FROM candidates ORDER BY rowid")
        return [CandidateRecord(m, f, json.loads(p), s, o, c) for m, f, p, s, o, c in rows]

    def folds(self) -> list[FoldRecord]:
        """In the order in which they ended."""
        return [FoldRecord(*row) for row in self._db.execute("SELECT * FROM folds ORDER BY rowid")]

    def leaders(self) -> list[tuple[float, str, float | None, list[tuple[str, float]]]]:
        rows = self._db.execute("SELECT time, name, score, members FROM leaders ORDER BY rowid")
        return [(t, n, s, [(str(m), float(w)) for m, w in json.loads(j)]) for t, n, s, j in rows]

    def events(self) -> list[tuple[float, str, str]]:
        return list(self._db.execute("SELECT time, kind, message FROM events ORDER BY rowid"))

    def close(self) -> None:
        self._db.close()
