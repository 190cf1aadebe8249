"""The contract of a model family, as a pytest class: a new family gets every test for free.

import pytest
from tabwright.testing.families import FamilyContract, cases

@pytest.mark.parametrize(("family", "task"), cases([MY_FAMILY]))
class TestMyFamily(FamilyContract):
pass
"""

from __future__ import annotations

import copy
import dataclasses
import pickle
import time
from collections.abc import Iterable
from enum import Enum
from typing import Any

import numpy as np
from onnx import TensorProto

from tabwright import ort
from tabwright.errors import FitError
from tabwright.models.base import Family, FitContext, Fitted, Sample, apply_link
from tabwright.models.fitting import ROUNDS, pinball_loss
from tabwright.onnx.graph import Graph
from tabwright.space import defaults
from tabwright.space import sample as draw
from tabwright.testing import samples
from tabwright.types import Floats, Task

ROWS, ROUNDS_IN_TESTS = 300, 25
# Of families that sum in float32, relative to the largest score where these nearly cancel; EXACT holds for the rest.
RTOL, ATOL = 2e-6, 2e-6
EXACT = 1e-11


def cases(families: Iterable[Family]) -> list[tuple[Family, Task]]:
    """Every (family, task) pair that the families offer."""
    return [(family, task) for family in families for task in sorted(family.tasks, key=str)]


def onnx_bytes(fitted: Fitted, width: int, n_outputs: int) -> bytes:
    """A model with the raw scores of ``fitted`` as output ``raw``, checked by onnx."""
    import onnx

    graph = Graph()
    x = graph.input("x", TensorProto.FLOAT, width)
    graph.output("raw", fitted.to_onnx(graph, x), TensorProto.DOUBLE, n_outputs)
    model = graph.build({})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def run_onnx(fitted: Fitted, X: Floats) -> Floats:
    """Raw scores of ``X`` from onnxruntime."""
    model = onnx_bytes(fitted, X.shape[1], fitted.predict(X[:1]).shape[1])
    return np.asarray(ort.session(model, 1).run(None, {"x": X})[0])


def is_storable(value: Any) -> bool:
    """Whether a value is of the plain kinds that a run directory stores: no library object, nothing callable."""
    if isinstance(value, Enum) or value is None or isinstance(value, (bool, int, float, str, bytes, np.generic)):
        return True
    if isinstance(value, np.ndarray):
        return bool(value.dtype.kind != "O")
    if isinstance(value, tuple):
        return all(map(is_storable, value))
    if isinstance(value, dict):
        return all(is_storable(k) and is_storable(v) for k, v in value.items())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return all(is_storable(getattr(value, f.name)) for f in dataclasses.fields(value))
    return False


def _quick(family: Family) -> dict[str, Any]:
    params = defaults(family.space)
    return params | {ROUNDS: ROUNDS_IN_TESTS}


