import numpy as np
import pytest

from tabwright.ensemble.greedy import select
from tabwright.ensemble.honest import selection_bias
from tabwright.metrics import METRICS, find_metric, full_proba, score
from tabwright.metrics.rmse import RMSE
from tabwright.metrics.roc_auc import ROC_AUC
from tabwright.testing.metrics import sample
from tabwright.types import Task


def regressors(n=4, rows=500):
    rng = np.random.default_rng(0)
    y = rng.normal(size=rows)
    return y, [(y + rng.normal(size=rows) * 0.5)[:, None] for _ in range(n)]


def test_independent_errors_are_averaged():
    y, predictions = regressors()
    weights = select(predictions, y, find_metric("rmse", Task.REGRESSION))
    assert weights.sum() == pytest.approx(1) and (weights > 0.1).all()


def test_the_ensemble_is_never_worse_than_its_best_member():
    for metric in METRICS:
        for task in metric.tasks:
            y, _, random = sample(task)
            models = [random, sample(task, seed=1)[2], 0.5 * random + 0.5 * sample(task, seed=2)[2]]
            weights = select(models, y, metric)
            blend = sum(w * m for w, m in zip(weights, models, strict=True))
            best = min(-score(metric, y, m) if metric.greater_is_better else score(metric, y, m) for m in models)
            got = -score(metric, y, blend) if metric.greater_is_better else score(metric, y, blend)
            assert got <= best + 1e-12


def test_a_copy_adds_nothing_and_a_bad_model_is_left_out():
    y, (good, *_) = regressors()
    weights = select([good, good.copy(), good + 5.0], y, find_metric("rmse", Task.REGRESSION))
    assert weights[2] == 0 and (weights > 0).sum() == 1


def test_large_tables_are_sampled_and_give_the_same_again():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60_000)
    models = [np.clip(y[:, None] * 0.3 + rng.random((60_000, 1)) * 0.7, 0, 1) for _ in range(3)]
    metric = find_metric("roc_auc", Task.BINARY)
    np.testing.assert_array_equal(select(models, y, metric), select(models, y, metric))


def test_the_bias_of_choosing_is_seen_where_there_is_nothing_to_choose():
    rng = np.random.default_rng(0)
    shown, corrected = [], []
    for _ in range(5):
        y = rng.integers(0, 2, 150)
        noise = [rng.random((150, 1)) for _ in range(8)]
        weights = select(noise, y, ROC_AUC)
        score = ROC_AUC.score(y, full_proba(np.sum([w * p for w, p in zip(weights, noise, strict=True)], axis=0)), None)
        shown.append(score)
        corrected.append(score - selection_bias(noise, weights, y, ROC_AUC, ROC_AUC))
    assert np.mean(shown) > 0.55
    assert abs(np.mean(corrected) - 0.5) < 0.5 * abs(np.mean(shown) - 0.5)


def test_where_one_model_is_clearly_best_choosing_it_has_flattered_nothing():
    rng = np.random.default_rng(0)
    y = rng.normal(size=1000)
    predictions = [(y + s * rng.normal(size=1000))[:, None] for s in (0.1, 2.0, 3.0)]
    assert selection_bias(predictions, np.array([1.0, 0.0, 0.0]), y, RMSE, RMSE) < 1e-3


def test_ranks_alone_do_not_choose():
    """A model whose probabilities say next to nothing may rank a few rows well: it is left out."""
    rng = np.random.default_rng(0)
    y = (rng.random(3000) < 0.02).astype(np.int64)
    score_ = 3.0 * y - 4.0
    good = [1 / (1 + np.exp(-(score_ + rng.normal(size=3000))))[:, None] for _ in range(2)]
    flat = 0.02 + 1e-3 * (y + 0.6 * rng.normal(size=3000))[:, None]
    alone = select([*good, flat], y, ROC_AUC)
    assert alone[2] == 0 and alone[:2].min() > 0.2
    assert select([flat], y, ROC_AUC).tolist() == [1.0]
    unequal = select([good[0], np.clip(good[0] + 0.05 * rng.normal(size=(3000, 1)), 0, 1)], y, ROC_AUC)
    assert unequal[0] > 0.5
