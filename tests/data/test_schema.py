"""Schema records and the canonical form of rows."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabwright.coerce import MISSING_NUMBERS, MISSING_STRINGS
from tabwright.errors import ColumnError, DataError, ModelFileError
from tabwright.rows import RowEncoder
from tabwright.schema import SCHEMA_VERSION, Column, Schema, encode
from tabwright.timestamps import EPOCH, parser, to_seconds
from tabwright.types import Kind, Task

NUMBER = Schema((Column("x", Kind.NUMERIC),))
WORD = Schema((Column("c", Kind.CATEGORICAL),))
WHEN = Schema((Column("t", Kind.DATETIME, datetime_format="iso"),))
# naive on purpose: hypothesis wants such bounds
FIRST, LAST = datetime(1700, 1, 1), datetime(2200, 1, 1)
FLAG = Schema((Column("b", Kind.BOOLEAN),))


def numbers(values, schema=NUMBER):
    return encode({schema.columns[0].name: values}, schema)[0][:, 0].tolist()


def words(values):
    return encode({"c": values}, WORD)[1][:, 0].tolist()


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
column_records = st.builds(
    Column, texts, st.sampled_from(Kind), texts, texts, st.booleans(), st.lists(texts, max_size=4).map(tuple),
    st.none() | texts, st.none() | texts, texts, st.lists(texts, max_size=3).map(tuple),
    st.none() | st.floats(allow_nan=False, allow_infinity=False), st.none() | st.floats(-1e9, 1e9), st.floats(0, 1),
    st.none() | texts | st.floats(-1e9, 1e9),
)  # fmt: skip
class_values = st.integers() | texts | st.booleans() | st.floats(0, 1)
classes = st.none() | st.lists(class_values, min_size=2, max_size=4).map(tuple)


@given(st.lists(column_records, max_size=4), st.none() | texts, st.none() | st.sampled_from(Task), classes)
def test_schema_survives_json(columns, target, task, given):
    import json

    schema = Schema(tuple(columns), target, task, given, "int64" if given else None)
    assert Schema.from_json(json.dumps(schema.to_json(), allow_nan=False)) == schema
    assert Schema.from_json(schema.to_json()) == schema


def test_a_later_schema_is_refused():
    record = Schema(()).to_json() | {"version": SCHEMA_VERSION + 1}
    with pytest.raises(ModelFileError, match="install a newer tabwright"):
        Schema.from_json(record)


def test_groups_keep_the_order_and_leave_out_unused_columns():
    kinds = [Kind.TEXT, Kind.BOOLEAN, Kind.CATEGORICAL, Kind.DATETIME, Kind.NUMERIC, Kind.INTEGER]
    schema = Schema((*(Column(k.value, k) for k in kinds), Column("id", Kind.IDENTIFIER, used=False)))
    assert [c.name for c in schema.numeric] == ["boolean", "datetime", "numeric", "integer"]
    assert [c.name for c in schema.strings] == ["text", "categorical"]
    assert schema.column("id").used is False
    with pytest.raises(KeyError):
        schema.column("nothing")


@given(st.lists(st.none() | st.floats() | st.integers(-(2**60), 2**60) | st.booleans(), min_size=1, max_size=20))
def test_numbers_of_any_spelling_agree(values):
    expected = [float("nan") if v is None or not math.isfinite(v) else float(v) for v in values]
    spelled = ["" if v is None else f" {float(v)!r} " for v in values]
    array = np.empty(len(values), object)
    array[:] = values
    forms = (values, array, spelled, np.array(expected), pd.Series(expected), pl.Series(expected), pa.array(expected))
    for given_as in forms:
        np.testing.assert_array_equal(numbers(given_as), expected)


def test_numbers_of_many_types():
    assert numbers([Decimal("1.5"), np.float32(2), np.int8(3), True, "4"]) == [1.5, 2.0, 3.0, 1.0, 4.0]
    assert numbers(pd.array([1, 2], dtype="Int64")) == [1.0, 2.0]
    assert numbers(np.array([90, 30], "timedelta64[m]")) == [5400.0, 1800.0]
    assert numbers([timedelta(hours=1)]) == [3600.0]
    assert numbers([10**400, -(10**400), float("inf"), "inf"]) == pytest.approx([math.nan] * 4, nan_ok=True)
    masked = numbers(pd.array([1, None], dtype="Int64"))
    assert masked[0] == 1.0
    assert math.isnan(masked[1])
    assert all(math.isnan(v) for v in numbers([pd.NA, pd.NaT, None, *MISSING_NUMBERS, "NULL", " n/a "]))


def test_the_array_passed_in_stays_as_it_was():
    values = np.array([np.inf, 1.0])
    numbers(values)
    assert values[0] == np.inf


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "two", "three", "two"], "Column 'x' has 3 of 4 values that are not numbers, first 'two' in row 1"),
        ([1.0, [2.0]], "Column 'x' has 1 of 2 values that are not numbers, first [2.0] in row 1"),
        (["1_000"], "first '1_000' in row 0"),
        (["1,234.5"], "first '1,234.5' in row 0"),
        (np.array(["2020-01-01"], "datetime64[ns]"), "has 1 of 1 values that are not numbers"),
        (["x" * 100], "xxx... in row 0"),
    ],
)
def test_what_is_not_a_number_is_named(values, message):
    with pytest.raises(ColumnError) as error:
        numbers(values)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("style", "affixes", "text", "value"),
    [
        ("1,234.5", "", "1,234,567.5", 1234567.5), ("1,234.5", "$", "$1,000", 1000.0),
        ("1,234.5", "$", "-$1,000", -1000.0), ("1'234.5", "", "1'234", 1234.0),
        ("1.234,5", "€", "1.234,50 €", 1234.5), ("1 234,5", "", "1\u202f234,5", 1234.5),
        (None, "%", "12.5 %", 12.5),
    ],
)  # fmt: skip
def test_a_column_reads_numbers_as_it_was_seen_to_write_them(style, affixes, text, value):
    column = Column("x", Kind.NUMERIC, number_style=style, number_affixes=affixes, missing_values=("unknown",))
    schema = Schema((column,))
    assert numbers([text, 3], schema) == [value, 3.0]
    assert math.isnan(numbers(["unknown"], schema)[0])
    with pytest.raises(ColumnError):
        numbers(["12;5"], schema)


@given(st.lists(texts | st.none() | st.integers() | st.booleans() | st.floats(), min_size=1, max_size=20))
def test_strings_have_one_spelling(values):
    spelled = words(values)
    assert all(type(s) is str and s == s.strip() and s not in MISSING_STRINGS[1:] for s in spelled)
    assert words(spelled) == spelled
    array = np.empty(len(values), object)
    array[:] = values
    assert words(array) == spelled


def test_strings_of_many_types():
    assert words([1, 1.0, True, "1.0", " a ", None, "NA", "-", "?", 2.5, np.float32(0.1), Decimal(3)]) == [
        "1", "1", "True", "1.0", "a", "", "", "-", "?", "2.5", "0.1", "3"]  # fmt: skip
    assert words(np.array([1, 2])) == ["1", "2"]
    assert words(np.array([1.0, np.nan, np.inf])) == ["1", "", ""]
    assert words(np.array([0.1, 2], np.float32)) == ["0.1", "2"]
    assert words(np.array(["a", "b "])) == ["a", "b"]
    assert words(pd.array([2**53 + 1, None], dtype="Int64")) == [str(2**53 + 1), ""]
    assert words(pd.array([True, None], dtype="boolean")) == ["True", ""]
    assert words(pd.Series(["a", None])) == ["a", ""]
    assert words(pd.Categorical(["a", "b", None])) == ["a", "b", ""]
    assert words(pl.Series(["a", None])) == ["a", ""]
    assert words(pa.chunked_array([["a"], [None]])) == ["a", ""]
    assert words([b"bytes", "\ud800"]) == ["bytes", "?"]
    assert words([date(2020, 1, 2)]) == ["2020-01-02"]
    assert words(np.array(["2020-01-02"], "datetime64[D]")) == ["2020-01-02 00:00:00"]


@pytest.mark.parametrize("cell", [[1, 2], {"a": 1}, (1,), {1}])
def test_containers_are_no_strings(cell):
    with pytest.raises(ColumnError, match="not one value per row"):
        words(["a", cell])


@given(st.lists(st.datetimes(FIRST, LAST), min_size=1, max_size=10))
def test_dates_of_any_spelling_agree_to_the_microsecond(moments):
    expected = [(m.replace(tzinfo=UTC) - EPOCH) / timedelta(microseconds=1) / 1e6 for m in moments]
    east = timezone(timedelta(hours=5, minutes=30))
    aware = [m.replace(tzinfo=UTC).astimezone(east) for m in moments]
    spellings = (
        moments, aware, [m.isoformat() for m in moments], [m.isoformat(" ") for m in aware],
        np.array(moments, "datetime64[us]"), pd.Series(moments, dtype="datetime64[us]"),
        pd.Series(pd.to_datetime(aware)), pl.Series(moments), pa.array(aware, pa.timestamp("us", "UTC")), expected,
        list(np.array(moments, "datetime64[us]")),
    )  # fmt: skip
    for spelled in spellings:
        assert numbers(spelled, WHEN) == expected
    back = [EPOCH + timedelta(microseconds=round(Fraction(s) * 10**6)) for s in expected]
    assert back == [m.replace(tzinfo=UTC) for m in moments]


def test_numbers_are_dates_where_the_format_is_digits_alone():
    schema = Schema((Column("t", Kind.DATETIME, datetime_format="%Y%m%d", missing_values=("0",)),))
    day = to_seconds(date(2024, 1, 31))
    values = [20240131, 20240131.0, "20240131", None, 0, -1.5, int(day)]
    expected = [day, day, day, math.nan, math.nan, -1.5, day]
    assert numbers(values, schema) == pytest.approx(expected, abs=0, nan_ok=True)
    assert numbers(np.array([20240131, int(day)]), schema) == [day, day]
    alone = RowEncoder(schema)
    assert [alone({"t": v})[0][0, 0] for v in values] == pytest.approx(expected, abs=0, nan_ok=True)
    with pytest.raises(ColumnError, match="not dates, first 20241331 in row 0"):
        numbers([20241331], schema)


def test_dates_that_are_missing_or_wrong():
    assert all(math.isnan(v) for v in numbers([None, pd.NaT, "", "NaT", np.datetime64("NaT")], WHEN))
    assert numbers([date(1970, 1, 2), "1970-01-03"], WHEN) == [86400.0, 172800.0]
    assert numbers([1, 2.5], WHEN) == [1.0, 2.5]
    with pytest.raises(ColumnError, match=r"has 1 of 2 values that are not dates, first '03/04/2020' in row 1"):
        numbers(["2020-01-01", "03/04/2020"], WHEN)
    with pytest.raises(ColumnError, match="first True in row 0"):
        numbers([True, "2020-01-01"], WHEN)


@given(
    st.datetimes(FIRST.replace(year=1971), FIRST.replace(year=2068)).map(lambda m: m.replace(microsecond=0)),
    st.sampled_from([
        "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%d.%m.%Y %H:%M:%S", "%Y%m%d%H%M%S", "%d-%b-%Y %H:%M:%S",
        "%a, %d %b %Y %H:%M:%S", "%b %d, %Y %H:%M:%S", "%d/%m/%y %H:%M:%S",
    ]),
)  # fmt: skip
def test_formats_read_what_strftime_writes(moment, format_):
    assert parser(format_)(moment.strftime(format_)) == to_seconds(moment)


@pytest.mark.parametrize(
    ("format_", "text"),
    [("%d/%m/%Y", "31/02/2020"), ("%d/%m/%Y", "1/2/20"), ("%b %d %Y", "Foo 1 2020"), ("%H:%M", "x"),
     ("iso", "20200101"), ("%m/%d/%Y %I:%M %p", "1/2/2020 13:00 PM")],
)  # fmt: skip
def test_formats_refuse_other_text(format_, text):
    with pytest.raises(ValueError, match=r"."):
        parser(format_)(text)


def test_formats_know_zones_and_fractions():
    assert parser("%Y-%m-%d %H:%M:%S %z")("1970-01-01 01:00:00 +0100") == 0.0
    assert parser("%Y-%m-%d %H:%M:%S %z")("1970-01-01 00:00:00 UTC") == 0.0
    assert parser("%d.%m.%Y %H:%M:%S")("1.1.1970 00:00:01.25") == 1.25
    assert parser("%m/%d/%Y %I:%M %p")("1/1/1970 12:30 am") == 1800.0
    assert parser("%d %b %Y")("1 January 1970") == 0.0


def test_booleans():
    values = [True, False, 1, 0, "yes", "No", " T ", "FALSE", np.bool_(True)]
    assert numbers(values, FLAG) == [1, 0, 1, 0, 1, 0, 1, 0, 1]
    assert math.isnan(numbers([None], FLAG)[0])
    with pytest.raises(ColumnError, match="has 1 of 1 values that are not true or false, first 'maybe'"):
        numbers(["maybe"], FLAG)


def test_missing_columns_are_all_named():
    unused = Column("id", Kind.IDENTIFIER, used=False)
    schema = Schema((Column("age", Kind.NUMERIC), Column("city", Kind.CATEGORICAL), unused))
    with pytest.raises(DataError) as error:
        encode({"Age": [1], "extra": [2]}, schema)
    assert "lacks 2 columns that the model was trained on: 'age', 'city'" in str(error.value)
    assert "add the columns, empty where unknown" in str(error.value)
    got, strings = encode({"extra": ["z"], "city": ["Rome"], "age": ["7"]}, schema)
    assert got.tolist() == [[7.0]]
    assert strings.tolist() == [["Rome"]]


def test_columns_of_different_lengths():
    schema = Schema((Column("a", Kind.NUMERIC), Column("b", Kind.NUMERIC)))
    with pytest.raises(DataError, match="different numbers of rows"):
        encode({"a": [1], "b": [1, 2]}, schema)
