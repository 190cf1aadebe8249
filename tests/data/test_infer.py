"""What inference finds in columns, and in the canonical table made by it."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabwright.coerce import canonical_string
from tabwright.data.infer import infer_schema
from tabwright.data.table import Table
from tabwright.errors import ColumnError, DataError, OptionError
from tabwright.schema import Column, Schema, encode
from tabwright.types import Kind

N = 60
RNG = np.random.default_rng(0)
LONG = [f"the {a} fox jumps over {b} dogs" for a in range(10) for b in range(6)]


def column(values, kind=None):
    return infer_schema(pd.DataFrame({"v": values}), None, overrides={"v": kind} if kind else None).columns[0]


def kind_of(values, name):
    return infer_schema(pd.DataFrame({name: values, "other": range(len(values))}), None).columns[0].kind


KINDS = {
    "floats": (RNG.normal(size=N), Kind.NUMERIC),
    "integers": (list(range(N)), Kind.INTEGER),
    "whole floats": ([1.0, None, 3.0] * 20, Kind.INTEGER),
    "booleans": ([True, False] * 30, Kind.BOOLEAN),
    "booleans with gaps": ([True, None, False] * 20, Kind.BOOLEAN),
    "yes and no": (["Yes", "no", None] * 20, Kind.BOOLEAN),
    "decimals": ([Decimal("1.5"), Decimal("2.5")] * 30, Kind.NUMERIC),
    "durations": (pd.to_timedelta(range(N), unit="h"), Kind.NUMERIC),
    "category": (pd.Categorical(["1", "2"] * 30), Kind.CATEGORICAL),
    "category of numbers": (pd.Categorical([1, 2] * 30), Kind.CATEGORICAL),
    "messy numbers": ([" 1.5 ", "?", "2", "", "-3e2", "n/a"] * 10, Kind.NUMERIC),
    "numbers with a few words": (["1", "2", "3"] * 33 + ["unknown"], Kind.INTEGER),
    "too many words": (["1", "2", "x"] * 20, Kind.CATEGORICAL),
    "money": (["$1,200.50", "-$3.00"] * 30, Kind.NUMERIC),
    "decimal commas": (["1.200,5", "3,25"] * 30, Kind.NUMERIC),
    "datetimes": (pd.date_range("2020", periods=N), Kind.DATETIME),
    "zoned": (pd.date_range("2020", periods=N, tz="Europe/Paris"), Kind.DATETIME),
    "dates": ([dt.date(2020, 1, 1 + d % 28) for d in range(N)], Kind.DATETIME),
    "iso": ([f"2020-01-{1 + d % 28:02d}" for d in range(N)], Kind.DATETIME),
    "iso without dashes": ([f"201410{1 + d % 28:02d}T000000" for d in range(N)], Kind.DATETIME),
    "german dates": ([f"{1 + d % 28}.3.2020" for d in range(N)], Kind.DATETIME),
    "american": ([f"3/{1 + d % 28}/2020 1:30 PM" for d in range(N)], Kind.DATETIME),
    "years are numbers": (["2019", "2020"] * 30, Kind.INTEGER),
    "letters": (["a", "b", "c"] * 20, Kind.CATEGORICAL),
    "codes that recur": ([f"s{k % 30}" for k in range(N)], Kind.CATEGORICAL),
    "prose": (LONG, Kind.TEXT),
    "names": ([f"Smith{k}, Mr. John" for k in range(N)], Kind.TEXT),
    "prose that recurs": (["one of a few long answers given", "another of those long answers"] * 30, Kind.CATEGORICAL),
    "uuids": ([str(uuid.UUID(int=k * 2**90)) for k in range(N)], Kind.IDENTIFIER),
    "row keys": ([f"C{k:05d}" for k in range(N)], Kind.IDENTIFIER),
    "constant": ([7] * N, Kind.CONSTANT),
    "constant word": (["x"] * N, Kind.CONSTANT),
    "constant date": ([pd.Timestamp("2020-01-01")] * N, Kind.CONSTANT),
    "empty": ([None] * N, Kind.CONSTANT),
    "blank": ([" ", "", "NA"] * 20, Kind.CONSTANT),
    "all infinite": ([np.inf] * N, Kind.CONSTANT),
    "word or nothing": (["x", None] * 30, Kind.CATEGORICAL),
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds(name):
    values, expected = KINDS[name]
    frame = pd.DataFrame({"v": values, "w": range(N) if len(values) == N else range(len(values))})
    found = infer_schema(frame, None).column("v")
    assert found.kind is expected, found.reason
    assert found.used is (expected not in (Kind.IDENTIFIER, Kind.CONSTANT))
    assert found.reason
    assert found.dtype
    if expected in (Kind.NUMERIC, Kind.INTEGER, Kind.BOOLEAN, Kind.DATETIME):
        assert found.minimum < found.maximum
    schema = Schema((found,))
    if found.used:  # what inference accepts, both ways to canonical rows accept, and agree on
        table = Table.from_frame(frame, schema)
        numbers, strings = encode({"v": frame["v"]}, schema)
        np.testing.assert_array_equal(table.numbers, numbers)
        np.testing.assert_array_equal(table.string_matrix(), strings)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("PassengerId", range(1, N + 1), Kind.IDENTIFIER), ("customerID", RNG.permutation(N), Kind.IDENTIFIER),
        ("row_number", range(N), Kind.IDENTIFIER), ("atomic number", range(N), Kind.INTEGER),
        ("id", np.arange(N) * 1000 + 5, Kind.IDENTIFIER),
        ("column_1", range(N), Kind.IDENTIFIER), ("id", np.arange(N) % 30, Kind.INTEGER),
        ("store_id", RNG.integers(0, 9, N), Kind.INTEGER), ("price", range(N), Kind.INTEGER),
        ("Humid", range(N), Kind.INTEGER), ("product code", RNG.choice(10**6, N, replace=False), Kind.INTEGER),
        ("width", range(N), Kind.INTEGER),
    ],
)  # fmt: skip
def test_only_what_names_rows_is_an_identifier(name, values, expected):
    assert kind_of(list(values), name) is expected


def test_reasons_tell_what_was_seen():
    assert column(["1", "2", "3"] * 33 + ["unknown"]).reason == (
        "strings that hold whole numbers; 'unknown' counts as missing")  # fmt: skip
    assert column([1.5, np.inf] * 30).reason == "numbers from 1.5 to 1.5; 30 infinite values count as missing"
    assert column([1.0, 2.0] * 30).reason == "whole numbers from 1 to 2 (stored as decimals)"
    assert column(["1/2/2020", "3/4/2020"] * 30).reason == (
        "strings that hold dates, %m/%d/%Y "
        "(the order of day and month can't be told from the data: %m/%d/%Y is assumed)"
    )
    assert column(["1/2/2020", "13/4/2020"] * 30).datetime_format == "%d/%m/%Y"
    assert column(["1/22/2020", "3/4/2020"] * 30).datetime_format == "%m/%d/%Y"
    assert column(["1.2.2020", "3.4.2020"] * 30).datetime_format == "%d.%m.%Y"


def test_vocabulary_is_by_falling_frequency():
    found = column(["b"] * 30 + [" a"] * 20 + ["c"] * 10 + [None] * 5)
    assert found.values == ("b", "a", "c")
    assert found.missing_share == pytest.approx(5 / 65, abs=1e-6)
    assert column(["Yes", "No"] * 30).values == ("No", "Yes")


@pytest.mark.parametrize(
    ("values", "kind", "used"),
    [
        ([1, 2, 3] * 20, "categorical", True), ([1.0, None] * 30, Kind.CATEGORICAL, True),
        (["a", "b"] * 30, "text", True),
        (["20200101", "20200102"] * 30, "datetime", True), ([0, 1] * 30, "boolean", True),
        (["0", "1"] * 30, "boolean", True),
        (["1,5", "2,5"] * 30, "numeric", True), ([1, 2] * 30, "identifier", False), ([1, 2] * 30, "Constant", False),
        ([1, 2] * 30, "datetime", True), ([True, False] * 30, "categorical", True),
    ],
)  # fmt: skip
def test_the_user_may_declare_kinds(values, kind, used):
    frame = pd.DataFrame({"v": values, "w": range(len(values))})
    found = infer_schema(frame, None, overrides={"v": kind}).column("v")
    assert found.kind == str(kind).lower()
    assert found.used is used
    assert "declared" in found.reason


def test_declared_dates_may_be_digits():
    days = pd.date_range("2024-01-30", periods=N)
    for spelt, format_ in ((days.strftime("%Y%m%d"), "%Y%m%d"), (days.strftime("%Y%m%d093000"), "%Y%m%d%H%M%S")):
        values = [*map(int, spelt), None, 99999999]
        found = column(values, "datetime")
        assert (found.datetime_format, found.missing_values) == (format_, ("99999999",))
        assert found.minimum == pd.Timestamp(spelt[0]).timestamp()
        assert np.isnan(found.numbers(values)[-2:]).all()
    assert column([1_706_659_200 + k for k in range(N)], "datetime").minimum == 1_706_659_200  # seconds since 1970


@pytest.mark.parametrize("finer", [10**3, 10**6, 10**9])
def test_declared_dates_are_no_milliseconds(finer):
    with pytest.raises(ColumnError, match=r"'v' .* too large for seconds since 1970. Fix: .*unit='ms'"):
        column([(1_706_659_200 + k) * finer for k in range(N)], "datetime")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"V": "text"}, "Option kinds names 'V', which is not a column. Fix: is 'v' meant."),
        ({"v": "number"}, "gives column 'v' the unknown kind 'number'. Fix: use one of numeric, integer, boolean,"),
        ({"y": "text"}, "names the target 'y'"),
    ],
)  # fmt: skip
def test_declared_kinds_are_checked(overrides, message):
    with pytest.raises(OptionError) as error:
        infer_schema(pd.DataFrame({"v": ["a", "b"], "y": [1, 2]}), "y", overrides=overrides)
    assert message in str(error.value)


def test_declared_kinds_that_values_contradict():
    with pytest.raises(ColumnError, match=r"has 30 of 60 values that are not numbers, first 'a' in row 0"):
        column(["a", "1"] * 30, "numeric")
    with pytest.raises(ColumnError, match="not dates"):
        column(["a", "b"] * 30, "datetime")


@pytest.mark.parametrize("cell", [[1], {"a": 1}, np.zeros(2)])
def test_cells_with_containers(cell):
    values = pd.Series(["a"] * 10, dtype=object)
    values.iat[3] = cell
    with pytest.raises(ColumnError, match=r"Column 'v' holds a \w+ in row 3, not one value per row"):
        column(values)


def test_complex_numbers():
    with pytest.raises(ColumnError, match="complex"):
        column([1j, 2j])


def test_targets_and_tables_that_are_no_use():
    frame = pd.DataFrame({"Price": [1, 2], "x": [1, 1]})
    with pytest.raises(DataError, match=r"has no target column 'price'. Fix: is 'Price' meant"):
        infer_schema(frame, "price")
    with pytest.raises(DataError, match=r"no column is left to learn from \('x': 1 in every row\)"):
        infer_schema(frame, "Price")


words = st.sampled_from(["a", " b", "1", "NA", "", "?"])
scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | words


@settings(max_examples=200)
@given(st.lists(scalars, min_size=2, max_size=30))
def test_any_mixture_becomes_a_column(values):
    frame = pd.DataFrame({"v": pd.Series(values, dtype=object), "w": range(len(values))})
    schema = infer_schema(frame, None)
    table = Table.from_frame(frame, schema)
    numbers, strings = encode({name: frame[name].tolist() for name in frame.columns}, schema)
    np.testing.assert_array_equal(table.numbers, numbers)
    np.testing.assert_array_equal(table.string_matrix(), strings)


class TestTable:
    category = Column("c", Kind.CATEGORICAL, values=("b", "a"))
    schema = Schema((Column("x", Kind.NUMERIC), category, Column("t", Kind.TEXT)))
    frame = pd.DataFrame({"t": ["héllo", None, "ok", "ok"], "x": [1, None, 3, 4], "c": ["a", "", " b", "zz"]})

    def table(self):
        return Table.from_frame(self.frame, self.schema)

    def test_codes(self):
        table = self.table()
        assert table.codes(0).tolist() == [2, 0, 1, 3]
        assert table.codes(0).dtype == np.int32
        assert table.take([3, 3, 0]).codes(0).tolist() == [3, 3, 2]
        assert table.take(np.array([True, False, False, False])).string_matrix().tolist() == [["a", "héllo"]]

    def test_levels_are_distinct_and_dropped_when_few_rows_are_taken(self):
        column = Table.from_frame(pd.DataFrame({"c": list("abcdefgh"), "x": 1, "t": "u"}), self.schema).strings[0]
        assert sorted(column.levels) == list("abcdefgh")
        assert column.take([7, 0]).levels.tolist() == ["a", "h"]
        assert column.take([7, 0]).values().tolist() == ["h", "a"]
        assert column.counts().tolist() == [1] * 8

    @pytest.mark.parametrize("mmap", [True, False])
    def test_it_comes_back_from_disk(self, tmp_path, mmap):
        table = self.table()
        table.save(tmp_path / "table")
        back = Table.load(tmp_path / "table", mmap=mmap)
        assert back.schema == table.schema
        np.testing.assert_array_equal(back.numbers, table.numbers)
        np.testing.assert_array_equal(back.string_matrix(), table.string_matrix())
        assert isinstance(back.numbers, np.memmap) is mmap

    def test_an_incomplete_directory(self, tmp_path):
        with pytest.raises(DataError, match="holds no complete table"):
            Table.load(tmp_path)

    def test_missing_columns(self):
        with pytest.raises(DataError, match="lacks 2 columns that the model was trained on: 'x', 't'"):
            Table.from_frame(self.frame[["c"]], self.schema)

    def test_no_rows(self):
        table = Table.from_frame(self.frame.iloc[:0], self.schema)
        assert table.n_rows == 0
        assert table.codes(0).tolist() == []

    def test_mixed_values_are_told_apart(self):
        frame = pd.DataFrame({"c": pd.Series([1, True, 1.0, "1", "True"], dtype=object), "x": 0, "t": ""})
        matrix = Table.from_frame(frame, self.schema).string_matrix()
        assert matrix[:, 0].tolist() == ["1", "True", "1", "1", "True"]
        assert canonical_string(np.float64(2)) == "2"
