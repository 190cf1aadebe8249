"""What to try next: the portfolio first, then Optuna's TPE in the family that promises most."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tabwright.models.base import Family
from tabwright.models.fitting import ROUNDS
from tabwright.pipeline import (
    ALL,
    AS_IS,
    COLUMNS,
    FEATURES,
    FULL,
    LOGARITHM,
    PLAIN,
    SEEN,
    TARGET,
    TEACHER,
    TELLING,
    TEXT,
    UNSEEN,
    Candidate,
    own_params,
)
from tabwright.search.interactions import Verdict
from tabwright.search.portfolio import BOOSTED, model_id, portfolio
from tabwright.search.twins import Twins
from tabwright.space import Choice, Dimension, Integer, Real
from tabwright.types import Params

FAILURES_TO_SET_ASIDE = 2
AS_USUAL = {FEATURES: PLAIN, TARGET: AS_IS, TEXT: SEEN, COLUMNS: ALL}  # what a candidate sees where nothing is said


class Strategy:
    """Asks and tells candidates; knows nothing of processes or clocks.

    A ``repeatable`` strategy proposes the same candidates whenever it is told the same losses, in whatever order. With
    ``n_costs`` above 0, so many measured costs are told beside each loss, and the search is for the front of them all.

    References
    ----------
    Bergstra et al. 2011, "Algorithms for hyper-parameter optimization"; Falkner et al. 2018, arXiv:1807.01774
    (multivariate form); Ozaki et al. 2022, doi:10.1613/jair.1.13188 (several objectives); Akiba et al. 2019,
    doi:10.1145/3292500.3330701.
    """

    def __init__(
        self, families: Sequence[Family], seed: int, max_models: int | None, *, repeatable: bool = False,
        n_costs: int = 0, choices: Sequence[Params] = (), learned: Sequence[tuple[str, Params]] = (),
        defaults_first: bool = True,
    ) -> None:  # fmt: skip
        self._families = {f.name: f for f in families}
        self._queue = portfolio(families, seed, learned, choices=choices, defaults_first=defaults_first)
        self._rng = np.random.default_rng(seed)
        self._seed, self._max, self._repeatable = seed, max_models, repeatable
        self._n_costs = n_costs
        self._studies: dict[str, Any] = {}
        self._pending: dict[str, list[tuple[Candidate, list[float]]]] = {}
        self._trials: dict[str, Any] = {}
        self._counts: dict[str, int] = {}
        self._losses: dict[str, list[float]] = {}
        self._seconds: dict[str, list[float]] = {}
        self._failures: dict[str, int] = {}
        self._stopped: dict[str, int] = {}
        self._hopeless: set[str] = set()
        self._asked = 0
        self.interactions = Verdict(self._queue)
        self.logarithms, self.texts = self._twins_of(TARGET, LOGARITHM), self._twins_of(TEXT, UNSEEN)
        self.columns = self._twins_of(COLUMNS, TELLING)
        self._twins: tuple[Twins, ...] = (self.interactions, self.logarithms, self.texts, self.columns)
        pairs = {TARGET: (self.logarithms, AS_IS, LOGARITHM), TEXT: (self.texts, SEEN, UNSEEN),
                 COLUMNS: (self.columns, ALL, TELLING)}  # fmt: skip
        self._choices = {name: pair for name, pair in pairs.items() if pair[0].twin is not None}
        for candidate in self._queue:
            self._counts[candidate.family] = self._counts.get(candidate.family, 0) + 1

    @property
    def set_aside(self) -> list[str]:
        """Families that only failed."""
        return [f for f, n in self._failures.items() if n >= FAILURES_TO_SET_ASIDE and not self._losses.get(f)]

    @property
    def needs_results(self) -> bool:
        """Whether the next candidate depends on what is still to be told."""
        return not self._to_ask() or any(twins.pending for twins in self._twins)

    def restore(self, candidate: Candidate) -> None:
        """Take note of a candidate that an earlier session proposed."""
        self._queue = [c for c in self._queue if c.model_id != candidate.model_id]
        number = int(candidate.model_id.rsplit("_", 1)[1])
        self._counts[candidate.family] = max(self._counts.get(candidate.family, 0), number)
        self._asked += 1
        self._note_asked(candidate)

    def ask(self, affordable: Callable[[str], bool]) -> Candidate | None:
        """The next candidate of an affordable family; None if there is none or ``max_models`` is reached."""
        if not self.has_room:
            return None
        for candidate in self._to_ask():
            if affordable(candidate.family):
                self._queue.remove(candidate)
                self._asked += 1
                self._note_asked(candidate)
                return self._with_choices(candidate)
        banned = {*self.set_aside, *self._hopeless}
        names = [f for f in self._families if f not in banned and self._families[f].space and affordable(f)]
        if not names:
            return None
        self._asked += 1
        return self._propose(self._pick(names))

    def _to_ask(self) -> list[Candidate]:
        """Those of the queue that can be proposed now."""
        banned = set(self.set_aside)
        # what is stacked on others does not depend on how good the family's own candidates are
        return [c for c in self._queue if c.family not in banned and not self.interactions.holds_back(c)
                and (c.bases or c.family not in self._hopeless)]  # fmt: skip

    def add(self, family: str, params: Params, origin: str, *, counted: bool = True) -> Candidate | None:
        """A candidate made elsewhere, named here; None if ``max_models``, where it counts, is reached."""
        if counted and not self.has_room:
            return None
        self._asked += counted
        self._counts[family] = self._counts.get(family, 0) + 1
        better = {name: other for name, (twins, _, other) in self._choices.items() if twins.better and name != TARGET}
        params = better | params
        return Candidate(model_id(family, self._counts[family]), family, params, self._seed, origin)

    def warm(self, suggested: Sequence[tuple[str, Params]], origin: str, after: int | None) -> None:
        """Put configurations into the queue, behind its first ``after`` candidates, or (None) behind all.

        Those of the queue that are the same but for what they see are dropped, unless others are compared with them;
        what is the same as one of these, and does not go before it, is left out.
        """
        compared = {m for twins in self._twins for m in (twins.reference, twins.twin)}
        if after != 0:
            coming = [(c.family, AS_USUAL | c.params) for c in self._queue if c.model_id in compared]
            suggested = [(family, params) for family, params in suggested if (family, AS_USUAL | params) not in coming]
        known = [(family, own_params(params)) for family, params in suggested]
        self._queue = [
            c for c in self._queue if c.model_id in compared or (c.family, own_params(c.params)) not in known
        ]
        made = []
        for family, params in suggested:
            self._counts[family] = self._counts.get(family, 0) + 1
            made.append(Candidate(model_id(family, self._counts[family]), family, params, self._seed, origin))
        after = len(self._queue) if after is None else after
        self._queue[after:after] = made

    def add_next(self, family: str, params: Params, origin: str) -> None:
        """Put a candidate made elsewhere at the head of the queue."""
        self.warm([(family, params)], origin, 0)

    @property
    def room(self) -> float:
        """How many more candidates ``max_models`` allows."""
        return math.inf if self._max is None else self._max - self._asked

    @property
    def has_room(self) -> bool:
        """Whether ``max_models`` allows another candidate."""
        return self.room > 0

    @property
    def share_asked(self) -> float:
        """Of ``max_models``, what has been proposed; 0 where there is no such limit."""
        return 0.0 if self._max is None else self._asked / self._max

    @property
    def families(self) -> list[str]:
        return list(self._families)

    def _twins_of(self, name: str, value: str) -> Twins:
        """The reference, and the candidate that makes a choice."""
        made = (c.model_id for c in self._queue if c.params.get(name) == value)
        return Twins(self.interactions.reference, next(made, None))

    def _note_asked(self, candidate: Candidate) -> None:
        for twins in self._twins:
            twins.asked(candidate)

    def _with_choices(self, candidate: Candidate) -> Candidate:
        if candidate.origin == "default" and self.interactions.is_reference(candidate):
            return candidate
        choices = {FEATURES: self.interactions.choice}
        fixed = candidate.model_id in [twins.twin for twins in self._twins]  # differs from the reference in one thing
        for name, (twins, usual, other) in self._choices.items():
            choices[name] = other if twins.better and not fixed else usual
        return replace(candidate, params=choices | candidate.params)

    def _pick(self, names: list[str]) -> str:
        """A family drawn by the rank of its best loss; of two alike, the cheaper one more often."""
        best = {f: min(self._losses.get(f) or [math.inf]) for f in names}
        ranked = sorted(names, key=lambda f: best[f])
        cost = {f: 1.0 if self._repeatable else float(np.mean(self._seconds.get(f) or [1.0])) for f in names}
        typical = float(np.median(list(cost.values())))
        weights = np.array([
            math.exp(-0.7 * ranked.index(f)) * (typical / max(cost[f], 0.2 * typical)) ** 0.5 for f in names
        ])  # fmt: skip
        return names[int(self._rng.choice(len(names), p=weights / weights.sum()))]

    def _propose(self, name: str) -> Candidate:
        self._counts[name] = self._counts.get(name, 0) + 1
        made = model_id(name, self._counts[name])
        trial = self._study(name).ask(self._distributions(name))
        self._trials[made] = trial
        return Candidate(made, name, dict(trial.params), self._seed, "search")

    def stopped(self, candidate: Candidate) -> None:
        """A candidate was stopped early, being far behind or of no help.

        No more is proposed of its family if it was the default, or the second to be stopped. Boosted families, whose
        variants differ most, go on, so that there is always something to try.
        """
        name = candidate.family
        if candidate.bases:
            return
        self._stopped[name] = self._stopped.get(name, 0) + 1
        if name not in BOOSTED and (self._stopped[name] > 1 or candidate.origin == "default"):
            self._hopeless.add(name)

    def tell(
        self, candidate: Candidate, loss: float | None, seconds: float, costs: Sequence[float] | None = None
    ) -> None:
        """The outcome: loss over all folds (or an estimate where it was stopped early), None for a failure.

        ``costs`` are those of its first fold's model; a candidate that has none where costs count tells its family's
        sampler nothing.
        """
        name = candidate.family
        if candidate.bases:  # its loss tells nothing of how good the family's own parameters are
            return
        for twins in self._twins:
            twins.tell(candidate, loss)
        values = [] if loss is None else [loss, *(costs or ())]
        if loss is None or not math.isfinite(loss) or len(values) != 1 + self._n_costs:
            if loss is None or not math.isfinite(loss):
                self._failures[name] = self._failures.get(name, 0) + 1
            else:
                self._note(name, loss, seconds)
            if candidate.model_id in self._trials:
                self._study(name).tell(self._trials.pop(candidate.model_id), state=_optuna().trial.TrialState.FAIL)
            return
        self._note(name, loss, seconds)
        if candidate.model_id in self._trials:
            self._study(name).tell(self._trials.pop(candidate.model_id), values)
        else:
            self._pending.setdefault(name, []).append((candidate, values))

    def _note(self, name: str, loss: float, seconds: float) -> None:
        self._losses.setdefault(name, []).append(loss)
        self._seconds.setdefault(name, []).append(seconds)

    def _study(self, name: str) -> Any:
        """The family's study, made when first needed (importing Optuna takes most of a second)."""
        optuna = _optuna()
        if name not in self._studies:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # multivariate TPE is still marked experimental
                sampler = optuna.samplers.TPESampler(multivariate=True, seed=self._seed, n_startup_trials=3)
            directions = ["minimize"] * (1 + self._n_costs)
            self._studies[name] = optuna.create_study(sampler=sampler, directions=directions)
        pending = self._pending.setdefault(name, [])
        distributions = self._distributions(name)
        for candidate, values in sorted(pending, key=lambda told: told[0].model_id):
            if candidate.origin == "lean" or {TEACHER, ROUNDS} - distributions.keys() & candidate.params.keys():
                # what made its loss is not in the space
                continue
            chosen = AS_USUAL | candidate.params
            params = {k: v for k, v in chosen.items() if k in distributions}
            if set(params) == set(distributions):
                trial = optuna.trial.create_trial(params=params, distributions=distributions, values=values)
                self._studies[name].add_trial(trial)
        pending.clear()
        return self._studies[name]

    def _distributions(self, name: str) -> dict[str, Any]:
        found = {n: _distribution(dimension) for n, dimension in self._families[name].space.items()}
        if self.interactions.found:
            found[FEATURES] = _optuna().distributions.CategoricalDistribution((PLAIN, FULL))
        for choice, (_, usual, other) in self._choices.items():
            found[choice] = _optuna().distributions.CategoricalDistribution((usual, other))
        return found


def _optuna() -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _distribution(dimension: Dimension) -> Any:
    distributions = _optuna().distributions
    if isinstance(dimension, Real):
        return distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    if isinstance(dimension, Integer):
        return distributions.IntDistribution(dimension.low, dimension.high, log=dimension.log)
    assert isinstance(dimension, Choice)
    return distributions.CategoricalDistribution(dimension.options)
