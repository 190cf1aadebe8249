"""What single families promise beyond the common contract."""

import dataclasses
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest

from tabwright.errors import FitError, OptionError
from tabwright.models import FAMILIES, FITTED_CLASSES, family
from tabwright.models.base import Columns, FitContext, Sample, View
from tabwright.models.epochs import SCHEDULE
from tabwright.models.fitting import ROUNDS, Stopper, class_rate, log_loss
from tabwright.models.knn import _scale
from tabwright.models.quadratic import MAX_COLUMNS
from tabwright.space import defaults
from tabwright.testing import samples
from tabwright.testing.families import is_storable, run_onnx
from tabwright.types import Task


def fit(name, task, train, valid=None, columns=None, **params):
    chosen = family(name)
    context = samples.context(chosen.view, task)
    if columns is not None:
        context = dataclasses.replace(context, columns=columns)
    return chosen.fit(train, valid, defaults(chosen.space) | params, context)


def test_lookup_names_the_known_families():
    assert [family(f.name) for f in FAMILIES] == list(FAMILIES)
    with pytest.raises(OptionError, match="lightgbm, xgboost, catboost"):
        family("lightgmb")


def test_importing_the_families_loads_no_heavy_library():
    code = ("import sys, tabwright.models as m; "
            "print([h for h in ('lightgbm', 'xgboost', 'catboost', 'sklearn', 'scipy', 'pandas', 'torch') "
            "if h in sys.modules])")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_fitted_class_is_registered():
    for chosen in FAMILIES:
        task = min(chosen.tasks, key=str)
        fitted = fit(chosen.name, task, samples.sample(chosen.view, task, 100), **{ROUNDS: 3})
        assert type(fitted) in FITTED_CLASSES


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "catboost"])
@pytest.mark.parametrize("task", [Task.REGRESSION, Task.BINARY])
def test_monotone_constraints_hold(name, task):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 2)).astype(np.float32)
    signal = np.sin(4 * X[:, 0]) + X[:, 0] - X[:, 1] + rng.normal(scale=0.3, size=600)
    y = (signal > 0).astype(np.int64) if task is Task.BINARY else signal / signal.std()
    fitted = fit(name, task, Sample(X, y), columns=Columns(2, monotone=(1, -1)), **{ROUNDS: 60})
    line = np.linspace(-3, 3, 200, dtype=np.float32)
    for column, sign in ((0, 1), (1, -1)):
        grid = np.zeros((200, 2), np.float32)
        grid[:, column] = line
        assert (sign * np.diff(fitted.predict(grid)[:, 0]) >= -1e-6).all()


def test_lightgbm_counts_trees_and_not_rounds_that_found_no_split():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3)).astype(np.float32)
    y = (X[:, 0] + X[:, 1] + rng.normal(size=300) > 0).astype(np.int64)
    train, valid = Sample(X[:200], y[:200]), Sample(X[200:], y[200:])
    rare = {"extra_trees": True, "feature_fraction": 0.4, "min_data_in_leaf": 20, "min_sum_hessian_in_leaf": 7.0}
    fitted = fit("lightgbm", Task.BINARY, train, valid, **rare)
    assert 5 < fitted.n_iterations == len(fitted.forest().roots)
    again = fit("lightgbm", Task.BINARY, train, **rare, **{ROUNDS: fitted.n_iterations})
    np.testing.assert_array_equal(fitted.predict(X), again.predict(X))
    hopeless = fit("lightgbm", Task.BINARY, train, **{"min_sum_hessian_in_leaf": 60.0, ROUNDS: 4000})
    assert hopeless.n_iterations == 1


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "catboost", "mlp", "realmlp"])
def test_boosting_stops_early_and_says_where(name):
    view = family(name).view
    train, valid = (samples.sample(view, Task.REGRESSION, 300, seed=s) for s in (0, 1))
    fitted = fit(name, Task.REGRESSION, train, valid)
    assert 1 <= fitted.n_iterations < 1500
    mse = np.mean((fitted.predict(valid.X)[:, 0] - valid.y) ** 2)
    longer = fit(name, Task.REGRESSION, train, None, **{ROUNDS: fitted.n_iterations})
    assert longer.n_iterations == fitted.n_iterations
    assert mse < 0.4


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "catboost"])
def test_a_rare_class_does_not_diverge(name):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 6)).astype(np.float32)
    y = np.digitize(X[:, 0] + rng.normal(scale=0.5, size=4000), [-1, 0, 1]).astype(np.int64)
    y[:5] = 4
    valid = Sample(X[3000:], y[3000:])
    context = FitContext(Task.MULTICLASS, 5, Columns(6))
    chosen = family(name)
    fitted = chosen.fit(Sample(X[:3000], y[:3000]), None, defaults(chosen.space) | {ROUNDS: 150}, context)
    assert log_loss(fitted.predict(valid.X), valid.y, None, Task.MULTICLASS) < 1.1


