"""Rows drawn to judge by: rare classes whole, the rest at random, and weights that keep means what they are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tabwright.calibration import calibrate
from tabwright.ensemble import greedy
from tabwright.metrics import best_threshold, find_metric, score
from tabwright.subsample import subsample
from tabwright.types import Task


@given(st.lists(st.integers(1, 400), min_size=2, max_size=6), st.integers(8, 600), st.booleans(), st.integers(0, 9))
def test_rare_classes_are_kept_whole_and_means_stay(counts, most, weighted, seed):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    given_weight = rng.uniform(0.5, 2.0, len(y)) if weighted else None
    rows, weight = subsample(y, most, given_weight, seed)
    assert len(rows) == min(most, len(y)) and (np.diff(rows) > 0).all()
    own = np.ones(len(rows)) if weight is None else weight / (1.0 if given_weight is None else given_weight[rows])
    drawn = np.bincount(y[rows], minlength=len(counts))
    rare = [k for k, n in enumerate(counts) if 2 * n * len(counts) <= most]
    assert all(drawn[k] == counts[k] for k in rare)
    if len(y) > most and rare:
        assert np.isclose(own.sum(), len(y))
        assert all(np.allclose(own[y[rows] == k], 1.0) for k in rare)
    values = rng.normal(size=len(y))
    assert (subsample(values, most)[1] is None) and len(subsample(values, most)[0]) == min(most, len(y))


def rare_events(n=60_000, positives=60, seed=0):
    """Labels and well-ranked probabilities, all far below a half."""
    rng = np.random.default_rng(seed)
    y = np.zeros(n, np.int64)
    y[:positives] = 1
    p = np.where(y == 1, rng.uniform(0.05, 0.3, n), rng.uniform(0.0, 0.06, n))
    return y, p[:, None]


def test_the_threshold_of_a_rare_class_may_name_only_a_few_rows():
    y, p = rare_events()
    metric = find_metric("f1", Task.BINARY)
    assert score(metric, y, p, None, best_threshold(metric, y, p)) > 0.9


def test_an_ensemble_is_chosen_by_all_rows_of_a_rare_class():
    y, good = rare_events(200_000, 40)
    rng = np.random.default_rng(1)
    bad = np.where(y == 1, rng.permutation(good[:, 0]), good[:, 0])[:, None]  # right but for the rare class
    weights = greedy.select([bad, good], y, find_metric("log_loss", Task.BINARY))
    assert weights[1] > 0.9


def test_probabilities_of_a_class_that_is_hardly_seen_are_not_calibrated():
    y = np.zeros(30_000, np.int64)
    y[:5] = 1
    assert calibrate(y, np.full((30_000, 1), 0.01)) is None
