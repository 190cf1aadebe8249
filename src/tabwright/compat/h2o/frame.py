"""H2O's frame over a pandas one: what scripts around AutoML do with frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tabwright.data.delimited import ReadOptions
from tabwright.data.readers import read_table
from tabwright.errors import OptionError

_KINDS = {"enum": "category", "factor": "category", "categorical": "category", "numeric": "float64", "real": "float64",
          "int": "float64", "string": "object", "time": "datetime64[ns]"}  # fmt: skip


class H2OFrame:
    """A table in this process; there is no server. Changes of a column through ``frame[c] = ...`` are kept."""

    def __init__(self, python_obj: Any = None, destination_frame: str | None = None, header: int = 0,
                 separator: str | None = None, column_names: Sequence[str] | None = None, column_types: Any = None,
                 **_more: Any) -> None:  # fmt: skip
        del destination_frame
        if isinstance(python_obj, H2OFrame):
            frame = python_obj._frame
        elif isinstance(python_obj, (str, Path)):
            frame = read_table(python_obj, ReadOptions(delimiter=separator or None, header=header != -1))
        else:
            frame = read_table(python_obj)
        self._frame: pd.DataFrame = frame.copy().reset_index(drop=True)
        if column_names is not None:
            self._frame.columns = list(column_names)
        types = column_types or {}
        pairs = types.items() if isinstance(types, dict) else zip(self._frame.columns, types, strict=False)
        for name, kind in pairs:
            if kind not in _KINDS:
                raise OptionError("column_types", f"has {kind!r}", f"give one of {', '.join(_KINDS)}")
            dtype: Any = _KINDS[kind]
            self._frame[name] = self._frame[name].astype(dtype)

    # --- shape and names
    @property
    def columns(self) -> list[str]:
        return [str(c) for c in self._frame.columns]

    names = col_names = columns

    @property
    def nrow(self) -> int:
        return len(self._frame)

    nrows = nrow

    @property
    def ncol(self) -> int:
        return self._frame.shape[1]

    ncols = ncol

    @property
    def shape(self) -> tuple[int, int]:
        return self.nrow, self.ncol

    dim = shape

    @property
    def types(self) -> dict[str, str]:
        return {str(c): self._type(self._frame[c]) for c in self._frame.columns}

    @staticmethod
    def _type(column: pd.Series[Any]) -> str:
        if isinstance(column.dtype, pd.CategoricalDtype) or not pd.api.types.is_numeric_dtype(column):
            return "time" if pd.api.types.is_datetime64_any_dtype(column) else "enum"
        return "int" if pd.api.types.is_integer_dtype(column) else "real"

    def __len__(self) -> int:
        return self.nrow

    def __repr__(self) -> str:
        return repr(self._frame)

    def _repr_html_(self) -> str:
        return self._frame.head(10).to_html()

    # --- parts
    def __getitem__(self, key: Any) -> Any:
        """A frame of some columns or rows; of one row and one column, the value."""
        if isinstance(key, H2OFrame):  # a condition
            return H2OFrame(self._frame[key._frame.iloc[:, 0].astype(bool).to_numpy()])
        if isinstance(key, tuple):
            rows, columns = key
            if isinstance(rows, int) and isinstance(columns, (str, int)):
                return self._frame.iloc[rows][self.columns[columns] if isinstance(columns, int) else columns]
            if isinstance(rows, H2OFrame):
                rows = rows._frame.iloc[:, 0].astype(bool).to_numpy()
            part = self._frame.iloc[[rows] if isinstance(rows, int) else rows]
            return H2OFrame(part.iloc[:, columns]) if isinstance(columns, slice) else H2OFrame(part)[columns]
        if isinstance(key, slice):
            return H2OFrame(self._frame.iloc[:, key])
        names = [key] if isinstance(key, (str, int)) else list(key)
        return H2OFrame(self._frame[[self.columns[n] if isinstance(n, int) else n for n in names]])

    def __setitem__(self, key: str | int, value: Any) -> None:
        name = self.columns[key] if isinstance(key, int) else key
        self._frame[name] = value._frame.iloc[:, 0].array if isinstance(value, H2OFrame) else value

    def drop(self, index: Any, axis: int = 1) -> H2OFrame:
        names = [index] if isinstance(index, (str, int)) else list(index)
        if axis == 0:
            return H2OFrame(self._frame.drop(index=names))
        return H2OFrame(self._frame.drop(columns=[self.columns[n] if isinstance(n, int) else n for n in names]))

    def head(self, rows: int = 10) -> H2OFrame:
        return H2OFrame(self._frame.head(rows))

    def cbind(self, data: H2OFrame) -> H2OFrame:
        return H2OFrame(pd.concat([self._frame, data._frame], axis=1))

    def rbind(self, data: H2OFrame) -> H2OFrame:
        return H2OFrame(pd.concat([self._frame, data._frame], ignore_index=True))

    def split_frame(
        self, ratios: Sequence[float] = (0.75,), destination_frames: Any = None, seed: int | None = None
    ) -> list[H2OFrame]:
        """Random parts with these shares of the rows, and the rest."""
        del destination_frames
        draw = np.random.default_rng(None if seed in (None, -1) else seed).random(self.nrow)
        part = np.searchsorted(np.cumsum(ratios), draw, side="right")
        return [H2OFrame(self._frame[part == k]) for k in range(len(ratios) + 1)]

    # --- conversions
    def asfactor(self) -> H2OFrame:
        """Every column as categories: a target of this kind is classified, a numeric one is not."""
        return H2OFrame(self._frame.astype("category"))

    def asnumeric(self) -> H2OFrame:
        return H2OFrame(self._frame.apply(lambda c: pd.to_numeric(c.astype(object), errors="coerce")))

    def as_data_frame(self, use_pandas: bool = True, header: bool = True, **_more: Any) -> Any:
        """The pandas frame, or a list of rows with the names first."""
        if use_pandas:
            return self._frame.copy()
        rows = self._frame.to_numpy(dtype=object).tolist()
        return [self.columns, *rows] if header else rows

    def levels(self) -> list[list[str]]:
        return [[str(v) for v in pd.Series(self._frame[c]).astype("category").cat.categories] for c in self._frame]

    def describe(self) -> None:
        print(self._frame.describe(include="all").to_string())

    summary = describe

    # --- arithmetic on single columns
    def _compare(self, other: Any, how: str) -> H2OFrame:
        value = other._frame.iloc[:, 0].to_numpy() if isinstance(other, H2OFrame) else other
        return H2OFrame(pd.DataFrame({"condition": getattr(self._frame.iloc[:, 0], how)(value)}))

    def __eq__(self, other: object) -> H2OFrame:  # type: ignore[override]
        return self._compare(other, "eq")

    def __ne__(self, other: object) -> H2OFrame:  # type: ignore[override]
        return self._compare(other, "ne")

    __hash__ = object.__hash__

    def __lt__(self, other: Any) -> H2OFrame:
        return self._compare(other, "lt")

    def __le__(self, other: Any) -> H2OFrame:
        return self._compare(other, "le")

    def __gt__(self, other: Any) -> H2OFrame:
        return self._compare(other, "gt")

    def __ge__(self, other: Any) -> H2OFrame:
        return self._compare(other, "ge")

    def mean(self, **_more: Any) -> list[float]:
        return [float(v) for v in self._frame.mean(numeric_only=True)]


def pandas_of(frame: Any) -> pd.DataFrame:
    """The pandas frame of an H2OFrame, or of any table."""
    found: pd.DataFrame = frame._frame if isinstance(frame, H2OFrame) else read_table(frame)
    return found
