"""A larger network where the default's was too small."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from tabwright import AutoMLRegressor
from tabwright.models import family
from tabwright.pipeline import Candidate
from tabwright.search.state import Entry
from tabwright.search.wider import FAMILY, ORIGIN, SIZES, Wider
from tabwright.space import defaults


@dataclasses.dataclass
class Found:
    """What is read of a search's state."""

    entries: dict


def state(*iterations, status="ok", name=FAMILY):
    params = defaults(family(name).space)
    return Found({f"{name}_1": Entry(Candidate(f"{name}_1", name, params), iterations=list(iterations), status=status)})


def always(_family, _longer):
    return True


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (state(40, 39, 38), SIZES[0][:2]),
        (state(12, 20, 9), None),
        (state(40, 40, status="pruned"), None),
        (state(400, name="lightgbm"), None),
    ],
)
def test_only_what_was_still_getting_better_is_made_larger(found, expected):
    wider = Wider(["mlp", "lightgbm"])
    idea = wider.idea(found, always)
    assert (None if idea is None else (idea.params["width"], idea.params["depth"])) == expected
    assert wider.idea(found, always) is None  # once


def test_it_is_as_large_as_there_is_time_for():
    smaller = Wider(["mlp"]).idea(state(40), lambda _, longer: longer < SIZES[0][2])
    assert (smaller.params["width"], smaller.params["depth"]) == SIZES[1][:2]
    assert Wider(["mlp"]).idea(state(40), lambda *_: False) is None
    assert Wider(["lightgbm"]).idea(state(40), always) is None


def test_a_default_under_way_is_waited_for_where_runs_must_be_repeatable():
    wider, running = Wider(["mlp"]), state(40, status="running")
    assert wider.is_pending(running)
    assert wider.idea(running, always) is None and not wider.decided
    assert not wider.is_pending(state(40))


def test_a_run_tries_it_once():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.uniform(-1, 1, (1500, 3)), columns=list("abc"))
    y = np.sin(9 * X["a"]) * np.cos(9 * X["b"]) + np.sin(7 * X["c"])
    made = AutoMLRegressor(include_families=["mlp"], max_runtime_secs=None, max_models=3, nfolds=2, progress=False)
    entries = made.fit(X, y)._finished.state.entries.values()
    wide = [e for e in entries if e.candidate.origin == ORIGIN]
    assert len(wide) == 1 and wide[0].status == "ok"
    assert wide[0].score < next(e.score for e in entries if e.candidate.origin == "default")
