"""The search's memory: what each candidate has achieved, and which ensemble of them leads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tabwright.calibration import Calibration, calibrate
from tabwright.engine.base import FoldResult, Status
from tabwright.ensemble.greedy import select
from tabwright.ensemble.honest import clearly_better, selection_bias
from tabwright.metrics import as_needed, tuned_score
from tabwright.metrics.base import Metric, Needs
from tabwright.metrics.log_loss import LOG_LOSS
from tabwright.objectives.design import ALL_ROWS
from tabwright.pipeline import Candidate
from tabwright.search.problem import Problem
from tabwright.store.journal import FoldRecord, Journal
from tabwright.store.run_dir import RunDir
from tabwright.types import Floats, Task

BLENDS = (0.15, 0.3, 0.5, 1.0)  # shares of a candidate at which it is tried beside the leader


@dataclass
class Entry:
    """One candidate's progress."""

    candidate: Candidate
    scores: dict[int, float] = field(default_factory=dict)  # by fold
    scheduled: set[int] = field(default_factory=set)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    fit_seconds: float = 0.0  # of the family alone, without features
    peak_memory_mib: float = 0.0
    iterations: list[int] = field(default_factory=list)
    status: str = "running"  # running, ok, failed, pruned, cancelled
    reason: str = ""
    score: float = math.nan  # over all folds
    prediction: Floats | None = None  # out of fold, in the target's unit, evaluation order
    refitted: bool = False  # whether there is a model of all rows
    discarded: bool = False  # its fold models are gone: it stays on the board, but no ensemble can hold it

    @property
    def rounds(self) -> float:
        """Mean of the iterations that its folds have found best, at least 1."""
        return max(1.0, sum(self.iterations) / max(1, len(self.iterations)))

    def add(self, fold: int, result: FoldResult, peak_memory_mib: float) -> None:
        self.scores[fold] = result.score
        self.seconds += result.seconds
        self.cpu_seconds += result.cpu_seconds
        self.fit_seconds += dict(result.stage_seconds).get("fit", result.seconds)
        self.peak_memory_mib = max(self.peak_memory_mib, peak_memory_mib)
        if result.n_iterations is not None:
            self.iterations.append(result.n_iterations)


@dataclass(frozen=True)
class Blend:
    """An ensemble as weights of candidates, with its out-of-fold score."""

    weights: tuple[tuple[str, float], ...] = ()
    score: float = math.nan
    prediction: Floats | None = None

    @property
    def name(self) -> str:
        if not self.weights:
            return "constant"
        return self.weights[0][0] if len(self.weights) == 1 else "ensemble"


