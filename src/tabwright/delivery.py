"""Which of a run's designs is delivered: chosen under limits, stored beside the journal, read back."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Protocol

from tabwright.codec import write_atomic
from tabwright.errors import OptionError, RunError
from tabwright.objectives.design import Design
from tabwright.objectives.limits import check_constraints, excess, told
from tabwright.search.frontier import Frontier, Point
from tabwright.search.problem import Problem
from tabwright.search.state import State
from tabwright.store.run_dir import RunDir


def refits(state: State) -> list[str]:
    """Candidates that have a model of all rows."""
    return [model_id for model_id, entry in state.entries.items() if entry.refitted]


def shortfall(point: Point, limits: Mapping[str, float]) -> list[str]:
    """The sentence for limits that the nearest design misses; none where it keeps them."""
    if excess(point.costs, limits, margin=False) <= 0.0:
        return []
    beyond = ", ".join(f"{n} {point.costs[n]:.4g}" for n, limit in limits.items() if point.costs[n] > limit)
    nearest = f"the nearest, {point.design}, has {beyond}, and leads"
    slow = any(point.costs[n] > limit for n, limit in limits.items() if n.startswith("latency"))
    advice = "allow more, or exclude families that take long" if slow else "allow more"
    return [f"No model with {told(limits)} was found: {nearest}; {advice}"]


def remember(run: RunDir, design: Design, n_fitted: int) -> None:
    """Store what is delivered of a run, for whoever opens it, and how many folds had been fitted when it was chosen."""
    write_atomic(run.design_file, json.dumps({"design": design.to_json(), "n_fitted": n_fitted}).encode())


def remembered(run: RunDir, problem: Problem, state: State, n_fitted: int | None = None) -> Design | None:
    """The stored design, if all its models are there and, with ``n_fitted``, nothing has been fitted since."""
    try:
        stored = json.loads(run.design_file.read_text("utf-8"))
        design = Design.from_json(stored["design"])
        if n_fitted is not None and stored["n_fitted"] != n_fitted:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    for share in design.shares:
        entry = state.entries.get(share.model_id)
        if entry is None or entry.status != "ok" or entry.discarded or entry.prediction is None:
            return None
        if any(not run.model_path(share.model_id, k).exists() or k >= problem.n_folds for k in share.folds):
            return None
        bases = entry.candidate.bases
        if any(m not in state.entries or state.entries[m].discarded for m in bases):
            return None
        if any(not run.model_path(m, k).exists() for m in bases for k in range(problem.n_folds)):
            return None
    return design


def after_search(
    run: RunDir, problem: Problem, state: State, limits: Mapping[str, float], n_fitted: int
) -> tuple[Design | None, list[str]]:
    """What was chosen before and still leads, because nothing has been fitted since; and what the user is to know."""
    if not run.design_file.exists():
        return None, []
    if (kept := remembered(run, problem, state, n_fitted)) is not None:
        return kept, []
    run.design_file.unlink(missing_ok=True)
    told = "What select had made the leader gave way to what the search has found since: select again"
    return None, [] if limits else [told]


def keep_front(run: RunDir, points: Sequence[Point]) -> None:
    """Store the designs of a front, so that any of them can be named later, whatever is measured then."""
    named = {str(p.design): p.design.to_json() for p in points}
    with contextlib.suppress(OSError):  # a folder that can't be written: the front is worked out anew
        write_atomic(run.front_file, json.dumps(named).encode())


def known_front(run: RunDir) -> dict[str, Design]:
    """The designs of the front that was worked out last, by name."""
    try:
        stored = json.loads(run.front_file.read_text("utf-8"))
        return {name: Design.from_json(data) for name, data in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


class Run(Protocol):
    """What :func:`select` needs of a finished run."""

    run: RunDir
    design: Design

    @property
    def frontier(self) -> Frontier: ...

    def as_delivered(self, design: Design) -> Design: ...

    def deliver(self, design: Design) -> None: ...


def select(finished: Run, design: str | None, limits: Mapping[str, float | None]) -> None:
    """Make another design of a finished run its leader, by name or as the best one within limits.

    Raises
    ------
    OptionError
        If there is no such design, or none keeps the limits.
    """
    wanted = check_constraints({name: limit for name, limit in limits.items() if limit is not None})
    if (design is None) == (not wanted):
        raise OptionError("select", "takes either limits or a design", "give max_latency_us, say, or design")
    frontier = finished.frontier
    if design is not None:
        named = known_front(finished.run)
        if design not in named:
            points = frontier.front(always=(finished.design,), finish=finished.as_delivered)
            named = {str(p.design): p.design for p in points}
        if design not in named:
            raise OptionError("design", f"is {design!r}, which is no point of the front",
                              f"name one of {', '.join(map(repr, named))}")  # fmt: skip
        chosen = named[design]
    else:
        frontier.names = tuple(dict.fromkeys([*frontier.names, *wanted]))
        point = frontier.choose(wanted, finish=finished.as_delivered)
        if excess(point.costs, wanted, margin=False) > 0.0:
            have = ", ".join(f"{name} {point.costs[name]:.4g}" for name in wanted)
            raise OptionError("select", f"finds no model with {told(wanted)}: the nearest, {point.design}, has {have}",
                              "allow more")  # fmt: skip
        chosen = point.design
    if finished.run.config_file.exists():
        try:
            with contextlib.closing(finished.run.read_journal()) as journal:
                remember(finished.run, chosen, journal.n_fitted())
        except OSError as error:
            raise RunError(f"The run directory {finished.run.path} can't be written ({error.strerror})",
                           "make it writable, or copy it to a folder that is") from error  # fmt: skip
    finished.deliver(chosen)
