"""Parts that pages are put together from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from html import escape
from typing import Any

from nicegui import ui

from tabwright.errors import UserError
from tabwright.ui.actions import Action
from tabwright.ui.jobs import DONE, FAILED, KILLED, RUNNING
from tabwright.ui.shell import heading

BAD = (FAILED, KILLED, "broken off", "timeout", "memory", "crashed")
GOOD = (DONE, "finished", "ok", "leader")


@contextmanager
def card(title: str = "", told: str = "") -> Iterator[None]:
    """A box with a heading and a sentence on it."""
    with ui.element("section").classes("tw-card"):
        if title:
            heading(title)
        if told:
            soft(told)
        yield


def soft(text: str) -> ui.label:
    return ui.label(text).classes("tw-soft")


def empty(text: str) -> None:
    """Where there is nothing yet, what makes it."""
    ui.label(text).classes("tw-empty full-width")


def note(text: str, level: str = "info") -> None:
    ui.label(text).classes(f"tw-note {level}").props("role=alert" if level == "error" else "")


def figures(values: Mapping[str, str]) -> None:
    """Numbers with what they are."""
    with ui.element("div").classes("tw-figures"):
        for name, value in values.items():
            ui.html(f"<b>{escape(value)}</b><span>{escape(name)}</span>", sanitize=False).classes("tw-figure")


def badge(text: str) -> None:
    tone = "tw-bad" if text in BAD else "tw-good" if text in GOOD or text == RUNNING else "tw-soft"
    ui.label(text).classes(f"tw-badge {tone}")


def chart(options: dict[str, Any], told: str, height: int = 280,
          on_click: Callable[..., Any] | None = None) -> ui.echart:  # fmt: skip
    """A chart with a description for those who can't see it."""
    made = ui.echart(options, on_point_click=on_click) if on_click else ui.echart(options)
    made.props["aria-label"] = told  # not through props(), which would read a label's backslashes as code
    return made.style(f"height:{height}px").props("role=img")


def code(action: Action, *, opened: bool = False) -> None:
    """How an action is written in Python and as a command."""
    with ui.expansion("The same in code", icon="code", value=opened).classes("full-width").props("dense"):
        if action.python:
            soft("Python")
            ui.code(action.python, language="python").classes("full-width")
        if action.command:
            soft("Command")
            ui.code(action.command, language="bash").classes("full-width")


def column(name: str, label: str, *, number: bool = False, sort: bool = True, **more: Any) -> dict[str, Any]:
    """A column of :func:`table`."""
    align = "right" if number else "left"
    return {"name": name, "label": label, "field": name, "sortable": sort, "align": align, **more}


def table(columns: list[dict[str, Any]], rows: Sequence[Mapping[str, Any]], key: str, label: str,
          height: int = 0, page: int = 0) -> ui.table:  # fmt: skip
    """A table; with ``height`` it scrolls and draws only what is seen, so that any number of rows is fluid.

    Cells that send events can't be drawn so (their slots have another parent then): such tables take ``page``, a
    number of rows to show at once.
    """
    some = page if page and len(rows) > page else None
    made = ui.table(columns=columns, rows=[dict(r) for r in rows], row_key=key, pagination=0 if height else some)
    made.props["aria-label"] = label
    made.props("flat dense")
    if height:
        made.classes("tw-sticky").props("virtual-scroll hide-bottom").style(f"max-height:{height}px")
    return made


def linked(made: ui.table, name: str, href: str = "href") -> ui.table:
    """Let a column's cells link to where the row's ``href`` says."""
    made.add_slot(f"body-cell-{name}", f"""
        <q-td :props="props"><a v-if="props.row.{href}" :href="props.row.{href}">{{{{ props.value }}}}</a>
        <span v-else>{{{{ props.value }}}}</span></q-td>""")
    return made


def number(value: float | None, spec: str = ".5g") -> str:
    return "" if value is None else format(value, spec)


