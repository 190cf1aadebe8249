"""A worker's feature matrices: what reads no target is made once a run, the rest once for each fold."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tabwright.codec import write_atomic
from tabwright.data.table import Table
from tabwright.errors import FitError
from tabwright.features.base import TargetInfo
from tabwright.features.recipe import (
    BLOCK_ROWS,
    Encoded,
    FittedFeatures,
    FittedPart,
    Option,
    Part,
    Recipe,
    fit_encoder,
    fit_part,
)  # fmt: skip
from tabwright.features.telling import telling
from tabwright.pipeline import CODEC
from tabwright.store.run_dir import RunDir
from tabwright.types import Floats, Ints

SLOW_ENCODERS = frozenset({"text"})


class Made(NamedTuple):
    """A fold's features: names of the shared parts' files, all parts, and float32 (n_rows, n_features) of both."""

    keys: list[str]
    features: FittedFeatures
    X_train: Floats
    X_valid: Floats


class Matrices:
    """Makes and keeps them.

    Parameters
    ----------
    run : RunDir
        Shared parts are written into it.
    table : Table
    is_whole : bool
        Whether the table is all that the run has stored.
    target : function of (fold, rows) to TargetInfo
        What features that read the target are fitted on.
    """

    def __init__(
        self, run: RunDir, table: Table, *, is_whole: bool, target: Callable[[int, Ints], TargetInfo]
    ) -> None:
        self._run, self._table, self._is_whole, self._target = run, table, is_whole, target
        for name in SLOW_ENCODERS:  # before any job, so that no fold's time limit pays for them
            self._cached_encoder(name, (), table, None)
        self._shared: dict[Part, tuple[str, FittedPart, Floats] | None] = {}
        self._fold: dict[tuple[Part, int], tuple[FittedPart, Floats, Floats] | None] = {}
        self._kept: dict[tuple[Recipe, int], Ints] = {}

    def make(self, recipe: Recipe, fold: int, train: Ints, valid: Ints, *, only_telling: bool = False) -> Made:
        """The features that a recipe names, of all columns or only those that tell of the target.

        FitError where the table's columns give none.
        """
        keys: list[str] = []
        parts: list[FittedPart] = []
        train_blocks: list[tuple[Floats, Ints]] = []
        valid_blocks: list[tuple[Floats, Ints]] = []
        for part in recipe.shared:
            shared = self._shared_part(part)
            if shared is not None:
                keys.append(shared[0])
                parts.append(shared[1])
                train_blocks.append((shared[2], train))
                valid_blocks.append((shared[2], valid))
        for part in recipe.by_fold:
            own = self._fold_part(part, fold, train, valid)
            if own is not None:
                parts.append(own[0])
                train_blocks.append((own[1], np.arange(len(train))))
                valid_blocks.append((own[2], np.arange(len(valid))))
        if not parts:
            raise FitError("no column can be used as a feature")
        made = Made(keys, FittedFeatures(tuple(parts)), _gathered(train_blocks), _gathered(valid_blocks))
        return self._telling(recipe, fold, train, made) if only_telling else made

    def _telling(self, recipe: Recipe, fold: int, rows: Ints, made: Made) -> Made:
        if (recipe, fold) not in self._kept:
            self._kept[recipe, fold] = telling(made.X_train, self._target(fold, rows))
        keep = self._kept[recipe, fold]
        X_train, X_valid = (np.ascontiguousarray(X[:, keep]) for X in (made.X_train, made.X_valid))
        return Made(made.keys, replace(made.features, keep=keep), X_train, X_valid)

    def _fold_part(self, part: Part, fold: int, train: Ints, valid: Ints) -> tuple[FittedPart, Floats, Floats] | None:
        if (part, fold) not in self._fold:
            made = fit_part(part, self._table.take(train), self._target(fold, train))
            own = None if made is None else (made[0], made[1], made[0].apply(self._table.take(valid)))
            self._fold[part, fold] = own
        return self._fold[part, fold]

    def _shared_part(self, part: Part) -> tuple[str, FittedPart, Floats] | None:
        if part not in self._shared:
            made = fit_part(part, self._table, None, self._cached_encoder)
            if made is None:
                self._shared[part] = None
            else:
                data = CODEC.dumps(made[0])
                key = hashlib.sha256(data).hexdigest()[:16]
                path = self._run.features_dir / f"{key}.tw"
                if not path.exists():
                    write_atomic(path, data)
                self._shared[part] = (key, made[0], made[1])
        return self._shared[part]

    def _cached_encoder(
        self, name: str, options: tuple[Option, ...], table: Table, target: TargetInfo | None
    ) -> Encoded | None:
        """Fit an encoder that reads no target, or take what another worker has made of it."""
        if name not in SLOW_ENCODERS:
            return fit_encoder(name, options, table, target)
        told = repr(options) if self._is_whole else repr((options, self._table.n_rows))
        stem = f"{name}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
        path, matrix = self._run.features_dir / f"{stem}.enc", self._run.features_dir / f"{stem}.npy"
        with (self._run.features_dir / f"{stem}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one worker computes, the others wait for it
            if path.exists():
                fitted = CODEC.loads(path.read_bytes(), str(path))
                return None if fitted is None else (fitted, np.load(matrix, mmap_mode="r", allow_pickle=False))
            made = fit_encoder(name, options, table, target)
            if made is not None:
                temporary = matrix.with_suffix(".tmp.npy")
                np.save(temporary, made[1], allow_pickle=False)
                temporary.replace(matrix)
            write_atomic(path, CODEC.dumps(None if made is None else made[0]))
            return made


def _gathered(blocks: Sequence[tuple[Floats, Ints]]) -> Floats:
    """Some rows of each of several float32 blocks, side by side, without a copy of a whole block beside them."""
    out = np.empty((len(blocks[0][1]), sum(X.shape[1] for X, _ in blocks)), np.float32)
    for start in range(0, len(out), BLOCK_ROWS):
        here = slice(start, start + BLOCK_ROWS)
        np.concatenate([X[rows[here]] for X, rows in blocks], axis=1, out=out[here])
    return out
