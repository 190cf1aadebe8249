"""From measured configurations to an ordered portfolio, and what it is worth on tables that it was not made of."""

from __future__ import annotations

import functools
import json
import multiprocessing
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tabwright.meta.experience import Experience, Result
from tabwright.meta.portfolio import Entry, Portfolio
from tabwright.pipeline import FEATURES, FULL
from tabwright.search.portfolio import LATE, MANY_CLASSES, families_for
from tabwright.types import Floats, Params, Task

REFERENCE = "lightgbm_0"
ENTRIES, ROUNDS = 16, 20  # of a portfolio; of an ensemble's greedy choice
FEW, OTHER_KINDS = 4, 0.3  # tables of a kind, with fewer of which those of other kinds count so much
SHARES = (0.1, 0.2, 0.35, 0.5, 1.0)
OVERHEAD = 0.3  # of the reference's cost, that any candidate has beside its fits
BUDGETS = (5, 10, 20, 40)  # in units of the reference's cost
WARM_AFTER = 5  # candidates that are tried before those of the experience store, where it goes early

# What was tried before there were measurements: depth, randomness and regularisation away from the defaults, in ranges
# of published portfolios (Salinas & Erickson 2024, arXiv:2311.02971; Holzmüller et al. 2024, arXiv:2407.04491).
BY_HAND: tuple[tuple[str, Params], ...] = (
    (
        "xgboost",
        {"max_depth": 5, "learning_rate": 0.05, "colsample_bynode": 0.5, "subsample": 0.7, "min_child_weight": 8.0},
    ),
    (
        "lightgbm",
        {"num_leaves": 16, "learning_rate": 0.04, "feature_fraction": 0.5, "lambda_l2": 10.0, "min_data_in_leaf": 60},
    ),
    ("catboost", {"depth": 8, "learning_rate": 0.06, "l2_leaf_reg": 5.0, "random_strength": 1.0, "rsm": 0.7}),
    ("lightgbm", {"extra_trees": True, "num_leaves": 128, "feature_fraction": 0.7, "min_data_in_leaf": 5}),
    ("mlp", {"width": 256, "depth": 3, "dropout": 0.25, "learning_rate": 1e-3}),
    (
        "xgboost",
        {"max_depth": 9, "learning_rate": 0.04, "colsample_bynode": 0.6, "subsample": 0.8, "min_child_weight": 1.0},
    ),
    ("catboost", {"depth": 5, "learning_rate": 0.08, "l2_leaf_reg": 10.0}),
    ("mlp", {"width": 384, "depth": 2, "dropout": 0.1, "learning_rate": 3e-3, "epochs": 30}),
)

Before = Callable[["Measured"], list[str]]


@dataclass(frozen=True)
class Tried:
    """One configuration on one task."""

    family: str
    params: dict[str, Any]
    oof: Floats
    test: Floats
    cpu_s: float


@dataclass(frozen=True, eq=False)
class Measured:
    """One task of the experiment."""

    name: str
    table: str
    kind: str
    y: Floats
    y_test: Floats
    facts: dict[str, float]
    tried: dict[str, Tried]

    def losses(self, predictions: Floats) -> Floats:
        """Of out-of-fold predictions, (n, n_rows): (n,)."""
        if self.kind == "regression":
            return np.sqrt(np.mean((predictions - self.y) ** 2, axis=1))
        return -np.log(np.clip(predictions, 1e-4, 1.0)).mean(axis=1)

    def loss(self, prediction: Floats, *, test: bool) -> float:
        """RMSE in units of the target's deviation, or log loss; the prediction as :func:`portfolio.told` keeps it."""
        if self.kind == "regression":
            return float(np.sqrt(np.mean((prediction - (self.y_test if test else self.y)) ** 2)))
        return float(-np.log(np.clip(prediction, 1e-4, 1.0)).mean())

    @property
    def trivial(self) -> float:
        if self.kind == "regression":
            return float(np.sqrt(np.mean((self.y_test - self.y.mean()) ** 2)))
        shares = np.bincount(self.y.astype(int)) / len(self.y)
        return float(-np.log(np.clip(shares[self.y_test.astype(int)], 1e-4, 1.0)).mean())

    @property
    def constant(self) -> float:
        """Loss of the constant prediction on the rows that it is made of."""
        if self.kind == "regression":
            return float(np.std(self.y))
        shares = np.bincount(self.y.astype(int)) / len(self.y)
        return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())

    def cost(self, name: str) -> float:
        """CPU seconds relative to the reference's."""
        return OVERHEAD + self.tried[name].cpu_s / self.tried[REFERENCE].cpu_s


