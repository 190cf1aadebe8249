"""The loop between strategy and engine: begins what can end in time, records what happened, keeps a leader."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import cached_property

from tabwright import clock
from tabwright.data.table import Table
from tabwright.engine.base import Engine, FoldJob, Outcome, Status
from tabwright.features.screen import Interactions
from tabwright.objectives.design import ALL_ROWS
from tabwright.pipeline import Candidate
from tabwright.search.budget import Budget
from tabwright.search.derived import STUDENT_TIME, Derived, searched_costs
from tabwright.search.disk import DiskLimit
from tabwright.search.fewer import fewer_folds
from tabwright.search.frontier import Frontier
from tabwright.search.interactions import screen_run
from tabwright.search.leader import LeaderChoice
from tabwright.search.options import SearchOptions
from tabwright.search.pace import DAY_S, Pace
from tabwright.search.policy import measured_folds
from tabwright.search.portfolio import BOOSTED
from tabwright.search.problem import Problem
from tabwright.search.pruning import SMALL, why_prune
from tabwright.search.refits import Refits
from tabwright.search.snapshot import Observer, Snapshot
from tabwright.search.stacking import Stacking
from tabwright.search.state import Entry, State
from tabwright.search.strategy import Strategy
from tabwright.search.whole import Whole
from tabwright.search.wider import Wider
from tabwright.store.journal import CandidateRecord, FoldRecord, Journal
from tabwright.store.run_dir import RunDir

POLL_S = 0.25
SCREEN_SHARE, MAX_SCREEN_S = 0.05, 4.0  # of the time left, that looking for interactions may take
MIN_SCREEN_S = 0.3
WHOLE_SCREEN = 0.5  # the same where what is found may not depend on the clock, unless time ends the run
MIN_FOLD_S = 0.15
UNTYPICAL = ("student", "whole")  # origins of candidates that learn from more rows than others
LATE_CHOICE = 0.05  # of all time left, that each choice with late candidates may take
STACK_TIME = 0.65  # of the budget, after which candidates are stacked on what there is


class Search:
    """One run's search. ``run`` returns when the budget's search time is over or nothing is left to try."""

    def __init__(
        self, problem: Problem, run: RunDir, journal: Journal, strategy: Strategy, engine: Engine, budget: Budget,
        options: SearchOptions, observer: Observer,
    ) -> None:  # fmt: skip
        self.problem, self.journal, self.strategy = problem, journal, strategy
        self.engine, self.budget, self.options, self.observer = engine, budget, options, observer
        self.state, self._run = State(problem, run), run
        self.disk = DiskLimit(run, journal, options.max_disk_mib)
        self.was_restored, self.n_recorded = False, 0
        self.was_reduced = False  # to one fold, for want of time
        self._leader = LeaderChoice(self.state, journal, budget, options.repeatable)
        self._is_open = problem.is_open  # whether it is to be decided how many of the folds count
        n_folds = 1 if self._is_open else problem.n_folds
        self._pace = Pace(n_folds, engine, budget, options.max_runtime_secs_per_model)
        self._active: list[Entry] = []
        self._derived = Derived(run, options.limits, strategy.families)
        self._stacking = Stacking(strategy.families)
        self._wider = Wider(strategy.families)
        self._refits = Refits(self.state, lambda: self.frontier, journal, budget, options.limits,
                              by_clock=budget.bounded and not options.repeatable)  # fmt: skip
        self._most_at_once = engine.n_workers  # fewer, once they took too much memory together
        self._put_back: set[tuple[str, int]] = set()  # folds that were ended for it
        self._whole: Whole | None = None  # proposes all that is still to be begun, once the search itself is over
        self.interrupted = False

    def restore(self) -> None:
        """Take up what the journal holds: finished folds are kept, unfinished candidates go on first."""
        self.state.restore(self.journal)
        self.was_restored = bool(self.state.entries)
        self._pace.is_sure = bool(self.state.finished())
        for entry in self.state.entries.values():
            self.strategy.restore(entry.candidate)
            self._derived.restore(entry.candidate)
            self._stacking.restore(entry.candidate)
            self._wider.restore(entry.candidate)
            if entry.scores and entry.candidate.origin not in UNTYPICAL:
                self._pace.note(entry.candidate.family, entry.seconds / len(entry.scores))
            if entry.status == "ok":
                self._tell(entry, entry.score)
            elif entry.status == "pruned":
                self._tell_stopped(entry)
            elif entry.status == "failed":
                self.strategy.tell(entry.candidate, None, entry.seconds)
            elif entry.candidate.origin == "whole":
                entry.status = "cancelled"  # what it takes is worked out anew
            else:
                self._active.append(entry)
        if self.strategy.interactions.found is None:
            known = Interactions.load(self._run.interactions_file)
            self.strategy.interactions.found = None if known is None else bool(known)
            reference = self.state.entries.get(self.strategy.interactions.reference or "")
            if reference is not None and reference.status == "ok":
                self._screen(reference)
        self._leader.refresh()

    def run(self) -> State:
        """Search until time, candidates or the user's patience end; the state then holds the leader."""
        try:
            while self.budget.left_for_search() > 0 and not self.options.stop():
                while self._has_place and (job := self._next_job()) is not None:
                    self.engine.submit(replace(job, n_folds=self.problem.n_folds))
                self._show()
                if not self.engine.running() and self.engine.free() == self.engine.n_workers:
                    break  # nothing runs and nothing more can be begun
                for outcome in self.engine.poll(min(POLL_S, max(0.0, self.budget.left_for_search()))):
                    self._record(outcome)
                    self.disk.keep(self.state)
                self._leader.keep()
            self.interrupted = self.options.stop()
        except KeyboardInterrupt:
            self.interrupted = True
        if self.interrupted:
            self.journal.add_event("interrupt", "stopped by the user")
        for outcome in self.engine.close():
            self._record(outcome)
        if not self.state.finished() and self._whole is None:
            self._judge_by_some_folds()
        if self._leader.is_stale:
            self._leader.refresh(last=True)
        if self._may_have_fewer and self._count_fewer_folds():
            self._leader.refresh(last=True)
        self.state.cancel_running()
        return self.state

    @property
    def _has_place(self) -> bool:
        return self.engine.free() > 0 and len(self.engine.running()) < self._most_at_once

    def _late(self) -> list[Entry]:
        """Candidates that the end has caught with their first fold, but not with all."""
        reason = f"{Status.TIMEOUT}:"
        return [e for e in self.state.entries.values() if 0 in e.scores and not e.discarded
                and (e.status in ("running", "cancelled") or e.reason.startswith(reason))]  # fmt: skip

    @property
    def _may_have_fewer(self) -> bool:
        settled = self._is_open or self.interrupted or self.options.repeatable or self._whole is not None
        return not (settled or self.options.costs or self.problem.in_time)

    def _count_fewer_folds(self) -> bool:
        """Let late candidates count by the folds that they have, if that betters the leader."""
        late = [e for e in self._late() if not e.candidate.bases and e.candidate.origin not in UNTYPICAL]
        if not late or not self.state.leader.weights:
            return False
        n_folds, weights = fewer_folds(self.state, late, LATE_CHOICE * self.budget.left())
        if n_folds == self.problem.n_folds:
            return False
        late = [e for e in late if _in_a_row(e) >= n_folds]
        names = ", ".join(e.candidate.model_id for e in late)
        self._reduce(n_folds, f"{names} came late: {n_folds} of {self.problem.n_folds} folds count",
                     for_good=False)  # fmt: skip
        self.state.count_again(late)
        self.state.lead(weights)
        self.journal.add_leader(self.state.leader.name, self.state.leader.score, weights)
        for entry in late:
            self._tell(entry, entry.score)
        return True

    def _judge_by_some_folds(self) -> None:
        """No candidate has all its folds: let those lead that have most of them; it is all there is."""
        able = self._late()
        if self.problem.n_folds < 2 or not able:
            return
        self.was_reduced = True
        n_folds = max(map(_in_a_row, able))
        self._reduce(n_folds, f"no candidate had all its folds when the time was over: {n_folds} of them count",
                     for_good=False)  # fmt: skip
        self.state.count_again([e for e in able if _in_a_row(e) >= n_folds])
        self._leader.is_stale = True

    def _reduce(self, n_folds: int, why: str, *, for_good: bool = True) -> None:
        """From now on only the first so many folds count; if not for good, a resumed run goes on with all."""
        problem = self.problem
        facts: dict[str, object] = {"n_folds": n_folds}
        facts |= {"is_open": False} if for_good else {"made_folds": problem.n_folds}
        with contextlib.suppress(OSError):  # a full disk must not end the run: opened again, it has another leader
            self._run.write_config(self._run.config() | facts)
        self.__dict__.pop("frontier", None)  # it knows the folds of before
        self.problem = replace(problem, valid=problem.valid[:n_folds], train=problem.train[:n_folds])
        self.state.judge_by(self.problem)
        self._pace.n_folds = n_folds
        self.journal.add_event("folds", why)

    def _tells_pace(self, family: str) -> bool:
        """Whether the seconds of this family's fold tell how many there can be: boosted, if there are any such."""
        return family in BOOSTED or not {*BOOSTED} & {*self.strategy.families}

    def _settle_folds(self, seconds: float, told: Entry) -> None:
        """Decide by the seconds of a fold how many there are; until then each candidate has had its first alone."""
        self._is_open = False
        wanted = measured_folds(self.budget.left_for_search(), seconds, self.engine.n_workers)
        if wanted >= self.problem.n_folds:
            self._pace.n_folds = self.problem.n_folds
            self._run.write_config(self._run.config() | {"is_open": False})
            return
        self._reduce(wanted, f"a fold takes {seconds:.1f} s: {wanted} of {self.problem.n_folds} count")
        for entry in [e for e in self._active if len(e.scores) == wanted and e is not told]:
            self._complete(entry)

    def run_last(self, engine: Engine, whole: Whole) -> State:
        """After :meth:`run`: fit on the whole source, and nothing else, one candidate after the other."""
        self.engine, self._whole, self._active = engine, whole, []
        return self.run()

    def _whole_job(self, whole: Whole) -> FoldJob | None:
        left = min(self.budget.left_for_search(), DAY_S)
        found = None if self.disk.full or left < MIN_FOLD_S or self.engine.running() else whole.next(self.state, left)
        if found is None:
            return None
        idea, seconds = found
        candidate = self.strategy.add(idea.family, idea.params, idea.origin, counted=False)
        assert candidate is not None
        self._begin(candidate).scheduled.add(0)
        return FoldJob(candidate, 0, seconds, self.engine.n_threads, bool(self.options.costs))

    def _begin(self, candidate: Candidate) -> Entry:
        entry = self.state.entries[candidate.model_id] = Entry(candidate)
        self.journal.add_candidate(
            CandidateRecord(candidate.model_id, candidate.family, candidate.params, candidate.seed, candidate.origin,
                            clock.now())
        )  # fmt: skip
        self._active.append(entry)
        return entry

    def _next_job(self) -> FoldJob | None:
        if self._whole is not None:
            return self._whole_job(self._whole)
        refits = self.options.costs or self.problem.in_time
        if refits and not self.disk.full and (job := self._refit_job()) is not None:
            return job
        for entry in self._active:
            job = self._fold_job(entry)
            if job is not None:
                return job
        if self._pace.limit(self._pace.n_folds) < MIN_FOLD_S or self.disk.full:
            return None
        depends = self.strategy.needs_results or self.options.costs or self._wider.is_pending(self.state)
        if self.options.repeatable and depends and self._active:
            return None  # propose only when everything begun has been told
        if self._time_to_stack:
            if self.options.repeatable and self._active:
                return None  # stackers read what is finished
            self._stack()
        candidate = self._derive() or self._widen() or self.strategy.ask(self._pace.affordable)
        if candidate is None:
            if refits and not self._active and not self.disk.full:
                return self._refits.next(self.engine.n_threads, nothing_else=True)
            return None
        return self._fold_job(self._begin(candidate))

    def _fold_job(self, entry: Entry) -> FoldJob | None:
        todo = [k for k in range(self._pace.n_folds) if k not in entry.scheduled]
        if not todo or entry.status != "running":
            return None
        model_id = entry.candidate.model_id
        running = sum(job.candidate.model_id == model_id for job in self.engine.running())
        limit = self._pace.limit(len(todo), running)
        if limit < MIN_FOLD_S:
            return None
        entry.scheduled.add(todo[0])
        measure = bool(self.options.costs) and todo[0] == 0
        return FoldJob(entry.candidate, todo[0], limit, self.engine.n_threads, measure)

    def _derive(self) -> Candidate | None:
        """A candidate made from what is known, where costs count."""
        if not self.options.costs or not self.strategy.has_room:
            return None
        share = self.strategy.share_asked
        if self.budget.bounded and not self.options.repeatable:
            share = self.budget.elapsed() / self.budget.total_s
        idea = self._derived.next(self.state, time_to_teach=share >= STUDENT_TIME)
        if idea is None or (idea.origin == "student" and not self._pace.affordable(idea.family)):
            return None
        return self.strategy.add(idea.family, idea.params, idea.origin)

    def _widen(self) -> Candidate | None:
        """A larger network, if the default's was too small."""
        idea = self._wider.idea(self.state, self._pace.affordable)
        return None if idea is None else self.strategy.add(idea.family, idea.params, idea.origin)

    @property
    def _time_to_stack(self) -> bool:
        """Whether the first level has had its share of the time, or of the candidates; where costs count, never."""
        if self.options.costs or self._stacking.proposed:
            return False
        if self.options.max_models is not None:
            return 0 < self.strategy.room <= self._stacking.n_places(self.options.max_models)
        bounded = self.budget.bounded and not self.options.repeatable
        return bounded and self.budget.elapsed() >= STACK_TIME * self.budget.total_s

    def _stack(self) -> None:
        """Let stackers be the next candidates, those that can end in time."""
        for idea in self._stacking.ideas(self.state):
            if self._pace.affordable(idea.family):
                self.strategy.add_next(idea.family, idea.params, idea.origin)

    @cached_property
    def frontier(self) -> Frontier:
        """What can be delivered, where costs count."""
        return Frontier(self.problem, self._run, self.state, Table.load(self._run.table_dir), self.options.costs)

    def _refit_job(self) -> FoldJob | None:
        nothing_else = not self.strategy.has_room and not self._active
        return self._refits.next(self.engine.n_threads, nothing_else=nothing_else)

    def _record(self, outcome: Outcome) -> None:
        job, result = outcome.job, outcome.result
        entry = self.state.entries[job.candidate.model_id]
        if outcome.status is Status.MEMORY and entry.status == "running":
            outcome = self._blamed(outcome)
        self._note(outcome)
        if job.fold == ALL_ROWS:
            self._refits.record(outcome)
            return
        if outcome.status is Status.CANCELLED:
            if entry.status == "running" and job.fold in entry.scheduled:
                entry.status = "cancelled"
            return
        if result is None:
            self._fail(entry, outcome)
            return
        entry.add(job.fold, result, outcome.peak_memory_mib)
        if entry.candidate.origin not in UNTYPICAL:
            self._pace.note(job.candidate.family, outcome.seconds)
        if self._is_open and self._tells_pace(job.candidate.family):
            self._settle_folds(outcome.seconds, entry)
        if entry.status != "running":
            self.disk.give_back(entry)
            return
        if len(entry.scores) == self.problem.n_folds:
            self._complete(entry)
        elif reason := why_prune(entry, self.state, self.options):
            self._active.remove(entry)
            entry.status, entry.reason = "pruned", reason
            self.journal.add_pruned(entry.candidate.model_id, entry.reason)
            self._tell_stopped(entry)

    def _complete(self, entry: Entry) -> None:
        self._active.remove(entry)
        self.state.complete(entry)
        self._pace.is_sure = True
        self._tell(entry, entry.score)
        if entry.candidate.origin in SMALL:
            self._refits.choose_again()  # it may be what is delivered
        self._leader.is_stale = True
        self._leader.keep()
        if self.strategy.interactions.is_reference(entry.candidate):
            self._screen(entry)  # takes seconds, and something leads before

    def _fail(self, entry: Entry, outcome: Outcome) -> None:
        if entry.status == "running":
            self._active.remove(entry)
            entry.status, entry.reason = "failed", f"{outcome.status}: {outcome.reason}"
            if not outcome.reason.startswith("OSError"):  # the disk's fault, not the family's
                self.strategy.tell(entry.candidate, None, outcome.seconds)
        self.disk.give_back(entry)

    def _note(self, outcome: Outcome) -> None:
        """Write into the journal how a fold ended."""
        job, result = outcome.job, outcome.result
        self.journal.add_fold(FoldRecord(
            job.candidate.model_id, job.fold, outcome.status, outcome.reason, outcome.started, outcome.seconds,
            outcome.cpu_seconds, outcome.peak_memory_mib, result.score if result else None,
            result.n_iterations if result else None, result.artefact_sha256 if result else None, outcome.worker,
            dict(result.stage_seconds) if result else {},
        ))  # fmt: skip
        self.n_recorded += 1

    def _blamed(self, outcome: Outcome) -> Outcome:
        """What ended for want of memory: put back once, with fewer at once from now on, if all took it together."""
        job = outcome.job
        if not outcome.is_crowded or job.key in self._put_back:
            if job.key in self._put_back:  # others had done no harm
                self._most_at_once = self.engine.n_workers
            return outcome
        self._put_back.add(job.key)
        self.state.entries[job.candidate.model_id].scheduled.discard(job.fold)
        self._most_at_once = max(1, len(self.engine.running()))
        return replace(outcome, status=Status.CANCELLED)

    def _screen(self, entry: Entry) -> None:
        """Look for interactions in what a finished candidate has left unexplained, unless that is known."""
        if self.strategy.interactions.found is not None:
            return
        seconds = min(MAX_SCREEN_S, SCREEN_SHARE * self.budget.left_for_search())
        enough = self.budget.left_for_search() > 0 if self.options.repeatable else seconds >= MIN_SCREEN_S
        worthwhile = self.options.interactions and enough
        if not worthwhile or entry.prediction is None:
            self.strategy.interactions.found = False
            return
        began = self.budget.elapsed()
        if self.options.repeatable:
            seconds = WHOLE_SCREEN * self.budget.left_for_search()
        self.strategy.interactions.found = screen_run(self._run, self.problem, entry.prediction, seconds)
        self.journal.add_stage("features", clock.at(self.budget.started + began), self.budget.elapsed() - began)

    def _tell(self, entry: Entry, value: float) -> None:
        loss = -value if self.problem.metric.greater_is_better else value
        self.strategy.tell(entry.candidate, loss, entry.seconds, self._costs(entry))

    def _costs(self, entry: Entry) -> list[float] | None:
        """Measured costs of a candidate's first fold model, of those that count and can be told so."""
        single = self._derived.single(entry.candidate.model_id)
        if single is None:
            return None
        known = {"latency_us": single.latency_us, "size_mib": single.size_mib}
        return [known[name] for name in searched_costs(self.options.costs)]

    def _tell_stopped(self, entry: Entry) -> None:
        self._tell(entry, self.state.expected(entry))
        self.strategy.stopped(entry.candidate)

    def _show(self) -> None:
        entries = self.state.entries.values()
        self.observer(Snapshot(
            self.budget.elapsed(), self.budget.left(), self.state.leader.name, self.state.leader.score,
            self.problem.metric.name,
            tuple(job.key for job in self.engine.running()),
            sum(e.status == "ok" for e in entries), sum(e.status == "failed" for e in entries),
        ))  # fmt: skip


def _in_a_row(entry: Entry) -> int:
    """How many folds a candidate has, from the first on without a gap."""
    return next(k for k in range(len(entry.scores) + 1) if k not in entry.scores)
