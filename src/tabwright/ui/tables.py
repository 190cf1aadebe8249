"""Tables of the workspace: brought in, parsed as told, looked at, cut in two."""

from __future__ import annotations

import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from tabwright.data.delimited import NULLS, ReadOptions
from tabwright.data.joins import append_tables, join_tables
from tabwright.data.parts import Shift, compare_tables, split_table, write_table
from tabwright.data.profile import ColumnProfile, TableProfile, profile
from tabwright.data.quality import Note
from tabwright.data.readers import NOTES, read_table
from tabwright.data.sql import read_sql
from tabwright.datasets import CALIFORNIA_HOUSING
from tabwright.errors import DataError
from tabwright.names import masked
from tabwright.ui.workspace import Workspace, read_json, slug, with_tuples, write_json

if TYPE_CHECKING:
    import pandas as pd

PREVIEW_ROWS = 30
PREVIEW_BYTES = 1 << 20
TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".dat", ".data")
PACKED = (".gz", ".zip", ".zst", ".bz2", ".xz")
FRAMES_KEPT = 3
CELL_CHARS = 200


@dataclass(frozen=True)
class Source:
    """Where a table comes from: ``kind`` is upload, path, url, sql, demo or part (made here, of other tables)."""

    kind: str
    value: str
    query: str = ""


@dataclass(frozen=True)
class Entry:
    """A table of the workspace, as ``table.json`` tells it."""

    name: str
    source: Source
    file: str  # what is read: the uploaded file, or a path or address
    options: ReadOptions = field(default_factory=ReadOptions)
    kinds: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    rows: int = 0
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    created: float = 0.0

    @property
    def is_text(self) -> bool:
        """Whether separator, header and encoding can be chosen."""
        return self.source.kind in ("upload", "path", "url") and _suffix(self.file) in TEXT_SUFFIXES