class State:
    """Entries by model_id, and the leader."""

    def __init__(self, problem: Problem, run: RunDir) -> None:
        self.run = run
        self.entries: dict[str, Entry] = {}
        self.judge_by(problem)

    def judge_by(self, problem: Problem) -> None:
        """Take the problem's folds as what candidates are judged by; nothing leads then."""
        self.problem = problem
        self.constant = Blend(score=problem.trivial_loss() * (-1 if problem.metric.greater_is_better else 1))
        self.leader = self.constant
        self.y, self.weight = problem.outcomes()
        self._calibrations: dict[tuple[tuple[str, float], ...], Calibration | None] = {}

    def restore(self, journal: Journal) -> None:
        """Entries as the journal tells them; a fold counts as done if its files are there."""
        records: dict[str, list[FoldRecord]] = {}
        for record in journal.folds():
            records.setdefault(record.model_id, []).append(record)
        pruned, discarded = journal.pruned(), journal.discarded()
        for c in journal.candidates():
            entry = self.entries[c.model_id] = Entry(Candidate(c.model_id, c.family, c.params, c.seed, c.origin))
            entry.discarded = c.model_id in discarded
            for r in records.get(c.model_id, []):
                if r.fold == ALL_ROWS:
                    kept = r.status == Status.OK and self.run.has_fold(c.model_id, r.fold, r.artefact_sha256)
                    entry.refitted = entry.refitted or kept
                elif r.status == Status.OK and r.fold not in entry.scheduled and r.fold < self.problem.n_folds:
                    whole = entry.discarded or self.run.has_fold(c.model_id, r.fold, r.artefact_sha256)
                    if r.score is None or not whole:
                        continue  # damaged: it is fitted again
                    entry.scheduled.add(r.fold)
                    entry.add(r.fold, FoldResult(r.score, r.n_iterations, r.seconds, r.cpu_seconds), r.peak_memory_mib)
                elif r.status not in (Status.OK, Status.CANCELLED) and not r.reason.startswith("OSError"):
                    entry.status, entry.reason = "failed", f"{r.status}: {r.reason}"
            if c.model_id in pruned:  # whatever of its folds ended after that
                entry.status, entry.reason = "pruned", pruned[c.model_id]
            elif len(entry.scores) == self.problem.n_folds:
                self._complete_again(entry, discarded.get(c.model_id))

        recorded = journal.leaders()
        if recorded and all(m in self.entries and self.entries[m].status == "ok" for m, _ in recorded[-1][3]):
            self.lead(tuple(recorded[-1][3]))

    def blend(self, weights: tuple[tuple[str, float], ...]) -> Floats:
        """:meth:`mean`, calibrated: what is delivered of these candidates predicts so."""
        found, mean = self.calibration(weights), self.mean(weights)
        return mean if found is None else found.apply(mean)

    def calibration(self, weights: tuple[tuple[str, float], ...]) -> Calibration | None:
        """How the probabilities of an ensemble are calibrated, if that pays."""
        if self.problem.task is Task.REGRESSION or not weights:
            return None
        if weights not in self._calibrations:
            self._calibrations[weights] = calibrate(self.y, self.mean(weights), self.weight)
        return self._calibrations[weights]

    def mean(self, weights: tuple[tuple[str, float], ...]) -> Floats:
        """Weighted out-of-fold predictions of complete candidates, in the target's unit; the constant of none."""
        terms = [w * p for m, w in weights if (p := self.entries[m].prediction) is not None]
        if not terms:
            return np.tile(np.array(self.problem.constant()), (len(self.y), 1))
        return np.asarray(np.sum(terms, axis=0))

    def lead(self, weights: tuple[tuple[str, float], ...]) -> Blend:
        """Make an ensemble of complete candidates the leader."""
        blend = self.blend(weights)
        self.leader = Blend(weights, tuned_score(self.problem.metric, self.y, blend, self.weight), blend)
        return self.leader

    def of_folds(self, entry: Entry, folds: Iterable[int]) -> Floats:
        """A candidate's predictions of the validation rows of some folds, in the target's unit."""
        parts = [self.run.prediction(entry.candidate.model_id, k) for k in folds]
        return self.problem.user_prediction(np.concatenate(parts))

    def complete(self, entry: Entry) -> None:
        """All folds are there: gather the out-of-fold prediction and score it."""
        entry.prediction = self.of_folds(entry, range(self.problem.n_folds))
        entry.score = tuned_score(self.problem.metric, self.y, entry.prediction, self.weight)
        entry.status = "ok"

    def _complete_again(self, entry: Entry, score: float | None) -> None:
        """As :meth:`complete`; a candidate whose predictions were removed has the score that it was removed with."""
        try:
            self.complete(entry)
        except (OSError, ValueError, EOFError):
            entry.status, entry.score = "ok", math.nan if score is None else score

    def cancel_running(self) -> None:
        """Nothing is being fitted any more: what is not complete will not be."""
        for entry in self.entries.values():
            entry.status = "cancelled" if entry.status == "running" else entry.status

    def with_bases(self, ids: Sequence[str]) -> set[str]:
        """Candidates and what they are stacked on."""
        return {*ids, *(base for m in ids for base in self.entries[m].candidate.bases)}

    def finished(self) -> list[Entry]:
        """Complete candidates, best first."""
        done = [e for e in self.entries.values() if e.status == "ok" and math.isfinite(e.score)]
        sign = -1.0 if self.problem.metric.greater_is_better else 1.0
        return sorted(done, key=lambda e: sign * e.score)

    def count_again(self, late: Sequence[Entry]) -> None:
        """After :meth:`judge_by` with fewer folds: what was complete is so by these, and so is what was late."""
        done = [e for e in self.entries.values() if e.status == "ok"]
        for entry in [*done, *late]:
            entry.scores = {k: entry.scores[k] for k in sorted(entry.scores) if k < self.problem.n_folds}
            entry.prediction = None
            self._complete_again(entry, entry.score)

    def update_leader(self, seconds: float, *, steady: bool = True, last: bool = False) -> bool:
        """Choose the ensemble anew; whether the leader changed.

        A ``steady`` leader gives way only to one that is no worse; without, it does not depend on what led before. For
        the ``last`` time, with little left of it, what is new is added to the leader.
        """
        done = [e for e in self.finished() if self._usable(e)]
        if not done:
            return False
        led = self.leader.weights if last and steady else ()
        plain = [e for e in done if not e.candidate.bases]
        is_stacked = any(self.entries[m].candidate.bases for m, _ in led)
        chosen = self._select(plain, seconds, () if is_stacked else led)
        if len(plain) < len(done):
            stacked = self._select(done, seconds, led)
            if self._clearly_better(stacked, chosen):
                chosen = stacked
        before = self.leader
        if chosen == before.weights:
            return False
        after = self.lead(chosen)
        rival = before if steady else self.constant
        if self.problem.metric.better(rival.score, after.score):  # the constant leads until something beats it
            self.leader = rival
        return self.leader.weights != before.weights

    def _usable(self, entry: Entry) -> bool:
        """Whether the models of a candidate, and of what it is stacked on, are there."""
        return not any(self.entries[m].discarded for m in self.with_bases([entry.candidate.model_id]))

    def _select(
        self, entries: Sequence[Entry], seconds: float, led: tuple[tuple[str, float], ...] = ()
    ) -> tuple[tuple[str, float], ...]:
        """Weights of the best ensemble of candidates, the one that ``led`` being as one of them."""
        predictions = [e.prediction for e in entries if e.prediction is not None]
        if len(led) > 1:
            predictions.append(self.mean(led))
        found = select(predictions, self.y, self.climbed, self.weight, seconds=seconds)
        weights = {e.candidate.model_id: float(w) for e, w in zip(entries, found, strict=False)}
        if len(led) > 1:
            for model_id, share in led:
                weights[model_id] += share * float(found[-1])
        return tuple((model_id, w) for model_id, w in weights.items() if w > 0)

    def _clearly_better(
        self, new: tuple[tuple[str, float], ...], old: tuple[tuple[str, float], ...]
    ) -> bool:
        """Whether an ensemble with stackers is better than one without by more than chance explains.

        Out of fold, stackers look a little better than they are: what they have learned from was predicted by models
        that know the rows they are judged by.
        """
        if not old or new == old:
            return new != old
        return clearly_better(self.climbed, self.y, self.blend(new), self.blend(old), self.weight)

    def selection_bias(self) -> float:
        """What choosing it has flattered the leader's score by, in the metric's unit, >= 0; see ensemble.honest."""
        done = [e for e in self.finished() if e.prediction is not None]
        weights = dict(self.leader.weights)
        if len(done) < 2 or not any(e.candidate.model_id in weights for e in done):
            return 0.0
        predictions = [e.prediction for e in done if e.prediction is not None]
        shares = np.array([weights.get(e.candidate.model_id, 0.0) for e in done])
        return selection_bias(predictions, shares, self.y, self.problem.metric, self.climbed, self.weight)

    def help(self, entry: Entry) -> float:
        """What a candidate can add to the leader, judged on the folds that it has.

        The best loss of a few blends of the two against the leader's own, as a share of what the leader gains over
        the trivial model. Infinite while nothing leads.
        """
        lead = self.leader.prediction
        if lead is None or not entry.scores:
            return math.inf
        ends = np.cumsum([len(rows) for rows in self.problem.valid])
        rows = np.concatenate([np.arange(ends[k] - len(self.problem.valid[k]), ends[k]) for k in sorted(entry.scores)])
        mine, lead = self.of_folds(entry, sorted(entry.scores)), lead[rows]
        metric, weight = self.climbed, None if self.weight is None else self.weight[rows]

        def loss(prediction: Floats) -> float:
            return metric.loss(self.y[rows], as_needed(metric, prediction), weight)

        before, trivial = loss(lead), loss(np.tile(np.array(self.problem.constant()), (len(rows), 1)))
        after = min(loss(share * mine + (1.0 - share) * lead) for share in BLENDS)
        return (before - after) / (trivial - before) if trivial > before else math.inf

    @property
    def climbed(self) -> Metric:
        """The metric by which ensembles are chosen: labels are too coarse, probabilities tell more."""
        return LOG_LOSS if self.problem.metric.needs is Needs.LABELS else self.problem.metric

    def expected(self, entry: Entry) -> float:
        """The score that a candidate with some of its folds would have with all.

        That of a complete one, of its family where there is one, and by how much the two differ on the folds that it
        has: folds differ more than candidates do.
        """
        mine = float(np.mean(list(entry.scores.values())))
        done = [e for e in self.finished() if all(k in e.scores for k in entry.scores)]
        alike = [e for e in done if e.candidate.family == entry.candidate.family and not e.candidate.bases]
        other = min(alike, key=lambda e: e.candidate.model_id) if alike else next(iter(done), None)
        if other is None:
            return mine
        return other.score + mine - float(np.mean([other.scores[k] for k in entry.scores]))

    def gap(self, entry: Entry) -> float:
        """How much of the best candidate's gain over the trivial model this one lacks, on the folds that it has."""
        metric = self.problem.metric
        sign = -1.0 if metric.greater_is_better else 1.0
        rivals = [e for e in self.entries.values() if e is not entry and all(k in e.scores for k in entry.scores)]
        if not rivals or not entry.scores:
            return 0.0
        mine = sign * float(np.mean(list(entry.scores.values())))
        best = min(sign * float(np.mean([e.scores[k] for k in entry.scores])) for e in rivals)
        gain = self.problem.trivial_loss() - best
        return (mine - best) / gain if gain > 0 else 0.0
