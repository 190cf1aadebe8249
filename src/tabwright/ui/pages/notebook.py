"""What this session has done, as Python and as commands, to read, copy and take away."""

from __future__ import annotations

import time

from nicegui import ui

from tabwright.ui import parts
from tabwright.ui.actions import notebook, script
from tabwright.ui.shell import Page, Shell, heading


def build(shell: Shell) -> None:
    with ui.element("div").classes("tw-head"):
        heading("Notebook", 1)
        with ui.element("div").classes("tw-row").style("width:auto"):
            ui.button("Download .ipynb", icon="file_download", on_click=lambda: _download(shell, "ipynb"))
            ui.button("Download .py", icon="file_download", on_click=lambda: _download(shell, "py")).props("outline")
            ui.button("Begin anew", icon="restart_alt", on_click=lambda: _clear(shell)).props("flat")
    parts.soft("Everything done in this browser, in order; what it builds on comes first, whoever made that. The file "
               "runs from top to bottom where this workspace is: same tables, same options, same seeds.")  # fmt: skip
    _cells(shell)


@ui.refreshable
def _cells(shell: Shell) -> None:
    cells = shell.context.log.cells(shell.session)
    if not cells:
        with parts.card():
            parts.empty("Nothing yet. Bring in a table, start a run: each step then stands here.")
        return
    for action in cells:
        with parts.card(action.title, time.strftime("%H:%M:%S", time.localtime(action.time))):
            if action.python:
                ui.code(action.python, language="python").classes("full-width")
            if action.command:
                parts.soft("At the command line")
                ui.code(action.command, language="bash").classes("full-width")


def _download(shell: Shell, form: str) -> None:
    cells = shell.context.log.cells(shell.session)
    if not cells:
        ui.notify("There is nothing to take away yet.", type="warning")
        return
    text = notebook(cells) if form == "ipynb" else script(cells)
    ui.download.content(text.encode(), f"tabwright-session.{form}")


async def _clear(shell: Shell) -> None:
    if await parts.sure("Begin a new list? Tables, runs and models stay."):
        shell.context.log.clear(shell.session)
        _cells.refresh()


NOTEBOOK = Page("/notebook", "Notebook", build)
