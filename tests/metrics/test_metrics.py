import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from tabwright.errors import OptionError
from tabwright.metrics import METRICS, find_metric, score
from tabwright.testing.metrics import MetricContract, sample
from tabwright.types import Task


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
class TestMetrics(MetricContract):
    pass


REFERENCE = {
    ("rmse", Task.REGRESSION): lambda y, p, w: reference.root_mean_squared_error(y, p[:, 0], sample_weight=w),
    ("mae", Task.REGRESSION): lambda y, p, w: reference.mean_absolute_error(y, p[:, 0], sample_weight=w),
    ("r2", Task.REGRESSION): lambda y, p, w: reference.r2_score(y, p[:, 0], sample_weight=w),
    ("rmsle", Task.REGRESSION): lambda y, p, w: reference.root_mean_squared_log_error(y, p[:, 0], sample_weight=w),
    ("roc_auc", Task.BINARY): lambda y, p, w: reference.roc_auc_score(y, p[:, 0], sample_weight=w),
    ("average_precision", Task.BINARY): lambda y, p, w: reference.average_precision_score(y, p[:, 0], sample_weight=w),
    ("log_loss", Task.BINARY): lambda y, p, w: reference.log_loss(y, p[:, 0], sample_weight=w),
    ("log_loss", Task.MULTICLASS): lambda y, p, w: reference.log_loss(y, p, sample_weight=w),
    ("brier", Task.BINARY): lambda y, p, w: reference.brier_score_loss(y, p[:, 0], sample_weight=w),
    ("accuracy", Task.MULTICLASS): lambda y, p, w: reference.accuracy_score(y, p.argmax(1), sample_weight=w),
    ("balanced_accuracy", Task.MULTICLASS): lambda y, p, w: reference.balanced_accuracy_score(
        y, p.argmax(1), sample_weight=w
    ),
    ("f1", Task.BINARY): lambda y, p, w: reference.f1_score(y, p[:, 0] >= 0.5, sample_weight=w),
    ("f1", Task.MULTICLASS): lambda y, p, w: reference.f1_score(y, p.argmax(1), average="macro", sample_weight=w),
}


@pytest.mark.parametrize(("name", "task"), REFERENCE, ids=str)
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), rows=st.integers(20, 120), weighted=st.booleans(), coarse=st.booleans())
def test_equals_scikit_learn(name, task, seed, rows, weighted, coarse):
    y, _, prediction = sample(task, rows, seed)
    if coarse and task is not Task.MULTICLASS:
        prediction = np.round(prediction, 1)  # ties
    weight = np.random.default_rng(seed).random(rows) + 0.1 if weighted else None
    expected = REFERENCE[name, task](
        y, np.clip(prediction, 2.0**-24, None) if name == "log_loss" else prediction, weight
    )
    if name == "log_loss" and coarse:
        return  # scikit-learn clips at another bound where a probability is 0
    np.testing.assert_allclose(score(find_metric(name, task), y, prediction, weight), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("task", "y", "labels", "expected"), [
    (Task.BINARY, [0, 0, 0], [0, 0, 0], 0.0),  # no row of the class that it is about
    (Task.BINARY, [0, 0, 1], [0, 1, 1], 2 / 3),
    (Task.MULTICLASS, [0, 0, 1], [0, 1, 1], 2 / 3),  # the third class is not among these rows
    (Task.MULTICLASS, [0, 0, 2], [0, 0, 2], 1.0),
    (Task.MULTICLASS, [0, 1, 1], [0, 0, 0], 0.25),
])  # fmt: skip
def test_f1_of_rows_that_lack_classes(task, y, labels, expected):
    found = find_metric("f1", task).score(np.array(y), np.array(labels, float), None)
    assert found == pytest.approx(expected)


def test_defaults_aliases_and_errors():
    assert find_metric("auto", Task.BINARY).name == "roc_auc"
    assert find_metric("AUC", Task.BINARY).name == "roc_auc"
    assert find_metric("RMSE", Task.REGRESSION).name == "rmse"
    with pytest.raises(OptionError, match="does not score regression"):
        find_metric("auc", Task.REGRESSION)
    with pytest.raises(OptionError, match="take one of roc_auc"):
        find_metric("nonsense", Task.BINARY)
