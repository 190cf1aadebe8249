"""From measured configurations to an ordered portfolio, and what it is worth on tables that it was not made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tabwright.meta.features import distance
from tabwright.pipeline import FEATURES
from tabwright.search.portfolio import ORDER, families_for, portfolio
from tabwright.types import Floats, Task

REFERENCE = "lightgbm_0"
ENTRIES = 20
SHARES = (0.1, 0.2, 0.35, 0.5, 1.0)
OVERHEAD = 0.3  # of the reference's cost, that any candidate has beside its fits
BUDGETS = (10, 20, 40, 80)  # in units of the reference's cost
NEAR = 0.7  # distance of tasks at which one counts e^-1/2 as much
FLOOR = 0.5  # that every task counts, however far
WORKERS = 2


@dataclass(frozen=True)
class Tried:
    """One configuration on one task."""

    family: str
    params: dict[str, Any]
    oof: Floats
    test: Floats
    cpu_s: float


@dataclass(frozen=True)
class Measured:
    """One task of the experiment."""

    name: str
    table: str
    kind: str
    y: Floats
    y_test: Floats
    facts: dict[str, float]
    tried: dict[str, Tried]

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


def ensemble_loss(task: Measured, names: Sequence[str], rounds: int = 20) -> float:
    """Test loss of a greedily chosen mean of candidates; see :mod:`tabwright.ensemble.greedy`."""
    oof = np.array([task.tried[n].oof for n in names])
    losses = [task.loss(p, test=False) for p in oof]
    best = int(np.argmin(losses))
    counts = np.zeros(len(names))
    counts[best] = 1
    total, lowest, kept = oof[best].copy(), losses[best], counts.copy()
    for size in range(2, rounds + 2):
        trial = [task.loss(row, test=False) for row in (total + oof) / size]
        pick = int(np.argmin(trial))
        counts[pick] += 1
        total += oof[pick]
        if trial[pick] < lowest:
            lowest, kept = trial[pick], counts.copy()
    test = np.array([task.tried[n].test for n in names])
    return task.loss(kept @ test / kept.sum(), test=True)


def reachable(task: Measured) -> float:
    """Test loss of the ensemble of everything that was tried: what a gain is measured by."""
    return ensemble_loss(task, list(task.tried), rounds=40)


@dataclass(frozen=True)
class Entry:
    """One place in the portfolio: gains by task are what it added there to the ensemble of those before it."""

    name: str
    family: str
    params: dict[str, Any]
    cost: float
    gains: dict[str, float]


def chosen(tasks: Sequence[Measured], n: int = ENTRIES) -> list[Entry]:
    """Entries in order: each adds most, per cost, to the mean of what the ensembles gain on all tables.

    References
    ----------
    Feurer et al. 2022, jmlr.org/papers/v23/21-0992 (greedy portfolios); Nemhauser, Wolsey and Fisher 1978,
    doi:10.1007/BF01588971 (submodular choice).
    """
    per_table = pd.Series([t.table for t in tasks]).value_counts()
    weight = np.array([1.0 / per_table[t.table] for t in tasks])
    scale = np.array([max(1e-9, t.trivial - reachable(t)) for t in tasks])
    now: list[Floats | None] = [None] * len(tasks)
    now_test: list[Floats] = [np.zeros(0)] * len(tasks)
    out: list[Entry] = []
    names = sorted({n for t in tasks for n in t.tried})
    names = [n for n in names if sum(n in t.tried for t in tasks) >= 0.6 * len(tasks)]
    while len(out) < n and names:
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
        by_task = {t.name: round(float(g), 5) for t, g in zip(tasks, gains, strict=True)}
        out.append(Entry(best, first.family, first.params, round(cost, 2), by_task))
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
    trial = [(task.loss(now + s * (new.oof - now), test=False), s) for s in SHARES]
    after, share = min(trial)
    if after >= before:
        return 0.0, now, test
    blend, blend_test = now + share * (new.oof - now), test + share * (new.test - test)
    return task.loss(test, test=True) - task.loss(blend_test, test=True), blend, blend_test


def ranked(entries: Sequence[Entry], facts: dict[str, float], known: dict[str, dict[str, float]]) -> list[Entry]:
    """Entries by what they added per cost on the tasks most like this one; far tasks count a little, too."""
    weight = {n: FLOOR + np.exp(-0.5 * (distance(facts, f) / NEAR) ** 2) for n, f in known.items()}
    worth = [sum(weight[n] * g for n, g in e.gains.items()) / e.cost for e in entries]
    first = list(entries[:1])
    rest = sorted(range(1, len(entries)), key=lambda k: -worth[k])
    return first + [entries[k] for k in rest]


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
    return (ensemble_loss(task, done) - best) / max(1e-9, task.trivial - best)


def without_portfolio(task: Measured, seed: int) -> list[str]:
    """Defaults in the families' usual order, then random draws."""
    first = [f"{f}_0" for f in ORDER]
    rest = [n for n in task.tried if n not in first]
    return [*first, *np.random.default_rng(seed).permutation(sorted(rest)).tolist()]


