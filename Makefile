# Every target sets up what it needs in .venv; Python 3.11 or newer, make and git are all that must be there.
PYTHON ?= python3
BIN := .venv/bin
SECONDS_DEMO ?= 60

.PHONY: demo ui test test-slow check docs bench clean

.venv/run: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/dev: .venv/run
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dask,neural,postgres,serve]' --group dev
	touch $@

demo: .venv/run
	$(BIN)/tabwright demo --max-runtime-secs $(SECONDS_DEMO)

.venv/ui: .venv/run
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[ui]'
	touch $@

ui: .venv/ui
	$(BIN)/tabwright ui

test: .venv/dev
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist worksteal

test-slow: .venv/dev
	$(BIN)/python -m pytest -m slow

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/mypy

.venv/docs: .venv/run
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group docs
	touch $@

docs: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: .venv/dev
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf .venv
