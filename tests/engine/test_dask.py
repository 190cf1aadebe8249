"""A real scheduler and real workers, each a process of its own."""

import pytest

from tabwright.engine.dask import DaskEngine
from tabwright.engine.dask_connect import connect
from tabwright.testing.clusters import LoopbackCluster
from tabwright.testing.engines import EngineContract


class TestDaskEngine(EngineContract):
    """Workers that see the run directory read it."""

    @pytest.fixture(scope="class", autouse=True)
    def cluster(self):
        with LoopbackCluster() as cluster:
            cluster.add(2)
            type(self).address = cluster.address
            yield cluster

    def start(self, n_workers, memory_limit_mib=None):
        return DaskEngine(connect(self.address, 1), 1, memory_limit_mib, n_workers)
