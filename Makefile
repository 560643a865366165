# Needs Python 3.11 or newer and nothing else: no root, no Node.js, no database server.
# Targets: run, install, test, check, coverage, bench, conformance, screens, lock, format, clean. `make run` first.

SHELL := /bin/sh
.DEFAULT_GOAL := run
.PHONY: run install test check coverage bench conformance screens lock format clean lint types imports dependencies templates docs

VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/.done
SERVER := $(BIN)/fhir-server

# ---------------------------------------------------------------- install

# The first Python that is new enough, or the one that `make PYTHON=…` names.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

# uv from pip, inside the environment: seconds instead of a minute; it trusts the authorities that this machine trusts. Where only pip knows the way to a package index, pip it is.
UV := UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# What the build hook turns into the artefacts of the package.
BUILD_INPUTS := pyproject.toml hatch_build.py fhir_server/spec/build_packages.py fhir_server/spec/build_definitions.py fhir_server/spec/build_units.py \
	fhir_server/portal/build_assets.py fhir_server/language/build_catalogues.py $(wildcard fhir_server/language/*/LC_MESSAGES/messages.po)
BUILT := fhir_server/spec/r4.msgpack fhir_server/spec/ucum.msgpack fhir_server/portal/static/vendor/manifest.json fhir_server/language/cy/LC_MESSAGES/messages.mo

install: $(DONE)/package
	@:

$(DONE)/environment:
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer is needed (or: make PYTHON=/path/to/python3.11)"; exit 2; }
	@echo "making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) || { echo "error: python3 -m venv does not work (Debian: apt-get install python3-venv)"; exit 2; }
	@$(PIP) 'uv>=0.9,<1' || echo "no uv to be had: going on with pip, which is slower"
	@mkdir -p $(DONE) && touch $@

$(DONE)/packages: requirements.lock | $(DONE)/environment
	@echo "installing packages"
	@$(UV) -r requirements.lock || $(PIP) -r requirements.lock
	@touch $@

$(DONE)/package: $(DONE)/packages $(BUILD_INPUTS) $(if $(filter-out $(words $(BUILT)),$(words $(wildcard $(BUILT)))),rebuild)
	@echo "building definitions and page assets"
	@$(UV) --no-deps -e . || $(PIP) --no-deps -e .
	@touch $@

.PHONY: rebuild
rebuild:

$(DONE)/test-packages: requirements-test.lock $(DONE)/package
	@echo "installing test packages"
	@$(UV) -r requirements-test.lock || $(PIP) -r requirements-test.lock
	@touch $@

# ---------------------------------------------------------------- run

# `make run PORT=8080` serves there, and says so in links and mails.
PORT ?= 8000
ifneq ($(PORT),8000)
export FHIR_SERVER_BASE_URL ?= http://localhost:$(PORT)
endif

# One mark for each database that this checkout has filled; a database of another URL gets its own.
FILLED := var/.make/$(shell printf %s "$${FHIR_SERVER_DATABASE_URL:-}" | cksum | cut -d' ' -f1)

run: install
	@mkdir -p var/.make
	@[ -n "$${FHIR_SERVER_DATABASE_URL:-}" ] || [ -e var/fhir.db ] || rm -f $(FILLED)
	@if [ ! -e $(FILLED) ]; then \
		$(SERVER) init && $(SERVER) seed >$(FILLED).part && mv $(FILLED).part $(FILLED); \
	elif [ -n "$$(find fhir_server/store -name '*.py' -newer $(FILLED) | head -n 1)" ]; then \
		$(SERVER) init && touch $(FILLED); \
	fi
	@cat $(FILLED)
	@exec $(SERVER) serve --port $(PORT)

# ---------------------------------------------------------------- test

# PYTEST_ARGS='tests/search -x' runs a part.
PYTEST_ARGS ?=

test: $(DONE)/test-packages
	@$(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile -rs $(PYTEST_ARGS)

coverage: $(DONE)/test-packages
	@$(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile --cov --cov-report=term --cov-report=html $(PYTEST_ARGS)

# ---------------------------------------------------------------- check

check: lint types imports dependencies templates docs

lint: $(DONE)/test-packages
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(DONE)/test-packages
	@$(BIN)/mypy

imports: $(DONE)/test-packages
	@$(BIN)/lint-imports --config setup.cfg --no-logo

dependencies: $(DONE)/test-packages
	@$(BIN)/deptry .

templates: $(DONE)/test-packages
	@find fhir_server -name '*.html' -o -name '*.jinja' | grep -q . || exit 0; $(BIN)/djlint fhir_server --lint --quiet

docs: $(DONE)/test-packages
	@$(BIN)/pytest tests/docs

format: $(DONE)/test-packages
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

# ---------------------------------------------------------------- the rest

# BENCH_ARGS='read --seconds 10' runs a part.
BENCH_ARGS ?=

bench: $(DONE)/test-packages
	@$(SERVER) bench $(BENCH_ARGS)

# Writes docs/conformance.md from a real server; needs the shared cases beside the checkout.
conformance: $(DONE)/test-packages
	@$(BIN)/python -m tests.conformance

# Photographs the main pages into docs/screens/; `SCREENS='home letters'` only these.
screens: $(DONE)/test-packages
	@$(BIN)/python -m tests.screens $(SCREENS)

# New versions within the bounds of pyproject.toml, for every platform, with hashes, naming no package index. The larger set
# first: what the tests need may hold a package back, and both files must agree.
COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

lock: $(DONE)/environment
	@$(COMPILE) --extra test --extra dev --output-file requirements-test.lock
	@$(COMPILE) --constraint requirements-test.lock --output-file requirements.lock

# Leaves var/ alone: it holds the data of `make run`.
clean:
	@rm -rf $(VENV) build dist .coverage* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@rm -rf $(BUILT) fhir_server/portal/static/vendor
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