def by_hand(task: Measured) -> list[str]:
    """The order of the search's hand-made portfolio."""
    families = families_for(Task(task.kind), None, None, round(10 ** task.facts["log_classes"]))
    plain = {
        (t.family, json.dumps({k: v for k, v in t.params.items() if k != FEATURES}, sort_keys=True)): n
        for n, t in task.tried.items()
    }
    out = []
    for c in portfolio(families, 0):
        key = (c.family, json.dumps({k: v for k, v in c.params.items() if k != FEATURES}, sort_keys=True))
        if key in plain and plain[key] not in out:
            out.append(plain[key])
    return out


def judge(tasks: Sequence[Measured]) -> None:
    """Leave one table out: mean share of the reachable gain that is lacking, by policy and budget."""
    lacking: dict[str, dict[int, list[float]]] = {}
    rows = []
    originals = [t for t in tasks if t.name == t.table]
    for task in originals:
        others = [t for t in tasks if t.table != task.table and t.kind == task.kind]
        if not others:
            continue
        entries = chosen(others)
        known = {t.name: t.facts for t in others}
        policies: dict[str, Callable[[int], list[str]]] = {
            "no portfolio": lambda seed, t=task: without_portfolio(t, seed),  # type: ignore[misc]
            "by hand": lambda _seed, t=task: _padded(by_hand(t), t),  # type: ignore[misc]
            "portfolio": lambda _seed, t=task, e=entries: _padded([x.name for x in e], t),  # type: ignore[misc]
            "portfolio + selector": lambda _seed, t=task, e=entries, k=known: _padded(  # type: ignore[misc]
                [x.name for x in ranked(e, t.facts, k)], t),
        }  # fmt: skip
        line: dict[str, Any] = {"table": task.name}
        for policy, order in policies.items():
            seeds = range(5) if policy == "no portfolio" else range(1)
            for budget in BUDGETS:
                value = float(np.mean([within(task, order(seed), budget) for seed in seeds]))
                lacking.setdefault(policy, {}).setdefault(budget, []).append(value)
                line[f"{policy} {budget}"] = value
        rows.append(line)
    print("Share of the reachable gain that is lacking, %, mean over tables (time in units of one LightGBM default):")
    print(pd.DataFrame({p: {b: 100 * np.mean(v) for b, v in d.items()} for p, d in lacking.items()}).round(2))
    ranks = {b: np.mean([pd.Series([lacking[p][b][i] for p in lacking]).rank() for i in range(len(rows))], axis=0)
             for b in BUDGETS}  # fmt: skip
    print("Mean rank:")
    print(pd.DataFrame(ranks, index=list(lacking)).T.round(2))
    frame = pd.DataFrame(rows)
    print(frame.round(4).to_string())
    for early, late in ((10, 40), (20, 80)):
        reached = (frame[f"portfolio + selector {early}"] <= frame[f"no portfolio {late}"]).mean()
        print(f"portfolio + selector at {early} reaches no portfolio at {late} on {100 * reached:.0f} % of the tables")


def _padded(order: list[str], task: Measured) -> list[str]:
    """A portfolio, and what a search without one would try when it has come to its end."""
    return [*order, *(n for n in without_portfolio(task, 0) if n not in order)]


def build(tasks: Sequence[Measured], out: Path) -> None:
    """The portfolio of each kind of task, made of all tables, as JSON."""
    made: dict[str, Any] = {
        "provenance": {
            "made": str(date.today()),  # noqa: DTZ011 - the day where it was made
            "by": "python benchmarks/portfolio.py build",
            "tables": sorted({t.table for t in tasks}), "tasks": len(tasks),
            "fits": sum(len(t.tried) for t in tasks),
        },
        "tasks": {t.name: {k: round(v, 4) for k, v in t.facts.items()} for t in tasks},
        "portfolios": {},
    }  # fmt: skip
    for kind in sorted({t.kind for t in tasks}):
        entries = chosen([t for t in tasks if t.kind == kind])
        made["portfolios"][kind] = [
            {"family": e.family, "params": e.params, "cost": e.cost, "gains": e.gains} for e in entries
        ]
        for e in entries:
            print(kind, e.name, e.cost, round(float(np.mean(list(e.gains.values()))), 4))
    temporary = out.with_suffix(".tmp")
    temporary.write_text(json.dumps(made, indent=1) + "\n")
    temporary.replace(out)
