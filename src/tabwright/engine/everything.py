"""Feature matrices of tables larger than memory: made block by block, kept on disk, mapped by what learns from them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tabwright.codec import write_atomic
from tabwright.data.arrow import frame_from_arrow
from tabwright.data.readers import emptied
from tabwright.data.stream import Blocks
from tabwright.data.table import Table
from tabwright.data.target import read_target
from tabwright.errors import ColumnError, OutOfTimeError
from tabwright.features.recipe import FittedFeatures
from tabwright.models.base import Sample
from tabwright.pipeline import CODEC
from tabwright.schema import Schema
from tabwright.store.origin import Origin, matrices_dir
from tabwright.store.run_dir import RunDir
from tabwright.types import Array, Floats, Ints

Rows = tuple[Table, Array, Floats]
"""Canonical rows, what is to be learned of them, and their weights."""
SPREAD = 3.0  # times the rows that are wanted are read for them
MAX_ODD = 1000  # rows of a block that may be left out for what a column holds


@dataclass(frozen=True)
class Facts:
    """What turns a target column into what models learn."""

    schema: Schema
    mean: float
    scale: float
    class_weights: Floats | None  # (n_classes,), where classes are to be balanced
    mean_weight: float = 1.0  # of the sample's rows, by which theirs were divided


def everything(
    run: RunDir, origin: Origin, facts: Facts, features: FittedFeatures, own: Sample, max_rows: int, deadline: float,
) -> Sample:  # fmt: skip
    """The rows that a fold of the run's sample learns from, then all that the sample has not, mapped from disk.

    Encoders of the target have seen the sample's rows, and give those of the fold out of inner folds, as in ``own``.

    Parameters
    ----------
    run, origin, facts
    features : FittedFeatures
        Fitted on the run's sample.
    own : Sample
        The fold's rows, encoded; weights of mean 1 or None.
    max_rows : int
        A random part of so many rows is taken where there are more.
    deadline : float
        Monotonic time at which reading stops, with the rows so far (files and row groups come in random order).

    Raises
    ------
    OutOfTimeError
        If nothing could be read by then.
    """
    folder = matrices_dir(run) / hashlib.sha256(CODEC.dumps(features)).hexdigest()[:16]
    if not (folder / "facts.json").exists() or max_rows > _facts(folder)["max_rows"]:
        _write(folder, origin, facts, features, (own, run.load_array("origin", "sampled")), max_rows, deadline)
    return _mapped(folder, max_rows)


def _facts(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "facts.json").read_text()))


def _write(
    folder: Path, origin: Origin, facts: Facts, features: FittedFeatures, known: tuple[Sample, Ints], max_rows: int,
    deadline: float,
) -> None:  # fmt: skip
    """``known``: the fold's rows, and the places of all the sample's in the order of reading, ascending."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "facts.json").unlink(missing_ok=True)
    own, sampled = known
    width, n = len(features.names), len(own.y)
    kind = "<i8" if facts.schema.classes is not None else "<f8"
    weighted = origin.weight is not None or facts.class_weights is not None
    with (folder / "X.f32").open("wb") as X, (folder / "y").open("wb") as y, (folder / "weight").open("wb") as weight:
        np.ascontiguousarray(own.X, np.float32).tofile(X)
        own.y.astype(kind).tofile(y)
        if own.weight is not None:
            own.weight.astype("<f8").tofile(weight)
        for table, target, weights in _rows(origin, facts, sampled, max_rows - n):
            features.apply(table).tofile(X)
            target.astype(kind).tofile(y)
            if weighted:
                weights.astype("<f8").tofile(weight)
            n += table.n_rows
            if time.monotonic() > deadline:
                break
    if n == len(own.y):
        raise OutOfTimeError("no further row could be read in time")
    found = {"n": n, "width": width, "y": kind, "weighted": weighted, "max_rows": max_rows}
    write_atomic(folder / "facts.json", json.dumps(found).encode())


