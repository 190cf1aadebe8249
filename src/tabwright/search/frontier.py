"""The front of what a run can deliver: designs proposed from parts that are there, priced, measured, chosen."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tabwright.data.munge import munge
from tabwright.data.table import Table
from tabwright.engine.shelf import Shelf, load_fold_model
from tabwright.ensemble.averaging import Averaging
from tabwright.ensemble.greedy import select
from tabwright.errors import NotExportableError, OptionError
from tabwright.metrics import best_threshold, full_proba, tuned_score
from tabwright.objectives.cost import P99, CostModel, Single, bare, measure_single
from tabwright.objectives.custom import frame, is_custom, is_fairness, value
from tabwright.objectives.design import Design
from tabwright.objectives.limits import COSTS, excess
from tabwright.objectives.measure import Profile, measure
from tabwright.objectives.resident import resident_mib
from tabwright.pipeline import Ensemble, apply_features, graph_inputs
from tabwright.search.assemble import assemble
from tabwright.search.problem import Problem
from tabwright.search.state import Entry, State
from tabwright.store.run_dir import RunDir
from tabwright.types import Array, Floats, Ints, Task

PROBE_ROWS = 1000
SAMPLE_ROWS = 256  # measured with, one by one
MAX_CANDIDATES = 16  # best ones that designs are made of
LIMITS = 9  # latencies, spaced evenly on a log scale, under which ensembles are looked for
MEMORY = 10.0  # MiB resident per MiB of file, until one has been measured
MEASURED_POINTS = 14  # of a front
PROPOSING, MEASURING = 0.7, 0.4  # shares of the time for a front that are left when parts, and then designs, are known
READ_ROWS = 20_000  # that objectives of predictions are given


@dataclass(frozen=True)
class Point:
    """A design with its estimated score (in the metric's unit) and its costs, predicted or measured."""

    design: Design
    score: float
    costs: Mapping[str, float] = field(default_factory=dict)
    profile: Profile | None = None  # of the exported graph, once measured

    @property
    def measured(self) -> bool:
        return self.profile is not None


def _some(rows: Ints) -> Ints:
    """Those that objectives of predictions are given."""
    return rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:READ_ROWS])]


def try_objective(name: str, option: str, problem: Problem, table: Table) -> None:
    """Ask an objective about random predictions: what fails is to do so before the search, not after it."""
    rows, rng = _some(problem.evaluation_rows()), np.random.default_rng(0)
    constant = np.tile(np.array(problem.constant()), (len(rows), 1))
    if problem.task is Task.REGRESSION:
        given = constant[:, 0] + problem.scale * rng.normal(size=len(rows))
    else:
        given = np.asarray(full_proba(constant) * np.exp(rng.normal(size=(len(rows), problem.n_classes))))
        given /= given.sum(axis=1, keepdims=True)
    value(name, table.schema, problem.task, problem.user_y(rows), given, frame(table.take(rows)), option)