def test_catboost_scores_classes_without_rows_low():
    train = samples.sample(View.TREES, Task.MULTICLASS, 300)
    train = Sample(train.X, np.where(train.y == 1, 0, train.y))
    fitted = fit("catboost", Task.MULTICLASS, train, train, **{ROUNDS: 10})
    raw = fitted.predict(train.X)
    assert (raw[:, 1] < raw[:, [0, 2, 3]].min(axis=1) - 5).all()
    np.testing.assert_allclose(run_onnx(fitted, train.X), raw, rtol=1e-11)


def test_quadratic_learns_a_product_and_multiplies_what_tells_most():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(2000, 60)).astype(np.float32)
    X[:, 7] = X[:, 7] > 0  # a flag
    y = 3 * X[:, 50] * X[:, 7] + X[:, 51] ** 2
    y = (y - y.mean()) / y.std()
    fitted = fit("quadratic", Task.REGRESSION, Sample(X[:1500], y[:1500]), columns=Columns(60))
    assert len(set(fitted.first) | set(fitted.second)) == MAX_COLUMNS
    pairs = set(zip(fitted.first.tolist(), fitted.second.tolist(), strict=True))
    assert {(7, 50), (51, 51)} <= pairs and (7, 7) not in pairs
    error = np.mean((fitted.predict(X[1500:])[:, 0] - y[1500:]) ** 2)
    assert error < 0.15 < np.mean((fit("linear", Task.REGRESSION, Sample(X[:1500], y[:1500])).predict(X[1500:])[:, 0]
                                   - y[1500:]) ** 2)  # fmt: skip


@pytest.mark.parametrize("k", [1, 3, 7])
def test_knn_takes_the_first_of_equal_neighbours(k):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, size=(400, 2)).astype(np.float32)  # nine places, dozens of rows each
    y = rng.normal(size=400)
    fitted = fit("knn", Task.REGRESSION, Sample(X, y), columns=Columns(2), n_neighbors=k, weighting="uniform",
                 prior_rows=0.5)
    rows = np.array([[a, b] for a in range(3) for b in range(3)], np.float32)
    nearest = np.array([y[(row == X).all(axis=1)][:k].mean() for row in rows])
    expected = (k * nearest + 0.5 * y.mean()) / (k + 0.5)
    np.testing.assert_allclose(fitted.predict(rows)[:, 0], expected, rtol=1e-12)
    np.testing.assert_allclose(run_onnx(fitted, rows), fitted.predict(rows), rtol=1e-12)


@pytest.mark.parametrize("n_features", [1, 2, 7, 100, 500, 5000])
def test_knn_distances_are_whole_numbers_below_2_to_53(n_features):
    scale = _scale(n_features)
    assert n_features * (2 * 16 * scale) ** 2 <= 2**53
    assert 16 * scale <= 2**24


def test_many_classes_learn_faster():
    assert class_rate(0.05, 1) == 0.05
    assert class_rate(0.05, 4) == pytest.approx(0.075)
    assert class_rate(0.2, 1000) == 0.3


def test_stopper_counts_patience_from_the_last_gain_that_matters():
    stopper = Stopper(samples.context(View.TREES, Task.BINARY), 3)
    assert not any(stopper.stop(score) for score in (1.0, 0.5, 0.49999, 0.49998))
    assert stopper.stop(0.49997)
    assert stopper.best_round == stopper.rounds == 5
    assert Stopper(samples.context(View.TREES, Task.BINARY), 3).stop(float("nan"))


