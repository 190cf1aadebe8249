"""Tables joined by keys and appended."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tabwright.data.joins import append_tables, join_tables
from tabwright.errors import ColumnError, DataError, OptionError

ORDERS = pd.DataFrame({"customer": [3, 1, 2, 1, 9], "price": [5.0, 6.0, 7.0, 8.0, 9.0], "note": list("abcde")})
CUSTOMERS = pd.DataFrame({"customer": [1, 2, 3, 4], "note": ["x", None, "z", "w"], "city": list("pqrs")})


def test_inner_keeps_the_order_of_the_first_and_names_apart():
    made = join_tables(ORDERS, CUSTOMERS, "customer")
    assert list(made.columns) == ["customer", "price", "note", "note.2", "city"]
    assert made["price"].tolist() == [5.0, 6.0, 7.0, 8.0] and list(made.index) == [0, 1, 2, 3]
    assert made["city"].tolist() == ["r", "p", "q", "p"] and made["customer"].dtype == ORDERS["customer"].dtype
    assert list(ORDERS.columns) == ["customer", "price", "note"]  # what was given is as it was


def test_left_keeps_rows_without_a_match():
    made = join_tables(ORDERS, CUSTOMERS, ["customer"], how="left")
    assert made["price"].tolist() == ORDERS["price"].tolist()
    assert made["city"].isna().tolist() == [False, False, False, False, True]


def test_keys_of_other_names_and_several_of_them():
    left = pd.DataFrame({"a": [1, 1, 2], "b": ["x", "y", "x"], "n": [1, 2, 3]})
    right = pd.DataFrame({"b": ["x", "y", "x"], "k": [1.0, 1.0, np.nan], "v": [10, 20, 30]})
    made = join_tables(left, right, ["a", "b"], right_on=["k", "b"], how="left")
    assert list(made.columns) == ["a", "b", "n", "v"]
    assert made["v"].tolist()[:2] == [10, 20] and np.isnan(made["v"][2])


def test_an_empty_key_matches_nothing():
    left = pd.DataFrame({"k": ["a", None], "x": [1, 2]})
    right = pd.DataFrame({"k": ["a", None], "y": [3, 4]})
    assert join_tables(left, right, "k")["y"].tolist() == [3]
    assert join_tables(left, right, "k", how="left")["y"].isna().tolist() == [False, True]


def test_keys_of_other_types_that_mean_the_same():
    whole = pd.DataFrame({"k": [2**53 + 1, 2], "x": [1, 2]})
    holed = pd.DataFrame({"k": [2.0, np.nan], "y": [3, 4]})
    assert join_tables(whole, holed, "k")["x"].tolist() == [2]
    parts = pd.DataFrame({"k": [2.5, 2.0], "y": [3, 4]})
    assert join_tables(whole, parts, "k")["y"].tolist() == [4]
    words = pd.DataFrame({"k": pd.Categorical(["a", "b"]), "x": [1, 2]})
    mixed = pd.DataFrame({"k": pd.Series(["b", "c"], dtype=object), "y": [3, 4]})
    assert join_tables(words, mixed, "k")["y"].tolist() == [3]
    days = pd.DataFrame({"k": pd.to_datetime(["2024-01-01", "2024-01-02"]).as_unit("s"), "x": [1, 2]})
    same = pd.DataFrame({"k": pd.to_datetime(["2024-01-02"]).as_unit("ns"), "y": [3]})
    assert join_tables(days, same, "k")["x"].tolist() == [2]


@pytest.mark.parametrize(("arguments", "error", "told"), [
    ({"on": "nope"}, ColumnError, "'nope' is not in the first table.*on: 'customer', 'price', 'note'"),
    ({"on": "price"}, ColumnError, "'price' is not in the second table.*right_on: 'customer'"),
    ({"on": "customer", "right_on": "city"}, ColumnError,
     "'customer' holds numbers in the first table, and 'city' of the second table holds text"),
    ({"on": []}, OptionError, "on names no column"),
    ({"on": ["customer"], "right_on": ["customer", "city"]}, OptionError, "names 2 columns and on 1"),
    ({"on": "customer", "how": "outer"}, OptionError, "how is 'outer'"),
    ({"on": "note", "right_on": "city"}, DataError, "no row of the first table has the same 'note'"),
])  # fmt: skip
def test_faults(arguments, error, told):
    with pytest.raises(error, match=told):
        join_tables(ORDERS, CUSTOMERS, **arguments)


def test_many_to_many_is_counted_before_it_is_made():
    left, right = pd.DataFrame({"k": [1] * 30_000}), pd.DataFrame({"k": [1] * 20_000, "v": 0})
    with pytest.raises(DataError, match=r"would have 600,000,000 rows, of 30,000 and 20,000, for 'k' repeats"):
        join_tables(left, right, "k")
    few = join_tables(left[:5], right[:4], "k", max_rows=20)
    assert len(few) == 20
    with pytest.raises(DataError, match="max_rows=20"):
        join_tables(left[:5], right[:4], "k", max_rows=19)
    assert len(join_tables(left, right[:1], "k", max_rows=10)) == 30_000  # no row more than there were


def test_rows_under_each_other():
    made = append_tables([ORDERS, ORDERS[["note", "customer", "price"]]])
    assert list(made.columns) == list(ORDERS.columns) and len(made) == 10 and made["price"].dtype == np.float64
    assert list(made.index) == list(range(10))
    with pytest.raises(ColumnError, match="'price' is in old and not in new"):
        append_tables([ORDERS, CUSTOMERS], names=("old", "new"))
    made = append_tables([ORDERS, CUSTOMERS], fill=True)
    assert list(made.columns) == ["customer", "price", "note", "city"]
    assert made["price"].isna().sum() == 4 and made["city"].isna().sum() == 5


def test_an_empty_column_takes_the_kind_of_the_others():
    nothing = pd.DataFrame({"k": [np.nan, np.nan], "n": [1, 2], "d": [np.nan, np.nan]})
    full = pd.DataFrame({"k": ["a"], "n": [3], "d": pd.to_datetime(["2024-01-01"])})
    made = append_tables([nothing, full])
    assert list(made.columns) == ["k", "n", "d"] and made.dtypes.tolist() == full.dtypes.tolist()
    assert made["k"].isna().tolist() == [True, True, False]
    with pytest.raises(ColumnError, match="'d' holds dates in table 1, and numbers in table 2"):
        append_tables([full, full.assign(d=1.0)])


def test_columns_beside_each_other():
    made = append_tables([ORDERS[:4], CUSTOMERS], "columns")
    assert list(made.columns) == ["customer", "price", "note", "customer.2", "note.2", "city"] and len(made) == 4
    with pytest.raises(DataError, match="table 1 has 5 rows and table 2 4"):
        append_tables([ORDERS, CUSTOMERS], "columns")
    with pytest.raises(OptionError, match="tables holds 1"):
        append_tables([ORDERS])
    with pytest.raises(OptionError, match="by is 'diagonal'"):
        append_tables([ORDERS, ORDERS], "diagonal")
