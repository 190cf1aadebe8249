"""Smaller models of what a run has found."""

from hypothesis import given
from hypothesis import strategies as st

from tabwright.models import family
from tabwright.models.fitting import ROUNDS
from tabwright.search.derived import FEWEST_ROUNDS, MAX_RATE, NARROWEST, _narrower, _shorter
from tabwright.space import defaults

shares = st.floats(1e-4, 20.0)


@given(share=shares, rounds=st.floats(1.0, 4000.0), name=st.sampled_from(["lightgbm", "xgboost", "catboost"]))
def test_boosting_takes_at_most_its_share_of_rounds_and_learns_faster(share, rounds, name):
    params = defaults(family(name).space)
    made = _shorter(dict(params), share, rounds)
    assert made[ROUNDS] <= (max(FEWEST_ROUNDS, rounds * share) if share < 1 else rounds)
    assert params["learning_rate"] <= made["learning_rate"] <= max(MAX_RATE, params["learning_rate"])
    smaller = [k for k in ("num_leaves", "max_depth", "depth") if k in params and made[k] < params[k]]
    assert bool(smaller) == (share < 1 and int(rounds * share) < FEWEST_ROUNDS)


@given(share=shares, width=st.integers(NARROWEST, 512))
def test_a_network_has_at_most_its_share_of_products(share, width):
    made = _narrower({"width": width, "depth": 2}, share)["width"]
    assert NARROWEST <= made <= width
    assert made in (NARROWEST, width) or made**2 <= share * width**2
