"""The experience store: meta-features and results of finished runs, and what they suggest for a new one.

Nothing of a table's content is stored: no name of a column, no value, no class, no path.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tabwright.database import Database
from tabwright.errors import DataError
from tabwright.meta.features import distance
from tabwright.types import Params, Task

VARIABLE = "TABWRIGHT_EXPERIENCE"
"""Environment: "off", an SQLite file, or ``postgresql://…``; by default a file in the user's data folder."""
_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, task TEXT NOT NULL, metric TEXT NOT NULL, created BIGINT NOT NULL, features TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS results (
    run TEXT NOT NULL, family TEXT NOT NULL, params TEXT NOT NULL, gain DOUBLE PRECISION NOT NULL,
    seconds DOUBLE PRECISION NOT NULL, weight DOUBLE PRECISION NOT NULL)
"""
NEAREST, FARTHEST = 5, 1.0  # tasks that are asked at most, and how far they may be
WORTH = 0.97  # of a task's best gain: configurations below are not suggested


@dataclass(frozen=True)
class Result:
    """One configuration's outcome. gain: 1 is the task's best candidate, 0 the constant; weight: in the leader."""

    family: str
    params: Params
    gain: float
    seconds: float
    weight: float


@dataclass(frozen=True)
class StoredTask:
    """A finished run as it is stored."""

    id: str
    task: str
    metric: str
    created: int
    features: Mapping[str, float]
    results: Sequence[Result]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def place() -> str | None:
    """Where the store is; None if it is switched off."""
    named = os.environ.get(VARIABLE, "")
    if named.lower() in ("off", "0", "false", "no"):
        return None
    if named:
        return named
    import platformdirs

    return str(Path(platformdirs.user_data_dir("tabwright")) / "experience.sqlite")


class Experience:
    """The store at a place; see :func:`place`."""

    def __init__(self, url: str) -> None:
        if not url.startswith(("postgresql://", "postgres://")):
            Path(url).parent.mkdir(parents=True, exist_ok=True)
        self.url = url
        self._database = Database(url, VARIABLE, _TABLES, lock=7243)

    def add(self, task: Task, metric: str, features: Mapping[str, float], results: Sequence[Result]) -> str:
        """Store a finished run; its new id."""
        made = StoredTask(uuid.uuid4().hex, str(task), metric, int(time.time()), features, results)
        self.put([made])
        return made.id

    def put(self, runs: Iterable[StoredTask]) -> int:
        """Store runs that are not there yet; how many."""
        n = 0
        with self._database.transaction() as run:
            for made in runs:
                told = (made.id, made.task, made.metric, made.created, json.dumps(dict(made.features)))
                done = run("INSERT INTO runs VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING", told)
                if done.rowcount:
                    n += 1
                    for r in made.results:
                        row = (made.id, r.family, json.dumps(r.params), r.gain, r.seconds, r.weight)
                        run("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?)", row)
        return n

    def all(self, task: str | None = None) -> list[StoredTask]:
        """Stored runs, oldest first."""
        with self._database.transaction() as run:
            runs = run("SELECT id, task, metric, created, features FROM runs ORDER BY created, id").fetchall()
            rows = run("SELECT run, family, params, gain, seconds, weight FROM results").fetchall()
        results: dict[str, list[Result]] = {}
        for key, family, params, gain, seconds, weight in rows:
            results.setdefault(key, []).append(Result(family, json.loads(params), gain, seconds, weight))
        return [
            StoredTask(key, kind, metric, created, json.loads(features), results.get(key, []))
            for key, kind, metric, created, features in runs if task is None or kind == task
        ]  # fmt: skip

    def clear(self) -> int:
        """Forget all; how many runs there were."""
        with self._database.transaction() as run:
            run("DELETE FROM results")
            return int(run("DELETE FROM runs").rowcount)

    def suggest(
        self, task: Task, features: Mapping[str, float], families: Sequence[str], n: int, farthest: float = FARTHEST
    ) -> list[Result]:
        """Configurations that did best on the nearest tasks, at most two of a family, nearest and best first."""
        near = sorted(((distance(features, t.features), t) for t in self.all(str(task))), key=lambda pair: pair[0])
        chosen: list[Result] = []
        for far, stored in near[:NEAREST]:
            if far > farthest:
                break
            for result in sorted(stored.results, key=lambda r: (-r.weight, -r.gain)):
                known = any(r.family == result.family and r.params == result.params for r in chosen)
                many = sum(r.family == result.family for r in chosen) >= 2
                if result.gain >= WORTH and result.family in families and not known and not many:
                    chosen.append(result)
                if len(chosen) == n:
                    return chosen
        return chosen

    def close(self) -> None:
        self._database.close()


def parse(lines: Iterable[str], where: str) -> Iterator[StoredTask]:
    """Runs of an exported file, one JSON object a line.

    Raises
    ------
    DataError
        If a line is none of those.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            results = [Result(**r) for r in data.pop("results")]
            made = StoredTask(results=results, **data)
            json.dumps({k: float(v) for k, v in made.features.items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"Line {number} of {where} is no stored run ({error})",
                            "give a file of 'tabwright experience export'") from None  # fmt: skip
        yield made