class Frontier:
    """Designs of one run.

    Parameters
    ----------
    problem, run, state
        The run; candidates whose fold models are gone are left out.
    table : Table
        The training table, to measure and to compare models on.
    names : tuple of str
        The costs that count, see :data:`tabwright.objectives.limits.COSTS`.
    """

    def __init__(self, problem: Problem, run: RunDir, state: State, table: Table, names: tuple[str, ...]) -> None:
        self._problem, self._run, self._state, self._table = problem, run, state, table
        self.names = names
        # what is measured: the file that would be written
        self.faults: dict[str, str] = {}  # of objectives that failed for some design, which none takes then
        self.emit: Callable[[Ensemble], bytes] = lambda ensemble: bare(ensemble, table.schema)
        self.cost = CostModel()
        self._shelf = Shelf()
        rows = np.sort(np.random.default_rng(0).permutation(table.n_rows)[:SAMPLE_ROWS])
        self._inputs = graph_inputs(table.take(rows))
        self._rows = problem.evaluation_rows()
        self._y, self._weight = problem.outcomes()
        self._averaging: Averaging | None = None
        self._made: dict[int, Floats] = {}  # features of the probe rows that candidates share
        self._points: dict[Design, Point] = {}  # measured ones
        self._read: dict[tuple[tuple[str, float], ...], dict[str, float]] = {}  # objectives of predictions
        self._scores: dict[Design, float] = {}
        self._ratios: dict[str, list[float]] = {"latency_p99_us": [], "memory_mib": []}

    # --- parts -------------------------------------------------------------------------------------------------

    def candidates(self) -> list[Entry]:
        """Complete candidates whose models are there, best first, measured alone."""
        done = [e for e in self._state.finished() if not e.discarded and e.prediction is not None]
        return [e for e in done[:MAX_CANDIDATES] if e.candidate.model_id in self.cost.singles]

    def measure_parts(self, until: float = math.inf) -> None:
        """Measure each candidate's first fold model, best candidates first, until the monotonic time ``until``."""
        for entry in self._state.finished()[:MAX_CANDIDATES]:
            model_id = entry.candidate.model_id
            if entry.discarded or model_id in self.cost.singles:
                continue
            if time.monotonic() > until and self.cost.singles:
                return
            with contextlib.suppress(NotExportableError):  # what has no file has no place on the front
                self.cost.singles[model_id] = self._single(model_id)

    def _single(self, model_id: str) -> Single:
        path = self._run.cost_path(model_id)
        if (known := Single.read(path)) is not None:
            return known
        model = load_fold_model(self._run, model_id, 0, self._shelf)
        problem = self._problem
        single = measure_single(model, problem.task, problem.n_classes, self._table.schema, self._inputs)
        with contextlib.suppress(OSError):  # in a folder that can't be written, it is measured again next time
            single.write(path)
        return single

    # --- designs -----------------------------------------------------------------------------------------------

    def designs(self, limits: Mapping[str, float], until: float = math.inf) -> list[Design]:
        """Designs worth pricing under these limits, and, without any, along the whole range of latencies."""
        entries = self.candidates()
        if not entries:
            return []
        limits = {name: limit for name, limit in limits.items() if name in COSTS}
        found: dict[Design, None] = {}
        for latency in [math.inf] if limits else self._latencies(entries):
            bounds = dict(limits) | ({"latency_us": latency} if math.isfinite(latency) else {})
            for base in self._bases(entries, bounds):
                for design in self._grown(base, bounds):
                    found[design] = None
                    if time.monotonic() > until:
                        break
            if time.monotonic() > until:
                break
        leader = self._state.leader.weights
        if not limits and leader and self.cost.knows([m for m, _ in leader]):
            found[Design.whole(leader, self._problem.delivered)] = None
        return list(found)

    def _latencies(self, entries: list[Entry]) -> list[float]:
        single = [self.cost.latency_us(self._single_fold(((e.candidate.model_id, 1.0),))) for e in entries]
        whole = self._single_fold([(e.candidate.model_id, 1.0) for e in entries])
        inside = np.geomspace(max(self.cost.latency_us(whole), min(single) * 2), min(single) * 1.05, LIMITS)
        return [math.inf, *map(float, inside)]

    def _single_fold(self, weights: Sequence[tuple[str, float]]) -> Design:
        return Design.single(weights, self._problem.delivered[0])

    def _bases(self, entries: list[Entry], bounds: Mapping[str, float]) -> Iterator[Design]:
        """The best ensemble of single fold models within the bounds, and the best candidate alone."""
        ids = [e.candidate.model_id for e in entries]
        predictions = [e.prediction for e in entries if e.prediction is not None]

        def fits(members: Array) -> bool:
            design = self._single_fold([(ids[i], 1.0) for i in np.flatnonzero(members)])
            return excess(self._predicted(design), bounds, margin=True) <= 0.0

        metric = self._state.climbed
        weights = select(predictions, self._y, metric, self._weight, max_rounds=25, seconds=1.0, fits=fits)
        chosen = sorted(((m, float(w)) for m, w in zip(ids, weights, strict=True) if w > 0), key=lambda t: -t[1])
        if chosen:
            yield self._single_fold(chosen)
        alone = (self._single_fold(((m, 1.0),)) for m in ids)
        able = [d for d in alone if excess(self._predicted(d), bounds, margin=True) <= 0.0]
        if len(chosen) == 1:
            able = able[1:]
        yield from able if self._reads else able[:1]  # which candidate is best by other objectives is not known here

    def _grown(self, design: Design, bounds: Mapping[str, float]) -> Iterator[Design]:
        """A design with more and more of its candidates' fold models, where they gain most per µs."""
        yield design
        while True:
            more = [d for k in range(len(design.shares)) if (d := design.with_fold(k, self._problem.delivered))]
            more = [d for d in more if excess(self._predicted(d), bounds, margin=True) <= 0.0]
            if not more:
                return
            here = self.cost.latency_us(design)
            averaging = self.averaging(design)
            distance = averaging.distance(design)
            design = max(
                more, key=lambda d: (distance - averaging.distance(d)) / max(1e-3, self.cost.latency_us(d) - here)
            )
            yield design

    def averaging(self, design: Design) -> Averaging:
        """What compares designs of these candidates; each candidate's fold models are run once."""
        if self._averaging is None:
            rows = np.sort(np.random.default_rng(1).permutation(self._table.n_rows)[: 20 * PROBE_ROWS])
            self._probe = munge(self._table.take(rows), PROBE_ROWS)
            lead = self._state.leader.prediction
            residuals = None
            if self._problem.task is Task.REGRESSION and lead is not None:
                residuals = self._y - lead[:, 0]
            problem = self._problem
            self._averaging = Averaging(problem.task, problem.metric, problem.user_prediction, residuals)
        for share in design.shares:
            if share.model_id not in self._averaging:
                folds = range(self._problem.n_folds)
                models = [load_fold_model(self._run, share.model_id, k, self._shelf) for k in folds]
                raw = [m.model.predict(apply_features(m.features, self._probe, self._made)) for m in models]
                self._averaging.add(share.model_id, models[0].model.link, raw)
                shared = {id(part) for part in self._shelf.parts.values()}  # others die with the models, and their ids
                self._made = {key: made for key, made in self._made.items() if key in shared}
        return self._averaging

    # --- prices ------------------------------------------------------------------------------------------------

    def _predicted(self, design: Design) -> dict[str, float]:
        for share in design.shares:  # a leader may hold candidates that are not among the best
            if share.model_id not in self.cost.singles:
                self.cost.singles[share.model_id] = self._single(share.model_id)
        latency, size = self.cost.latency_us(design), self.cost.size_mib(design)
        entries = [self._state.entries[s.model_id] for s in design.shares]
        return {
            "latency_us": latency, "latency_p99_us": latency * self._ratio("latency_p99_us", P99), "size_mib": size,
            "memory_mib": size * self._ratio("memory_mib", MEMORY), "train_cpu_s": sum(e.cpu_seconds for e in entries),
        }  # fmt: skip

    @property
    def _reads(self) -> list[str]:
        return [name for name in self.names if is_custom(name)]

    def read(self, design: Design) -> dict[str, float]:
        """Objectives that read predictions, out of fold; they do not depend on how many folds stand for a share."""
        if not self._reads:
            return {}
        if design.weights not in self._read:
            problem, schema = self._problem, self._table.schema
            rows = _some(np.arange(len(self._rows)))
            every = self._state.blend(design.weights)
            prediction = every[rows]
            given = prediction[:, 0] if problem.task is Task.REGRESSION else full_proba(prediction)
            X = frame(self._table.take(self._rows[rows]))
            threshold = best_threshold(problem.metric, self._y, every, self._weight)  # as it is delivered
            decided = full_proba((prediction >= threshold).astype(np.float64)) if problem.n_classes == 2 else given
            found = self._read[design.weights] = dict.fromkeys(self._reads, math.inf)
            for name in found:
                shown = decided if is_fairness(name) else given
                try:
                    found[name] = value(name, schema, problem.task, self._y[rows], shown, X)
                except OptionError as error:  # it did well when it was tried: of this model it can't be told
                    self.faults[name] = str(error)
        return self._read[design.weights]

    def _ratio(self, name: str, prior: float) -> float:
        return float(np.median(self._ratios[name])) if self._ratios[name] else prior

    def score(self, design: Design) -> float:
        """Estimated score: out of fold for one fold's model per share, and what averaging further ones gains."""
        if design not in self._scores:
            problem = self._problem
            value = tuned_score(problem.metric, self._y, self._state.blend(design.weights), self._weight)
            gain = self.gain(design)
            self._scores[design] = value + (gain if problem.metric.greater_is_better else -gain)
        return self._scores[design]

    def gain(self, design: Design) -> float:
        """What a design gains over one fold's model per share, >= 0; no model is run where nothing is averaged."""
        if all(s.folds == (0,) for s in design.shares):
            return 0.0
        return self.averaging(design).gain(design)

    def point(self, design: Design) -> Point:
        """A design priced: as measured if it was, else as predicted."""
        if design in self._points:
            return self._points[design]
        return Point(design, self.score(design), self._predicted(design) | self.read(design))

    def measure(self, design: Design) -> Point:
        """Export a design to memory and measure it."""
        if design not in self._points:
            self._points[design] = self._measured(design)
        return self._points[design]

    def measure_again(self, design: Design) -> Point:
        """Measure a design once more, and take the slower of both measurements for what it costs."""
        first, second = self.measure(design), self._measured(design)
        slower = {name: max(first.costs[name], second.costs[name]) for name in ("latency_us", "latency_p99_us")}
        self._points[design] = replace(first, costs=dict(first.costs) | slower)
        return self._points[design]

    def _measured(self, design: Design) -> Point:
        ensemble = assemble(self._run, self._problem, design, shelf=self._shelf)
        data = self.emit(replace(ensemble, calibration=self._state.calibration(design.weights)))
        profile = measure(data, self._inputs, seconds=0.5)
        costs = self._predicted(design) | self.read(design)
        costs |= {"latency_us": profile.latency_p50_us, "latency_p99_us": profile.latency_p99_us,
                  "size_mib": profile.size_mib}  # fmt: skip
        self._ratios["latency_p99_us"].append(profile.latency_p99_us / profile.latency_p50_us)
        if "memory_mib" in self.names and (found := resident_mib(data)) is not None:
            costs["memory_mib"] = found
            self._ratios["memory_mib"].append(costs["memory_mib"] / profile.size_mib)
        if design.shares:
            self.cost.learn(design, profile)
        return Point(design, self.score(design), costs, profile)

    # --- choices -----------------------------------------------------------------------------------------------

    def choose(
        self, limits: Mapping[str, float], until: float = math.inf, finish: Callable[[Design], Design] = lambda d: d
    ) -> Point:
        """The best design whose measured costs keep the limits, or else the one that misses them least.

        Of many that are measured, the one that is chosen may have been lucky: it is measured twice.

        ``finish`` may put refits in the place of single fold models of a design before it is measured.
        """
        self.measure_parts(until)
        tried: dict[Design, Point] = {}
        sure: set[Design] = set()  # measured twice
        while True:
            priced = [self.point(finish(d)) for d in self.designs(limits, until)]
            pool = {p.design: p for p in [*priced, *tried.values()] if excess(p.costs, limits, margin=True) <= 0.0}
            best = min(pool.values(), key=self._rank, default=None)
            if best is not None and best.measured:
                if best.design in sure or time.monotonic() > until:
                    return best
                sure.add(best.design)
                tried[best.design] = self.measure_again(best.design)
                continue
            if best is None or (time.monotonic() > until and tried):
                return self._nearest(limits, tried, finish, until)
            tried[best.design] = self.measure(best.design)

    def _nearest(
        self, limits: Mapping[str, float], tried: Mapping[Design, Point], finish: Callable[[Design], Design],
        until: float,
    ) -> Point:  # fmt: skip
        """The best measured design within the limits, or the one that misses them least, cheap single models too."""
        kept = [p for p in tried.values() if excess(p.costs, limits, margin=True) <= 0.0]
        if kept:
            return min(kept, key=self._rank)
        bounds = {name: limit for name, limit in limits.items() if name in COSTS}
        alone = [finish(self._single_fold(((e.candidate.model_id, 1.0),))) for e in self.candidates()]
        alone.sort(key=lambda d: excess(self._predicted(d), bounds, margin=False))
        singles: list[Point] = []
        for design in alone:
            if singles and time.monotonic() > until:
                break
            singles.append(self.point(design))
        singles.sort(key=lambda p: (excess(p.costs, limits, margin=False), *self._rank(p)))
        near = [p.design for p in singles[:2]]
        if len(bounds) < len(limits):  # where what reads predictions is missed, more fold models cost nothing
            near += [list(self._grown(self._single_fold(d.weights), bounds))[-1] for d in near[:1]]
            led = Design.whole(self._state.leader.weights, self._problem.delivered)
            if excess(self._predicted(led), bounds, margin=True) <= 0.0:
                near.append(led)
        points = [*tried.values(), *map(self.measure, near)]
        kept = [p for p in points if excess(p.costs, limits, margin=True) <= 0.0]
        if kept:
            return min(kept, key=self._rank)
        points = points or [self.measure(Design())]
        return min(points, key=lambda p: (excess(p.costs, limits, margin=False), *self._rank(p)))

    def _rank(self, point: Point) -> tuple[float, float]:
        sign = -1.0 if self._problem.metric.greater_is_better else 1.0
        return (sign * point.score, point.costs.get("latency_us", 0.0))

    def front(
        self, until: float = math.inf, always: tuple[Design, ...] = (), finish: Callable[[Design], Design] = lambda d: d
    ) -> list[Point]:
        """Measured points that no other beats in score and all of :attr:`names`, and ``always``; best score first."""
        left = until - time.monotonic()
        self.measure_parts(until - PROPOSING * left)
        priced = self._undominated([self.point(finish(d)) for d in self.designs({}, until - MEASURING * left)])
        points = [self.measure(d) for d in always]
        spread = np.linspace(0, len(priced) - 1, min(MEASURED_POINTS, len(priced))).round().astype(int)
        for k in spread.tolist():
            if time.monotonic() > until and points:
                break
            points.append(self.measure(priced[k].design))
        points.extend(p for p in self._points.values() if p not in points)
        kept = self._undominated(points)
        kept.extend(p for p in points[: len(always)] if p not in kept)
        return sorted(kept, key=self._rank)

    def worth_refitting(self, limits: Mapping[str, float], n: int, until: float = math.inf) -> list[str]:
        """Candidates that stand with one model in the best designs within the limits, or along the front."""
        points = [self.point(d) for d in self.designs(limits, until)]
        if limits:
            points = [p for p in points if excess(p.costs, limits, margin=True) <= 0.0]
        points = sorted(points, key=self._rank) if limits else self._undominated(points)
        names = [s.model_id for p in points for s in p.design.shares if len(s.folds) == 1]
        return list(dict.fromkeys(names))[:n]

    def _undominated(self, points: list[Point]) -> list[Point]:
        sign = -1.0 if self._problem.metric.greater_is_better else 1.0
        unique = list({p.design: p for p in points}.values())
        values = np.array([[sign * p.score, *(p.costs[n] for n in self.names)] for p in unique])
        kept = [
            p for k, p in enumerate(unique)
            if not ((values <= values[k]).all(axis=1) & (values < values[k]).any(axis=1)).any()
        ]  # fmt: skip
        return sorted(kept, key=self._rank)

