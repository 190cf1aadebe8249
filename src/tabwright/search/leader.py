"""When the leader is chosen anew, and how long that may take."""

from __future__ import annotations

from dataclasses import dataclass

from tabwright import clock
from tabwright.search.budget import Budget
from tabwright.search.state import State
from tabwright.store.journal import Journal

LAST_CHOICE = 0.05  # of all time left, that choosing the leader for the last time may take at each step
UNHURRIED = 0.5  # of the time left, that choosing may take where it may not depend on the clock
REST = 4.0  # times what choosing the leader took, before it is chosen again


@dataclass
class LeaderChoice:
    """Chooses the leader whenever there are new candidates, but seldom enough to leave the driver time."""

    state: State
    journal: Journal
    budget: Budget
    repeatable: bool  # whether nothing may depend on the clock
    is_stale: bool = False  # whether the leader lacks candidates
    again_at: float = 0.0  # when it may be chosen anew

    def keep(self) -> None:
        """Choose the leader anew, but not so often that many workers' candidates keep the driver busy with it."""
        if self.is_stale and (self.repeatable or self.budget.elapsed() >= self.again_at):
            self.refresh()

    def refresh(self, *, last: bool = False) -> None:
        began = self.budget.elapsed()
        seconds = min(3.0, max(0.05, 0.25 * self.budget.left_for_search()))
        if last:
            seconds = min(3.0, max(seconds, LAST_CHOICE * self.budget.left()))
        if self.repeatable:  # by the clock only where time is ending the run
            seconds = max(seconds, UNHURRIED * self.budget.left_for_search())
        short = last and seconds < 1.0
        if self.state.update_leader(seconds, steady=not self.repeatable, last=short):
            leader = self.state.leader
            self.journal.add_leader(leader.name, leader.score, leader.weights)
        ended = self.budget.elapsed()
        self.journal.add_stage("ensembling", clock.at(self.budget.started + began), ended - began)
        self.is_stale, self.again_at = False, ended + REST * (ended - began)
