"""The engine on this machine keeps the contract of engines."""

from tabwright.engine.local import LocalEngine
from tabwright.testing.engines import EngineContract


class TestLocalEngine(EngineContract):
    def start(self, n_workers, memory_limit_mib=None):
        return LocalEngine(n_workers, 1, memory_limit_mib)
