"""Which candidates are stopped before all their folds are done."""

from __future__ import annotations

from tabwright.search.options import SearchOptions
from tabwright.search.state import Entry, State

PRUNE_GAP, PRUNE_ROWS = 0.3, 200
# A candidate that on so many rows betters the leader by less than this share of the leader's own gain is stopped.
LEAST_HELP, HELP_ROWS = 3e-4, 2000
SMALL = ("lean", "student")  # origins of candidates that are made to keep limits


def why_prune(entry: Entry, state: State, options: SearchOptions) -> str:
    """Why a candidate should not get further folds; empty where it should, or where a run must be repeatable."""
    n_rows, n_folds = sum(len(state.problem.valid[k]) for k in entry.scores), len(entry.scores)
    if options.repeatable or n_rows < PRUNE_ROWS:
        return ""
    if entry.candidate.origin in SMALL and options.limits:
        return ""  # those that it is behind may not be what can be delivered
    gap = state.gap(entry)
    if gap > PRUNE_GAP:
        return f"behind by {gap:.0%} of the best gain after {n_folds} folds"
    if options.costs:
        return ""  # what adds nothing to the leader may be the better one to have at its cost
    if n_folds >= 2 and n_rows >= HELP_ROWS and state.help(entry) < LEAST_HELP:
        return f"adds nothing to the leader after {n_folds} folds"
    return ""
