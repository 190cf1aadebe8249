"""The journal of a run: every candidate, fold, leader and event, in SQLite with a write-ahead log."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from tabwright import clock
from tabwright.errors import RunError

SCHEMA = """
CREATE TABLE IF NOT EXISTS candidates (
    model_id TEXT PRIMARY KEY, family TEXT NOT NULL, params TEXT NOT NULL, seed INTEGER NOT NULL,
    origin TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS folds (
    model_id TEXT NOT NULL REFERENCES candidates, fold INTEGER NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL,
    started REAL NOT NULL, seconds REAL NOT NULL, cpu_seconds REAL NOT NULL, peak_memory_mib REAL NOT NULL,
    score REAL, n_iterations INTEGER, artefact_sha256 TEXT, worker INTEGER, stages TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (model_id, fold, started));
CREATE TABLE IF NOT EXISTS pruned (model_id TEXT PRIMARY KEY, time REAL NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS discarded (model_id TEXT PRIMARY KEY, time REAL NOT NULL, score REAL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS leaders (time REAL NOT NULL, name TEXT NOT NULL, score REAL, members TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS stages (name TEXT NOT NULL, started REAL NOT NULL, seconds REAL NOT NULL);
CREATE TABLE IF NOT EXISTS events (time REAL NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL);
"""
FORMAT = 2
# Format 1 has neither `discarded` nor `stages`, and its folds tell neither worker nor stages.
FROM_1 = (
    "ALTER TABLE folds ADD COLUMN worker INTEGER",
    "ALTER TABLE folds ADD COLUMN stages TEXT NOT NULL DEFAULT '{}'",
)


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
    worker: int | None = None  # which of the run's workers, from 0; None in runs of format 1
    stages: Mapping[str, float] = field(default_factory=dict)  # seconds by stage: features, fit, predict_write


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
    """Append-only record; each call is one committed transaction, so ``kill -9`` loses at most the call in flight.

    Opening one upgrades an older format in place; :meth:`snapshot` reads without touching a file.

    Raises
    ------
    RunError
        If the file can't be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self.broken = ""  # why the last records could not be written, while they can't
        self._waiting: list[tuple[str, tuple[Any, ...]]] = []
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            _upgrade(self._db)
        except sqlite3.DatabaseError as error:
            raise RunError(f"The journal {path} can't be opened ({error})",
                           "make the run directory writable and give it room, or restore it from a copy") from error

    @classmethod
    def snapshot(cls, path: Path) -> Self:
        """The journal as it stands, in memory, in today's format; nothing is written, and a run may go on meanwhile.

        Raises
        ------
        RunError
            If there is none, or it is damaged.
        """
        made = cls.__new__(cls)
        made.broken, made._waiting = "", []
        made._db = sqlite3.connect(":memory:", isolation_level=None)
        if not path.is_file():  # a run that was stopped before its search began
            _upgrade(made._db)
            return made
        try:
            _copy(path, made._db)
            _upgrade(made._db)
        except (sqlite3.DatabaseError, OSError) as error:
            raise RunError(f"The journal {path} is damaged ({error})", "restore it from a copy") from error
        return made

    def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        """Commit, in order; what can't be written now (a full disk must not end the search) is tried again later."""
        self._waiting.append((statement, values))
        try:
            while self._waiting:
                self._db.execute(*self._waiting[0])
                self._waiting.pop(0)
            self.broken = ""
        except sqlite3.OperationalError as error:
            self.broken = str(error)

    def add_candidate(self, record: CandidateRecord) -> None:
        self._write(
            "INSERT OR IGNORE INTO candidates VALUES (?,?,?,?,?,?)",
            (record.model_id, record.family, json.dumps(record.params, sort_keys=True), record.seed, record.origin,
             record.created),
        )  # fmt: skip

    def add_fold(self, r: FoldRecord) -> None:
        self._write(
            "INSERT INTO folds VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (r.model_id, r.fold, r.status, r.reason, r.started, r.seconds, r.cpu_seconds, r.peak_memory_mib, r.score,
             r.n_iterations, r.artefact_sha256, r.worker, json.dumps(dict(r.stages))),
        )  # fmt: skip

    def add_pruned(self, model_id: str, reason: str) -> None:
        self._write("INSERT OR REPLACE INTO pruned VALUES (?,?,?)", (model_id, clock.now(), reason))

    def pruned(self) -> dict[str, str]:
        """Reasons by model_id of candidates that were stopped early."""
        return dict(self._db.execute("SELECT model_id, reason FROM pruned"))

    def add_discarded(self, model_id: str, score: float | None, reason: str) -> None:
        """A candidate's files are about to be removed: it counts as done, and can't enter an ensemble any more."""
        self._write("INSERT OR REPLACE INTO discarded VALUES (?,?,?,?)", (model_id, clock.now(), score, reason))

    def discarded(self) -> dict[str, float | None]:
        """Scores by model_id of candidates whose files were removed (None where they were not complete)."""
        return dict(self._db.execute("SELECT model_id, score FROM discarded"))

    def add_leader(self, name: str, score: float | None, members: Sequence[tuple[str, float]]) -> None:
        self._write("INSERT INTO leaders VALUES (?,?,?,?)", (clock.now(), name, score, json.dumps(list(members))))

    def add_stage(self, name: str, started: float, seconds: float) -> None:
        """Time that the run's own process spent: reading, search, ensembling, export. ``started`` as in folds."""
        self._write("INSERT INTO stages VALUES (?,?,?)", (name, started, seconds))

    def add_event(self, kind: str, message: str) -> None:
        self._write("INSERT INTO events VALUES (?,?,?)", (clock.now(), kind, message))

    def candidates(self) -> list[CandidateRecord]:
        """In the order in which they were proposed."""
        rows = self._db.execute("SELECT model_id, family, params, seed, origin, created FROM candidates ORDER BY rowid")
        return [CandidateRecord(m, f, json.loads(p), s, o, c) for m, f, p, s, o, c in rows]

    def folds(self) -> list[FoldRecord]:
        """In the order in which they ended."""
        rows = self._db.execute("SELECT * FROM folds ORDER BY rowid")
        return [replace(FoldRecord(*row), stages=json.loads(row[-1])) for row in rows]

    def n_fitted(self) -> int:
        """How many folds, and fits on all rows, have ended well."""
        return int(self._db.execute("SELECT count(*) FROM folds WHERE status = 'ok'").fetchone()[0])

    def leaders(self) -> list[tuple[float, str, float | None, list[tuple[str, float]]]]:
        rows = self._db.execute("SELECT time, name, score, members FROM leaders ORDER BY rowid")
        return [(t, n, s, [(str(m), float(w)) for m, w in json.loads(j)]) for t, n, s, j in rows]

    def stages(self) -> list[tuple[str, float, float]]:
        """(name, started, seconds), in the order in which they ended."""
        return list(self._db.execute("SELECT name, started, seconds FROM stages ORDER BY rowid"))

    def events(self) -> list[tuple[float, str, str]]:
        return list(self._db.execute("SELECT time, kind, message FROM events ORDER BY rowid"))

    def close(self) -> None:
        self._db.close()


def _copy(path: Path, into: sqlite3.Connection) -> None:
    """Copy a journal, its log included. One that a process has open (``-shm``) is read with its locks held."""
    if path.with_name(f"{path.name}-shm").exists():
        with (
            contextlib.suppress(sqlite3.OperationalError),  # left behind in a folder that can't be written
            contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as source,
        ):
            source.backup(into)
            return
    with tempfile.TemporaryDirectory() as folder:
        for file in (path, path.with_name(f"{path.name}-wal")):
            if file.exists():
                shutil.copy(file, folder)
        with contextlib.closing(sqlite3.connect(Path(folder) / path.name)) as source:
            source.backup(into)


def _upgrade(db: sqlite3.Connection) -> None:
    """Bring an empty or older journal into today's format, in one transaction."""
    if db.execute("PRAGMA user_version").fetchone()[0] == FORMAT:
        return
    with db:
        db.execute("BEGIN IMMEDIATE")
        columns = {row[1] for row in db.execute("PRAGMA table_info(folds)")}
        if columns and "worker" not in columns:
            for statement in FROM_1:
                db.execute(statement)
        for statement in SCHEMA.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {FORMAT}")
