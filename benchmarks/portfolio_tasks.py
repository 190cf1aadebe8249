"""Learning problems of the experiment: samples of tables, and variants of them that differ in one respect."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tables import Dataset, datasets

TRAIN_ROWS, TEST_ROWS = 2400, 1200


@dataclass(frozen=True)
class Sampled:
    """One problem: rows to learn from and rows to judge by."""

    name: str
    table: str  # that it was drawn from: nothing of one table may judge what another of its variants has taught
    data: Dataset
    train: pd.DataFrame
    test: pd.DataFrame


def fewer_rows(frame: pd.DataFrame, _target: str, rng: np.random.Generator) -> pd.DataFrame:
    """A quarter of the training rows."""
    return frame.iloc[np.sort(rng.permutation(len(frame))[: max(200, len(frame) // 4)])]


def fewer_columns(frame: pd.DataFrame, target: str, rng: np.random.Generator) -> pd.DataFrame:
    """Half of the columns."""
    names = [c for c in frame.columns if c != target]
    kept = set(rng.choice(names, max(2, len(names) // 2), replace=False))
    return frame[[c for c in frame.columns if c in kept or c == target]]


def noisy_columns(frame: pd.DataFrame, target: str, rng: np.random.Generator) -> pd.DataFrame:
    """As many columns again that tell nothing: the table's own, each with its rows in another order."""
    names = [c for c in frame.columns if c != target]
    noise = {f"shuffled {c}": frame[c].to_numpy()[rng.permutation(len(frame))] for c in names}
    return pd.concat([frame, pd.DataFrame(noise, index=frame.index)], axis=1)


def noisy_target(frame: pd.DataFrame, target: str, rng: np.random.Generator) -> pd.DataFrame:
    """Targets of every fifth row exchanged among these rows."""
    out = frame.copy()
    rows = np.flatnonzero(rng.random(len(frame)) < 0.2)
    values = out[target].to_numpy().copy()
    values[rows] = values[rng.permutation(rows)]
    out[target] = values
    return out


def missing_cells(frame: pd.DataFrame, target: str, rng: np.random.Generator) -> pd.DataFrame:
    """A quarter of all cells emptied."""
    features = frame.drop(columns=[target])
    return pd.concat([features.mask(rng.random(features.shape) < 0.25), frame[[target]]], axis=1)


def rare_class(frame: pd.DataFrame, target: str, rng: np.random.Generator) -> pd.DataFrame:
    """Of all classes but the most frequent, a fifth of the rows."""
    y = frame[target]
    return frame[(y == y.mode()[0]).to_numpy() | (rng.random(len(frame)) < 0.2)]


def many_values(frame: pd.DataFrame, target: str, rng: np.random.Generator) -> pd.DataFrame:
    """Numeric columns cut into some 40 named groups each: categories in the place of numbers."""
    out = frame.copy()
    for name in out.columns:
        if name != target and out[name].dtype.kind in "fi" and out[name].nunique() > 40:
            ranks = out[name].rank(pct=True).fillna(0.0)
            codes = rng.permutation(41)[(ranks * 40).astype(int)]
            out[name] = np.char.add("group ", codes.astype(str))
    return out


Change = Callable[[pd.DataFrame, str, np.random.Generator], pd.DataFrame]
CHANGES: tuple[Change, ...] = (
    fewer_rows, fewer_columns, noisy_columns, noisy_target, missing_cells, rare_class, many_values,
)  # fmt: skip


def sampled(folder: str | None, names: str, variants: int) -> Iterator[Sampled]:
    """Every table's sample, and ``variants`` changed ones of each."""
    for data in datasets(folder, names):
        train, test = data.split(0)
        seed = zlib.crc32(data.name.encode())
        train, test = (
            f.sample(min(n, len(f)), random_state=seed % 2**31).reset_index(drop=True)
            for f, n in ((train, TRAIN_ROWS), (test, TEST_ROWS))
        )
        train, test = _shared_classes(train, test, data)
        yield Sampled(data.name, data.name, data, train, test)
        rng = np.random.default_rng(seed)
        fitting = [c for c in CHANGES if data.task != "regression" or c is not rare_class]
        for k in rng.choice(len(fitting), min(variants, len(fitting)), replace=False):
            change = fitting[int(k)]
            both = change(pd.concat([train, test], keys=["train", "test"]), data.target, rng)
            own, held = both.loc["train"], both.loc["test"]
            if change in (noisy_target, rare_class):  # judged by rows as they are
                held = test
            if change is fewer_rows:
                own, held = change(train, data.target, rng), test
            own, held = _shared_classes(own.reset_index(drop=True), held.reset_index(drop=True), data)
            yield Sampled(f"{data.name}: {change.__name__.replace('_', ' ')}", data.name, data, own, held)


def _shared_classes(train: pd.DataFrame, test: pd.DataFrame, data: Dataset) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of classes that are frequent enough in a sample to be learned in every fold."""
    if data.task == "regression":
        return train, test
    counts = train[data.target].value_counts()
    kept = set(counts[counts >= 10].index)
    return (f[f[data.target].isin(kept)].reset_index(drop=True) for f in (train, test))  # type: ignore[return-value]
