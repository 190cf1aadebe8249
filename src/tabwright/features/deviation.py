"""How far a number, or its logarithm, lies from the usual one of its group: plain, or in standard deviations."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tabwright.data.table import Table
from tabwright.features.base import Encoder, Inputs, TargetInfo
from tabwright.features.keys import Key, columns_of, columns_to_onnx, find_keys, first_groups
from tabwright.types import Floats, Ints

SMOOTHING = 10.0  # rows that the whole table counts for in each group
Pair = tuple[str, str, str]  # numeric column, form, column of groups
FORMS = ("from", "over")  # x - mean, (x - mean) / deviation
LOG_FORMS = ("log from", "log over")  # the same of sign(x) log(1 + |x| / unit)
LEAST_UNIT = 1e-30
WIDE = 10.0  # ratio of a column's usual large sizes to its small ones from which logarithms are worth a look


@dataclass(frozen=True)
class FittedDeviation:
    """``(x[column] - mean[offset + code]) * factor[offset + code]``, of logarithms where there is a unit."""

    columns: tuple[int, ...]  # positions in schema.numeric, one per output
    keys: tuple[Key, ...]  # one per output
    names: tuple[str, ...]
    offset: Ints  # (n_outputs,)
    mean: Floats  # (total,), the column's unit, or logarithms
    factor: Floats  # (total,), 1 or one over that
    # (n_outputs,), of the logarithms in the column's unit, 0 for plain numbers; empty as earlier runs stored it
    unit: Floats = field(default_factory=lambda: np.empty(0))

    def apply(self, table: Table) -> Floats:
        code = columns_of(self.keys, table) + self.offset
        x = table.numbers[:, list(self.columns)]
        if self.unit.any():
            x = np.where(self.unit > 0, _logarithms(x, self._divisor), x)
        return np.asarray((x - self.mean[code]) * self.factor[code])

    @property
    def _divisor(self) -> Floats:
        return np.where(self.unit > 0, self.unit, 1.0)

    def to_onnx(self, inputs: Inputs) -> str:
        graph = inputs.graph
        code = graph.node("Add", columns_to_onnx(self.keys, inputs), graph.const(self.offset[None, :]))
        x = inputs.number_columns(self.columns)
        if self.unit.any():
            size = graph.node("Div", graph.node("Abs", x), graph.const(self._divisor[None, :]))
            logs = graph.node("Log", graph.node("Add", size, graph.const(1.0)))
            logs = graph.node("Mul", graph.node("Sign", x), logs)
            x = graph.node("Where", graph.const((self.unit > 0)[None, :]), logs, x)
        x = graph.node("Sub", x, graph.node("Gather", graph.const(self.mean), code))
        return graph.node("Mul", x, graph.node("Gather", graph.const(self.factor), code))


def _logarithms(x: Floats, unit: Floats | float) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(np.sign(x) * np.log(np.abs(x) / unit + 1.0))


def _usual_sizes(x: Floats) -> tuple[float, float]:
    """A small and a large size, in the column's unit, of the values other than 0; (0, 0) where there are none."""
    size = np.abs(x[np.isfinite(x) & (x != 0.0)])
    if not len(size):
        return 0.0, 0.0
    low, high = np.quantile(size, [0.05, 0.95])
    return float(low), float(high)


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
    """The pairs given (number, one of the forms, groups), or those of the first few columns.

    References
    ----------
    Group statistics as in Kanter & Veeramachaneni 2015, doi:10.1109/DSAA.2015.7344858.
    """
    position = {c.name: j for j, c in enumerate(table.schema.numeric)}
    wanted = all_pairs(list(position)[:3], first_groups(table, 3), table) if pairs is None else pairs
    keys = find_keys(table, [name for _, _, name in wanted])
    codes = {name: key.codes(table) for name, key in keys.items()}
    known = [(number, form, name) for number, form, name in wanted if number in position and name in keys]
    if not known:
        return None
    means, factors, units = [], [], []
    for number, form, name in known:
        x = table.numbers[:, position[number]]
        units.append(max(_usual_sizes(x)[0], LEAST_UNIT) if form in LOG_FORMS else 0.0)
        if form in LOG_FORMS:
            x = _logarithms(x, units[-1])
        mean, factor = _statistics(x, codes[name], keys[name].size)
        means.append(mean)
        factors.append(factor if form.endswith("over") else np.ones(len(factor)))
    sizes = np.array([len(m) for m in means], np.int64)
    return FittedDeviation(
        tuple(position[number] for number, _, _ in known), tuple(keys[name] for _, _, name in known),
        tuple(f"{number} {form} {name}" for number, form, name in known),
        np.cumsum(sizes) - sizes, np.concatenate(means), np.concatenate(factors), np.array(units),
    )  # fmt: skip


def all_pairs(numbers: list[str], groups: list[str], table: Table | None = None) -> tuple[Pair, ...]:
    """Every number within the groups of every other column; logarithms where the table's column spans magnitudes."""
    wide = set() if table is None else {n for n in numbers if _spans_magnitudes(table, n)}
    forms = {n: FORMS + LOG_FORMS * (n in wide) for n in numbers}
    return tuple((n, form, g) for g in groups for n in numbers if n != g for form in forms[n])


def _spans_magnitudes(table: Table, name: str) -> bool:
    column = next(j for j, c in enumerate(table.schema.numeric) if c.name == name)
    low, high = _usual_sizes(table.numbers[:, column])
    return high > WIDE * low > 0.0


DEVIATION = Encoder("deviation", fit, "doi:10.1109/DSAA.2015.7344858")
