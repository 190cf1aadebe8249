"""One model learned from a table that the workers of a Dask cluster hold in parts.

Each worker reads its own files or row groups, turns them into features and keeps them in its memory. Nothing of the
table passes through the process that calls, which connects as a client of its own and so can be killed like any fold.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np

from tabwright import lean
from tabwright.data.places import absolute
from tabwright.data.stream import Blocks
from tabwright.engine.base import Cluster
from tabwright.engine.everything import Facts, also_read, outside, thinned
from tabwright.errors import FitError
from tabwright.features.recipe import FittedFeatures
from tabwright.models.base import Parts, Sample
from tabwright.store.origin import Origin
from tabwright.types import Array, Floats, Ints

CONNECT_S = 10.0
Piece = tuple[int, int]
"""A file or row group by its number in the order of reading, and the place of its first row."""


@contextlib.contextmanager
def parts(
    cluster: Cluster, origin: Origin, facts: Facts, features: FittedFeatures, own: Sample, sampled: Ints, max_rows: int,
    seconds: float,
) -> Iterator[Parts]:  # fmt: skip
    """The rows that a fold learns from and those outside the sample, spread over the workers; gone at the end.

    Parameters
    ----------
    cluster, origin, facts
    features : FittedFeatures
        Fitted on the run's sample.
    own : Sample
        The fold's rows, encoded.
    sampled : ndarray
        Places of the sample's rows in the order of reading, ascending.
    max_rows : int
        A random part of so many rows is taken where there are more.
    seconds : float
        After which a worker stops reading and keeps what it has.

    Raises
    ------
    FitError
        If no worker can read the source.
    """
    lean.forget()
    import dask.array as da
    from dask.delayed import delayed
    from distributed import Client, wait

    with Client(cluster.scheduler, security=cluster.security, timeout=CONNECT_S, set_as_default=False) as client, \
            client.as_current():
        origin = replace(origin, source=absolute(origin.source))
        there = [w for w in client.scheduler_info(n_workers=-1)["workers"] if w in cluster.workers]
        seen = client.run(_seen, origin, workers=there, on_error="return") if there else {}
        here = _seen(origin)
        workers = [w for w, found in seen.items() if found == here]
        if not workers:
            raise FitError("no worker of the cluster sees the files of the source")
        threads = client.nthreads(workers)
        read, share = thinned(origin, sampled, max_rows - len(own.y))
        shared = client.scatter([origin, facts, features, sampled], workers=workers, broadcast=True)
        dealt = _dealt(origin, read, [w for w in workers for _ in range(threads[w])])
        made = [delayed(_part)(*shared, pieces, share, seconds) for _, pieces in dealt]
        futures = [client.compute(one, workers=[w], allow_other_workers=False)
                   for one, (w, _) in zip(made, dealt, strict=True)]  # fmt: skip
        futures += client.scatter([(own.X, own.y, _weights(own))], workers=workers[:1])
        wait(futures)
        blocks = [[client.submit(_take, f, k) for k in range(3)] for f in futures]
        weighted = own.weight is not None or origin.weight is not None or facts.class_weights is not None
        width, kinds = own.X.shape[1], (np.float32, own.y.dtype, np.float64)
        shapes: list[tuple[float, ...]] = [(np.nan, width), (np.nan,), (np.nan,)]
        X, y, weight = (
            da.concatenate([da.from_delayed(delayed(b[k]), shapes[k], kinds[k]) for b in blocks])
            for k in range(3)
        )
        yield Parts(client, X, y, weight if weighted else None, own)


def _seen(origin: Origin) -> tuple[int, str]:
    """Bytes of the source, and the version of this package, as a worker sees them."""
    return origin.stream().size_bytes, version("tabwright")


def _dealt(origin: Origin, read: float, slots: list[str]) -> list[tuple[str, tuple[Piece, ...]]]:
    """For each slot of a worker, the pieces that it reads: those that come first, dealt out in turn."""
    assert origin.pieces is not None
    starts = np.concatenate([[0], np.cumsum(origin.pieces)[:-1]])
    first = [(k, int(start)) for k, start in enumerate(starts) if start < read * origin.n_rows]
    found = [(worker, tuple(first[k :: len(slots)])) for k, worker in enumerate(slots)]
    return [(worker, pieces) for worker, pieces in found if pieces]


def _part(
    origin: Origin, facts: Facts, features: FittedFeatures, sampled: Ints, pieces: tuple[Piece, ...], share: float,
    seconds: float,
) -> tuple[Floats, Array, Floats]:  # fmt: skip
    """Features, targets and weights of some pieces. Run on a worker."""
    until, stream = time.monotonic() + seconds, origin.stream()
    rows = (
        read for piece, start in pieces
        for read in outside(Blocks(stream, facts.schema, also_read(origin), origin.seed, piece), origin, facts, sampled,
                            share, (start, origin.n_rows))
    )  # fmt: skip
    found: list[tuple[Floats, Array, Floats]] = []
    for table, y, weight in rows:
        found.append((features.apply(table), y, weight))
        if time.monotonic() > until:
            break
    if not found:
        kind = np.float64 if facts.schema.classes is None else np.int64
        return np.empty((0, len(features.names)), np.float32), np.empty(0, kind), np.empty(0)
    X, y, weight = (np.concatenate(column) for column in zip(*found, strict=True))
    return X, y, weight


def _take(part: tuple[Any, ...], k: int) -> Any:
    return part[k]


def _weights(sample: Sample) -> Floats:
    return np.ones(len(sample.y)) if sample.weight is None else sample.weight
