"""What a run is doing at the moment, in a small file of its folder, for whoever watches it."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict
from typing import Any

from tabwright import clock
from tabwright.search.snapshot import Observer, Snapshot
from tabwright.store.run_dir import RunDir

EVERY_S = 0.5


def reporting(run: RunDir, observer: Observer) -> Observer:
    """An observer that passes on what it is told and leaves it in the run's ``status.json``, twice a second at most."""
    last = -1.0

    def observe(snapshot: Snapshot) -> None:
        nonlocal last
        observer(snapshot)
        now = time.monotonic()
        if now - last < EVERY_S:
            return
        last = now
        temporary = run.status_file.with_suffix(".tmp")
        with contextlib.suppress(OSError):  # a full disk must not end the search
            temporary.write_text(json.dumps(asdict(snapshot) | {"time": clock.now()}))
            temporary.replace(run.status_file)  # no flush to the disk: it is worthless after a crash

    return observe


def read_status(run: RunDir) -> dict[str, Any] | None:
    """The last snapshot's fields, with ``time`` (seconds since 1970); None before the search has begun."""
    try:
        return dict(json.loads(run.status_file.read_text()))
    except (OSError, ValueError):
        return None