def seconds(value: float | None) -> str:
    """A time for people."""
    if value is None:
        return ""
    if value < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def ago(moment: float) -> str:
    import time

    return f"{seconds(max(0.0, time.time() - moment))} ago"


async def tabs(panels: Mapping[str, Callable[[], Any]], chosen: str | None = None) -> ui.tab_panels:
    """A row of tabs and the panels under it, each drawn by its function when it is opened first."""
    with ui.tabs().props("align=left inline-label outside-arrows mobile-arrows no-caps") as row:
        for name in panels:
            ui.tab(name)
    made = ui.tab_panels(row, value=chosen if chosen in panels else next(iter(panels))).props("keep-alive")
    with made:
        boxes = {name: ui.tab_panel(name) for name in panels}
    waiting = dict(panels)

    async def draw() -> None:
        build = waiting.pop(str(made.value), None)
        if build is None:
            return
        with boxes[str(made.value)]:
            try:
                drawn = build()
                if inspect.isawaitable(drawn):
                    await drawn
            except UserError as error:
                note(str(error), "error")

    made.on_value_change(draw)
    await draw()
    return made


@contextmanager
def waiting(text: str) -> Iterator[ui.element]:
    """What is shown until slow work is done; gone afterwards."""
    with ui.element("div").classes("tw-row") as row:
        ui.spinner(size="24px").props("aria-hidden=true")
        soft(text).props("role=status")
    try:
        yield row
    finally:
        if not row.is_deleted:  # as it is where the page was left
            row.delete()


def upload(label: str, on_upload: Callable[..., Any], *, accept: str = "", limit: int | None = None,
           zone: ui.element | None = None) -> None:  # fmt: skip
    """A button that takes a file, which may also be dropped anywhere on ``zone``.

    Quasar's own uploader is not drawn: its parts have no names for screen readers.
    """
    button = ui.button(label, icon="upload_file")
    with zone or nullcontext():  # it must be there, whatever tab is open
        made = ui.upload(auto_upload=True, max_file_size=limit, on_upload=on_upload,
                         on_rejected=lambda: ui.notify("The file is too large, or of another kind.", type="negative"))
    made.classes("hidden")
    if accept:
        made.props(f'accept="{accept}"')
    button.on_click(lambda: made.run_method("pickFiles"))
    if zone is not None:
        zone.on("dragover", js_handler="""event => { if (event.dataTransfer.types.includes("Files")) {
            event.preventDefault(); event.currentTarget.classList.add("over") } }""")
        zone.on("dragleave", js_handler="""event => { if (!event.currentTarget.contains(event.relatedTarget))
            event.currentTarget.classList.remove("over") }""")
        zone.on("drop", lambda: ui.notify("Drop one file at a time.", type="warning"), js_handler=f"""event => {{
            event.preventDefault(); event.currentTarget.classList.remove("over");
            const files = [...event.dataTransfer.files];
            if (files.length === 1) runMethod({made.id}, "addFiles", [files]); else emit() }}""")


async def sure(question: str) -> bool:
    """Ask before something is removed."""
    with ui.dialog() as dialog, ui.card():
        ui.label(question)
        with ui.row().classes("full-width justify-end"):
            ui.button("Keep", on_click=lambda: dialog.submit(False)).props("flat")
            ui.button("Remove", on_click=lambda: dialog.submit(True)).props("color=negative")
    return bool(await dialog)


def removable(made: ui.table, question: str, remove: Callable[[str], None]) -> None:
    """Give rows that are not ``live`` a button that asks ``question`` (with ``{name}``) and then removes the row."""
    made.add_slot("body-cell-remove", """<q-td :props="props"><q-btn v-if="!props.row.live" flat dense round
        icon="delete" :aria-label="'Remove ' + props.row.name" @click="$parent.$emit('remove', props.row.name)" />
        </q-td>""")

    async def ask(event: Any) -> None:
        if await sure(question.format(name=event.args)):
            remove(event.args)

    made.on("remove", ask)
