"""A worker process: reads jobs from standard input, fits one fold each, reports on a private pipe.

Started as ``python -m tabwright.engine.worker``, not by multiprocessing: so a user's script needs no
``if __name__ == "__main__"`` guard, and no lock or thread pool of the parent is inherited.
"""

from __future__ import annotations

import os
import pickle
import struct
import traceback
from typing import IO, Any

from tabwright import lean
from tabwright.errors import OutOfTimeError
from tabwright.interrupts import when_orphaned


def send(stream: IO[bytes], message: Any) -> None:
    """One length-prefixed message between a run and its own worker."""
    data = pickle.dumps(message, protocol=5)
    stream.write(struct.pack("<Q", len(data)))
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """The next message; EOFError when the other side has gone."""
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    data = stream.read(struct.unpack("<Q", head)[0])
    return pickle.loads(data)  # noqa: S301 - a pipe between a process and its own child


def main() -> None:
    """Serve jobs until standard input closes."""
    import signal

    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group they are the run's to handle
        signal.signal(number, signal.SIG_IGN)
    jobs = os.fdopen(os.dup(0), "rb")
    reports = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # whatever a library prints goes where errors go
    when_orphaned(lambda: os._exit(1))
    lean.load()  # most jobs need them: loaded while the run still reads its data

    send(reports, ("ready", None))
    session = None
    while True:
        try:
            kind, content = receive(jobs)
        except EOFError:
            return
        try:
            if kind == "open":
                from tabwright.engine.fold import Session

                session = Session(*content)
                send(reports, ("opened", None))
            else:
                assert session is not None
                send(reports, ("done", session.fit(content)))
        except BaseException as error:
            if isinstance(error, SystemExit):
                raise
            detail = traceback.format_exc(limit=-6)
            kind = "late" if isinstance(error, OutOfTimeError) else "failed"
            send(reports, (kind, (f"{type(error).__name__}: {error}"[:500], detail)))


if __name__ == "__main__":
    main()
