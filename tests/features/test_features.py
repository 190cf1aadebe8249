import datetime as dt
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabwright.data.infer import infer_schema
from tabwright.data.table import Table
from tabwright.features import (
    coordinates,
    dates,
    frequency,
    impute,
    numbers,
    one_hot,
    ordinal,
    spatial_mean,
    target_mean,
    text,
)
from tabwright.features.base import TargetInfo
from tabwright.features.recipe import RECIPES, FittedFeatures, fit_part
from tabwright.testing.tables import mixed_table, target_for
from tabwright.testing.transformers import run_encoder
from tabwright.types import Kind, Task


def table_of(kinds=None, **columns):
    frame = pd.DataFrame(columns)
    return Table.from_frame(frame, infer_schema(frame, None, overrides=kinds))


@settings(max_examples=300)
@given(st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)))
def test_calendar_is_pythons(moment):
    seconds = np.array([(moment - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)]) / 1e6
    got = {k: int(v[0]) for k, v in dates.calendar(np.floor(seconds)).items()}
    assert got == {
        "year": moment.year,
        "month": moment.month - 1,
        "day": moment.day - 1,
        "weekday": moment.weekday(),
        "day_of_year": moment.timetuple().tm_yday - 1,
        "minute_of_day": moment.hour * 60 + moment.minute,
    }


@settings(max_examples=40)
@given(
    st.lists(
        st.one_of(st.none(), st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))), min_size=2, max_size=30
    )
)
def test_dates_in_onnx_are_those_of_python(moments):
    seconds = np.array([np.nan if m is None else (m - dt.datetime(1970, 1, 1)).total_seconds() for m in moments])
    table = table_of({"t": Kind.DATETIME}, t=pd.to_datetime(["2020-02-29", "2021-12-31"] * 15)[: len(moments)])
    table = Table(table.schema, seconds[:, None], ())
    for cyclic in (False, True):
        fitted = dates.fit(table, cyclic=cyclic)
        if fitted is not None:
            np.testing.assert_array_equal(run_encoder_without_strings(fitted, table), fitted.apply(table))


def run_encoder_without_strings(fitted, table):
    from onnx import TensorProto

    from tabwright.features.base import Inputs
    from tabwright.objectives.measure import session
    from tabwright.onnx.graph import Graph

    graph = Graph()
    graph.output("out", fitted.to_onnx(Inputs(graph, table.schema)), TensorProto.DOUBLE, len(fitted.names))
    return session(graph.build({}).SerializeToString()).run(None, {"numbers": table.numbers})[0]


def test_large_whole_numbers_stay_distinct_in_float32():
    table = table_of({"t": Kind.NUMERIC}, t=1.6e9 + np.arange(5000.0), x=np.arange(5000.0) % 7)
    X = numbers.fit(table).apply(table).astype(np.float32)
    assert len(np.unique(X[:, 0])) == 5000


def test_coordinates_are_found_by_name_and_range_in_any_table():
    rng = np.random.default_rng(0)
    found = table_of(
        pickup_lat=rng.uniform(40, 41, 50),
        pickup_lon=rng.uniform(-74, -73, 50),
        drop_lat=rng.uniform(40, 41, 50),
        drop_lon=rng.uniform(-74, -73, 50),
        fare=rng.random(50),
    )
    assert coordinates.find_pairs(found.schema, found.numbers) == [(0, 1), (2, 3)]
    for columns in (
        {"lat": rng.uniform(400, 500, 50), "lon": rng.random(50)},
        {"latency": rng.random(50), "long": rng.random(50)},
        {"plate": rng.random(50), "along": rng.random(50)},
    ):
        table = table_of(**columns)
        assert coordinates.find_pairs(table.schema, table.numbers) == []


def test_rotation_keeps_distances():
    table = mixed_table()
    fitted = coordinates.fit(table)
    here = ~np.isnan(table.numbers[:, list(fitted.columns)]).any(axis=1)
    raw = table.numbers[here][:, list(fitted.columns)]
    turned = fitted.apply(table)[here][:, :2]
    np.testing.assert_allclose(np.linalg.norm(raw[0] - raw[1:], axis=1), np.linalg.norm(turned[0] - turned[1:], axis=1))


def test_rare_and_unseen_categories_share_a_code():
    table = table_of(c=["a"] * 20 + ["b"] * 20 + ["rare"] + [None] * 9)
    fitted = ordinal.fit(table)
    assert fitted.cardinality == (4,)  # missing, a, b, rare or unseen
    other = Table(
        table.schema, np.empty((1, 0)), (type(table.strings[0])(np.array(["new"], object), np.zeros(1, np.int32)),)
    )
    assert fitted.apply(other)[0, 0] == fitted.apply(table)[40, 0] == 3
    assert "c=rare" not in one_hot.fit(table).names


def test_frequencies_are_shares_of_rows():
    table = table_of(c=["a"] * 50 + ["b"] * 30 + ["c"] * 20)
    assert set(frequency.fit(table).apply(table)[:, 0]) == {0.5, 0.3, 0.2}


