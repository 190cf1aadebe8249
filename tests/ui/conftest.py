"""A workspace with a table, and a small real run that many tests read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from people import census, finished_run

from tabwright.ui.tables import Tables
from tabwright.ui.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    return Workspace.open(tmp_path / "workspace")


@pytest.fixture
def tables(workspace):
    return Tables(workspace)


@pytest.fixture
def people(tables, tmp_path):
    """The census table, uploaded, with its target."""
    path = tmp_path / "people.csv"
    census().to_csv(path, index=False, sep=";", na_rep="?")
    entry = replace(tables.upload("people.csv", path), target="income")
    entry = tables.parse(replace(entry, options=replace(entry.options, null_values=("?",))))
    tables.save(entry)
    return entry


@pytest.fixture(scope="session")
def binary_run(tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("binary"), census(), "income")


@pytest.fixture(scope="session")
def regression_run(tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("regression"), census().drop(columns="income"), "hours-per-week")
