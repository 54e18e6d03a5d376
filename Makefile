# SPDX-License-Identifier: MIT
# Each target makes its own virtual environment and installs what it needs: only Python >= 3.11 and make are presumed.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TESTS ?= tests
# a process for each core, which take tests from each other when they have none left
PROCESSES ?= -n auto --dist worksteal
SELECT ?=
PROGRAMS := build/programs
COMPAT := build/compat
BROWSER := build/browser

.PHONY: demo environments test test-optimized test-compat test-clients test-crossbar test-browser lint format types bench bench-check soak stub clean

demo: $(STAMP)
	$(BIN)/python -m examples.router.demo

test: $(STAMP)
	$(BIN)/python -m pytest $(PROCESSES) -m '$(SELECT)' $(TESTS)

# asserts are for internal invariants only: everything must hold without them
test-optimized: $(STAMP)
	PYTHONOPTIMIZE=1 $(BIN)/python -O -m pytest $(PROCESSES) -m '$(SELECT)' $(TESTS)

# the published programs that use zlmdb, in an environment of their own that has this package in its place
test-clients: $(PROGRAMS)/.installed
	$(PROGRAMS)/bin/python -m pytest $(PROCESSES) -c tests/clients/pytest.ini tests/clients

# the published router with our stores
test-crossbar: $(PROGRAMS)/.installed
	$(PROGRAMS)/bin/python -m pytest $(PROCESSES) -c tests/crossbar/pytest.ini tests/crossbar

$(PROGRAMS)/.installed: pyproject.toml tests/clients/requirements.txt
	$(PYTHON) -m venv $(PROGRAMS)
	$(PROGRAMS)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(PROGRAMS)/bin/python -m pip install --quiet --editable ".[stores]" --requirement tests/clients/requirements.txt
	touch $@

# the page of examples/router in a headless Chromium, which is installed where apt-get can; without it they are skipped
test-browser: $(BROWSER)/.installed
	@command -v chromedriver >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
	{ apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium chromium-driver; } || \
	echo "no Chromium could be installed"
	$(BROWSER)/bin/python -m pytest -c tests/browser/pytest.ini tests/browser

$(BROWSER)/.installed: pyproject.toml tests/browser/requirements.txt
	$(PYTHON) -m venv $(BROWSER)
	$(BROWSER)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BROWSER)/bin/python -m pip install --quiet --editable ".[router]" --requirement tests/browser/requirements.txt
	touch $@

# files written by the published package, in an environment of its own, read by ours, and the other way round
test-compat: $(STAMP) $(COMPAT)/.installed
	$(BIN)/python -m pytest $(PROCESSES) tests/compat

# what test-compat, test-clients and test-crossbar need beyond .venv
environments: $(COMPAT)/.installed $(PROGRAMS)/.installed

$(COMPAT)/.installed: tests/compat/requirements.txt
	$(PYTHON) -m venv $(COMPAT)
	$(COMPAT)/bin/python -I -m pip install --quiet --requirement tests/compat/requirements.txt
	touch $@

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP)
	$(BIN)/mypy
	$(BIN)/mypy --strict tests/typing
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/pyright --pythonpath $(BIN)/python --project tests/typing

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# fails below the targets; on a quiet machine
bench-check: $(STAMP)
	$(BIN)/python -m benchmarks --check --output benchmarks/results/latest.md

# half an hour at 80 % of the capacity: memory and file must stay as large as they are
soak: $(STAMP)
	$(BIN)/python -m benchmarks.soak

# the names of the map types, for type checkers
stub: $(STAMP)
	$(BIN)/python -m zlmdb.compat > zlmdb/__init__.pyi.new && mv zlmdb/__init__.pyi.new zlmdb/__init__.pyi

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[all]" --group dev
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
