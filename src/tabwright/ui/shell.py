"""What every page has: the frame around it, the workspace, this browser's session, and how faults are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, ParamSpec, TypeVar

from nicegui import app, run, ui

from tabwright import __version__
from tabwright.errors import ParityError, UserError
from tabwright.ui.actions import Action, ActionLog
from tabwright.ui.config import Config
from tabwright.ui.jobs import Jobs
from tabwright.ui.models import Models
from tabwright.ui.tables import Tables
from tabwright.ui.workspace import Workspace

P = ParamSpec("P")
T = TypeVar("T")
STYLE = (files("tabwright.ui") / "style.css").read_text("utf-8")
# What scrolls can be scrolled by keyboard, and Quasar's buttons without a text have a name.
REACHABLE = """new MutationObserver(() => {
  for (const box of document.querySelectorAll(".q-table__middle, .tw-scroll, .nicegui-code pre"))
    if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  for (const button of document.querySelectorAll(".nicegui-code-copy:not([aria-label])"))
    button.setAttribute("aria-label", "Copy");
}).observe(document.body, {childList: true, subtree: true});"""
MENU = (
    ("/", "Overview", "home"), ("/data", "Data", "table_chart"), ("/runs", "Runs", "play_circle"),
    ("/models", "Models", "widgets"), ("/notebook", "Notebook", "menu_book"), ("/machine", "Machine", "memory"),
)  # fmt: skip


@dataclass(frozen=True)
class Context:
    """What all pages share; it holds no state of any user."""

    config: Config
    workspace: Workspace
    tables: Tables
    models: Models
    jobs: Jobs
    log: ActionLog

    @classmethod
    def of(cls, config: Config) -> Context:
        workspace = Workspace.open(config.workspace)
        return cls(config, workspace, Tables(workspace), Models(workspace), Jobs(workspace), ActionLog(workspace))


@dataclass(frozen=True)
class Shell:
    """One page of one user.

    Parameters
    ----------
    context : Context
    session : str
        This browser's; its actions make its notebook.
    path : mapping of str
        Values of the address's parts.
    query : mapping of str
        Values after the question mark.
    """

    context: Context
    session: str
    path: Mapping[str, str]
    query: Mapping[str, str]

    def record(self, action: Action) -> Action:
        """Keep an action for the notebook."""
        return self.context.log.add(self.session, action)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Faults that the user can mend are shown as one sentence; others are bugs and go to the log."""
        try:
            yield
        except (UserError, ParityError) as error:
            ui.notify(str(error), type="negative", multi_line=True, timeout=12_000, close_button="Close",
                      classes="tw-fault")  # fmt: skip


@dataclass(frozen=True)
class Page:
    """One page: its address, title, and the function that fills it."""

    path: str
    title: str
    build: Callable[[Shell], Any]
    menu: str = ""  # the entry of the menu that it belongs to


def session_id() -> str:
    return str(app.storage.browser["id"])


@contextmanager
def frame(page: Page) -> Iterator[None]:
    """Header, menu and content."""
    ui.add_css(STYLE)
    ui.add_body_html(f"<script>{REACHABLE}</script>")
    ui.colors(primary="#1d5fa5", secondary="#14324f", positive="#0b6b3a", negative="#b3261e", warning="#8a5a00")
    dark = ui.dark_mode(value=app.storage.user.get("dark"))
    drawer = ui.left_drawer(value=False, bordered=False)
    drawer.props("show-if-above width=212 breakpoint=900 aria-label=Menu")
    with drawer, ui.element("nav").props("aria-label=Main").classes("full-width"):
        for path, title, icon in MENU:
            here = path == (page.menu or page.path)
            with ui.element("a").props(f'href="{path}"' + (' aria-current="page"' if here else "")) \
                    .classes("tw-menu" + (" here" if here else "")):  # fmt: skip
                ui.icon(icon, size="20px").props("aria-hidden=true")
                ui.label(title)
    with ui.header().classes("items-center q-px-md q-py-xs no-wrap"):
        ui.button(icon="menu", on_click=drawer.toggle).props('flat round dense color=white aria-label="Menu"')
        ui.element("a").props('href="/" aria-label="tabwright: overview"').classes("text-white text-weight-bold") \
            .style("font-size:18px;text-decoration:none").props("innerHTML=tabwright")  # fmt: skip
        ui.label(__version__).classes("gt-xs tw-version")
        ui.space()

        def switch() -> None:
            dark.value = {None: True, True: False, False: None}[dark.value]
            app.storage.user["dark"] = dark.value
            ui.notify({None: "As the system", True: "Dark", False: "Light"}[dark.value], timeout=1000)

        ui.button(icon="contrast", on_click=switch) \
            .props('flat round dense color=white aria-label="Light, dark, or as the system"')  # fmt: skip
    with ui.element("main").classes("tw-page").props("tabindex=-1") as content:
        ui.skip_link("Skip to content", target=content)
        yield


def fault(error: Exception) -> None:
    """A fault in place of a page's content."""
    with ui.element("div").classes("tw-card"):
        heading("This can't be shown", 1)
        ui.label(str(error)).classes("tw-note error").props("role=alert")
        ui.link("Back to the overview", "/").classes("tw-link")


def heading(text: str, level: int = 2) -> None:
    """A heading of the document's outline."""
    with ui.element(f"h{level}"):
        ui.html(_escaped(text), sanitize=False, tag="span")


def _escaped(text: str) -> str:
    from html import escape

    return escape(text)


async def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do slow work in a thread, so that other users' pages go on."""
    found = await run.io_bound(lambda: (work(*args, **kwargs),))
    if found is None:  # the server ends, or the page was left
        raise asyncio.CancelledError
    return found[0]


@contextmanager
def busy(button: ui.button) -> Iterator[None]:
    """Show on a button that its work is under way, and let nobody start it twice."""
    button.props("loading disable")
    try:
        yield
    finally:
        button.props(remove="loading disable")
