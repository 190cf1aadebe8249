"""What the site's reference pages read from the code: commands, families, metrics and transformers."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable
from typing import Any


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _source(text: str) -> str:
    return f"[{text}](https://doi.org/{text[4:]})" if text.startswith("doi:") and " " not in text else text


def families() -> str:
    from tabwright.models import FAMILIES

    return _table(("name", "", "tasks", "searched", "source"), (
        (f"`{f.name}`", f.title + (f" (extra `{f.extra.name}`)" if f.extra else ""), ", ".join(sorted(f.tasks)),
         ", ".join(f"`{p}`" for p in f.space), _source(f.source))
        for f in FAMILIES
    ))  # fmt: skip


def metrics() -> str:
    from tabwright.metrics import METRICS

    return _table(("name", "", "tasks", "better", "unit"), (
        (f"`{m.name}`", m.title, ", ".join(sorted(m.tasks)), "greater" if m.greater_is_better else "less", m.unit)
        for m in METRICS
    ))  # fmt: skip


def transformers() -> str:
    from tabwright.features import ENCODERS, STEPS

    return _table(("name", "reads the target", "source"), (
        (f"`{t.name}`", "yes" if getattr(t, "supervised", False) else "no", _source(t.source))
        for t in (*ENCODERS, *STEPS)
    ))  # fmt: skip


def commands() -> str:
    """``--help`` of every command."""
    from tabwright.cli.main import COMMANDS, parser

    os.environ["COLUMNS"] = "100"
    (subparsers,) = [a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return "\n\n".join(
        f"## {c.name}\n\n```text\n{subparsers.choices[c.name].format_help().rstrip()}\n```" for c in COMMANDS
    )


WRITERS: dict[str, Callable[[], str]] = {
    "families": families, "metrics": metrics, "transformers": transformers, "commands": commands,
}  # fmt: skip


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for each page."""
    for name, write in WRITERS.items():
        marker = "{{ " + name + " }}"
        if marker in markdown:
            markdown = markdown.replace(marker, write())
    return markdown


def on_page_content(html: str, **_: Any) -> str:
    """Called by MkDocs for each page: docstrings name things by Sphinx's roles, which Markdown does not know."""
    return re.sub(r":(?:class|meth|func|mod|attr|data):(<code>)~?", r"\1", html)
