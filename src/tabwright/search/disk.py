"""The bound on a run directory's size: files of candidates that won't enter the ensemble are removed, worst first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from tabwright.search.state import Entry, State
from tabwright.store.journal import Journal
from tabwright.store.run_dir import RunDir


class DiskLimit:
    """Keeps a run within ``limit_mib``; None is no limit.

    What the leader uses and what is still being fitted is never touched. Removed first are the folds of candidates
    that were stopped or failed, then fold models of the worst complete candidates while their out-of-fold predictions
    stay, then those predictions, and only then the models of each family's best. A removed candidate stays in the
    journal with its score and is not fitted again.
    """

    def __init__(self, run: RunDir, journal: Journal, limit_mib: float | None) -> None:
        self._run, self._journal, self._limit = run, journal, limit_mib
        self.full = False  # nothing more can be removed, so nothing new may be begun

    def keep(self, state: State) -> None:
        """Make room if the run has grown past its limit."""
        if self._limit is None or self._journal.broken:  # what is not recorded as removed must stay
            return
        excess = self._run.size_mib() - self._limit
        if excess > 0:
            for remove in self._victims(state):
                remove()
                excess = self._run.size_mib() - self._limit
                if excess <= 0:
                    break
        full = excess > 0
        if full and not self.full:
            told = f"what must stay takes {excess:.1f} MiB more than max_disk_mib={self._limit:g}: nothing new is begun"
            self._journal.add_event("disk", told)
        self.full = full

    def give_back(self, entry: Entry) -> None:
        """A candidate that found no room leaves none occupied: smaller ones may fit, and a resume fits it anew."""
        if entry.status == "failed" and "OSError" in entry.reason:
            self._run.remove_models(entry.candidate.model_id)
            self._run.remove_predictions(entry.candidate.model_id)

    def _victims(self, state: State) -> Iterator[Callable[[], None]]:
        """Removals in the order in which they cost least."""
        leading = state.with_bases([model_id for model_id, _ in state.leader.weights])
        begun = [m for m, e in state.entries.items() if e.candidate.bases and e.status == "running"]
        leading |= state.with_bases(begun)
        entries = [e for e in state.entries.values() if e.candidate.model_id not in leading]
        for entry in entries:
            if entry.status in ("pruned", "failed") and not entry.discarded:
                yield partial(self._remove_all, entry)
        complete = [e for e in reversed(state.finished()) if e.candidate.model_id not in leading]
        best = {e.candidate.family: e for e in complete}  # the last of a family stands: its best
        usual = [e for e in complete if best[e.candidate.family] is not e]
        for entry in usual:
            if not entry.discarded:
                yield partial(self._remove_models, entry)
        for entry in usual:
            if entry.prediction is not None:
                yield partial(self._remove_all, entry)
        for entry in complete:
            if best[entry.candidate.family] is entry:
                yield partial(self._remove_all, entry)

    def _remove_models(self, entry: Entry) -> None:
        self._discard(entry, "its fold models were removed to keep max_disk_mib")
        self._run.remove_models(entry.candidate.model_id)

    def _remove_all(self, entry: Entry) -> None:
        self._discard(entry, "its folds were removed to keep max_disk_mib")
        entry.prediction = None
        self._run.remove_models(entry.candidate.model_id)
        self._run.remove_predictions(entry.candidate.model_id)

    def _discard(self, entry: Entry, reason: str) -> None:
        """Recorded before a file is touched: a kill between the two leaves files, not a hole."""
        entry.discarded = True
        score = entry.score if entry.status == "ok" else None
        self._journal.add_discarded(entry.candidate.model_id, score, reason)
