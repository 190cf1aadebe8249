"""How each thing that the interface does is written in Python and as a command."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tabwright.data.delimited import ReadOptions
from tabwright.ui.actions import Action, Code, argv, call, command, variable
from tabwright.ui.tables import Entry, without_password

READ = "from tabwright.data.readers import read_table"
OPTIONS = "from tabwright.data.delimited import ReadOptions"
PANDAS = "import pandas as pd"
LOAD = "from tabwright import load_model"


def _options(options: ReadOptions) -> dict[str, Any]:
    default = ReadOptions()
    fields = ("delimiter", "decimal", "encoding", "sheet", "header", "null_values")
    return {k: getattr(options, k) for k in fields if getattr(options, k) != getattr(default, k)}


def bring(entry: Entry, out: Path) -> Action:
    """A table was read."""
    name, makes = variable(entry.name), (f"table:{entry.name}",)
    if entry.source.kind == "sql":
        url = without_password(entry.source.value)
        shown = repr(url) if "***" not in url else 'os.environ["DATABASE_URL"]'
        imports: tuple[str, ...] = ("from tabwright.data.sql import read_sql",)
        imports += ("import os",) if "***" in url else ()
        python = f"{name} = {call('read_sql', shown, repr(entry.source.query))}\n{name}.head()"
        words = command("parse", url, query=entry.source.query, out=out)
        return Action(f"Read {entry.name} from a database", python, words, imports, makes)
    if entry.source.kind == "demo":
        python = f"{name} = read_table(CALIFORNIA_HOUSING)\n{name}.head()"
        imports = (READ, "from tabwright.datasets import CALIFORNIA_HOUSING")
        words = command("parse", entry.file, out=out)
        return Action("Read the California housing table", python, words, imports, makes)
    given = _options(entry.options)
    arguments = [repr(entry.file)] + ([call("ReadOptions", **given)] if given else [])
    flags = {k: v for k, v in given.items() if k in ("delimiter", "decimal", "encoding", "sheet")}
    words = command("parse", entry.file, **flags, no_header=not entry.options.header,
                    null_value=list(entry.options.null_values), out=out)  # fmt: skip
    python = f"{name} = {call('read_table', *arguments)}\n{name}.head()"
    title = f"Read {entry.name} ({entry.rows:,} rows, {len(entry.columns)} columns)"
    return Action(title, python, words, (READ, OPTIONS) if given else (READ,), makes)


def describe(entry: Entry, table: Path, title: str = "") -> Action:
    """The profile and the quality report were asked for, or a kind was changed."""
    arguments = [variable(entry.name)] + ([repr(entry.target)] if entry.target else [])
    profile = call("profile", *arguments, kinds=dict(entry.kinds) or None)
    python = f"found = {profile}\npd.DataFrame(column.to_dict() for column in found.columns)"
    if entry.target:
        python = f"found = {profile}\nfor note in found.notes:\n    print(note)\n" + python.split("\n", maxsplit=1)[1]
    kinds = [f"{k}={v}" for k, v in entry.kinds.items()]
    words = command("describe", table, target=entry.target, kind=kinds)
    imports = (PANDAS, "from tabwright.data.profile import profile")
    return Action(title or f"Look at the columns of {entry.name}", python, words, imports, (), (f"table:{entry.name}",))


def split(entry: Entry, parts: tuple[Entry, Entry], share: float, seed: int, by: Mapping[str, str | None],
          paths: tuple[Path, Path, Path]) -> Action:  # fmt: skip
    """A table was cut in two; ``paths`` are those of the table and its parts."""
    train, test = (variable(p.name) for p in parts)
    python = f"{train}, {test} = {call('split_table', variable(entry.name), repr(share), seed=seed, **by)}\n"
    python += f"len({train}), len({test})"
    words = shlex.join([*argv("split", paths[0], test_share=share, seed=seed, **by), "--out", *map(str, paths[1:])])
    imports = ("from tabwright.data.parts import split_table",)
    makes = (f"table:{parts[0].name}", f"table:{parts[1].name}")
    return Action(f"Split {entry.name}", python, words, imports, makes, (f"table:{entry.name}",))


def join(made: Entry, tables: tuple[Entry, Entry], keys: Mapping[str, Any], paths: Sequence[Path]) -> Action:
    """A table was joined to another; ``paths`` are those of the two and of the outcome."""
    names = [variable(t.name) for t in tables]
    options = {k: v for k, v in keys.items() if k != "on"}
    name = variable(made.name)
    python = f"{name} = {call('join_tables', *names, repr(keys['on']), **options)}\n{name}.head()"
    words = command("join", *paths[:2], **keys, out=paths[2])
    return _made(f"Join {tables[1].name} to {tables[0].name}", python, words, "join_tables", made, tables)


def append(made: Entry, tables: Sequence[Entry], by: str, paths: Sequence[Path], *, fill: bool) -> Action:
    """Tables were put under or beside each other; ``paths`` are theirs and, last, that of the outcome."""
    names = ", ".join(variable(t.name) for t in tables)
    name = variable(made.name)
    python = f"{name} = {call('append_tables', f'[{names}]', repr(by), fill=fill or None)}\n{name}.head()"
    words = command("append", *paths[:-1], by=by, fill=fill, out=paths[-1])
    return _made(f"Append {', '.join(t.name for t in tables[1:])} to {tables[0].name}", python, words, "append_tables",
                 made, tables)  # fmt: skip


def _made(title: str, python: str, words: str, function: str, made: Entry, tables: Sequence[Entry]) -> Action:
    imports = (f"from tabwright.data.joins import {function}",)
    return Action(title, python, words, imports, (f"table:{made.name}",), tuple(f"table:{t.name}" for t in tables))


def compare(entry: Entry, other: Entry, paths: tuple[Path, Path]) -> Action:
    """Two tables were compared."""
    names = [variable(entry.name), variable(other.name)] + ([repr(entry.target)] if entry.target else [])
    python = f"pd.DataFrame({call('compare_tables', *names)})"
    words = command("describe", paths[0], against=paths[1], target=entry.target)
    imports = (PANDAS, "from tabwright.data.parts import compare_tables")
    uses = (f"table:{entry.name}", f"table:{other.name}")
    return Action(f"Compare {entry.name} with {other.name}", python, words, imports, (), uses)


def fit(run: str, entry: Entry, options: Mapping[str, Any], paths: tuple[Path, Path]) -> tuple[Action, list[str]]:
    """A run was begun: the action, and the words of the command that does it.

    ``options`` holds ``task`` (classification or regression), ``target``, ``columns`` (weights, group, time) and the
    estimator's parameters that are not at their defaults; ``paths`` are those of the table and the run.
    """
    name = run_var(run)
    estimator = _estimator(options["task"])
    parameters = dict(options.get("parameters", {}))
    columns = {k: v for k, v in dict(options.get("columns", {})).items() if v}
    not_features = {options["target"], columns.get("weights_column"), columns.get("group_column")}
    kinds = {k: v for k, v in entry.kinds.items() if k not in not_features}
    if parameters.get("max_runtime_secs", 0.0) is None:  # no limit, which is not what leaving it out means
        parameters["max_runtime_secs"] = math.inf
    shown = {k: Code("None") if v == math.inf else v for k, v in parameters.items()}
    python = f"{name} = {call(estimator, **shown, export_checkpoints_dir=Code(f'WORK / {run!r}'))}\n"
    fitted = call(f"{name}.fit", variable(entry.name), target=options["target"], kinds=kinds or None, **columns)
    python += f"{fitted}\n{name}.leaderboard()"
    flags = {k: ",".join(v) if isinstance(v, (list, tuple)) else v for k, v in parameters.items()}
    flags = _limits(flags)
    directions = flags.pop("monotone_constraints", None) or {}
    flags["monotone"] = [f"{column}={direction}" for column, direction in directions.items()]
    if "warm_start" in flags and isinstance(flags["warm_start"], bool):
        flags["no_experience"] = not flags.pop("warm_start")
    words = argv("fit", paths[0], target=options["target"], task=options["task"], **flags, **columns,
                 kind=[f"{k}={v}" for k, v in kinds.items()], quiet=True, out=paths[1])  # fmt: skip
    made = Action(f"Run {run}: predict {options['target']!r} of {entry.name}", python, shlex.join(words),
                  (f"from tabwright import {estimator}",), (f"run:{run}",), (f"table:{entry.name}",))  # fmt: skip
    return made, words


def _limits(flags: dict[str, Any]) -> dict[str, Any]:
    """The estimator's ``constraints`` as the command's options."""
    limits = flags.pop("constraints", None) or {}
    names = {"memory_mib": "max_model_memory_mib"}
    return flags | {names.get(k, f"max_{k}"): float(v) for k, v in limits.items()}


def resume(run: str, task: str, path: Path, extra_secs: float | None) -> tuple[Action, list[str]]:
    """A run goes on."""
    words = argv("resume", path, extra_secs=extra_secs, quiet=True)
    name, estimator = run_var(run), _estimator(task)
    python = f"{name} = {call(f'{estimator}.resume', f'WORK / {run!r}', extra_secs=extra_secs)}\n{name}.leaderboard()"
    made = Action(f"Go on with run {run}", python, shlex.join(words), (f"from tabwright import {estimator}",), (),
                  (f"run:{run}",))  # fmt: skip
    return made, words


def on_run(run: str, title: str, python: str, words: str = "", imports: tuple[str, ...] = (),
           makes: tuple[str, ...] = ()) -> Action:  # fmt: skip
    """Something was done with a run, which ``python`` calls :func:`run_var`."""
    return Action(title, python, words, imports, makes, (f"run:{run}",))


def select(run: str, path: Path, design: str | None, limits: Mapping[str, float]) -> tuple[Action, list[str]]:
    """Another point of the front leads; ``limits`` are the parameters of ``select``."""
    names = {"max_memory_mib": "max_model_memory_mib"}
    flags = {names.get(k, k): float(v) for k, v in limits.items()}
    words = argv("select", path, design=design, **flags)
    name = run_var(run)
    python = f"{call(f'{name}.select', design=design, **limits)}\n{name}.pareto()"
    if design is None and not limits:
        python = f"{name}.pareto()"
    elif design is not None:  # a search that is run anew may find other points
        python = (f"front = {name}.pareto()\ndesign = {design!r}\nif design not in set(front['design']):\n"
                  f"    design = front['design'].iloc[-1]\n{name}.select(design=design)\n{name}.pareto()")  # fmt: skip
    told = f"Let another point of the front lead {run}" if design or limits else f"The front of {run}"
    return on_run(run, told, python, shlex.join(words)), [*words, "--json"]


def export(run: str, model: str, paths: tuple[Path, Path]) -> tuple[Action, list[str]]:
    """A run's leader was written as a file; ``paths`` are those of the run and the file."""
    words = argv("export", paths[0], out=paths[1], examples=True)
    name = model_var(model)
    file = f"WORK / {model + '.onnx'!r}"
    python = f"print({run_var(run)}.export({file}))\n{name} = load_model({file})"
    return on_run(run, f"Export {model}", python, shlex.join(words), (LOAD,), (f"model:{model}",)), words


