"""API keys: 256 random bits each, stored as SHA-256, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

from tabwright.errors import DataError, OptionError

_LINE = re.compile(r"([\w.@-]{1,100}) ([0-9a-f]{64})")
PREFIX = "tw_"


def new_key() -> str:
    """A key to hand out; it is shown once and stored nowhere."""
    return PREFIX + secrets.token_urlsafe(32)


def hashed(key: str) -> str:
    """What is stored of a key. It has 256 bits of its own, so a slow hash would add nothing."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: str | Path) -> dict[str, str]:
    """Names and hashes of a key file: ``NAME SHA256`` per line, ``#`` for comments.

    Raises
    ------
    DataError
        If there is no such file, or a line is neither.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError(
            f"the key file {str(path)!r} can't be read", "make one with: tabwright keys FILE --add NAME"
        ) from None
    keys = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found = _LINE.fullmatch(text)
        if found is None:
            raise DataError(f"line {number} of the key file is no name and SHA-256", "write it with: tabwright keys")
        keys[found[1]] = found[2]
    return keys


def add_key(path: str | Path, name: str) -> str:
    """Add a key of that name (in place of an older one) and return it."""
    if _LINE.fullmatch(f"{name} {'0' * 64}") is None:
        raise OptionError("--add", f"is {name!r}", "name it with letters, digits, '.', '-', '_' and '@'")
    keys = read_keys(path) if Path(path).exists() else {}
    key = new_key()
    _write(Path(path), keys | {name: hashed(key)})
    return key


def remove_key(path: str | Path, name: str) -> None:
    """Take a key out; OptionError if there is none of that name."""
    keys = read_keys(path)
    if name not in keys:
        raise OptionError("--remove", f"is {name!r}, and there is no such key", "name one of " + ", ".join(keys))
    _write(Path(path), {k: v for k, v in keys.items() if k != name})


def _write(path: Path, keys: dict[str, str]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{name} {digest}\n" for name, digest in keys.items())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OptionError("FILE", f"can't be written ({error.strerror})", "name a folder that exists") from None


class Keyring:
    """The keys of a running server; the file is read again when it changes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._digests: tuple[bytes, ...] = ()
        self.refresh()

    def refresh(self) -> None:
        """Take over a changed file; DataError if it can't be read, and the old keys stay."""
        status = Path(self._path).stat()
        stamp = (status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            self._digests = tuple(bytes.fromhex(digest) for digest in read_keys(self._path).values())
            self._stamp = stamp

    def knows(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether ``Authorization: Bearer KEY`` or ``X-API-Key: KEY`` holds one of the keys."""
        given = b""
        for name, value in headers:
            if name == b"x-api-key":
                given = value
            elif name == b"authorization" and value[:7].lower() == b"bearer ":
                given = value[7:].strip()
        digest = hashlib.sha256(given).digest()
        # every stored key is compared, so the time taken tells nothing about which is near
        return bool(sum([hmac.compare_digest(digest, known) for known in self._digests]))
