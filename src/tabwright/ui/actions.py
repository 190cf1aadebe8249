"""Everything that is done, as Python and as a command: kept per session, and turned into a notebook."""

from __future__ import annotations

import builtins
import json
import keyword
import re
import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tabwright import __version__
from tabwright.ui.workspace import Workspace, check_name, with_tuples


class Code(str):
    """An argument of :func:`call` that is an expression, and not a text."""

    __slots__ = ()


@dataclass(frozen=True)
class Action:
    """One thing that was done.

    Parameters
    ----------
    title : str
    python : str
        A cell; it may use the names that the cells of ``uses`` make.
    command : str
        The same at the command line; empty where there is none.
    imports : tuple of str
        Import statements that the cell needs.
    makes : tuple of str
        What others may use: ``table:NAME``, ``run:NAME``, ``model:NAME``.
    uses : tuple of str
        What must have been made before.
    time : float
        Seconds since 1970.
    """

    title: str
    python: str
    command: str = ""
    imports: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    time: float = 0.0


class ActionLog:
    """Sessions' actions, one file each."""

    def __init__(self, workspace: Workspace) -> None:
        self._folder = workspace.root / "actions"

    def add(self, session: str, action: Action) -> Action:
        """Append one; the same action twice in a row is kept once."""
        action = replace(action, time=time.time())
        before = self.of(session)
        if before and replace(before[-1], time=action.time) == action:
            return before[-1]
        with (self._folder / f"{check_name(session)}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(action), ensure_ascii=False) + "\n")
        return action

    def of(self, session: str) -> list[Action]:
        """In the order in which they were done."""
        return _read(self._folder / f"{check_name(session)}.jsonl")

    def clear(self, session: str) -> None:
        """Begin anew; what was made can still be found by other sessions' notebooks."""
        path = self._folder / f"{check_name(session)}.jsonl"
        if path.exists():
            path.replace(path.with_name(f"{session}.{time.time_ns()}.jsonl"))

    def every(self) -> list[Action]:
        """All sessions' actions, by time."""
        found = [a for path in self._folder.glob("*.jsonl") for a in _read(path)]
        return sorted(found, key=lambda a: a.time)

    def cells(self, session: str) -> list[Action]:
        """A session's actions, each after the making of what it uses, whoever made that."""
        makers = {thing: a for a in self.every() for thing in a.makes}
        made: set[str] = set()
        cells: list[Action] = []

        def put(action: Action) -> None:
            for needed in action.uses:
                if needed not in made and needed in makers and makers[needed] != action:
                    made.add(needed)
                    put(makers[needed])
            cells.append(action)
            made.update(action.makes)

        for action in self.of(session):
            if action not in cells:
                put(action)
        return cells


def _read(path: Path) -> list[Action]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            record: dict[str, Any] = json.loads(line)
        except ValueError:
            continue  # the last line of a process that was killed
        found.append(Action(**with_tuples(record)))
    return found


PREAMBLE = """import tempfile
from pathlib import Path

WORK = Path(tempfile.mkdtemp(prefix="tabwright-notebook-"))  # runs, models and predictions of this notebook"""


def notebook(cells: Sequence[Action]) -> str:
    """The cells as a Jupyter notebook (nbformat 4.5), which runs as it is."""
    content = [_markdown(0, f"# A tabwright session\n\nMade by tabwright {__version__}; runs from top to bottom."),
               _code(1, _header(cells))]  # fmt: skip
    for action in cells:
        told = f"### {_line(action.title)}"
        if action.command:
            told += f"\n\nAt the command line:\n\n```sh\n{action.command}\n```"
        content.append(_markdown(len(content), told))
        if action.python:
            content.append(_code(len(content), action.python))
    return json.dumps({
        "cells": content, "nbformat": 4, "nbformat_minor": 5,
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                     "language_info": {"name": "python"}},
    }, indent=1, ensure_ascii=False)  # fmt: skip


