"""What the option ``engine`` may name of Dask, and how to get a client of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tabwright.errors import MissingExtraError, OptionError

LOCAL, DASK = "local", "dask"
SCHEMES = ("tcp", "tls", "ucx", "ucxx", "ws", "wss")
COPY = "tabwright.copy-files"  # in Dask's configuration; DASK_TABWRIGHT__COPY_FILES
CONNECT_S = 10.0
ALLOWED = "give 'local', 'dask', a scheduler's address such as 'tcp://host:8786', or a distributed.Client"


def engine_name(engine: Any) -> str:
    """The option as text, as it is stored: "local", "dask" or the address of a scheduler.

    Raises
    ------
    OptionError
        If it is none of these, nor a ``distributed.Client``.
    """
    if isinstance(engine, str):
        scheme, separator, rest = engine.partition("://")
        if engine in (LOCAL, DASK) or (separator and rest and scheme in SCHEMES):
            return engine
    elif type(engine).__module__.partition(".")[0] == "distributed" and hasattr(engine, "scheduler_info"):
        if engine.asynchronous:
            raise OptionError("engine", "is an asynchronous Client", "give one made without asynchronous=True")
        return str(engine.scheduler.address) if engine.scheduler is not None else DASK
    raise OptionError("engine", f"is {engine!r}", ALLOWED)


@dataclass(frozen=True)
class Connection:
    """A client, how messages name its cluster, and what closes what was opened for this run, which may take long.

    ``copy``: whether files are sent even to workers that can see the run directory.
    """

    client: Any  # distributed.Client
    name: str
    close: Callable[[], None]
    copy: bool = False


def connect(engine: Any, cores: int) -> Connection:
    """A connection to the cluster that the option names.

    Parameters
    ----------
    engine : "dask", address or distributed.Client
        "dask" is the current client, else the scheduler that Dask's configuration names (``DASK_SCHEDULER_ADDRESS``),
        else a cluster of this process made for the run.
    cores : int
        Slots of such a cluster.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    OptionError
        If the scheduler can't be reached within 10 s.
    """
    try:
        import dask
        import distributed
    except ImportError:
        raise MissingExtraError("Dask", "dask") from None
    return replace(_connect(engine, cores, distributed), copy=bool(dask.config.get(COPY, False)))


def _connect(engine: Any, cores: int, distributed: Any) -> Connection:
    import dask

    if isinstance(engine, distributed.Client):
        return _existing(engine)
    address = engine
    if engine == DASK:
        try:
            return _existing(distributed.get_client())
        except ValueError:
            address = dask.config.get("scheduler-address", None)
    return _own_cluster(distributed, cores) if address is None else _remote(distributed, str(address))


def _existing(client: Any) -> Connection:
    if client.status != "running":
        raise OptionError("engine", f"is a Client that is {client.status}", "give one that is connected")
    return Connection(client, str(client.scheduler.address), lambda: None)


def _remote(distributed: Any, address: str) -> Connection:
    class Client(distributed.Client):  # type: ignore[misc]
        def start(self, **kwargs: Any) -> None:
            """Closed where it can't connect: one that the garbage collector closes may wait for its own lock."""
            try:
                super().start(**kwargs)
            except BaseException:
                self.close()
                raise

    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False, name="tabwright")
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {error}".split("\n", maxsplit=1)[0]
        fix = "start a scheduler there ('dask scheduler'), or correct the address"
        if address.startswith("tls://"):
            fix += ", and name the certificates in Dask's configuration (distributed.comm.tls)"
        raise OptionError("engine", f"is {address!r}, where no Dask scheduler answers ({reason})", fix) from None
    return Connection(client, address, client.close)


def _own_cluster(distributed: Any, cores: int) -> Connection:
    """Scheduler and worker in threads: folds have processes of their own anyway, and a script needs no main guard."""
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=cores, processes=False, memory_limit=0,
        dashboard_address="127.0.0.1:0", worker_dashboard_address="127.0.0.1:0",
    )  # fmt: skip
    client = distributed.Client(cluster, set_as_default=False, name="tabwright")

    def close() -> None:
        client.close()
        cluster.close()

    return Connection(client, "of this process", close)