class Tables:
    """The tables of a workspace. Frames that were read last are kept in memory, for all users alike."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._frames: OrderedDict[tuple[str, float], pd.DataFrame] = OrderedDict()
        self._lock = threading.Lock()

    def every(self) -> list[Entry]:
        """Latest first."""
        found = [self._read(name) for name in self.workspace.names("tables")]
        return [entry for entry in found if entry is not None]

    def get(self, name: str) -> Entry:
        """One table; DataError where there is none."""
        self.workspace.existing("tables", name, "table.json")
        entry = self._read(name)
        assert entry is not None
        return entry

    def parquet(self, name: str) -> Path:
        """The parsed table's file."""
        return self.workspace.existing("tables", name, "table.parquet")

    def upload(self, filename: str, data: Path) -> Entry:
        """Take an uploaded file over (it is moved) and parse it."""
        name = self.workspace.reserve("tables", Path(filename).name.split(".")[0])
        # the name's suffixes tell the format; what else it holds may be no file name here
        suffixes = "".join(s for s in Path(filename).suffixes[-2:] if slug(s) == s.strip("."))
        target = self.workspace.path("tables", name, f"source{suffixes.lower()}")
        shutil.move(data, target)
        return self._first(Entry(name, Source("upload", Path(filename).name), str(target)))

    def bring(self, source: Source, name: str = "") -> Entry:
        """Read a path, an address, a database's answer or the bundled demo table."""
        if source.kind == "demo":
            source = Source("demo", str(CALIFORNIA_HOUSING))
        if not source.value.strip():
            raise DataError("no path or address is given", "type one")
        wanted = name or (source.query if source.kind == "sql" and " " not in source.query else "")
        wanted = wanted or Path(urlparse(source.value).path).name.split(".")[0]
        return self._first(Entry(self.workspace.reserve("tables", wanted), source, source.value))

    def _first(self, entry: Entry) -> Entry:
        try:
            return self.parse(replace(entry, created=time.time()))
        except BaseException:
            self.workspace.delete("tables", entry.name)
            raise

    def add(self, name: str, frame: pd.DataFrame, of: str) -> Entry:
        """A table made here, of others."""
        entry = Entry(self.workspace.reserve("tables", name), Source("part", of), "", created=time.time())
        return self._store(replace(entry, file=str(self.workspace.path("tables", entry.name, "table.parquet"))), frame)

    def read(self, entry: Entry) -> pd.DataFrame:
        """Read a table from where it came from, under its options."""
        if entry.source.kind == "sql":
            return read_sql(entry.source.value, entry.source.query)
        with _told(entry):
            frame = read_table(entry.file, entry.options)
        frame.attrs[NOTES] = tuple(_own_name(entry, note) for note in frame.attrs.get(NOTES, ()))
        return frame

    def parse(self, entry: Entry) -> Entry:
        """Read a table under its options and keep the outcome."""
        return self._store(entry, self.read(entry))

    def _store(self, entry: Entry, frame: pd.DataFrame) -> Entry:
        write_table(frame, self.workspace.path("tables", entry.name, "table.parquet"))
        names = tuple(map(str, frame.columns))
        kinds = {k: v for k, v in entry.kinds.items() if k in names}
        entry = replace(
            entry, rows=len(frame), columns=names, kinds=kinds, notes=tuple(frame.attrs.get(NOTES, ())),
            target=entry.target if entry.target in names else None,
        )  # fmt: skip
        self.save(entry)
        return entry

    def save(self, entry: Entry) -> None:
        """Keep what was chosen: kinds and target."""
        record = asdict(entry) | {"source": asdict(entry.source), "options": asdict(entry.options)}
        if entry.source.kind == "sql":
            record["source"]["value"] = record["file"] = without_password(entry.source.value)
        write_json(self.workspace.path("tables", entry.name, "table.json"), record)

    def preview(self, entry: Entry) -> pd.DataFrame:
        """The first rows under the entry's options; of a text, only its first part is read."""
        packed = Path(entry.file).suffix.lower() in PACKED
        if not entry.is_text or packed or not Path(entry.file).is_file():
            return self.frame(entry.name).head(PREVIEW_ROWS)
        from tabwright.data.delimited import read_csv

        with Path(entry.file).open("rb") as file:
            data = file.read(PREVIEW_BYTES)
            if file.read(1):
                data = data[: data.rfind(b"\n") + 1] or data
        delimiter = entry.options.delimiter or ("\t" if _suffix(entry.file) in (".tsv", ".tab") else None)
        with _told(entry):
            return read_csv(data, Path(entry.file).name, replace(entry.options, delimiter=delimiter)).head(PREVIEW_ROWS)

    def frame(self, name: str) -> pd.DataFrame:
        """The parsed table; not to be changed."""
        path = self.parquet(name)
        key = (name, path.stat().st_mtime)
        with self._lock:
            if key not in self._frames:
                self._frames[key] = read_table(path)
                while len(self._frames) > FRAMES_KEPT:
                    self._frames.popitem(last=False)
            self._frames.move_to_end(key)
            return self._frames[key]

    def page(
        self, name: str, start: int, size: int, sort: str = "", *, descending: bool = False, columns: int | None = None
    ) -> list[dict[str, str]]:
        """Some rows as text (see :func:`texts`), for a table on a page; all columns, or so many."""
        frame = self.frame(name)
        if sort in frame.columns:
            order = frame[sort].sort_values(ascending=not descending, kind="stable").index[start : start + size]
            rows = frame.loc[order]
        else:
            rows = frame.iloc[start : start + size]
        return texts(rows.iloc[:, :columns])

    def profile(self, name: str) -> TableProfile:
        """The profile under the table's kinds and target; kept on disk until one of them changes."""
        entry, path = self.get(name), self.workspace.path("tables", name, "profile.json")
        key = {"parsed": self.parquet(name).stat().st_mtime, "kinds": dict(entry.kinds), "target": entry.target}
        kept = read_json(path)
        if kept.get("key") == key:
            return _profile_from(kept["profile"])
        made = profile(self.frame(name), entry.target, entry.kinds)
        write_json(path, {"key": key, "profile": asdict(made)})
        return made

    def split(self, name: str, share: float, seed: int, by: Mapping[str, str | None]) -> tuple[Entry, Entry]:
        """Cut a table in two; ``by`` may name ``target``, ``group_column`` and ``time_column``."""
        entry = self.get(name)
        parts = split_table(self.frame(name), share, seed, **by)
        made = [self.add(f"{name}-{suffix}", part, name) for suffix, part in zip(("train", "test"), parts, strict=True)]
        made = [replace(m, kinds=entry.kinds, target=entry.target) for m in made]
        for part in made:
            self.save(part)
        return made[0], made[1]

    def join(self, name: str, other: str, keys: Mapping[str, Any]) -> Entry:
        """Join another table to this one; ``keys`` are keyword arguments of :func:`join_tables`."""
        frame = join_tables(self.frame(name), self.frame(other), **keys, names=(name, other))
        return self._made(f"{name}-{other}", frame, (name, other))

    def append(self, names: Sequence[str], by: str, *, fill: bool) -> Entry:
        """Put tables under or beside each other."""
        frame = append_tables([self.frame(n) for n in names], by, fill=fill, names=names)
        return self._made(f"{names[0]}-more", frame, names)

    def _made(self, name: str, frame: pd.DataFrame, of: Sequence[str]) -> Entry:
        """A table made of others; kinds and target of the first go with its columns."""
        first, made = self.get(of[0]), self.add(name, frame, " and ".join(of))
        kinds = {k: v for k, v in first.kinds.items() if k in made.columns}
        made = replace(made, kinds=kinds, target=first.target if first.target in made.columns else None)
        self.save(made)
        return made

    def compare(self, name: str, other: str) -> tuple[Shift, ...]:
        """How far the columns of another table are from this one's."""
        return compare_tables(self.frame(name), self.frame(other), self.get(name).target)

    def _read(self, name: str) -> Entry | None:
        record = read_json(self.workspace.path("tables", name, "table.json"))
        if not record:
            return None  # reserved, and not parsed yet
        options = ReadOptions(**with_tuples(record["options"]))
        return Entry(**(with_tuples(record) | {"source": Source(**record["source"]), "options": options}))


