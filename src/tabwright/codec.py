"""Fitted things as files without pickle: a zip of one JSON tree and plain NumPy arrays.

Only the dataclasses and enums registered in an explicit list are ever built, so a file can hold data and
nothing else. A SHA-256 of the content stands in front; an altered file is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from tabwright.errors import OptionError, RunError

MAGIC = b"TABWRIGHT-OBJECT-1\n"


_USERS: dict[str, type] = {}


def register(cls: type) -> None:
    """Let a class from outside this package be stored, by module and name.

    Called only where a user has named the module, so that no file can ask for an import.
    """
    _USERS[f"{cls.__module__}:{cls.__qualname__}"] = cls


class Codec:
    """Writes and reads values made of plain values, arrays and the given dataclasses and enums."""

    def __init__(self, classes: Iterable[type]) -> None:
        self._classes = {c.__name__: c for c in classes}

    def dumps(self, value: Any) -> bytes:
        """Serialise, equal values to equal bytes; TypeError for anything that is not allowed."""
        arrays: list[np.ndarray[Any, Any]] = []
        tree = self._encode(value, arrays)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo("tree.json"), json.dumps(tree, ensure_ascii=False))
            for k, array in enumerate(arrays):
                with archive.open(zipfile.ZipInfo(f"{k}.npy"), "w") as file:
                    np.lib.format.write_array(file, array, allow_pickle=False)
        body = buffer.getvalue()
        return _head(body) + body

    def loads(self, data: bytes, where: str = "data") -> Any:
        """Deserialise; RunError if it was altered or holds anything that is not allowed."""
        head, body = data[: len(MAGIC) + 65], data[len(MAGIC) + 65 :]
        if head[: len(MAGIC)] != MAGIC:
            raise RunError(f"{where} is not a tabwright object", "restore the run directory from a copy")
        if head != _head(body):
            raise RunError(f"{where} was altered or is incomplete", "restore it from a copy, or remove it and resume")
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            tree = json.loads(archive.read("tree.json"))

            def array(k: int) -> np.ndarray[Any, Any]:
                with archive.open(f"{k}.npy") as file:
                    return np.asarray(np.lib.format.read_array(file, allow_pickle=False))

            return self._decode(tree, array, where)

    def _encode(self, value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
        if isinstance(value, Enum):
            return {"enum": [self._known(type(value)), value.value]}
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float):
            return {"float": value.hex()}  # exact, and infinities and NaN are not JSON
        if isinstance(value, bytes):
            value = np.frombuffer(value, np.uint8)
            arrays.append(value)
            return {"bytes": len(arrays) - 1}
        if isinstance(value, np.ndarray):
            if value.dtype.hasobject:
                raise TypeError("object arrays can't be stored")
            arrays.append(value)
            return {"array": len(arrays) - 1}
        if isinstance(value, (tuple, list)):
            return {"tuple": [self._encode(v, arrays) for v in value]}
        if isinstance(value, dict):
            return {"dict": [[self._encode(k, arrays), self._encode(v, arrays)] for k, v in value.items()]}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {f.name: self._encode(getattr(value, f.name), arrays) for f in dataclasses.fields(value)}
            return {"object": [self._known(type(value)), fields]}
        raise TypeError(f"{type(value).__name__} can't be stored")

    def _known(self, cls: type) -> str:
        full = f"{cls.__module__}:{cls.__qualname__}"
        if _USERS.get(full) is cls:
            return full
        if self._classes.get(cls.__name__) is not cls:
            raise TypeError(f"{cls.__name__} is not registered for storage")
        return cls.__name__

    def _decode(self, tree: Any, array: Any, where: str) -> Any:
        if not isinstance(tree, dict):
            return tree
        ((kind, content),) = tree.items()
        if kind == "float":
            return float.fromhex(content)
        if kind == "array":
            return array(content)
        if kind == "bytes":
            return array(content).tobytes()
        if kind == "tuple":
            return tuple(self._decode(v, array, where) for v in content)
        if kind == "dict":
            return {self._decode(k, array, where): self._decode(v, array, where) for k, v in content}
        name, content = content
        cls = self._classes.get(name) or _USERS.get(name)
        if cls is None:
            raise RunError(
                f"{where} holds an object of unknown type {name!r}", "open it with the version that wrote it"
            )
        if kind == "enum":
            return cls(content)
        return cls(**{k: self._decode(v, array, where) for k, v in content.items()})


def _head(body: bytes) -> bytes:
    return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n"


def write_atomic(path: Path, data: bytes) -> None:
    """Write under a temporary name in the same folder, flush to disk, rename: whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_for_user(path: Path, data: bytes, option: str) -> None:
    """:func:`write_atomic`; a file that can't be written becomes an OptionError that names the option."""
    try:
        write_atomic(path, data)
    except OSError as error:
        raise OptionError(
            option, f"can't be written ({error.strerror})", "name a folder that exists, has room, and is yours to write"
        ) from error
