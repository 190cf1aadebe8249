"""A folder that processes of one host share. The last one to leave removes it; killed, whoever comes next does."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
from pathlib import Path
from typing import IO

USERS = ".users"


class Scratch:
    """Holds a shared lock on the folder's ``.users`` file, which the kernel gives back if the process is killed."""

    def __init__(self, path: Path) -> None:
        _purge(path.parent, path.name.partition("-")[0], path)
        self.path = path
        self._lock = _join(path)

    @property
    def identity(self) -> str:
        """The same for all who use the very same folder, and for nobody else."""
        found = os.fstat(self._lock.fileno())
        return f"{socket.gethostname()}:{found.st_dev}:{found.st_ino}"

    def leave(self) -> None:
        """Remove the folder unless others still use it."""
        if not self._lock.closed:
            _remove_if_unused(self.path, self._lock)
            self._lock.close()


def _join(path: Path) -> IO[str]:
    while True:
        with contextlib.suppress(FileNotFoundError):  # the last user is just removing it
            path.mkdir(parents=True, exist_ok=True)
            lock = (path / USERS).open("a")
            fcntl.flock(lock, fcntl.LOCK_SH)
            if (path / USERS).exists() and os.path.samestat((path / USERS).stat(), os.fstat(lock.fileno())):
                return lock
            lock.close()


def _remove_if_unused(path: Path, lock: IO[str]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    shutil.rmtree(path, ignore_errors=True)


def _purge(parent: Path, prefix: str, but: Path) -> None:
    """Remove folders whose users were all killed."""
    for other in parent.glob(f"{prefix}-*/{USERS}"):
        if other.parent != but:
            with contextlib.suppress(OSError), other.open("a") as lock:
                _remove_if_unused(other.parent, lock)
