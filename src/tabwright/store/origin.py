"""Where the rows of a run come from, of which its table is a sample."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tabwright.codec import write_atomic
from tabwright.data.delimited import ReadOptions
from tabwright.data.stream import Stream
from tabwright.store.run_dir import RunDir
from tabwright.types import Ints


@dataclass(frozen=True)
class Origin:
    """A table that is read in blocks.

    Parameters
    ----------
    source : str
        What :class:`tabwright.data.stream.Stream` takes.
    target : str
        Column.
    weight : str, optional
        Column.
    n_rows : int
        As counted when the sample was drawn.
    seed : int
        Of the order of reading: rows are known by their place in it.
    options : mapping
        Of :class:`tabwright.data.delimited.ReadOptions`.
    pieces : list of int, optional
        Rows of each file or row group in that order, where all were counted.
    """

    source: str
    target: str
    weight: str | None
    n_rows: int
    seed: int
    options: dict[str, Any] = field(default_factory=dict)
    pieces: list[int] | None = None

    @property
    def read_options(self) -> ReadOptions:
        found = dict(self.options)
        return ReadOptions(**found | {"null_values": tuple(found.get("null_values", ()))})

    def stream(self) -> Stream:
        return Stream(self.source, self.read_options)

    def save(self, run: RunDir) -> None:
        write_atomic(_file(run), json.dumps(asdict(self)).encode())

    @classmethod
    def load(cls, run: RunDir) -> Origin | None:
        """A run's origin; None where its table is all there is."""
        if not _file(run).is_file():
            return None
        return cls(**json.loads(_file(run).read_text("utf-8")))


@dataclass(frozen=True)
class Source:
    """What a sample was drawn from, and which rows it is: their places in the order of reading, int64, ascending."""

    origin: Origin
    positions: Ints


def spool_dir(run: RunDir) -> Path:
    """Folder of rows that a database sent or that were passed as an object."""
    return run.path / "source"


def matrices_dir(run: RunDir) -> Path:
    """Folder of feature matrices of all rows, as large as the table; needed only while models are fitted."""
    return run.path / "everything"


def remove_matrices(run: RunDir) -> None:
    shutil.rmtree(matrices_dir(run), ignore_errors=True)


def _file(run: RunDir) -> Path:
    return run.path / "origin.json"
