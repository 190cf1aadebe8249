"""Which models are served: files found in the given places, loaded, and swapped when they change.

A place is an exported file, a folder, or ``NAME=`` either. In a folder, ``NAME.onnx`` is a model with one version and
``NAME/VERSION.onnx`` or ``NAME/VERSION/*.onnx`` a model with several; versions are whole numbers and the
highest is what callers get who name none. A folder whose files are all called by numbers is one model's.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tabwright import seal, signature
from tabwright.errors import DataError, OptionError, UserError
from tabwright.reference import Histogram
from tabwright.runtime import Model, load_model
from tabwright.serve.refusal import RefusalError
from tabwright.types import Array, Task

log = logging.getLogger("tabwright.serve")
_NAME = re.compile(r"[\w.@-]{1,100}")
_WARM_ROWS = 64


@dataclass(frozen=True)
class Served:
    """One loaded version of a model."""

    name: str
    version: str
    model: Model
    stamp: tuple[int, int, int]  # of the file: change time, size, inode

    @property
    def tag(self) -> str:
        """First 8 hexadecimal digits of the file's checksum: names the version in ids and counts."""
        return self.model.sha256[:8]

    @cached_property
    def tag_bytes(self) -> bytes:
        return bytes.fromhex(self.tag)

    @cached_property
    def task(self) -> Task:
        return Task(self.model.metadata["task"])

    @cached_property
    def classes(self) -> list[Any]:
        """The classes as JSON holds them; empty in regression."""
        return list(self.model.metadata.get("classes") or ())

    @cached_property
    def class_position(self) -> dict[Any, int]:
        """From what the graph's label output spells to the position in :attr:`classes`."""
        wholes = {int(c): k for k, c in enumerate(self.classes) if isinstance(c, (int, bool))}
        return {str(c): k for k, c in enumerate(self.classes)} | wholes

    @cached_property
    def histograms(self) -> dict[str, Histogram]:
        """Reference histograms by column; empty for files of versions that stored none."""
        columns = self.model.metadata.get("reference", {}).get("columns", {})
        return {name: Histogram.from_json(record) for name, record in columns.items()}

    @cached_property
    def prediction_histogram(self) -> Histogram | None:
        record = self.model.metadata.get("reference", {}).get("prediction")
        return Histogram.from_json(record) if record else None

    @cached_property
    def vocabularies(self) -> dict[int, frozenset[str]]:
        """Known categories by position among the string columns; columns without a vocabulary are absent."""
        return {j: frozenset((*c.values, "")) for j, c in enumerate(self.model.schema.strings) if c.values}

    def warm_feeds(self, n_rows: int) -> dict[str, Array]:
        """Canonical rows of missing values."""
        schema = self.model.schema
        feeds: dict[str, Array] = {}
        if schema.numeric:
            feeds["numbers"] = np.full((n_rows, len(schema.numeric)), np.nan)
        if schema.strings:
            feeds["strings"] = np.full((n_rows, len(schema.strings)), "", dtype=object)
        return feeds


