"""One connection to SQLite or PostgreSQL, by the same statements; every block is one transaction."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tabwright.errors import MissingExtraError, OptionError

CONNECT_S = 10  # for reaching a server


class Database:
    """A connection with a lock, safe from any thread.

    Parameters
    ----------
    url : str
        An SQLite file, or ``postgresql://…``.
    option : str
        What the user calls it, for messages.
    tables : str
        Statements that make the tables where there are none, separated by semicolons.
    lock : int
        Key of PostgreSQL's advisory lock under which tables are made.

    Raises
    ------
    OptionError
        If it can't be opened.
    MissingExtraError
        For PostgreSQL without its driver.
    """

    def __init__(self, url: str, option: str, tables: str, lock: int) -> None:
        self._lock = threading.Lock()
        self._is_postgres = url.startswith(("postgresql://", "postgres://"))
        self._url = url
        self._connection: Any = _postgres(url, option) if self._is_postgres else _sqlite(url, option)
        with self.transaction() as run:
            if self._is_postgres:  # processes start together, and CREATE TABLE IF NOT EXISTS races in PostgreSQL
                run(f"SELECT pg_advisory_xact_lock({int(lock)})")
            for statement in tables.split(";"):
                run(statement)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Gives a function that runs a statement with ``?`` for values, and returns the cursor.

        A server that was away and has closed the connection costs the transaction in which that is noticed.
        """
        with self._lock:
            if self._is_postgres and self._connection.closed:
                self._connection = type(self._connection).connect(self._url, connect_timeout=CONNECT_S)
            cursor = self._connection.cursor()
            if not self._is_postgres:
                cursor.execute("BEGIN IMMEDIATE")  # writers of other processes wait here, not in the middle

            def run(statement: str, rows: Sequence[Any] = (), *, many: bool = False) -> Any:
                text = statement.replace("?", "%s") if self._is_postgres else statement
                (cursor.executemany if many else cursor.execute)(text, rows)
                return cursor

            try:
                yield run
                self._connection.commit()
            except BaseException:
                if not (self._is_postgres and self._connection.closed):
                    self._connection.rollback()
                raise

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _sqlite(path: str, option: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=10.0, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # what was accepted survives a power cut
    except sqlite3.Error as error:
        raise OptionError(option, f"is {path!r}, which can't be opened ({error})", "name a file in a folder "
                          "that you may write to") from None  # fmt: skip
    return connection


def _postgres(url: str, option: str) -> Any:
    try:
        import psycopg
    except ImportError:
        raise MissingExtraError("psycopg", "postgres") from None
    try:
        return psycopg.connect(url, connect_timeout=CONNECT_S)
    except psycopg.Error as error:
        reason = str(error).strip().split("\n")[0]
        raise OptionError(option, f"can't be reached ({reason})", "check the address and the password") from None
