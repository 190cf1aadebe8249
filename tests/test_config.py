"""The options of a run and the roles of columns: what is taken, how it is kept, and what is refused."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from tabwright import AutoMLRegressor
from tabwright.config import Config, check_path
from tabwright.errors import OptionError
from tabwright.inputs import Given, Roles
from tabwright.quantiles import QuantileRegressor

TAKEN = [
    ({"seed": np.int64(3)}, 3),
    ({"max_models": np.int32(2)}, 2),
    ({"max_models": 2.0}, 2),
    ({"nfolds": np.int64(4)}, 4),
    ({"n_jobs": np.array(2)}, 2),
    ({"max_memory_mib": np.int64(900)}, 900),
    ({"max_runtime_secs": np.float32(1.5)}, 1.5),
    ({"balance_classes": np.bool_(True)}, True),
    ({"warm_start": np.bool_(False)}, False),
    ({"sort_metric": np.str_("mae")}, "mae"),
    ({"include_families": np.array(["linear", "knn"])}, ["linear", "knn"]),
    ({"include_families": {"linear", "knn"}}, ["knn", "linear"]),
    ({"include_families": pd.Index(["linear"])}, ["linear"]),
    ({"exclude_families": ("linear", np.str_("knn"))}, ["linear", "knn"]),
    ({"exclude_families": {"knn": 1}.keys()}, ["knn"]),
    ({"objectives": np.array(["score", "size_mib"])}, ["score", "size_mib"]),
    ({"objectives": pd.Index(["score", "size_mib"])}, ["score", "size_mib"]),
    ({"constraints": {"size_mib": np.int64(5)}}, {"size_mib": 5.0}),
    ({"monotone_constraints": {"a": np.int64(-1), 0: 1.0, np.int64(1): 0}}, {"a": -1, "0": 1, "1": 0}),
    ({"kinds": {0: "categorical", ("a", 1): "text"}}, {"0": "categorical", "a_1": "text"}),
]


@pytest.mark.parametrize(("given", "kept"), TAKEN)
def test_options_are_kept_as_plain_values(given, kept):
    stored = Config(**given).to_dict()
    (name,) = given
    assert stored[name] == kept and type(stored[name]) is type(kept)
    assert Config.from_dict(json.loads(json.dumps(stored))).to_dict() == stored


REFUSED = [
    ({"include_families": [3]}, "include_families has 3. Fix: give names, as text"),
    ({"transformers": [3]}, "transformers has 3"),
    ({"include_families": {"linear": 1}}, "give a list of names"),
    ({"include_families": iter(["linear"])}, "give a list of names"),
    ({"exclude_families": 3}, "give a list of names"),
    ({"max_models": 2.5}, "max_models is 2.5. Fix: give a whole number above 0"),
    ({"max_models": float("inf")}, "give a whole number above 0"),
    ({"max_models": 0}, "max_models is 0"),
    ({"n_jobs": np.int64(0)}, "n_jobs is 0. Fix: give a number of cores, -1 for all, -2 for all but one"),
    ({"balance_classes": "no"}, "balance_classes is 'no'. Fix: give True or False"),
    ({"kinds": ["a"]}, "kinds is no mapping. Fix: give one such as {'column': 'numeric'}"),
    ({"monotone_constraints": ["a"]}, "Fix: give one such as {'column': 1}"),
    ({"monotone_constraints": {"a": 2}}, "has 2 for column 'a'"),
    ({"objectives": ("score", "size_mib", "size_mib")}, "objectives holds 'size_mib' twice. Fix: name each once"),
    ({"objectives": ["score", ["size_mib"]]}, "holds ['size_mib'], which is no cost that is measured"),
]


@pytest.mark.parametrize(("given", "answer"), REFUSED)
def test_other_values_are_refused_in_one_sentence(given, answer):
    with pytest.raises(OptionError) as caught:
        Config(**given)
    assert answer in str(caught.value)


def test_negative_numbers_of_cores_count_from_all():
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert Config(n_jobs=-1).cores == available
    assert Config(n_jobs=-2).cores == max(1, available - 1)
    assert Config(n_jobs=-1000).cores == 1


@pytest.mark.parametrize("given", ["", None, 3, ["a"]])
def test_what_is_no_path(given):
    with pytest.raises(OptionError, match=r"Option path is .* Fix: give a path"):
        check_path("path", given)


def test_estimators_keep_what_they_were_given():
    families, seed = np.array(["linear"]), np.int64(3)
    made = AutoMLRegressor(include_families=families, seed=seed)
    made._config(None)
    assert made.include_families is families and made.seed is seed
    assert clone(made).get_params()["seed"] is seed


CARELESS = [
    (lambda: AutoMLRegressor(progress="foo").fit([[1]], [1]), "progress is 'foo'. Fix: give True, False or 'auto'"),
    (lambda: AutoMLRegressor(progress=1).fit([[1]], [1]), "progress is 1"),
    (lambda: AutoMLRegressor(export_checkpoints_dir=3).fit([[1]], [1]), "export_checkpoints_dir is 3"),
    (lambda: AutoMLRegressor(export_checkpoints_dir="").fit([[1]], [1]), "export_checkpoints_dir is ''"),
    (lambda: AutoMLRegressor().fit([[1]], [1], kinds=["a"]), "kinds is no mapping"),
    (lambda: AutoMLRegressor().export(None), "path is None. Fix: give a path"),
    (lambda: AutoMLRegressor.open(None), "run is None"),
    (lambda: AutoMLRegressor.resume(3), "run is 3"),
    (lambda: AutoMLRegressor.resume("run", progress="foo"), "progress is 'foo'"),
    (lambda: QuantileRegressor.open(None), "folder is None"),
    (lambda: QuantileRegressor().export(None), "path is None"),
    (lambda: QuantileRegressor(AutoMLRegressor(export_checkpoints_dir="")).fit([[1]], [1]), "export_checkpoints_dir"),
]


@pytest.mark.parametrize(("call", "answer"), CARELESS, ids=range(len(CARELESS)))
def test_careless_calls_get_one_sentence(call, answer):
    with pytest.raises(OptionError) as caught:
        call()
    assert answer in str(caught.value) and "Fix:" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "name"), [("t", "t"), (1, "1"), (np.int64(1), "1"), (1.5, "1.5"), (("a", 1), "a_1"), (None, None)]
)
def test_columns_are_named_as_tables_name_them(given, name):
    for roles in (Roles(target=given), Roles("y", weights=given), Roles("y", group=given), Roles("y", time=given)):
        assert name in (roles.target, roles.weights, roles.group, roles.time)


@pytest.mark.parametrize(
    "given", [["t"], {"t"}, {"t": 1}, np.array(["t"]), pd.Index(["t"]), pd.Series(["t"])], ids=range(6)
)
@pytest.mark.parametrize("role", ["target", "weights", "group", "time"])
def test_one_column_for_each_role(role, given):
    with pytest.raises(OptionError, match="give the name of one column"):
        Roles(**{role: given})


def test_roles_exclude_each_other():
    for role, option in (("weights", "weights_column"), ("group", "group_column"), ("time", "time_column")):
        with pytest.raises(OptionError, match=f"{option} is '1', which is the target"):
            Roles("1", **{role: 1})
    with pytest.raises(OptionError, match="sample_weight is given, and weights_column too"):
        Given([[1]], [1], Roles(weights="w"), sample_weight=[1])
    with pytest.raises(OptionError, match="target is 'a', and y names 't'"):
        Given([[1]], "t", Roles("a"))


def test_y_may_be_the_targets_name():
    given = Given([[1]], "t", Roles(group="g"))
    assert (given.y, given.roles, given.named) == (None, Roles("t", group="g"), True)
