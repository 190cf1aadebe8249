"""Which columns of a matrix tell more of the target than shuffled copies of columns do."""

from __future__ import annotations

import numpy as np

from tabwright.features.base import TargetInfo
from tabwright.types import Floats, Ints, Task

MAX_ROWS, LEAST_ROWS = 20_000, 500
MAX_WORK = 4e9  # rows x columns x trees: some ten seconds of one core
PROBES, LEAST_PROBES = 0.2, 5  # shuffled copies: of so many of the columns, and no fewer
ROUNDS, ROUNDS_OF_CLASSES = 60, 30
_OBJECTIVES = {Task.REGRESSION: "regression", Task.BINARY: "binary", Task.MULTICLASS: "multiclass"}


def telling(X: Floats, target: TargetInfo) -> Ints:
    """Positions of the columns from which small boosted trees gain more than from any of the probes.

    All where there is none, and where columns and classes are so many that too few rows could be looked at.

    Parameters
    ----------
    X : float32, shape (n_rows, n_features)
    target : TargetInfo
        Of the same rows.

    References
    ----------
    Noise probes: Stoppiglia et al. 2003, doi:10.1162/153244303322753733; with forests: Kursa & Rudnicki 2010,
    doi:10.18637/jss.v036.i11.
    """
    import lightgbm

    rng = np.random.default_rng(target.seed)
    several = target.task is Task.MULTICLASS
    rounds = ROUNDS_OF_CLASSES if several else ROUNDS
    n_features = X.shape[1]
    most = min(MAX_ROWS, int(MAX_WORK / (n_features * rounds * target.n_columns)))
    if most < min(len(X), LEAST_ROWS):
        return np.arange(n_features)
    rows = np.arange(len(X)) if len(X) <= most else np.sort(rng.choice(len(X), most, replace=False))
    X, y = X[rows], target.y[rows]
    n_probes = min(n_features, max(LEAST_PROBES, int(PROBES * n_features)))
    probes = X[:, rng.choice(n_features, n_probes, replace=False)]
    shuffled = np.stack([column[rng.permutation(len(column))] for column in probes.T], axis=1)
    settings = {
        "objective": _OBJECTIVES[target.task], "num_leaves": 15, "learning_rate": 0.1, "feature_fraction": 0.5,
        "min_data_in_leaf": 5 if len(X) < 2000 else 20, "seed": target.seed, "deterministic": True,
        "force_row_wise": True, "num_threads": 1, "verbosity": -1,
    }  # fmt: skip
    if several:
        settings["num_class"] = target.n_classes
    weight = None if target.weight is None else target.weight[rows]
    data = lightgbm.Dataset(np.concatenate([X, shuffled], axis=1), y, weight=weight)
    gain = lightgbm.train(settings, data, rounds).feature_importance("gain")
    kept = np.flatnonzero(gain[:n_features] > gain[n_features:].max())
    return kept if len(kept) else np.arange(n_features)
