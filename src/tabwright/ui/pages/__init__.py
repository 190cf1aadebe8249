"""The pages. A new one is one file here and one line in ``PAGES``."""

from __future__ import annotations

from tabwright.ui.pages.candidate import CANDIDATE, COMPARE
from tabwright.ui.pages.data import DATA
from tabwright.ui.pages.machine import MACHINE
from tabwright.ui.pages.model import MODEL
from tabwright.ui.pages.models import MODELS
from tabwright.ui.pages.new_run import NEW_RUN
from tabwright.ui.pages.notebook import NOTEBOOK
from tabwright.ui.pages.overview import OVERVIEW
from tabwright.ui.pages.run import RUN
from tabwright.ui.pages.runs import RUNS
from tabwright.ui.pages.table import TABLE
from tabwright.ui.shell import Page

PAGES: tuple[Page, ...] = (
    OVERVIEW, DATA, TABLE, NEW_RUN, RUNS, RUN, CANDIDATE, COMPARE, MODELS, MODEL, NOTEBOOK, MACHINE,
)  # fmt: skip
