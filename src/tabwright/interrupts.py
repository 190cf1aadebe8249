"""Ctrl-C and SIGTERM while a run searches and ends: the first asks it to end in order, the second ends it at once.

Also what a child process does when its parent has gone without a word.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def check() -> None:
    """KeyboardInterrupt if one was asked for and lost: a C extension's callback or an import may swallow it."""
    if any(getattr(signal.getsignal(number), "asked", False) for number in SIGNALS):
        raise KeyboardInterrupt


def when_orphaned(act: Callable[[], object], parent: int | None = None) -> None:
    """Call ``act`` from a thread, at most half a second after the parent process has ended.

    ``parent`` is its id, for a process that may be orphaned before it calls this.
    """
    parent = os.getppid() if parent is None else parent

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        act()

    threading.Thread(target=watch, daemon=True, name="orphaned").start()


class Interrupts:
    """While this is entered, the first signal only sets ``asked``; a second one raises KeyboardInterrupt.

    Signals that nobody handles in Python (SIGTERM outside the command line) keep their effect, and so do all of them
    outside the main thread, where handlers can't be set.
    """

    def __init__(self) -> None:
        self.asked = self._forced = False
        self._before: dict[signal.Signals, Any] = {}

    def _take(self, _signal: int, _frame: FrameType | None) -> None:
        if self.asked:
            self._forced = True
            raise KeyboardInterrupt
        self.asked = True

    def __enter__(self) -> Self:
        check()
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before = signal.getsignal(number)
                if callable(before):
                    signal.signal(number, self._take)
                    self._before[number] = before
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _where: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        if self._forced and error is not None and not isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt from error  # a C extension that was being imported makes an ImportError of it
