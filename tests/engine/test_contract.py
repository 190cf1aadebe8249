"""The engine on this machine keeps the contract of engines."""

import time

import pytest

from tabwright.engine.base import Status
from tabwright.engine.local import LocalEngine
from tabwright.testing.engines import PATIENCE_S, EngineContract, job


class TestLocalEngine(EngineContract):
    def start(self, n_workers, memory_limit_mib=None):
        return LocalEngine(n_workers, 1, memory_limit_mib)

    @pytest.mark.parametrize("asked", ["poll", "close"])
    def test_what_has_ended_unread_is_neither_late_nor_lost(self, run, asked):
        engine = self.start(1)
        try:
            engine.open(run.path)
            self.busy(engine, job("linear", seconds=30.0))
            end = time.monotonic() + PATIENCE_S
            while engine._inbox.empty():
                assert time.monotonic() < end
                time.sleep(0.02)
            engine._workers[0].started -= 100.0  # so long has nobody asked
            outcomes = engine.poll(0.0) if asked == "poll" else engine.close()
            assert [o.status for o in outcomes] == [Status.OK]
        finally:
            engine.close()