def script(cells: Sequence[Action]) -> str:
    """The cells as a Python file."""
    lines = [f'"""A tabwright session, made by tabwright {__version__}."""', "", _header(cells), ""]
    for action in cells:
        lines.append(f"# {_line(action.title)}")
        lines += [f"#   {line}" for line in action.command.splitlines()]
        lines += [_printed(action.python), ""]
    return "\n".join(lines)


def _line(title: str) -> str:
    """On one line, whatever columns are called: what follows a comment's end would be code."""
    return " ".join(title.split())


def _printed(python: str) -> str:
    """A cell whose last expression is shown, as a notebook would."""
    import ast

    try:
        tree = ast.parse(python)
    except SyntaxError:
        return python
    if not tree.body or not isinstance(tree.body[-1], ast.Expr):
        return python
    last = tree.body[-1]
    lines = python.splitlines()
    kept = lines[: last.lineno - 1]
    shown = "\n".join(lines[last.lineno - 1 :])
    return "\n".join([*kept, f"print({shown})"])


def _header(cells: Iterable[Action]) -> str:
    imports = sorted({line for action in cells for line in action.imports})
    plain, tabwright = [i for i in imports if "tabwright" not in i], [i for i in imports if "tabwright" in i]
    blocks = [PREAMBLE.split("\n\n", maxsplit=1)[0], "\n".join(plain), "\n".join(tabwright), PREAMBLE.split("\n\n")[1]]
    return "\n\n".join(block for block in blocks if block)


def _markdown(k: int, text: str) -> dict[str, Any]:
    return {"id": f"cell-{k}", "cell_type": "markdown", "metadata": {}, "source": text}


def _code(k: int, text: str) -> dict[str, Any]:
    return {"id": f"cell-{k}", "cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [],
            "source": text}  # fmt: skip


def variable(name: str, prefix: str = "") -> str:
    """A Python name for a thing of the workspace: another for each, and none that cells use for something else."""
    made = re.sub(r"\W", "_", f"{prefix}{name.replace('_', '__')}", flags=re.ASCII)
    if made in OWN_NAMES or hasattr(builtins, made):
        return f"{made}_table"
    return f"_{made}" if made[:1].isdigit() or keyword.iskeyword(made) else made


OWN_NAMES = frozenset({
    "AutoMLClassifier", "AutoMLRegressor", "CALIFORNIA_HOUSING", "Path", "ReadOptions", "WORK", "append_tables",
    "board", "column", "compare_tables", "design", "evaluate_model", "explain", "found", "front", "join_tables",
    "load_model", "note", "os", "pd", "predictions", "profile", "read_sql", "read_table", "row",
    "split_table", "tempfile",
})  # fmt: skip
"""What cells call their own things, and what they import."""


def call(function: str, *arguments: str, **options: Any) -> str:
    """A call's text; options that are None are left out, :class:`Code` is taken as it is."""
    given = [*arguments, *(f"{k}={_literal(v)}" for k, v in options.items() if v is not None)]
    text = f"{function}({', '.join(given)})"
    return text if len(text) <= 100 else f"{function}(\n    " + ",\n    ".join(given) + ",\n)"


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, Code) else repr(value)


def command(*words: object, **options: Any) -> str:
    """A command's text; options that are None or False are left out, lists are given again for each value."""
    return shlex.join(argv(*words, **options))


def argv(*words: object, **options: Any) -> list[str]:
    """As :func:`command`, as a list without quoting."""
    made = ["tabwright", *map(str, words)]
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            made.append(flag)
        elif isinstance(value, (list, tuple)):
            for item in value:
                made += _option(flag, str(item))
        else:
            made += _option(flag, f"{value:.15g}" if isinstance(value, float) else str(value))
    return made


def _option(flag: str, value: str) -> list[str]:
    return [f"{flag}={value}"] if value.startswith("-") else [flag, value]
