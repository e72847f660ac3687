# seatrial: two commands on a fresh machine.
#
#   make trial   sets everything up and runs a real trial on the embedded etcd
#   make test    sets everything up and passes the tests
#
# Needs git, Python 3.11 or newer and make; no root. Everything goes into .venv.

PYTHON ?= python3
BIN := .venv/bin
CASE ?= etcd-register
ARGS ?=
WALKS := tests/kube/test_walk.py
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help setup trial test test-unit test-lab test-full lint types docs wheel bench lock clean

help: ## Say what there is to make
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.done ## Make .venv with everything that the other targets need

.venv/.done: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here. Install Python 3.11 or newer, or say which: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is `$(PYTHON) -V`; seatrial needs 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module (on Debian: the package python3-venv)"; exit 1; }
	@echo "== making .venv (once)"
	@$(PYTHON) -m venv .venv
	@echo "== installing what requirements.lock pins (once; about 200 MB)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet --require-hashes requirements.lock \
	    || { echo "uv could not; trying pip (slower)"; \
	         $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; }
	@echo "== installing seatrial itself, editable"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

trial: setup ## Run a real trial: three etcd nodes, loaded, broken, healed, judged
	@echo "== seatrial run $(CASE) $(ARGS)"
	@$(BIN)/seatrial run $(CASE) $(ARGS)

test: setup lint types test-unit test-lab ## Lint, types, unit and property tests, trials on a real lab

lint: setup ## Style and the import contract
	@echo "== ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "== import contract"
	@$(BIN)/lint-imports --no-cache | tail -n 8

types: setup ## mypy, strict
	@echo "== mypy"
	@$(BIN)/mypy

test-unit: setup ## Unit and property tests, documentation examples, the wheel
	@echo "== unit and property tests"
	@$(BIN)/python -m pytest -n 2 -m "not lab and not full" $(ARGS)

test-lab: setup ## Trials and faults on real nodes
	@echo "== lab tests (real etcd nodes)"
	@$(BIN)/python -m pytest -m "lab and not full" $(ARGS)

test-full: setup ## All tests, with the packages that some of them need (Debian's as root, and kubectl)
	@echo "== Debian packages: etcd-server, chromium, prometheus, mariadb-server"
	@sh deploy/debian-packages.sh
	@echo "== kubectl (about 60 MB, into .venv)"
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --require-hashes -r requirements-full.lock
	@$(MAKE) --no-print-directory lint types
	@mkdir -p build && rm -f build/tests-*.xml
	@echo "== unit and property tests"
	@$(BIN)/python -m pytest -n 2 -m "not lab and not full" --junitxml build/tests-unit.xml $(ARGS)
	@echo "== everything on real nodes and servers, one after the other"
	@$(BIN)/python -m pytest -m "lab or full" --ignore $(WALKS) --junitxml build/tests-lab.xml $(ARGS)
	@echo "== rendered workflows walked over the API, two at a time"
	@$(BIN)/python -m pytest -n 2 $(WALKS) --junitxml build/tests-walks.xml $(ARGS)
	@$(BIN)/python -m tests.tally build/tests-unit.xml build/tests-lab.xml build/tests-walks.xml

docs: setup ## Build the documentation without warnings
	@$(BIN)/sphinx-build -W --keep-going -q -n -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

wheel: setup ## Build sdist and wheel
	@$(BIN)/python -m build

bench: setup ## Measure: tables with ratios
	@for file in $$(grep -l __main__ benchmarks/*.py); do \
	    echo "== $$file"; $(BIN)/python -m benchmarks.$$(basename $$file .py) || exit 1; done

lock: setup ## Pin all dependencies anew
	@VIRTUAL_ENV=.venv uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --group dev --group docs pyproject.toml -o requirements.lock

clean: ## Remove .venv and what was built
	rm -rf .venv build dist docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