def test_target_mean_of_training_rows_is_out_of_fold():
    rng = np.random.default_rng(0)
    table = table_of(
        {"c": Kind.CATEGORICAL}, c=[f"v{k}" for k in rng.integers(0, 400, 1200)], d=["x", "y", "z", "w"] * 300
    )
    y = rng.normal(size=1200)  # unrelated to the categories: an honest encoding shows no relation
    fitted, X = target_mean.fit(table, TargetInfo(Task.REGRESSION, 1, y))
    assert abs(np.corrcoef(X[:, 0], y)[0, 1]) < 0.1
    assert np.corrcoef(fitted.apply(table)[:, 0], y)[0, 1] > 0.25  # what leaking would look like


def test_target_mean_gives_unseen_values_the_prior():
    table = mixed_table()
    target = target_for(Task.BINARY, table)
    fitted, _ = target_mean.fit(table, target)
    unseen = fitted.lookup[fitted.offset[0] + len(table.schema.strings[fitted.columns[0]].values) + 1]
    assert unseen[0] == pytest.approx(target.y.mean())


def places(rows=1500, seed=0):
    rng = np.random.default_rng(seed)
    lat, lon = rng.uniform(32, 42, rows), rng.uniform(-124, -114, rows)
    return rng, table_of(lat=lat, lon=lon)


def test_spatial_mean_of_training_rows_is_out_of_fold():
    rng, table = places()
    y = rng.normal(size=1500)
    fitted, X = spatial_mean.fit(table, TargetInfo(Task.REGRESSION, 1, y))
    assert np.abs([np.corrcoef(x, y)[0, 1] for x in X.T]).max() < 0.1
    assert np.corrcoef(fitted.apply(table)[:, -1], y)[0, 1] > 0.25  # what leaking would look like


def test_spatial_mean_finds_a_place_and_falls_back_on_wider_ones():
    _, table = places()
    y = np.where((table.numbers - [37.0, -119.0] > 0).all(axis=1), 1.0, 0.0)
    fitted, _ = spatial_mean.fit(table, TargetInfo(Task.REGRESSION, 1, y))
    there, elsewhere = fitted.apply(Table(table.schema, np.array([[40.0, -116.0], [33.0, -123.0]]), ()))
    assert there[-1] > 0.95 and elsewhere[-1] < 0.05
    nowhere = fitted.apply(Table(table.schema, np.array([[np.nan, -116.0], [-80.0, 170.0]]), ()))
    np.testing.assert_allclose(nowhere, y.mean(), atol=1e-9)


def test_spatial_mean_holds_no_cells_of_all_rows_in_all_grids():
    rng, table = places(40_000)
    tracemalloc.start()
    fitted, _ = spatial_mean.fit(table, TargetInfo(Task.REGRESSION, 1, rng.normal(size=40_000)))
    fitting = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    X = fitted.apply(table)
    applying = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    grids = 40_000 * spatial_mean.LEVELS * spatial_mean.SHIFTS * 8
    assert max(fitting, applying) < 3 * grids
    np.testing.assert_array_equal(X[12_345:12_350], fitted.apply(table.take(np.arange(12_345, 12_350))))


def test_text_joins_spellings_and_counts_words():
    table = table_of({"t": Kind.TEXT}, t=["Good Dress", "good dress", "GOOD coat", "bad coat here", None] * 8)
    part = text.fit(table, n_components=3).parts[0]
    X = part.apply(table)
    np.testing.assert_allclose(X[0], X[1])
    assert part.names[-3:] == ("t.words", "t.known_words", "t.empty")
    assert X[3, -3] == 3 and X[4, -1] == 1


def test_impute_flags_only_columns_that_had_gaps():
    X = np.array([[1.0, np.nan], [3.0, 4.0], [5.0, 8.0]])
    fitted = impute.fit(X)
    assert fitted.rename(("a", "b")) == ("a", "b", "b.missing")
    np.testing.assert_array_equal(fitted.apply(X)[0], [1.0, 6.0, 1.0])


@pytest.mark.parametrize("view", list(RECIPES))
def test_recipes_make_float32_matrices_with_named_columns(view):
    table = mixed_table()
    parts = [made[0] for part in RECIPES[view].parts if (made := fit_part(part, table, target_for(Task.BINARY, table)))]
    features = FittedFeatures(tuple(parts))
    X = features.apply(table)
    assert X.dtype == np.float32 and X.flags.c_contiguous
    assert X.shape[1] == len(features.names) == features.columns().n_features
    if view in ("dense", "smooth"):
        assert np.isfinite(X).all()
    for column, cardinality in zip(features.columns().categorical, features.columns().cardinality, strict=True):
        assert X[:, column].min() >= 0 and X[:, column].max() < cardinality


def test_encoders_of_the_contract_run_through_onnxruntime():
    table = mixed_table()
    assert run_encoder(numbers.fit(table), table).shape == (table.n_rows, len(table.schema.numeric))
