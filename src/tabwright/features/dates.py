"""Calendar parts of date columns, cyclic or plain, by integer arithmetic that ONNX repeats exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from tabwright.data.table import Table
from tabwright.features.base import Encoder, Inputs, TargetInfo
from tabwright.onnx.graph import Graph
from tabwright.types import Floats, Ints, Kind

DAY = 86_400.0
FIRST, LAST = -62_135_596_800.0, 253_402_300_799.0  # years 1 to 9999, seconds since 1970
PERIODS = {"month": 12, "weekday": 7, "day_of_year": 366, "minute_of_day": 1440}


def calendar(seconds: Floats) -> dict[str, Ints]:
    """Parts of times in seconds since 1970 (UTC, proleptic Gregorian); int64 arrays of the same shape.

    References
    ----------
    Hinnant, "chrono-compatible low-level date algorithms" (days to civil date).
    """
    day = np.floor(seconds / DAY)
    minute = np.floor((seconds - day * DAY) / 60.0).astype(np.int64)
    days = day.astype(np.int64)
    z = days + 719_468
    era = z // 146_097
    doe = z - era * 146_097
    yoe = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)  # from 1 March
    mp = (5 * doy + 2) // 153
    month = mp + 3 - 12 * (mp >= 10)
    year = yoe + era * 400 + (month <= 2)
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    day_of_year = np.where(month > 2, doy + 59 + leap, doy - 306)
    return {
        "year": year, "month": month - 1, "day": doy - (153 * mp + 2) // 5, "weekday": (days + 3) % 7,
        "day_of_year": day_of_year, "minute_of_day": minute,
    }  # fmt: skip


@dataclass(frozen=True)
class FittedDates:
    """Parts of one date column each; ``cyclic`` gives sine and cosine of the periodic ones."""

    columns: tuple[int, ...]  # positions in schema.numeric, one per part
    parts: tuple[str, ...]
    names: tuple[str, ...]
    cyclic: bool

    def apply(self, table: Table) -> Floats:
        blocks = []
        for column in dict.fromkeys(self.columns):
            seconds = table.numbers[:, column]
            missing = np.isnan(seconds)
            values = calendar(np.clip(np.where(missing, 0.0, seconds), FIRST, LAST))
            for c, part in zip(self.columns, self.parts, strict=True):
                if c == column:
                    block = _expand(values[part], part, cyclic=self.cyclic)
                    block[missing] = np.nan
                    blocks.append(block)
        return np.concatenate(blocks, axis=1)

    def to_onnx(self, inputs: Inputs) -> str:
        graph = inputs.graph
        blocks = []
        for column in dict.fromkeys(self.columns):
            seconds = inputs.number_columns((column,))
            missing = graph.node("IsNaN", seconds)
            known = graph.node("Where", missing, graph.const(np.zeros((1, 1))), seconds)
            values = _calendar_onnx(graph, graph.node("Clip", known, graph.const(FIRST), graph.const(LAST)))
            for c, part in zip(self.columns, self.parts, strict=True):
                if c == column:
                    block = _expand_onnx(graph, values[part], part, cyclic=self.cyclic)
                    blocks.append(graph.node("Where", missing, graph.const(np.full((1, 1), np.nan)), block))
        return blocks[0] if len(blocks) == 1 else graph.node("Concat", *blocks, axis=1)


def _expand(value: Ints, part: str, *, cyclic: bool) -> Floats:
    if cyclic and part in PERIODS:
        return cycle_table(part)[value]
    return value.astype(np.float64)[:, None]


def _expand_onnx(graph: Graph, value: str, part: str, *, cyclic: bool) -> str:
    if cyclic and part in PERIODS:
        flat = graph.node("Squeeze", value, graph.const(np.array([1], np.int64)))
        return graph.node("Gather", graph.const(cycle_table(part)), flat, axis=0)
    return graph.node("Cast", value, to=TensorProto.DOUBLE)


def cycle_table(part: str) -> Floats:
    """Sine and cosine by value of a part: a table, so that both back ends read the very same numbers."""
    angle = 2 * np.pi * np.arange(PERIODS[part]) / PERIODS[part]
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)


def _calendar_onnx(graph: Graph, seconds: str) -> dict[str, str]:
    """:func:`calendar` as nodes. Days are shifted by whole 400-year eras so that no dividend is negative."""

    def c(value: int) -> str:
        return graph.const(np.array([[value]], np.int64))

    def op(name: str, a: str, b: str) -> str:
        return graph.node(name, a, b)

    def times(a: str, k: int) -> str:
        return op("Mul", a, c(k))

    def over(a: str, k: int) -> str:
        return op("Div", a, c(k))  # integers: truncates, which is floor for what is >= 0

    eras = 10_000
    day = graph.node("Floor", op("Div", seconds, graph.const(np.array([[DAY]]))))
    rest = op("Sub", seconds, op("Mul", day, graph.const(np.array([[DAY]]))))
    minute = graph.node(
        "Cast", graph.node("Floor", op("Div", rest, graph.const(np.array([[60.0]])))), to=TensorProto.INT64
    )
    days = graph.node("Cast", day, to=TensorProto.INT64)
    z = op("Add", days, c(719_468 + eras * 146_097))
    era = over(z, 146_097)
    doe = op("Sub", z, times(era, 146_097))
    yoe = over(op("Sub", op("Add", op("Sub", doe, over(doe, 1460)), over(doe, 36_524)), over(doe, 146_096)), 365)
    doy = op("Sub", doe, op("Sub", op("Add", times(yoe, 365), over(yoe, 4)), over(yoe, 100)))
    mp = over(op("Add", times(doy, 5), c(2)), 153)
    late = graph.node("Cast", op("GreaterOrEqual", mp, c(10)), to=TensorProto.INT64)
    month = op("Sub", op("Add", mp, c(3)), times(late, 12))
    year = op("Add", op("Add", yoe, times(op("Sub", era, c(eras)), 400)), late)
    mod = {k: op("Mod", op("Add", year, c(eras * 400)), c(k)) for k in (4, 100, 400)}
    zero = {k: op("Equal", v, c(0)) for k, v in mod.items()}
    leap = op("Or", op("And", zero[4], graph.node("Not", zero[100])), zero[400])
    leap = graph.node("Cast", leap, to=TensorProto.INT64)
    after = op("Add", op("Add", doy, c(59)), leap)
    day_of_year = graph.node("Where", op("Greater", month, c(2)), after, op("Sub", doy, c(306)))
    return {
        "year": year, "month": op("Sub", month, c(1)),
        "day": op("Sub", doy, over(op("Add", times(mp, 153), c(2)), 5)),
        "weekday": op("Mod", op("Add", days, c(3 + 7 * eras * 20_871)), c(7)),
        "day_of_year": day_of_year, "minute_of_day": minute,
    }  # fmt: skip


def fit(table: Table, _target: TargetInfo | None = None, *, cyclic: bool = False) -> FittedDates | None:
    """The parts that vary in the training rows."""
    columns, parts, names = [], [], []
    for j, column in enumerate(table.schema.numeric):
        if column.kind is not Kind.DATETIME:
            continue
        seconds = table.numbers[:, j]
        seconds = seconds[~np.isnan(seconds)]
        if len(seconds) == 0:
            continue
        for part, values in calendar(seconds).items():
            if (values != values[0]).any():
                columns.append(j)
                parts.append(part)
                stem = f"{column.name}.{part}"
                names.extend([f"{stem}.sin", f"{stem}.cos"] if cyclic and part in PERIODS else [stem])
    return FittedDates(tuple(columns), tuple(parts), tuple(names), cyclic) if columns else None


DATES = Encoder("dates", fit, "calendar arithmetic")
