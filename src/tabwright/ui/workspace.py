"""The folder that holds all of the interface's state, so that nothing is lost with a process.

::

    tables/NAME/    table.json (how it came here), source.* (as uploaded), table.parquet (as parsed), profile.json
    runs/NAME/      a run directory, as ``tabwright fit --out`` makes it
    models/NAME/    model.onnx, examples/
    predictions/    NAME.csv
    jobs/           ID.json (command, process), ID.log, ID.code (exit code)
    actions/        SESSION.jsonl: what was done, as Python and as a command
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabwright.codec import write_atomic
from tabwright.errors import DataError, OptionError

KINDS = ("tables", "runs", "models", "predictions", "jobs", "actions")
MAX_NAME = 80
_WRITING = threading.Lock()
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Workspace:
    """Paths under one root. Every name from outside passes :func:`check_name`, so no path leaves the root."""

    root: Path

    @classmethod
    def open(cls, root: str | Path) -> Workspace:
        """Make the folders that are not there yet; OptionError if they can't be."""
        made = cls(Path(root).expanduser().resolve())
        try:
            for kind in KINDS:
                (made.root / kind).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OptionError("--workspace", f"is {str(root)!r}, which can't be written ({error.strerror})",
                              "name a folder that is yours to write") from error  # fmt: skip
        return made

    def path(self, kind: str, name: str, *inside: str) -> Path:
        """A thing's path.

        Raises
        ------
        DataError
            For a name that is none, or a path that leads out of the workspace.
        """
        if kind not in KINDS:
            raise DataError(f"there is no {kind!r} in the workspace", f"use one of {', '.join(KINDS)}")
        folder = self.root / kind / check_name(name)
        found = folder.joinpath(*(check_name(part) for part in inside))
        if not found.resolve().is_relative_to(self.root):
            raise DataError(f"{name!r} leads out of the workspace", "name something inside it")
        return found

    def existing(self, kind: str, name: str, *inside: str) -> Path:
        """As :meth:`path`; DataError where there is nothing."""
        found = self.path(kind, name, *inside)
        if not found.exists():
            missing = "/".join((kind, name, *inside))
            raise DataError(f"there is no {missing} in the workspace", "choose one that is listed")
        return found

    def names(self, kind: str) -> list[str]:
        """Folders of a kind, latest first."""
        folders = [p for p in (self.root / kind).iterdir() if p.is_dir() and _NAME.fullmatch(p.name)]
        return [p.name for p in sorted(folders, key=lambda p: (-_made(p), p.name))]

    def reserve(self, kind: str, wanted: str) -> str:
        """A new folder's name like the wanted one; it is made at once, so that two users never get the same."""
        base = slug(wanted)
        for k in range(1, 10_000):
            name = base if k == 1 else f"{base}-{k}"
            try:
                (self.root / kind / name).mkdir()
            except FileExistsError:
                continue
            return name
        raise DataError(f"there are too many {kind} called {base!r}", "choose another name")

    def delete(self, kind: str, name: str) -> None:
        """Remove a thing and everything in it."""
        path = self.existing(kind, name)
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def secret(self) -> str:
        """What browsers' session cookies are signed with; made once, readable by the owner alone."""
        path = self.root / "secret"
        if not path.exists():
            path.touch(mode=0o600)
            write_atomic(path, secrets.token_hex(32).encode())
            path.chmod(0o600)
        return path.read_text()


def check_name(name: str) -> str:
    """The name, if it can be one of a file in the workspace; DataError otherwise."""
    if len(name) > MAX_NAME or not _NAME.fullmatch(name):
        raise DataError(f"{name[:100]!r} is no name of a thing in the workspace",
                        "use letters, digits, '-', '_' and '.', beginning with a letter or digit")  # fmt: skip
    return name


def slug(text: str) -> str:
    """A name like the text, or ``untitled``."""
    made = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-._")[: MAX_NAME - 10].strip("-._")
    return made or "untitled"


def read_json(path: Path) -> dict[str, Any]:
    """A record, or an empty one where there is none or it is damaged."""
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError):
        return {}


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Write a record, whole; threads take turns, for they would share the temporary name."""
    with _WRITING:
        write_atomic(path, json.dumps(record, ensure_ascii=False, indent=1).encode())


def _made(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def with_tuples(record: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON record's fields, for a frozen record: lists as tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
