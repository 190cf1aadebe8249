"""How far a number lies from the usual one of its group: plain, or in the group's standard deviations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tabwright.data.table import Table
from tabwright.features.base import Encoder, Inputs, TargetInfo
from tabwright.features.keys import Key, columns_of, columns_to_onnx, find_keys, key_names
from tabwright.types import Floats, Ints

SMOOTHING = 10.0  # rows that the whole table counts for in each group
Pair = tuple[str, str, str]  # numeric column, form, column of groups
FORMS = ("from", "over")  # x - mean, (x - mean) / deviation


@dataclass(frozen=True)
class FittedDeviation:
    """``(x[column] - mean[offset + code]) * factor[offset + code]``."""

    columns: tuple[int, ...]  # positions in schema.numeric, one per output
    keys: tuple[Key, ...]  # one per output
    names: tuple[str, ...]
    offset: Ints  # (n_outputs,)
    mean: Floats  # (total,), the column's unit
    factor: Floats  # (total,), 1 or one over that unit

    def apply(self, table: Table) -> Floats:
        code = columns_of(self.keys, table) + self.offset
        return np.asarray((table.numbers[:, list(self.columns)] - self.mean[code]) * self.factor[code])

    def to_onnx(self, inputs: Inputs) -> str:
        graph = inputs.graph
        code = graph.node("Add", columns_to_onnx(self.keys, inputs), graph.const(self.offset[None, :]))
        x = graph.node("Sub", inputs.number_columns(self.columns), graph.node("Gather", graph.const(self.mean), code))
        return graph.node("Mul", x, graph.node("Gather", graph.const(self.factor), code))


def _statistics(x: Floats, code: Ints, size: int) -> tuple[Floats, Floats]:
    """Mean and one over the standard deviation by group, both drawn towards the whole column's."""
    known = ~np.isnan(x)
    x, code = x[known], code[known]
    if not len(x):
        return np.zeros(size), np.ones(size)
    middle = float(x.mean())
    count = np.bincount(code, minlength=size)
    centred = x - middle
    mean = np.bincount(code, weights=centred, minlength=size) / (count + SMOOTHING)
    spread = np.bincount(code, weights=(centred - mean[code]) ** 2, minlength=size)
    variance = (spread + SMOOTHING * float(centred.var())) / (count + SMOOTHING)
    factor = 1.0 / np.sqrt(variance, out=np.ones(size), where=variance > 0)
    return middle + mean, factor


def fit(
    table: Table, _target: TargetInfo | None = None, *, pairs: tuple[Pair, ...] | None = None
) -> FittedDeviation | None:
    """The pairs given (number, ``from`` or ``over``, groups), or those of the first few columns.

    References
    ----------
    Group statistics as in Kanter & Veeramachaneni 2015, doi:10.1109/DSAA.2015.7344858.
    """
    position = {c.name: j for j, c in enumerate(table.schema.numeric)}
    wanted = all_pairs(list(position)[:3], key_names(table)[:3]) if pairs is None else pairs
    keys = find_keys(table, [name for _, _, name in wanted])
    codes = {name: key.codes(table) for name, key in keys.items()}
    known = [(number, form, name) for number, form, name in wanted if number in position and name in keys]
    if not known:
        return None
    means, factors = [], []
    for number, form, name in known:
        mean, factor = _statistics(table.numbers[:, position[number]], codes[name], keys[name].size)
        means.append(mean)
        factors.append(factor if form == "over" else np.ones(len(factor)))
    sizes = np.array([len(m) for m in means], np.int64)
    return FittedDeviation(
        tuple(position[number] for number, _, _ in known), tuple(keys[name] for _, _, name in known),
        tuple(f"{number} {form} {name}" for number, form, name in known),
        np.cumsum(sizes) - sizes, np.concatenate(means), np.concatenate(factors),
    )  # fmt: skip


def all_pairs(numbers: list[str], groups: list[str]) -> tuple[Pair, ...]:
    """Every number within the groups of every other column, in both forms."""
    return tuple((n, form, g) for g in groups for n in numbers if n != g for form in FORMS)


DEVIATION = Encoder("deviation", fit, "doi:10.1109/DSAA.2015.7344858")