@pytest.mark.parametrize(("scoring", "rounds"), [(None, 99), (lambda: 10.0, 73)])
def test_stopper_keeps_time_for_scoring(monkeypatch, scoring, rounds):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    stopper = Stopper(dataclasses.replace(samples.context(View.TREES, Task.BINARY), deadline=100.0), 1000, scoring)
    for n in range(1, 101):
        now[0] += 1.0
        if stopper.stop(1.0 / n):
            break
    assert n == rounds  # asked after 20 rounds: half a second a round, of which 10 s in all are free anyway


def test_storable_refuses_library_objects():
    assert is_storable((1, "a", None, {"b": np.zeros(2)}))
    assert not is_storable(np.array([object()]))
    assert not is_storable([1])


@pytest.mark.parametrize("name", ["mlp", "realmlp"])
def test_a_schedule_repeats_a_training(name):
    view = family(name).view
    train, valid = (samples.sample(view, Task.BINARY, 400, seed=s) for s in (0, 1))
    first = fit(name, Task.BINARY, train, valid, **{ROUNDS: 9})
    again = fit(name, Task.BINARY, train, valid, **{SCHEDULE: first.schedule})
    np.testing.assert_array_equal(again.predict(valid.X), first.predict(valid.X))


def test_realmlp_ends_after_a_cycle_that_brought_nothing():
    ends, lengths = (4, 12, 28, 60), []  # the epochs after which the four cycles are over
    for seed in range(3):  # chance may find a gain in noise
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(600, 4)).astype(np.float32)
        noise = Sample(X[:400], rng.normal(size=400)), Sample(X[400:], rng.normal(size=200))
        fitted = fit("realmlp", Task.REGRESSION, *noise, epochs=60)
        cycle = next(k for k, end in enumerate(ends) if fitted.n_iterations <= end)
        lengths.append(len(fitted.schedule))
        assert lengths[-1] == ends[min(cycle + 1, 3)]  # one cycle after the best
    assert min(lengths) < 60


def test_realmlp_ends_its_course_by_the_deadline():
    view = family("realmlp").view
    train, valid = (samples.sample(view, Task.REGRESSION, 3000, seed=s) for s in (0, 1))
    fit("realmlp", Task.REGRESSION, train, **{ROUNDS: 1})  # what follows pays for no import
    soon = dataclasses.replace(samples.context(view, Task.REGRESSION), deadline=time.monotonic() + 2.0)
    fitted = family("realmlp").fit(train, valid, {ROUNDS: 100_000}, soon)
    assert 1 <= fitted.n_iterations <= len(fitted.schedule) < 10_000
    assert np.mean((fitted.predict(valid.X)[:, 0] - valid.y) ** 2) < 1.1 * np.var(valid.y)  # one slow pass tells little


def test_realmlp_keeps_to_the_range_of_the_target():
    view = family("realmlp").view
    train = samples.sample(view, Task.REGRESSION, 300)
    raw = fit("realmlp", Task.REGRESSION, train).predict(100 * train.X)
    assert train.y.min() - 1e-6 <= raw.min() < raw.max() <= train.y.max() + 1e-6


def test_realmlp_scores_and_exports_without_torch(tmp_path):
    view = family("realmlp").view
    fitted = fit("realmlp", Task.MULTICLASS, samples.sample(view, Task.MULTICLASS, 300), **{ROUNDS: 5})
    X = samples.sample(view, Task.MULTICLASS, 50, seed=1).X
    with (tmp_path / "model.pickle").open("wb") as file:
        pickle.dump((fitted, X, fitted.predict(X)), file)
    code = (
        "import pickle, sys; import numpy as np; sys.modules['torch'] = None\n"
        "from tabwright.testing.families import run_onnx\n"
        "fitted, X, expected = pickle.load(open(sys.argv[1], 'rb'))\n"
        "np.testing.assert_array_equal(fitted.predict(X), expected)\n"
        "np.testing.assert_allclose(run_onnx(fitted, X), expected, rtol=2e-6, atol=1e-5)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "model.pickle")], check=True)


def test_a_family_whose_extra_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "tabwright.models.realmlp_training", raising=False)
    train = samples.sample(View.DENSE, Task.BINARY, 100)
    with pytest.raises(FitError, match=r"pip install 'tabwright\[neural\]'"):
        fit("realmlp", Task.BINARY, train)