def read(folder: Path) -> list[Measured]:
    """Tasks of an experiment."""
    out = []
    for (name, table, kind), rows in pd.read_parquet(folder).groupby(["task", "table", "learning"], sort=True):
        target = rows[rows.kind == "target"].iloc[0]
        tried = {
            r.facts: Tried(r.family, json.loads(r.config), _halves(r.oof), _halves(r.test), max(r.cpu_s, 1e-3))
            for r in rows[rows.kind == "result"].itertuples()
        }
        y, y_test = (np.frombuffer(target[c], np.float32).astype(float) for c in ("oof", "test"))
        if REFERENCE in tried:
            out.append(Measured(name, table, kind, y, y_test, json.loads(target.facts), tried))
    return out


def _halves(data: bytes) -> Floats:
    return np.frombuffer(data, np.float16).astype(np.float64)


@functools.cache
def ensemble_loss(task: Measured, names: tuple[str, ...]) -> float:
    """Test loss of a greedily chosen mean of candidates; see :mod:`tabwright.ensemble.greedy`."""
    oof = np.array([task.tried[n].oof for n in names])
    losses = task.losses(oof)
    best = int(np.argmin(losses))
    counts = np.zeros(len(names))
    counts[best] = 1
    total, lowest, kept = oof[best].copy(), losses[best], counts.copy()
    for size in range(2, ROUNDS + 2):
        trial = task.losses((total + oof) / size)
        pick = int(np.argmin(trial))
        counts[pick] += 1
        total += oof[pick]
        if trial[pick] < lowest:
            lowest, kept = trial[pick], counts.copy()
    test = np.array([task.tried[n].test for n in names])
    return task.loss(kept @ test / kept.sum(), test=True)


def reachable(task: Measured) -> float:
    """Test loss of the ensemble of everything that was tried: what a gain is measured by."""
    return ensemble_loss(task, tuple(sorted(task.tried)))


def leading(task: Measured) -> list[str]:
    """What every run begins with: LightGBM's default, with many classes that of every family."""
    return defaults_first(task) if _classes(task) >= MANY_CLASSES else [REFERENCE]


def defaults_first(task: Measured) -> list[str]:
    """The families' defaults in their usual order, interactions third, the forests' and neighbours' aside."""
    categorical = 1.0 - sum(task.facts[f"share_{kind}"] for kind in ("numeric", "text", "dates"))
    names = [f.name for f in families_for(Task(task.kind), None, None, _classes(task), None, categorical)]
    out = [f"{name}_0" for name in names if name not in LATE]
    default = task.tried[REFERENCE]
    full = default.params | {FEATURES: FULL}
    out.insert(out.index(REFERENCE) + 2, next((n for n, t in task.tried.items() if t.params == full), REFERENCE))
    return [n for n in dict.fromkeys(out) if n in task.tried]


def _classes(task: Measured) -> int:
    return round(10 ** task.facts["log_classes"])


def chosen(tasks: Sequence[Measured], kind: str, before: Before = leading) -> list[tuple[str, Entry]]:
    """Entries in order: each adds most, per cost, to the mean of what the ensembles gain on all tables.

    They come after those that ``before`` names for a task. Where there are few tables of the kind, others count, too.

    References
    ----------
    Feurer et al. 2022, jmlr.org/papers/v23/21-0992 (greedy portfolios); Nemhauser, Wolsey and Fisher 1978,
    doi:10.1007/BF01588971 (submodular choice).
    """
    if len({t.table for t in tasks if t.kind == kind}) >= FEW:
        tasks = [t for t in tasks if t.kind == kind]
    per_table = pd.Series([t.table for t in tasks]).value_counts()
    weight = np.array([(1.0 if t.kind == kind else OTHER_KINDS) / per_table[t.table] for t in tasks])
    scale = np.array([max(1e-9, t.trivial - reachable(t)) for t in tasks])
    now: list[Floats | None] = [None] * len(tasks)
    now_test: list[Floats] = [np.zeros(0)] * len(tasks)
    for i, t in enumerate(tasks):
        for name in before(t):
            _, now[i], now_test[i] = _added(t, now[i], now_test[i], name)
    out: list[tuple[str, Entry]] = []
    names = sorted({n for t in tasks for n in t.tried} - {n for t in tasks for n in before(t)})
    names = [n for n in names if sum(n in t.tried for t in tasks) >= 0.6 * len(tasks)]
    while len(out) < ENTRIES and names:
        scored = {}
        for name in names:
            found = [_added(t, now[i], now_test[i], name) for i, t in enumerate(tasks)]
            gains = np.array([g for g, _, _ in found]) / scale
            cost = float(np.mean([t.cost(name) for t in tasks if name in t.tried]))
            scored[name] = (float((weight * gains).sum() / weight.sum()) / cost, gains, cost, found)
        best = max(names, key=lambda k: scored[k][0])
        worth, gains, cost, found = scored[best]
        if worth <= 0.0:
            break
        for i, (_, oof, test) in enumerate(found):
            now[i], now_test[i] = oof, test
        first = next(t.tried[best] for t in tasks if best in t.tried)
        by_task = {t.name: round(float(g * w), 5) for t, g, w in zip(tasks, gains, weight, strict=True)}
        out.append((best, Entry(first.family, _plain(first.params), round(cost, 2), by_task)))
        names.remove(best)
    return out


