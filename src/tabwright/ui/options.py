"""The options of a new run: what the form asks, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tabwright.config import Config, directions
from tabwright.engine.dask_connect import DASK, LOCAL
from tabwright.errors import OptionError
from tabwright.metrics import DEFAULTS, METRICS
from tabwright.models import FAMILIES
from tabwright.objectives.limits import COSTS, SCORE
from tabwright.types import Task

EXPERIENCE, NOTHING = "experience", "nothing"


@dataclass(frozen=True)
class Option:
    """One field: the estimator's parameter, its label, what it does, and how it is asked for."""

    name: str
    label: str
    told: str
    form: str  # number, text, choice, families, runs, engine, switch, columns
    default: Any = None
    choices: tuple[str, ...] = ()


TIME = (
    Option("max_runtime_secs", "Time for everything, seconds", "Reading, searching, ensembling and loading the leader. "
           "There is a valid leader from the first second, and it only gets better.", "number", 300.0),
    Option("max_models", "Candidates at most", "Empty: as many as fit into the time. With a number the run is "
           "repeatable.", "number"),
    Option("max_runtime_secs_per_model", "Seconds per candidate at most", "All its folds together. Empty: the search "
           "decides.", "number"),
)  # fmt: skip
VALIDATION = (
    Option("nfolds", "Folds", "Parts of cross-validation; 1 is a single hold-out. auto: 5, of a small table 10, or 3 "
           "or a hold-out where folds would eat the time.", "choice", "auto",
           ("auto", "1", "2", "3", "4", "5", "8", "10")),
    Option("balance_classes", "Let all classes count the same", "Rows of rare classes get a larger weight.", "switch",
           False),
)  # fmt: skip
COLUMNS = (
    Option("weights_column", "Weights", "How much each row counts; it is no feature then.", "columns"),
    Option("group_column", "Groups", "Rows of one group (a customer, a patient) stay in one fold.", "columns"),
    Option("time_column", "Time", "Models are validated on later rows than they learn from.", "columns"),
)
MODELS = (
    Option("include_families", "Model families", "None chosen: all that suit the table.", "families", None,
           tuple(f.name for f in FAMILIES if f.extra is None or f.extra.installed)),
    Option("monotone_constraints", "Columns with one direction", "As in age=1, price=-1: predictions never fall, or "
           "never rise, with the column.", "text", ""),
    Option("warm_start", "What is tried first", "What finished runs on tables alike have taught; nothing; or the "
           "winners of an earlier run.", "runs", EXPERIENCE, (EXPERIENCE, NOTHING)),
)  # fmt: skip
PLACES = (
    Option("engine", "Where folds are fitted", "On a cluster each worker's threads take folds; needs tabwright[dask].",
           "engine", LOCAL),
    Option("tracking", "MLflow server that is told", "As in http://host:5000, while the run goes on. Empty: none.",
           "text", ""),
)  # fmt: skip
DELIVERED = (
    Option("latency_us", "One row, median, µs at most", "Measured on the exported file, one thread.", "number"),
    Option("latency_p99_us", "One row, 99th percentile, µs", "As above.", "number"),
    Option("size_mib", "Size of the file, MiB at most", "Of the exported file.", "number"),
    Option("memory_mib", "Memory of the loaded file, MiB", "What a server needs for it.", "number"),
    Option("objectives", "Costs to search the front of", "Beside the score. Whatever is chosen, any point of the front "
           "can lead afterwards.", "families", None, tuple(COSTS)),
)  # fmt: skip
LIMITS = (
    Option("max_memory_mib", "Memory of all workers, MiB", "Where they pass it, the largest is stopped and recorded.",
           "number"),
    Option("max_disk_mib", "Size of the run's folder, MiB", "Files of candidates that the leader does not use go "
           "first.", "number"),
    Option("n_jobs", "Cores", "-1 is all of this machine's.", "number", -1),
    Option("seed", "Seed", "The same seed draws the same folds.", "number", 0),
)  # fmt: skip
ADDRESS = "address"
ENGINES = {LOCAL: "this machine", DASK: "Dask: $DASK_SCHEDULER_ADDRESS, or a cluster made for the run",
           ADDRESS: "Dask: a scheduler's address"}  # fmt: skip
WHOLE = ("max_models", "n_jobs", "seed")


def metric_names(task: str) -> dict[str, str]:
    """What can be optimised: titles by name, ``auto`` first; ``task`` is one of :class:`tabwright.types.Task`."""
    kind = Task(task)
    found = {m.name: f"{m.title} ({'higher' if m.greater_is_better else 'lower'} is better)"
             for m in METRICS if kind in m.tasks}  # fmt: skip
    return {"auto": f"auto: {DEFAULTS[kind].title}"} | found


def parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """The estimator's parameters that are not at their defaults, from the form's values.

    Raises
    ------
    OptionError
        For values that the estimator would refuse.
    """
    default = {f.name: f.default for f in fields(Config)}
    made: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for name, raw in given.items():
        value = _value(name, raw)
        if name in COSTS:
            limits |= {} if value is None else {name: value}
        elif name == "objectives":
            made |= {name: [SCORE, *value]} if value else {}
        elif value != default.get(name):
            made[name] = value
    if limits:
        made["constraints"] = limits
    config(made)  # refuses what can't be
    return made


def config(made: Mapping[str, Any]) -> Config:
    """The parameters as the run's own record, which checks them."""
    known = {f.name for f in fields(Config)}
    return Config(**{k: v for k, v in made.items() if k in known})


def _value(name: str, raw: Any) -> Any:
    if raw is None or raw in ("", []):
        return None
    if name == "monotone_constraints":
        return directions([part.strip() for part in raw.split(",") if part.strip()], name)
    if name == "warm_start":
        return raw == EXPERIENCE if raw in (EXPERIENCE, NOTHING) else raw
    if name == "nfolds":
        return "auto" if raw == "auto" else _whole(name, raw)
    if name in WHOLE:
        return _whole(name, raw)
    if isinstance(raw, (list, tuple)):
        return list(raw)
    return float(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw


def _whole(name: str, raw: Any) -> int:
    try:
        if int(raw) == float(raw):
            return int(raw)
    except (TypeError, ValueError):
        pass
    raise OptionError(name, f"is {raw!r}", "give a whole number")
