"""Runs models: requests that wait at the same moment become one batch; long work leaves the event loop.

A default leader of three members takes 0.9 ms for one row but 0.2 ms per row in a batch, so whatever arrived while
the loop was busy is scored together, without waiting for more. Short batches run on the event loop itself, which
costs less than handing them to a thread; long ones run in a pool, where onnxruntime releases the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tabwright.serve.registry import Served
from tabwright.types import Array

Outputs = dict[str, Array]
Waiting = tuple[dict[str, Array], int, "asyncio.Future[Outputs]"]
MAX_BATCH_ROWS = 64
INLINE_S = 0.003
"""Longest work on the event loop."""


def n_rows_of(feeds: Mapping[str, Array]) -> int:
    """Rows of canonical inputs."""
    return len(next(iter(feeds.values())))


class Scorer:
    """Scores one model version for all requests of a process; to be used on the event loop alone."""

    def __init__(self, served: Served, pool: ThreadPoolExecutor, threads: int, *, batching: bool = True) -> None:
        self._model, self._pool, self._threads = served.model, pool, threads
        self._max_batch_rows = MAX_BATCH_ROWS if batching else 1
        self._waiting: deque[Waiting] = deque()
        self._scheduled, self._running = False, 0
        self._call_s, self._row_s = self._measure(served)

    @staticmethod
    def _measure(served: Served) -> tuple[float, float]:
        took = []
        for n_rows in (1, MAX_BATCH_ROWS):
            feeds, start = served.warm_feeds(n_rows), time.perf_counter()
            served.model.run(feeds)
            took.append((time.perf_counter() - start) / n_rows)
        return took[0], took[1]

    @property
    def queue(self) -> int:
        """Requests that wait or are scored in a thread."""
        return len(self._waiting) + self._running

    async def score(self, feeds: dict[str, Array]) -> Outputs:
        """The graph's outputs for canonical rows."""
        n_rows = n_rows_of(feeds)
        if n_rows > MAX_BATCH_ROWS:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._model.run, feeds)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outputs] = loop.create_future()
        self._waiting.append((feeds, n_rows, future))
        if not self._scheduled:
            self._scheduled = True
            # the next turn of the loop: by then all requests that have arrived are parsed and wait here too
            loop.call_soon(self._turn)
        return await future

    def _turn(self) -> None:
        self._scheduled = False
        while self._waiting and self._running < self._threads:
            batch = self._take()
            if not batch:
                return
            expected = max(self._call_s, self._row_s * sum(n for _, n, _ in batch))
            if expected <= INLINE_S and not self._running:
                self._finish(batch, *self._timed(batch))
                if self._waiting:  # let the loop look at its sockets in between
                    self._scheduled = True
                    asyncio.get_running_loop().call_soon(self._turn)
                return
            self._running += 1
            work = asyncio.get_running_loop().run_in_executor(self._pool, self._timed, batch)
            work.add_done_callback(lambda done, batch=batch: self._done(done, batch))  # type: ignore[misc]

    def _done(self, work: asyncio.Future[tuple[Outputs | Exception, float]], batch: list[Waiting]) -> None:
        self._running -= 1
        self._finish(batch, *work.result())
        if self._waiting:
            self._turn()

    def _take(self) -> list[Waiting]:
        batch: list[Waiting] = []
        rows = 0
        while self._waiting and (not batch or rows + self._waiting[0][1] <= self._max_batch_rows):
            item = self._waiting.popleft()
            if not item[2].done():  # given up by its caller
                batch.append(item)
                rows += item[1]
        return batch

    def _timed(self, batch: list[Waiting]) -> tuple[Outputs | Exception, float]:
        start = time.perf_counter()
        try:
            if len(batch) == 1:
                feeds = batch[0][0]
            else:
                feeds = {k: np.concatenate([b[0][k] for b in batch]) for k in batch[0][0]}
            return self._model.run(feeds), time.perf_counter() - start
        except Exception as error:
            return error, 0.0

    def _finish(
        self,
        batch: list[Waiting],
        result: Outputs | Exception,
        took: float,
    ) -> None:
        if isinstance(result, Exception):
            for _, _, future in batch:
                if not future.done():
                    future.set_exception(result)
            return
        n_rows = sum(n for _, n, _ in batch)
        if n_rows <= 4:
            self._call_s += 0.1 * (took - self._call_s)
        else:
            self._row_s += 0.1 * (took / n_rows - self._row_s)
        position = 0
        for _, n, future in batch:
            if not future.done():
                part = result if len(batch) == 1 else {k: v[position : position + n] for k, v in result.items()}
                future.set_result(part)
            position += n
