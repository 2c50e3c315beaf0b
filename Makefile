# Everything runs in .venv, by path: nothing has to be activated. The first target that needs the
# environment creates it; scripts/setup_env.py says what it does and does nothing twice.

SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := $(CURDIR)/.venv/bin
# dg starts its sisters (dagster-webserver, dagster-daemon) by name.
RUN = PATH="$(BIN):$$PATH"
# One process per core, at most four: some tests start an engine, which takes a gigabyte or two.
SIDE_BY_SIDE = -n logical --maxprocesses 4 --dist loadfile

export PYTHON BONITO_ENGINE
export DAGSTER_DISABLE_TELEMETRY := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export VLLM_NO_USAGE_STATS := 1
export DO_NOT_TRACK := 1

# Any Python will do to run the setup script; that one finds the right one for .venv. A name on the
# PATH may be a version manager's stub, so each is tried; the environment's own starts fastest.
SETUP = for python in "$(BIN)/python" "$(PYTHON)" python3.11 python3.12 python3; do \
	  if [ -n "$$python" ] && "$$python" -ISc "from __future__ import annotations" 2>/dev/null; then \
	    exec "$$python" -IS scripts/setup_env.py $(1); fi; done; \
	echo "Setup stopped: No Python was found: install Python 3.11 (on Debian and Ubuntu:" \
	  "apt install python3.11 python3.11-venv)." >&2; exit 1

.PHONY: help setup environment demo test test-all ui viewer bench lint lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

setup: ## create or update .venv (PYTHON=/path/to/python3.11, BONITO_ENGINE=cpu|gpu)
	@$(call SETUP)

environment:
	@$(call SETUP,--quiet)

demo: environment ## the demo corpus from documents to evaluation, with a closing table
	@$(RUN) bonito run demo

test: environment ## the tests, without the slow ones
	@$(RUN) python -m pytest $(SIDE_BY_SIDE) -m "not slow"

test-all: environment ## all tests
	@$(RUN) python -m pytest $(SIDE_BY_SIDE)

ui: environment ## Dagster's UI and daemon on http://127.0.0.1:3000
	@$(RUN) DAGSTER_HOME="$${DAGSTER_HOME:-$(CURDIR)}" dg dev --host 127.0.0.1 --port 3000

viewer: environment ## the UI for those who only look, on http://127.0.0.1:3001: no mutation is taken
	@$(RUN) DAGSTER_HOME="$${DAGSTER_HOME:-$(CURDIR)}" dagster-webserver -w workspace.yaml \
	  --host 127.0.0.1 --port 3001 --read-only

bench: environment ## the CPU benchmarks; writes benchmarks/RESULTS.md
	@$(RUN) python -m benchmarks

lint: environment ## ruff: rules and format
	@$(RUN) ruff check . && $(RUN) ruff format --check .

lock: environment ## resolve pyproject.toml into locks/ (UPGRADE=1: to the newest versions)
	@$(RUN) python scripts/lock.py $(if $(UPGRADE),--upgrade)

clean: ## remove .venv and caches; data/ and Dagster's history stay
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
