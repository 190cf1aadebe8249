"""What every protocol shares: finding the model, reading rows, scoring, ids and counting."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

from tabwright.reasons import stored_rows
from tabwright.serve.auth import Keyring
from tabwright.serve.bodies import Feeds, check_strictly
from tabwright.serve.config import Config
from tabwright.serve.gate import TRACE, read_limited
from tabwright.serve.ids import Ids
from tabwright.serve.metrics import Metrics
from tabwright.serve.monitor import Monitor, summary
from tabwright.serve.refusal import RefusalError
from tabwright.serve.registry import Registry, Served
from tabwright.serve.scoring import Outputs, Scorer, n_rows_of
from tabwright.serve.slots import Slots
from tabwright.serve.store import Store
from tabwright.types import Task

log = logging.getLogger("tabwright.serve")
INLINE_BYTES = 65_536
"""Longer bodies are read, and longer answers written, in a thread."""
MAX_HEADER_IDS = 16
MAX_REASONS, MAX_REASON_ROWS = 100, 16
"""Reasons for each row, and rows of a request that asks for them: each costs up to some 2,000 predictions."""
T = TypeVar("T")


@dataclass
class Prediction:
    """Outputs of some rows, with what answers are made from."""

    served: Served
    outputs: Outputs
    ids: list[str]
    reasons: list[dict[str, Any]] | None = None  # see tabwright.runtime.Model.reasons

    def labels(self) -> list[Any]:
        """The predicted values, or classes as JSON holds them."""
        if self.served.task is Task.REGRESSION:
            return list(self.outputs["prediction"].tolist())
        position, classes = self.served.class_position, self.served.classes
        return [classes[position[v]] for v in self.outputs["label"].tolist()]

    def probabilities(self) -> list[list[float]] | None:
        """(n_rows, n_classes), or None in regression."""
        found = self.outputs.get("probabilities")
        return None if found is None else found.tolist()

    def headers(self) -> dict[str, str]:
        """Which model answered; and the predictions' ids, where they are few, for protocols without a field."""
        headers = {"x-model": f"{self.served.name}/{self.served.version}", "x-model-checksum": self.served.tag}
        if len(self.ids) <= MAX_HEADER_IDS:
            headers["x-prediction-id"] = ",".join(self.ids)
        return headers


class Service:
    """The parts of a running server.

    Raises
    ------
    UserError
        If a model, the key file or the store can't be used.
    """

    def __init__(self, config: Config, threads: int, *, batching: bool = True) -> None:
        self.config = config
        self.store = Store(config.store)
        self.pool = ThreadPoolExecutor(threads, "score")
        self._reasoning = ThreadPoolExecutor(1, "reasons")  # of its own, so that predictions need not wait
        self._threads, self._batching = threads, batching
        self._scorers: dict[str, Scorer] = {}
        self.registry = Registry(config.models, self._loaded, config.public_key)
        self.slots = Slots(config.window_s)
        self.monitor = Monitor(
            self.store, self.registry.all, self.slots, config.evaluate_s,
            lambda *seen: self.metrics.unseen(*seen),  # noqa: PLW0108 - made below
        )  # fmt: skip
        self.metrics = Metrics(self.store, lambda: self.monitor.figures)
        self.ids = Ids(self.store.secret())
        self.keyring = Keyring(config.keys) if config.keys else None
        self.is_stopping = False
        self._reloading: asyncio.Task[None] | None = None

    def _loaded(self, served: Served) -> None:
        self.store.add_model(
            served.tag, served.name, served.version, {"task": str(served.task), "classes": served.classes}
        )
        self._scorers[served.tag] = Scorer(served, self.pool, self._threads, batching=self._batching)

    async def start(self) -> None:
        self.monitor.start()
        if self.config.reload_s > 0:
            self._reloading = asyncio.create_task(self._reload_forever())

    async def stop(self) -> None:
        """Flush counts; called when the last request has been answered."""
        self.is_stopping = True
        if self._reloading is not None:
            self._reloading.cancel()
        await asyncio.get_running_loop().run_in_executor(None, self.monitor.close)
        self.pool.shutdown()
        self._reasoning.shutdown(cancel_futures=True)
        self.store.close()

    async def _reload_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.config.reload_s)
            failures = self.registry.failures
            if self.keyring is not None:
                try:
                    self.keyring.refresh()
                except Exception:
                    log.exception("the keys could not be read again; those that are loaded stay")
            try:
                if await loop.run_in_executor(None, self.registry.refresh):
                    kept = {served.tag for served in self.registry.all()}
                    # a scorer that a request holds lives on until that is answered
                    self._scorers = {tag: scorer for tag, scorer in self._scorers.items() if tag in kept}
            except Exception:
                log.exception("reloading failed; what is loaded stays")
            if self.registry.failures > failures:
                self.metrics.load_failed(self.registry.failures - failures)

    def answered(self, served: Served | None, status: int, seconds: float, rows: int) -> None:
        """Count a request."""
        self.metrics.answered(served, status, seconds, rows)
        self.monitor.answered(served.tag if served else "", status, seconds)

    def find(self, request: Request) -> Served:
        """The model that the path names; the first one where it names none."""
        parameters = request.path_params
        served = self.registry.get(parameters.get("model"), parameters.get("version"))
        request.scope[TRACE].served = served
        return served

    async def body(self, request: Request) -> bytes:
        return await read_limited(request.scope, request.receive, self.config.max_body_bytes)

    async def aside(self, size: int, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function, in a thread if its input is long."""
        if size <= INLINE_BYTES:
            return function(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

    async def predict(self, request: Request, served: Served, feeds: Feeds) -> Prediction:
        """Score canonical rows and remember that they were."""
        n_rows = n_rows_of(feeds)
        if self.config.strict:
            check_strictly(feeds, served)
        scorer = self._scorers.get(served.tag)
        if scorer is None:  # dropped by a reload while the body was read
            scorer = Scorer(served, self.pool, self._threads, batching=self._batching)
        outputs = await scorer.score(feeds)
        request.scope[TRACE].rows = n_rows
        self.monitor.scored(served, feeds, outputs)
        scores, labels = summary(served, outputs)
        return Prediction(served, outputs, self.ids.make(served.tag_bytes, labels.tolist(), scores.tolist()))

    def reasons_wanted(self, request: Request, served: Served) -> int:
        """The number that the query ``reasons`` asks for; 0 without one. Refused with 422 if it is none."""
        text = request.query_params.get("reasons")
        if text is None:
            return 0
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_REASONS):
            raise RefusalError(422, f"reasons is {text[:40]!r}", f"give a number from 1 to {MAX_REASONS}")
        stored_rows(served.model.metadata.get("background"), served.model.schema)  # the fault, where there are none
        return int(text)

    @staticmethod
    def check_reason_rows(feeds: Feeds) -> None:
        """Refuse with 413 more rows than reasons are given for."""
        n_rows = n_rows_of(feeds)
        if n_rows > MAX_REASON_ROWS:
            raise RefusalError(413, f"the request asks for reasons of {n_rows} rows", f"send {MAX_REASON_ROWS} at "
                               "most, or use: tabwright predict --reasons")  # fmt: skip

    async def explain(self, found: Prediction, feeds: Feeds, top: int) -> None:
        """Add reasons to a prediction."""
        work = functools.partial(found.served.model.reasons_of, feeds, top)
        found.reasons = await asyncio.get_running_loop().run_in_executor(self._reasoning, work)


def json_response(value: Any, headers: dict[str, str] | None = None, status: int = 200) -> Response:
    """A JSON answer; NaN and infinities become null."""
    return Response(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), status, headers, "application/json")