def _fit(family: Family, task: Task, *, train: Sample | None = None, valid: bool = True, **other: Any) -> Fitted:
    train = train or samples.sample(family.view, task, ROWS)
    held_out = samples.sample(family.view, task, ROWS // 2, seed=1) if valid else None
    return family.fit(train, held_out, _quick(family) | other, samples.context(family.view, task))


def _rows(family: Family) -> Floats:
    rng = np.random.default_rng(7)
    return np.concatenate([samples.matrix(family.view, 400, rng), samples.hard_rows(family.view)])


class FamilyContract:
    """What every family must do. Parametrise a subclass over ``family`` and ``task`` (see :func:`cases`)."""

    def assert_export_is_exact(self, family: Family, fitted: Fitted, X: Floats) -> None:
        if not family.exportable:
            assert not hasattr(fitted, "to_onnx")
            return
        python, exported = fitted.predict(X), run_onnx(fitted, X)
        assert python.dtype == exported.dtype == np.float64
        assert python.shape == exported.shape
        assert np.isfinite(python).all()
        self.assert_close(family, exported, python)

    def assert_close(self, family: Family, actual: Floats, expected: Floats) -> None:
        loose = family.single_precision
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(
            actual, expected, rtol=RTOL if loose else EXACT, atol=ATOL * scale if loose else EXACT
        )

    def test_facts_are_complete(self, family: Family, task: Task) -> None:
        assert family.name.isidentifier()
        assert family.title
        assert family.source
        assert task in family.tasks
        for name, dimension in family.space.items():
            assert name.isidentifier()
            if hasattr(dimension, "options"):
                assert dimension.default in dimension.options
            else:
                assert dimension.low <= dimension.default <= dimension.high

    def test_scores_have_the_agreed_shape_and_learn(self, family: Family, task: Task) -> None:
        fitted = _fit(family, task)
        assert isinstance(fitted, Fitted) or not family.exportable
        fresh = samples.sample(family.view, task, 400, seed=2)
        raw = fitted.predict(fresh.X)
        assert raw.shape == (400, samples.context(family.view, task).n_outputs)
        if task is Task.REGRESSION:
            assert np.mean((raw[:, 0] - fresh.y) ** 2) < 0.7 * np.var(fresh.y)
        else:
            middle = 0.5 if fitted.link == "identity" else 0.0
            guess = raw[:, 0] > middle if task is Task.BINARY else raw.argmax(axis=1)
            assert np.mean(guess == fresh.y) > np.bincount(fresh.y).max() / 400 + 0.03

    def test_same_seed_same_predictions(self, family: Family, task: Task) -> None:
        X = _rows(family)
        np.testing.assert_array_equal(_fit(family, task).predict(X), _fit(family, task).predict(X))

    def test_onnx_equals_predict(self, family: Family, task: Task) -> None:
        self.assert_export_is_exact(family, _fit(family, task), _rows(family))

    def test_onnx_equals_predict_all_over_the_space(self, family: Family, task: Task) -> None:
        rng = np.random.default_rng(3)
        for _ in range(4):
            params = draw(family.space, rng) | {ROUNDS: 12}
            self.assert_export_is_exact(family, _fit(family, task, **params), _rows(family))

    def test_a_row_alone_scores_as_in_a_batch(self, family: Family, task: Task) -> None:
        fitted, X = _fit(family, task), _rows(family)[::40]
        alone = np.concatenate([fitted.predict(row[None, :]) for row in X])
        self.assert_close(family, alone, fitted.predict(X))

    def test_rows_of_weight_zero_are_ignored(self, family: Family, task: Task) -> None:
        train = samples.sample(family.view, task, ROWS)
        other = samples.sample(family.view, task, 100, seed=5)
        noise = -other.y if task is Task.REGRESSION else samples.N_CLASSES[task] - 1 - other.y
        both = Sample(np.concatenate([train.X, other.X]), np.concatenate([train.y, noise]),
                      np.repeat([1.0, 0.0], [ROWS, 100]))
        clean = Sample(train.X, train.y, np.ones(ROWS))
        X = _rows(family)
        first, second = (_fit(family, task, train=train).predict(X) for train in (both, clean))
        np.testing.assert_allclose(first, second, rtol=1e-9, atol=1e-9)

    def test_weights_move_predictions_towards_heavy_rows(self, family: Family, task: Task) -> None:
        train = samples.sample(family.view, task, ROWS)
        heavy = train.y > (0.0 if task is Task.REGRESSION else samples.N_CLASSES[task] - 1.5)
        weight = np.where(heavy, 8.0, 1.0)
        light = _fit(family, task, train=train, valid=False)
        weighted = _fit(family, task, train=Sample(train.X, train.y, weight / weight.mean()), valid=False)
        X = samples.sample(family.view, task, 400, seed=2).X
        after, before = (apply_link(m.predict(X), m.link, task)[:, -1].mean() for m in (weighted, light))
        assert after > before  # of probabilities: a network's logits grow apart where it parts the classes better

    def test_validation_weights_are_taken(self, family: Family, task: Task) -> None:
        train = samples.sample(family.view, task, ROWS, weighted=True)
        valid = samples.sample(family.view, task, ROWS, seed=1, weighted=True)
        fitted = family.fit(train, valid, _quick(family), samples.context(family.view, task))
        assert np.isfinite(fitted.predict(_rows(family))).all()

    def test_a_past_deadline_ends_at_once(self, family: Family, task: Task) -> None:
        train = samples.sample(family.view, task, 3000)
        start = time.monotonic()
        late = samples.context(family.view, task, deadline=start - 1.0)
        try:
            fitted = family.fit(train, None, defaults(family.space) | {ROUNDS: 100_000}, late)
        except FitError:
            return
        assert getattr(fitted, "n_iterations", 1) < 1000

    def test_a_deadline_cuts_the_rounds(self, family: Family, task: Task) -> None:
        train = samples.sample(family.view, task, 2000)
        # learning so slowly that patience can't end it: only the deadline can
        params = defaults(family.space) | {ROUNDS: 1_000_000}
        soon = samples.context(family.view, task, deadline=time.monotonic() + 0.5)
        try:
            fitted = family.fit(train, None, params, soon)
        except FitError:
            return
        assert getattr(fitted, "n_iterations", 1) < 100_000
        assert np.isfinite(fitted.predict(train.X)).all()

    def test_no_validation_sample_is_needed(self, family: Family, task: Task) -> None:
        fitted = _fit(family, task, valid=False)
        assert np.isfinite(fitted.predict(_rows(family))).all()
        if hasattr(fitted, "n_iterations"):
            assert 1 <= fitted.n_iterations <= ROUNDS_IN_TESTS

    def test_pickles_and_holds_only_storable_values(self, family: Family, task: Task) -> None:
        fitted, X = _fit(family, task), _rows(family)
        before = fitted.predict(X)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(X), before)
        assert dataclasses.is_dataclass(fitted)
        for field in dataclasses.fields(fitted):
            assert is_storable(getattr(fitted, field.name)), field.name
        rebuilt = type(fitted)(**{f.name: copy.deepcopy(getattr(fitted, f.name)) for f in dataclasses.fields(fitted)})
        np.testing.assert_array_equal(rebuilt.predict(X), before)

    def test_quantiles_are_fitted(self, family: Family, task: Task) -> None:
        if not family.quantile or task is not Task.REGRESSION:
            return
        train, valid, fresh = (samples.sample(family.view, task, n, seed=k) for k, n in enumerate((1500, 750, 1500)))
        weighted = Sample(train.X, train.y, np.ones(len(train.y)))
        found = []
        for level in (0.1, 0.5, 0.9):
            context = dataclasses.replace(samples.context(family.view, task), quantile=level)
            fitted = family.fit(train, valid, defaults(family.space), context)
            self.assert_export_is_exact(family, fitted, _rows(family))
            raw = fitted.predict(fresh.X)
            if level == 0.5:
                again = family.fit(weighted, valid, defaults(family.space), context)
                assert np.abs(again.predict(fresh.X) - raw).mean() < 0.25
            assert abs(np.mean(fresh.y <= raw[:, 0]) - level) < 0.2  # boosting of 1,500 rows covers too little
            constant = np.full_like(raw, np.quantile(train.y, level))
            losses = [pinball_loss(p, fresh.y, None, level) for p in (raw, constant)]
            assert losses[0] < 0.6 * losses[1]
            found.append(raw[:, 0])
        low, _, high = found
        assert np.mean(low < high) > 0.97

    def test_odd_targets_are_stood(self, family: Family, task: Task) -> None:
        """All rows alike; a class of two rows; a class of none. A model that can't is to say so with FitError."""
        train = samples.sample(family.view, task, ROWS)
        last = samples.N_CLASSES[task] - 1
        odd = [np.zeros_like(train.y)]
        if task.is_classification:
            odd += [_with_last_class(train.y, last, rows=2), _with_last_class(train.y, last, rows=0)]
        for y in odd:
            try:
                fitted = _fit(family, task, train=Sample(train.X, y))
            except FitError:
                assert len(np.unique(y)) == 1
                continue
            self.assert_export_is_exact(family, fitted, _rows(family))

    def test_odd_matrices_are_stood(self, family: Family, task: Task) -> None:
        """Constant features alone (FitError will do); one feature; four rows."""
        train, context = samples.sample(family.view, task, ROWS), samples.context(family.view, task)
        for X, y in (
            (np.ones_like(train.X), train.y),
            (np.ascontiguousarray(train.X[:, :1]), train.y),
            (train.X[:4], train.y[:4] if task is Task.REGRESSION else np.arange(4) % samples.N_CLASSES[task]),
        ):
            narrow = context if X.shape[1] == train.X.shape[1] else _narrow(context)
            try:
                fitted = family.fit(Sample(X, y), None, _quick(family), narrow)
            except FitError:
                assert np.ptp(X, axis=0).max() == 0
                continue
            self.assert_export_is_exact(family, fitted, _rows(family)[:, : X.shape[1]].copy())

    def test_missing_values_first_met_in_serving(self, family: Family, task: Task) -> None:
        if not samples.allows_missing(family.view):
            return
        train = samples.sample(family.view, task, ROWS)
        whole = Sample(np.nan_to_num(train.X, nan=1.0), train.y)
        self.assert_export_is_exact(family, _fit(family, task, train=whole), _rows(family))


def _with_last_class(y: Any, last: int, rows: int) -> Any:
    y = np.where(y == last, 0, y)
    y[:rows] = last
    return y


def _narrow(context: FitContext) -> FitContext:
    return dataclasses.replace(context, columns=dataclasses.replace(
        context.columns, n_features=1, categorical=(), cardinality=()))


__all__ = ["FamilyContract", "cases", "is_storable", "onnx_bytes", "run_onnx"]
