"""Mean target by pairs of groups, smoothed towards the prior, out of fold for the training rows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tabwright.data.table import Table
from tabwright.features.base import Encoder, Inputs, TargetInfo
from tabwright.features.keys import Key, columns_of, columns_to_onnx, find_keys, first_groups
from tabwright.features.target_mean import INNER_FOLDS, MAX_CLASSES, SMOOTHING, out_of_fold_means, smoothed_means
from tabwright.onnx.graph import ML
from tabwright.types import Floats, Ints

MIN_ROWS = 2  # that a pair must have been seen in
Pair = tuple[str, str]


@dataclass(frozen=True)
class FittedCrossMean:
    """``lookup[rank of the pair]``, one column per target column; pairs never seen get the prior, ``lookup[0]``."""

    left: tuple[Key, ...]  # one per cross
    right: tuple[Key, ...]
    names: tuple[str, ...]  # n_crosses x n_targets, a cross's targets side by side
    offset: Ints  # (n_crosses,), where each cross's pair codes start
    pairs: Ints  # (n_pairs,), ascending
    lookup: Floats  # (n_pairs + 1, n_targets)

    def _width(self) -> Ints:
        return np.array([key.size for key in self.right], np.int64)

    def apply(self, table: Table) -> Floats:
        code = columns_of(self.left, table) * self._width() + columns_of(self.right, table) + self.offset
        place = np.searchsorted(self.pairs, code).clip(max=len(self.pairs) - 1)
        rank = np.where(self.pairs[place] == code, place + 1, 0)
        return np.asarray(self.lookup[rank].reshape(table.n_rows, -1))

    def to_onnx(self, inputs: Inputs) -> str:
        graph = inputs.graph
        code = graph.node("Mul", columns_to_onnx(self.left, inputs), graph.const(self._width()[None, :]))
        code = graph.node("Add", code, columns_to_onnx(self.right, inputs))
        code = graph.node("Add", code, graph.const(self.offset[None, :]))
        rank = graph.node("LabelEncoder", code, domain=ML, keys_int64s=self.pairs.tolist(),
                          values_int64s=list(range(1, len(self.pairs) + 1)), default_int64=0)  # fmt: skip
        means = graph.node("Gather", graph.const(self.lookup), rank, axis=0)
        return graph.node("Reshape", means, graph.const(np.array([-1, len(self.names)], np.int64)))


def fit(
    table: Table, target: TargetInfo, *, pairs: tuple[Pair, ...] | None = None, smoothing: float = SMOOTHING
) -> tuple[FittedCrossMean, Floats] | None:
    """The pairs of columns given, or those of the first few; a number of many values is cut into ranges.

    Returns
    -------
    (FittedCrossMean, float64 (n_rows, n_outputs)) or None
        The second is the training rows, each encoded from the inner folds that it is not in.

    References
    ----------
    Micci-Barreca 2001, doi:10.1145/507533.507538.
    """
    if target.n_columns > MAX_CLASSES:
        return None
    Y = target.as_columns()
    numeric = [c.name for c in table.schema.numeric]
    wanted = all_pairs(first_groups(table, 3), numeric[:3]) if pairs is None else pairs
    keys = find_keys(table, [name for pair in wanted for name in pair], ranges=True)
    known = [(a, b) for a, b in wanted if a in keys and b in keys]
    if not known:
        return None
    weight = np.ones(table.n_rows) if target.weight is None else target.weight
    prior = (weight @ Y) / weight.sum()
    inner = target.inner_folds(INNER_FOLDS)
    found, means, blocks, offsets, start = [np.empty(0, np.int64)], [prior[None, :]], [], [], 0
    for a, b in known:
        code = keys[a].codes(table) * keys[b].size + keys[b].codes(table)
        seen, position, count = np.unique(code, return_inverse=True, return_counts=True)
        blocks.append(out_of_fold_means(position, len(seen), Y, weight, smoothing, inner))
        enough = count >= MIN_ROWS
        found.append(seen[enough] + start)
        means.append(smoothed_means(position, len(seen), Y, weight, smoothing)[enough])
        offsets.append(start)
        start += keys[a].size * keys[b].size
    if not sum(map(len, found)):
        return None
    outputs = [""] if Y.shape[1] == 1 else [f"[{k}]" for k in range(Y.shape[1])]
    fitted = FittedCrossMean(
        tuple(keys[a] for a, _ in known), tuple(keys[b] for _, b in known),
        tuple(f"{a} x {b}.target_mean{o}" for a, b in known for o in outputs),
        np.array(offsets, np.int64), np.concatenate(found), np.concatenate(means),
    )  # fmt: skip
    return fitted, np.concatenate(blocks, axis=1)


def all_pairs(groups: Sequence[str], numbers: Sequence[str]) -> tuple[Pair, ...]:
    """Every pair of groups, and every group with every other number's ranges."""
    ranges = ((group, number) for group in groups for number in numbers if number not in groups)
    return (*itertools.combinations(groups, 2), *ranges)


CROSS_MEAN = Encoder("cross_mean", fit, "doi:10.1145/507533.507538", supervised=True)