def _mapped(folder: Path, max_rows: int) -> Sample:
    facts = _facts(folder)
    n, width = min(int(facts["n"]), max_rows), int(facts["width"])
    X: Floats = np.memmap(folder / "X.f32", np.float32, "r", shape=(n, width))
    y: Array = np.memmap(folder / "y", facts["y"], "r", shape=(n,))
    if not facts["weighted"]:
        return Sample(X, y)
    weight = np.fromfile(folder / "weight", "<f8", n)
    return Sample(X, y, weight / weight.mean())


def _rows(origin: Origin, facts: Facts, sampled: Ints, max_rows: int) -> Iterator[Rows]:
    """Canonical rows outside the sample, with what is to be learned of them."""
    read, share = thinned(origin, sampled, max_rows)
    blocks = Blocks(origin.stream(), facts.schema, also_read(origin), origin.seed)
    yield from outside(blocks, origin, facts, sampled, share, (0, int(read * origin.n_rows)))


def also_read(origin: Origin) -> list[str]:
    """Columns beside the features."""
    return [origin.target, *([origin.weight] if origin.weight else [])]


def thinned(origin: Origin, sampled: Ints, max_rows: int) -> tuple[float, float]:
    """The share of all rows that is read, and the share of these that is kept, for ``max_rows`` outside the sample."""
    share = min(1.0, max(1, max_rows) / max(1, origin.n_rows - len(sampled)))
    read = min(1.0, SPREAD * share)  # few rows need not be looked for everywhere
    return read, min(1.0, share / read)


def outside(
    blocks: Blocks, origin: Origin, facts: Facts, sampled: Ints, share: float, span: tuple[int, int]
) -> Iterator[Rows]:
    """A random share of those rows that the sample has not.

    Parameters
    ----------
    blocks, origin, facts
    sampled : ndarray
        Places of the sample's rows in the order of reading, ascending.
    share : float
    span : tuple of int
        The place of the blocks' first row, and the one before which a block must begin to be read.
    """
    before, end = span
    rng = np.random.default_rng([origin.seed + 1, before])
    for block, _ in blocks:
        n = block.num_rows
        if before >= end:
            return
        keep = np.ones(n, bool) if share >= 1.0 else rng.random(n) < share
        inside = sampled[np.searchsorted(sampled, before) : np.searchsorted(sampled, before + n)]
        keep[inside - before] = False
        before += n
        frame = emptied(frame_from_arrow(block.filter(keep)), origin.read_options.null_values)
        y, known = read_target(frame[origin.target], origin.target, facts.schema.classes, unknown="leave out")
        weight = _weight(frame, origin, known) / facts.mean_weight
        if facts.class_weights is not None:
            weight = weight * facts.class_weights[y]
        if facts.schema.classes is None:
            y = (y - facts.mean) / facts.scale
        frame = frame[known].reset_index(drop=True)
        table, kept = _canonical(frame, facts.schema)
        if not (counts := weight[kept] > 0).all():  # rows without weight would have all others copied into memory
            table, kept = table.take(counts), kept[counts]
        if table.n_rows:
            yield table, y[kept], weight[kept]


def _weight(frame: Any, origin: Origin, known: Any) -> Floats:
    import pandas as pd

    if origin.weight is None:
        return np.ones(int(known.sum()))
    found = np.asarray(pd.to_numeric(frame[origin.weight], errors="coerce"), np.float64)[known]
    return np.where(np.isfinite(found) & (found > 0), found, 0.0)


def _canonical(frame: Any, schema: Schema) -> tuple[Table, Ints]:
    """The frame's rows in canonical form, and which they are.

    Those with a cell that is not of its column's kind are left out: the sample that kinds were found from had none.
    """
    rows = np.arange(len(frame))
    for _ in range(MAX_ODD):
        try:
            return Table.from_frame(frame, schema), rows
        except ColumnError as error:
            if error.row is None:
                raise
            keep = np.arange(len(frame)) != error.row
            frame, rows = frame[keep].reset_index(drop=True), rows[keep]
    raise ColumnError("source", f"has more than {MAX_ODD} rows in a block that are not of the columns' kinds",
                      "name the kinds with --kind, or clean the table")  # fmt: skip