def texts(rows: pd.DataFrame) -> list[dict[str, str]]:
    """Rows as text: ``c0``, ``c1``, ... for the columns in order, and ``#`` for their position in the table."""
    columns = [[_cell(v) for v in rows.iloc[:, j].tolist()] for j in range(rows.shape[1])]
    return [
        {"#": f"{position:,}"} | {f"c{j}": values[k] for j, values in enumerate(columns)}
        for k, position in enumerate(rows.index.tolist())
    ]


def _cell(value: Any) -> str:
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return ""
    if isinstance(value, float):
        return f"{value:.10g}"
    text = str(value)
    if text in ("NaT", "<NA>"):
        return ""
    return text if len(text) <= CELL_CHARS else f"{text[:CELL_CHARS]}…"


@contextmanager
def _told(entry: Entry) -> Iterator[None]:
    """Errors name an uploaded file as its owner does."""
    try:
        yield
    except DataError as error:
        raise DataError(_own_name(entry, error.problem), _own_name(entry, error.fix)) from error


def _own_name(entry: Entry, text: str) -> str:
    """A sentence with an uploaded file's own name instead of the one that it has in the workspace."""
    if entry.source.kind != "upload":
        return text
    own, stored = Path(entry.source.value), Path(entry.file)
    names = {stored.stem: own.stem, stored.name: own.name, str(stored): own.name}  # the first, once it is unpacked
    for name, shown in names.items():
        text = text.replace(repr(name), repr(shown))
    return text


def without_password(url: str) -> str:
    """A database's address with ``***`` for its password."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return masked(make_url(url).render_as_string(hide_password=True))
    except ArgumentError:
        return masked(url)


def null_words() -> str:
    """The words that are read as empty without being told, for people."""
    return ", ".join(repr(word) for word in NULLS)


def _suffix(file: str) -> str:
    suffixes = [s.lower() for s in Path(urlparse(file).path if "://" in file else file).suffixes]
    return next((s for s in reversed(suffixes) if s not in PACKED), "")


def _profile_from(record: dict[str, Any]) -> TableProfile:
    columns = tuple(ColumnProfile(**with_tuples(c)) for c in record["columns"])
    notes = tuple(Note(**n) for n in record["notes"])
    return TableProfile(record["rows"], columns, record["task"], notes, record["problem"])
