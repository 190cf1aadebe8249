"""One model learned from a table that a cluster's workers hold in parts."""

import time
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from distributed import Client

from tabwright import AutoMLClassifier, AutoMLRegressor, load_model, whole_source
from tabwright.data import stream
from tabwright.data.table import Table
from tabwright.engine.base import Cluster
from tabwright.engine.dask import DaskEngine
from tabwright.engine.everything import Facts, everything
from tabwright.engine.partitions import parts
from tabwright.engine.shelf import Shelf, load_fold_model
from tabwright.models.base import Sample
from tabwright.pipeline import EVERYTHING
from tabwright.store.origin import Origin
from tabwright.testing.clusters import LoopbackCluster

N = 12_000
QUICK = {"max_runtime_secs": 60, "max_models": 1, "include_families": ["xgboost"], "progress": False, "seed": 3}
pytestmark = pytest.mark.filterwarnings("ignore:The search sees:UserWarning")


@pytest.fixture(scope="module")
def cluster():
    with LoopbackCluster() as made:
        made.add(2)
        addresses(made)
        yield made


def addresses(cluster):
    """Those of the two workers, once they have joined."""
    with Client(cluster.address, set_as_default=False) as client:
        client.wait_for_workers(2)
        return list(client.scheduler_info(n_workers=-1)["workers"])


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    made = pd.DataFrame({"a": rng.normal(size=N), "c": rng.choice(["red", "green", "blue"], N), "w": rng.random(N)})
    made["y"] = np.sin(3 * made["a"]) + (made["c"] == "red") + rng.normal(size=N) * 0.2
    made["k"] = np.where(made["y"] > 0.9, "high", "low")
    return made