class Registry:
    """The models by name and version. Readers see a whole table at any time; ``refresh`` swaps it.

    Raises
    ------
    OptionError, ModelFileError
        At the start, if a place is not there, holds no model, or a file can't be loaded.
    """

    def __init__(
        self, places: tuple[str, ...], on_load: Callable[[Served], None] = lambda _served: None,
        public_key: str | None = None,
    ) -> None:  # fmt: skip
        self._places, self._on_load, self._public_key = places, on_load, public_key
        self._refused: dict[Path, tuple[int, int, int]] = {}
        self.failures = 0
        self._table: dict[str, dict[str, Served]] = {}
        self._default: Served | None = None
        found = {key: _load(*key, path, self._public_key) for key, path in find_all(self._places).items()}
        if not found:
            raise OptionError("MODEL", f"{', '.join(map(repr, places))} holds no .onnx file", "name an exported file")
        self._swap(found)

    def get(self, name: str | None = None, version: str | None = None) -> Served:
        """A version of a model; the newest without ``version``, the first model without ``name``; refused with 404."""
        if name is None:
            assert self._default is not None
            return self._default
        versions = self._table.get(name)
        if versions is None:
            raise RefusalError(404, f"there is no model {name[:100]!r}", "GET /models lists them")
        if version is None:
            return next(iter(versions.values()))
        if version not in versions:
            raise RefusalError(
                404, f"model {name!r} has no version {version[:20]!r}", f"ask for one of {', '.join(versions)}"
            )
        return versions[version]

    def all(self) -> list[Served]:
        return [served for versions in self._table.values() for served in versions.values()]

    def versions(self, name: str) -> list[str]:
        """Newest first."""
        return list(self._table.get(name, ()))

    def refresh(self) -> bool:
        """Load what is new or changed and drop what is gone; a file that can't be loaded leaves the old one served."""
        try:
            files = find_all(self._places)
        except UserError as error:  # a place is gone: what is loaded stays
            log.warning("models not refreshed: %s", error)
            return False
        old = {(s.name, s.version): s for s in self.all()}
        found: dict[tuple[str, str], Served] = {}
        for key, path in files.items():
            before = old.get(key)
            with contextlib.suppress(FileNotFoundError):
                stamp = _stamp(path)
                if (before is not None and before.stamp == stamp) or self._refused.get(path) == stamp:
                    if before is not None:
                        found[key] = before
                    continue
            try:
                found[key] = _load(*key, path, self._public_key)
                self._refused.pop(path, None)
            except (UserError, OSError) as error:
                self.failures += 1
                log.warning("model %s version %s not loaded: %s", *key, error)
                with contextlib.suppress(FileNotFoundError):
                    self._refused[path] = _stamp(path)
                if before is not None:
                    found[key] = before
        if not found or found == old:
            return False
        self._swap(found)
        return True

    def _swap(self, found: dict[tuple[str, str], Served]) -> None:
        before = {s.tag for s in self.all()}
        table: dict[str, dict[str, Served]] = {}
        for (name, version), served in sorted(found.items(), key=lambda item: -int(item[0][1])):
            table.setdefault(name, {})[version] = served
        first = next(iter(found))[0]
        for served in found.values():
            if served.tag not in before:
                self._on_load(served)
                log.info("serving model %s version %s, checksum %s", served.name, served.version, served.tag)
        self._table, self._default = table, next(iter(table[first].values()))


def check_places(places: tuple[str, ...], public_key: str | None = None) -> None:
    """Raise what :class:`Registry` would for places and files at fault, as far as checksums tell, and load nothing."""
    files = find_all(places)
    if not files:
        raise OptionError("MODEL", f"{', '.join(map(repr, places))} holds no .onnx file", "name an exported file")
    for path in files.values():
        data = path.read_bytes()
        if seal.is_sealed(data):
            seal.verify(data, repr(str(path)))
            if public_key is not None:
                signature.verify(data, public_key, repr(str(path)))
        else:
            load_model(path)  # raises what is wrong with it


def find_all(places: tuple[str, ...]) -> dict[tuple[str, str], Path]:
    """Model files by name and version; OptionError for names that can't be, or come twice."""
    files: dict[tuple[str, str], Path] = {}
    for place in places:
        for name, version, path in _find(place):
            if _NAME.fullmatch(name) is None:
                raise OptionError("MODEL", f"is called {name!r}", "name it with letters, digits, '.', '-' and '_'")
            if files.setdefault((name, version), path) != path:
                raise OptionError("MODEL", f"gives {name!r} version {version} twice", "give NAME=PATH")
    return files


def _find(place: str) -> Iterator[tuple[str, str, Path]]:
    name, given, path = place.partition("=")
    if not given or "/" in name:
        name, path = "", place
    root = Path(path)
    if root.is_file():
        yield name or root.stem, "1", root
        return
    if not root.is_dir():
        raise OptionError("MODEL", f"is {place!r}, and there is no such file or folder", "check the path")
    inside = root.resolve()
    files = [f for f in sorted(root.rglob("*.onnx")) if f.is_file() and f.resolve().is_relative_to(inside)]
    for file in files:
        parts = list(file.relative_to(root).with_suffix("").parts)
        if any(part.startswith(".") for part in parts):
            continue
        if name or all(f.parent == root and f.stem.isdigit() for f in files):
            parts = [name or root.resolve().name, *parts]
        if len(parts) == 1:
            yield parts[0], "1", file
        elif parts[1].isdigit():
            yield parts[0], parts[1], file
        elif name and len(files) == 1:
            yield name, "1", file
        else:  # any other folders: their names make the model's
            yield "-".join(parts[1 if name else 0 :]), "1", file


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _load(name: str, version: str, path: Path, public_key: str | None) -> Served:
    stamp = _stamp(path)
    served = Served(name, version, load_model(path, public_key=public_key), stamp)
    for n_rows in (1, 1, _WARM_ROWS):  # the first calls allocate
        outputs = served.model.run(served.warm_feeds(n_rows))
        if any(len(values) != n_rows for values in outputs.values()):
            raise DataError(f"model {name!r} does not answer one value per row", "export it again")
    return served
