"""Cells of delimited text as the numbers that the columns of a schema hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tabwright.schema import Column
from tabwright.types import STRING_KINDS, Kind

if TYPE_CHECKING:
    import pyarrow as pa


def typed(table: pa.Table, columns: dict[str, Column], decimal: str) -> pa.Table:
    """Numbers as numbers where all of a block are; the rest stays text, which the schema reads or refuses."""
    for position, name in enumerate(table.column_names):
        column = columns.get(name)
        if column is None:  # a target, or weights
            table = table.set_column(position, name, _as_numbers(table.column(position), decimal))
            continue
        numeric = column.kind in (Kind.NUMERIC, Kind.INTEGER) and column.number_style is None
        dtype = column.dtype.lower()
        if column.kind in STRING_KINDS and dtype.startswith(("int", "uint")):
            table = table.set_column(position, name, _as_integers(table.column(position), decimal))
        elif (numeric and not column.number_affixes) or dtype.startswith(("int", "float", "uint")):
            table = table.set_column(position, name, _as_numbers(table.column(position), decimal))
    return table


def _as_integers(texts: Any, decimal: str) -> Any:
    """Categories that were whole numbers, spelt as these: a double would not hold 64-bit keys."""
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = _trimmed(texts)
    for whole in (pa.int64(), pa.uint64()):
        try:
            return pc.cast(pc.cast(plain, whole), pa.string())
        except pa.ArrowInvalid:
            continue
    return _as_numbers(texts, decimal)


def _as_numbers(texts: Any, decimal: str) -> Any:
    """A column of text as float64 where every cell is a number or empty; unchanged otherwise."""
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = _trimmed(texts)
    if decimal != ".":
        plain = pc.replace_substring(plain, decimal, ".")
    try:
        return pc.cast(plain, pa.float64())
    except pa.ArrowInvalid:
        return plain


def _trimmed(texts: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.equal(plain, ""), pa.scalar(None, pa.string()), plain)