def imported(model: str, path: Path) -> Action:
    """A model file was brought in."""
    return Action(f"Load {model}", f"{model_var(model)} = {call('load_model', repr(str(path)))}", "",
                  (LOAD,), (f"model:{model}",))  # fmt: skip


def on_model(model: str, title: str, python: str, words: str = "", imports: tuple[str, ...] = (),
             uses: tuple[str, ...] = ()) -> Action:  # fmt: skip
    """Something was done with a model, which ``python`` calls :func:`model_var`."""
    return Action(title, python, words, imports, (), (f"model:{model}", *uses))


def predict(model: str, table: Entry, paths: tuple[Path, Path, Path]) -> tuple[Action, list[str]]:
    """A table was scored; ``paths`` are those of the model, the table and the predictions."""
    words = argv("predict", *paths[:2], out=paths[2], quiet=True)
    python = f"predictions = {table_var(table)}.assign(prediction={model_var(model)}.predict({table_var(table)}))\n"
    python += f"predictions.to_csv(WORK / {paths[2].name!r}, index=False)\npredictions.head()"
    made = on_model(model, f"Score {table.name} with {model}", python, shlex.join(words), (), (f"table:{table.name}",))
    return made, words


def evaluate(model: str, table: Entry, target: str, paths: tuple[Path, Path]) -> Action:
    """A model was held against known outcomes."""
    python = f"evaluate_model({model_var(model)}, {table_var(table)}, {table_var(table)}[{target!r}])"
    return on_model(model, f"Evaluate {model} on {table.name}", python, command("evaluate", *paths),
                    ("from tabwright.evaluation import evaluate_model",), (f"table:{table.name}",))  # fmt: skip


def explain(model: str, table: Entry, paths: tuple[Path, Path]) -> Action:
    """A model was explained on rows of a table."""
    python = f"found = explain({model_var(model)}, {table_var(table)}, max_rows=1000)\nfound.importance"
    return on_model(model, f"Explain {model} on {table.name}", python, command("explain", *paths, max_rows=1000),
                    ("from tabwright.explain import explain",), (f"table:{table.name}",))  # fmt: skip


def serve(model: str, path: Path) -> tuple[Action, list[str]]:
    """A server was started. It has no cell: a notebook would wait for its end."""
    words = argv("serve", f"{model}={path}", port="0")
    return Action(f"Serve {model}", "", shlex.join(words)), words


def table_var(table: Entry) -> str:
    return variable(table.name)


def run_var(run: str) -> str:
    return variable(run, "run_")


def model_var(model: str) -> str:
    return variable(model, "model_")


def _estimator(task: str) -> str:
    return "AutoMLRegressor" if task == "regression" else "AutoMLClassifier"