def _added(task: Measured, now: Floats | None, test: Floats, name: str) -> tuple[float, Floats | None, Floats]:
    """What a configuration adds to an ensemble: gain in test loss, and the ensemble's predictions with it."""
    if name not in task.tried:
        return 0.0, now, test
    new = task.tried[name]
    if now is None:
        return task.trivial - task.loss(new.test, test=True), new.oof, new.test
    before = task.loss(now, test=False)
    trial = task.losses(now + np.outer(SHARES, new.oof - now))
    after, share = min(zip(trial.tolist(), SHARES, strict=True))
    if after >= before:
        return 0.0, now, test
    blend, blend_test = now + share * (new.oof - now), test + share * (new.test - test)
    return task.loss(test, test=True) - task.loss(blend_test, test=True), blend, blend_test


def within(task: Measured, order: Sequence[str], budget: float) -> float:
    """Share of the reachable gain that is lacking when candidates are tried in this order for so long."""
    done, spent = [], 0.0
    for name in order:
        if name not in task.tried:
            continue
        spent += task.cost(name)
        if done and spent > budget:
            break
        done.append(name)
    best = reachable(task)
    return (ensemble_loss(task, tuple(sorted(done))) - best) / max(1e-9, task.trivial - best)


def by_hand(task: Measured) -> list[str]:
    """Defaults, hand-made variants, the late families' defaults after the third."""
    named = []
    for name, changes in BY_HAND:
        default = task.tried.get(f"{name}_0")
        params = {k: changes.get(k, v) for k, v in default.params.items()} if default else {}
        named += [n for n, t in task.tried.items() if _plain(t.params) == _plain(params)]
    return [*defaults_first(task), *named[:3], *(f"{n}_0" for n in LATE), *named[3:]]


def portfolio_of(tasks: Sequence[Measured], kind: str) -> Portfolio:
    """What is made of some tasks for one kind, as it is shipped."""
    facts = {t.name: {k: round(v, 4) for k, v in t.facts.items()} for t in tasks}
    return Portfolio([e for _, e in chosen(tasks, kind)], facts)


def fill(store: str, tasks: Sequence[Measured]) -> None:
    """An experience store that has seen these tasks."""
    experience = Experience(store)
    for task in tasks:
        ranked = sorted((task.loss(t.oof, test=False), name) for name, t in task.tried.items())[:20]
        known = [(loss, task.tried[name]) for loss, name in ranked]
        span = task.constant - ranked[0][0]
        experience.add(Task(task.kind), "", task.facts, [
            Result(t.family, _plain(t.params), (task.constant - loss) / span, t.cpu_s, 0.0) for loss, t in known
        ])  # fmt: skip
    experience.close()


def remembered(task: Measured, others: Sequence[Measured], order: list[str], after: int) -> list[str]:
    """The order with what an experience store suggests that has seen the other tables, ``after`` so many."""
    with tempfile.TemporaryDirectory() as folder:
        fill(f"{folder}/experience.sqlite", others)
        store = Experience(f"{folder}/experience.sqlite")
        found = store.suggest(Task(task.kind), task.facts, sorted({t.family for t in task.tried.values()}), 4)
        store.close()
    names = [n for r in found for n, t in task.tried.items() if _plain(t.params) == r.params and t.family == r.family]
    return list(dict.fromkeys([*order[:after], *names, *order[after:]]))