@pytest.fixture(scope="module")
def folder(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows")
    for k, piece in enumerate(np.array_split(np.arange(N), 3)):
        frame.iloc[piece].to_parquet(path / f"{k}.parquet", index=False, row_group_size=1000)
    return str(path)


@pytest.fixture(scope="module")
def texts(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("texts")
    for k, piece in enumerate(np.array_split(np.arange(N), 5)):
        frame.iloc[piece].to_csv(path / f"{k}.csv", index=False)
    return str(path)


@pytest.fixture
def few_rounds(monkeypatch):
    """Fits on the whole learn as fast as those of the search, though there is time for more rounds."""
    monkeypatch.setattr("tabwright.search.whole.SLOWEST", 1.0)


def whole(made):
    return [e for e in made._finished.state.entries.values() if e.candidate.origin == "whole" and e.status == "ok"]


@pytest.mark.parametrize(("form", "max_rows"), [
    pytest.param("folder", N, marks=pytest.mark.slow), ("folder", 4000), ("texts", N),
])
def test_parts_are_the_rows_that_this_machine_would_read(cluster, form, request, tmp_path, max_rows, monkeypatch):
    monkeypatch.setattr(whole_source, "_on_the_whole", lambda search, *_: search.state)
    folder = request.getfixturevalue(form)
    made = AutoMLClassifier(**QUICK, balance_classes=True, export_checkpoints_dir=tmp_path / "run")
    made.fit(folder, target="k", search_rows=800, weights_column="w", kinds={"y": "identifier"})
    run = made._finished.run
    origin, table = Origin.load(run), Table.load(run.table_dir)
    features = load_fold_model(run, made._finished.state.finished()[0].candidate.model_id, 0, Shelf()).features
    facts = Facts(table.schema, 0.0, 1.0, run.load_array("origin", "class_weights"), 0.5)
    rows, sampled = run.load_array("fold", "train0"), run.load_array("origin", "sampled")
    own = Sample(features.apply(table.take(rows)), run.load_array("target", "y")[rows], np.ones(len(rows)))
    here = everything(run, origin, facts, features, own, max_rows, np.inf)
    workers = Cluster(cluster.address, None, tuple(addresses(cluster)), 2, np.inf)
    assert sum(origin.pieces) == N
    with parts(workers, origin, facts, features, own, sampled, max_rows, 60.0) as there:
        X, y, weight = (np.asarray(there.client.compute(a, sync=True)) for a in (there.X, there.y, there.weight))
    if max_rows < N:  # which they are is drawn anew
        assert 0.85 * max_rows < len(y) < 1.15 * max_rows
        return
    assert len(y) == N - 800 + len(rows)
    found, expected = (np.column_stack([a, b, c / c.mean()]) for a, b, c in
                       ((X, y, weight), (here.X, here.y, here.weight)))  # fmt: skip
    np.testing.assert_allclose(*(m[np.lexsort(m.T[:3])] for m in (found, expected)), rtol=1e-9)


@pytest.mark.parametrize("target", [pytest.param("y", marks=pytest.mark.slow), "k"])
def test_workers_learn_from_all_rows_together(cluster, folder, frame, few_rounds, tmp_path, target):
    kind = AutoMLRegressor if target == "y" else AutoMLClassifier
    made = kind(**QUICK, engine=cluster.address, export_checkpoints_dir=tmp_path / "run")
    made.fit(folder, target=target, search_rows=800, kinds={"k" if target == "y" else "y": "identifier"})
    events = [text for _, kind, text in made._finished.run.journal().events() if kind == "spread"]
    assert len(events) == 1 and events[0].endswith("learned from all rows, spread over 2 Dask workers")
    found = whole(made)
    assert found and all(e.candidate.params[EVERYTHING] == N for e in found)
    assert made._finished.state.finished()[0].candidate.origin == "whole"  # the best one
    model = load_model(made.export(tmp_path / "model.onnx").path)
    if target == "y":
        np.testing.assert_allclose(model.predict(frame), made.predict(frame), rtol=1e-5)
    else:
        np.testing.assert_allclose(model.predict_proba(frame), made.predict_proba(frame), atol=1e-6)


def test_this_machine_reads_what_the_workers_can_not(cluster, folder, few_rounds, monkeypatch):
    found = DaskEngine.cluster
    elsewhere = ("tcp://127.0.0.1:1", "tcp://127.0.0.1:2")  # who have left since
    monkeypatch.setattr(DaskEngine, "cluster", lambda engine: replace(found(engine), workers=elsewhere))
    made = AutoMLRegressor(**QUICK, engine=cluster.address)
    with pytest.warns(UserWarning, match="this machine read them alone"):
        made.fit(folder, target="y", search_rows=800, kinds={"k": "identifier"})
    told = [note for note in made._finished.notes if "this machine read them alone" in note]
    assert told and "no worker of the cluster sees the files of the source" in told[0]
    assert whole(made)


def test_a_worker_lost_in_a_fit_costs_that_fit(folder, time_over):
    seen, killed = [], []
    with LoopbackCluster() as own, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on where the rows were read in the end
        own.add(2)
        addresses(own)

        def is_lost(search):
            if search._whole is not None and search.engine.running():
                seen.append(time.monotonic())
            if seen and not killed and seen[-1] - seen[0] > 2.0:
                own.workers[0].kill()
                killed.append(time.monotonic())
            return killed

        time_over(is_lost, 5.0)
        made = AutoMLRegressor(**QUICK | {"max_runtime_secs": 200}, engine=own.address)
        made.fit(folder, target="y", search_rows=800, kinds={"k": "identifier"})
        assert time.monotonic() - killed[0] < 14.0
    assert made._finished.state.leader.weights


def test_pieces_are_the_row_groups_in_the_order_of_reading(folder, monkeypatch):
    monkeypatch.setattr(stream, "BLOCK_ROWS", 300)
    source = stream.Stream(folder)
    assert source.pieces(7) == [1000] * 12
    whole = [t.to_pandas() for t, _ in source.blocks(["a"], 7)]
    by_piece = [t.to_pandas() for k in range(12) for t, _ in source.blocks(["a"], 7, k)]
    pd.testing.assert_frame_equal(pd.concat(whole), pd.concat(by_piece))


def test_pieces_of_text_are_known_once_they_have_been_read(texts):
    source = stream.Stream(texts)
    assert source.pieces(7) is None
    assert sum(t.num_rows for t, _ in source.blocks(["a"], 7)) == N
    assert source.pieces(7) == [N // 5] * 5
    assert stream.Stream(texts).pieces() is None
