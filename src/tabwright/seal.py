"""The checksum inside an exported file, verifiable with the standard library alone.

The file's metadata holds ``tabwright_sha256``. Its value, 64 hexadecimal digits, is the SHA-256 of the whole
file with 64 zeros in that place, so neither writing nor checking it needs the file to be parsed.
"""

from __future__ import annotations

import hashlib

from tabwright.errors import ModelFileError

KEY = "tabwright_sha256"
PLACEHOLDER = "0" * 64
# Protocol buffers' encoding of a metadata entry: field 1 the key, field 2 a value of 64 bytes.
_MARK = b"\x0a" + bytes([len(KEY)]) + KEY.encode() + b"\x12\x40"


def _position(data: bytes, name: str) -> int:
    start = data.rfind(_MARK)
    if start < 0:
        raise ModelFileError(f"{name} has no {KEY} entry", "export the model again with tabwright")
    if data.find(_MARK) != start or start + len(_MARK) + 64 > len(data):
        raise _altered(name)
    return start + len(_MARK)


def _altered(name: str) -> ModelFileError:
    return ModelFileError(
        f"{name} was altered, damaged or cut short after it was exported: its checksum does not match",
        "copy it again from its source, or export the model again",
    )


def digest(data: bytes, name: str = "the file") -> str:
    """SHA-256 of the file with zeros for the checksum itself; ModelFileError if it has no place for one."""
    position = _position(data, name)
    view = memoryview(data)
    total = hashlib.sha256(view[:position])
    total.update(PLACEHOLDER.encode())
    total.update(view[position + 64 :])
    return total.hexdigest()


def seal(data: bytes) -> bytes:
    """The serialised model, whose metadata holds :data:`PLACEHOLDER` under :data:`KEY`, with its checksum filled in."""
    position = _position(data, "the file")
    return data[:position] + digest(data).encode() + data[position + 64 :]


def is_sealed(data: bytes) -> bool:
    """Whether the file has a place for the checksum, that is, was exported by this program."""
    return _MARK in data


def verify(data: bytes, name: str = "the file") -> str:
    """The checksum of an intact file; ``name`` is what messages call it.

    Raises
    ------
    ModelFileError
        If the file has no checksum or was altered after it was sealed.
    """
    position = _position(data, name)
    found = data[position : position + 64].decode("ascii", "replace")
    if found != digest(data, name):
        raise _altered(name)
    return found