def _plain(params: Params) -> Params:
    return {k: v for k, v in params.items() if k != FEATURES}


def policies(task: Measured, tasks: Sequence[Measured]) -> dict[str, list[str]]:
    """Orders in which one task's candidates may be tried, made of what the other tables teach."""
    others = [t for t in tasks if t.table != task.table]
    first, made = leading(task), chosen(others, task.kind)
    names = {id(e): n for n, e in made}
    portfolio = Portfolio([e for _, e in made], {t.name: t.facts for t in others})
    ranked = [*first, *(names[id(e)] for e in portfolio.ranked(task.facts))]
    return {
        "no portfolio": [],
        "by hand": by_hand(task),
        "portfolio": [*first, *(n for n, _ in made)],
        "portfolio after all defaults": [
            *defaults_first(task), *(n for n, _ in chosen(others, task.kind, defaults_first))
        ],
        "portfolio + selector": ranked,
        "portfolio + selector + store": remembered(task, others, ranked, len(ranked)),
        "portfolio + selector + store, early": remembered(task, others, ranked, WARM_AFTER),
    }  # fmt: skip


def lacking(task: Measured, tasks: Sequence[Measured]) -> dict[str, dict[int, float]]:
    """Share of the reachable gain that a policy lacks, by budget, mean of five draws of what comes after it."""
    return {
        policy: {
            budget: float(np.mean([within(task, _padded(order, task, seed), budget) for seed in range(5)]))
            for budget in BUDGETS
        }
        for policy, order in policies(task, tasks).items()
    }


def judge(tasks: Sequence[Measured]) -> None:
    """Leave one table out: mean share of the reachable gain that is lacking, by policy and budget."""
    originals = [t for t in tasks if t.name == t.table]
    _SHARED[:] = tasks
    with multiprocessing.get_context("fork").Pool() as pool:
        found = pool.map(_of, [tasks.index(t) for t in originals], chunksize=1)
    by_table = {t.name: pd.DataFrame(f).T for t, f in zip(originals, found, strict=True)}
    frame = pd.concat(by_table, names=["table", "policy"])
    order = list(found[0])
    print("Share of the reachable gain that is lacking, %, mean over tables (time in units of one LightGBM default):")
    print((100 * frame.groupby("policy").mean()).round(2).loc[order])
    print("Mean rank:")
    print(frame.groupby("table").rank().groupby("policy").mean().round(2).loc[order])
    wide = (100 * frame).round(2).unstack("table")
    for budget in BUDGETS:
        print(f"\n{budget}:\n{wide[budget].loc[order].to_string()}")
    with_selector, without = frame.xs("portfolio + selector", level="policy"), frame.xs("no portfolio", level="policy")
    for early, late in ((5, 10), (10, 20), (10, 40), (20, 40)):
        share = 100 * (with_selector[early] <= without[late]).mean()
        print(f"portfolio + selector at {early} reaches no portfolio at {late} on {share:.0f} % of the tables")


_SHARED: list[Measured] = []


def _of(index: int) -> dict[str, dict[int, float]]:
    return lacking(_SHARED[index], _SHARED)


def _padded(order: list[str], task: Measured, seed: int) -> list[str]:
    """A portfolio, then what a search without one tries: each family's default, then random draws."""
    first = [*order, *(n for n in defaults_first(task) if n not in order)]
    rest = sorted(n for n in task.tried if n not in first)
    return [*first, *np.random.default_rng(seed).permutation(rest).tolist()]


def build(tasks: Sequence[Measured], out: Path) -> None:
    """The portfolio of each kind of task, made of all tables, as JSON."""
    made: dict[str, Any] = {
        "made": str(date.today()),  # noqa: DTZ011 - the day where it was made
        "by": "python benchmarks/portfolio.py build",
        "tables": sorted({t.table for t in tasks}),
        "tasks": len(tasks),
        "candidates": sum(len(t.tried) for t in tasks),
        "portfolios": {},
    }
    for kind in sorted({t.kind for t in tasks}):
        portfolio = portfolio_of(tasks, kind)
        made["portfolios"][kind] = portfolio.to_json()
        for e in portfolio.entries:
            print(kind, e.family, e.cost, f"{sum(e.gains.values()) / len({t.table for t in tasks}):.5f}")
    temporary = out.with_suffix(".tmp")
    temporary.write_text(json.dumps(made, indent=1) + "\n")
    temporary.replace(out)
