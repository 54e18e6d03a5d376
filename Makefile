# SPDX-License-Identifier: MIT
# Each target makes its own virtual environment and installs what it needs: only Python >= 3.11 and make are presumed.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TESTS ?= tests

.PHONY: demo test test-optimized lint format types bench stub clean

demo: $(STAMP)
	$(BIN)/python -m examples.router.demo

test: $(STAMP)
	$(BIN)/python -m pytest $(TESTS)

# asserts are for internal invariants only: everything must hold without them
test-optimized: $(STAMP)
	PYTHONOPTIMIZE=1 $(BIN)/python -O -m pytest $(TESTS)

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
