"""The pages. A new one is one file here and one line in ``PAGES``."""

from __future__ import annotations

from tabwright.ui.pages.data import DATA
from tabwright.ui.pages.overview import OVERVIEW
from tabwright.ui.shell import Page

PAGES: tuple[Page, ...] = (OVERVIEW, DATA)
