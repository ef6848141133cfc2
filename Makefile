# Two commands matter: `make run` and `make test`. Both set up what they need in .venv, once per lock file.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
PYTHON_OF_VENV := $(VENV)/bin/python
TOOLS := .make
SOURCES := proxy policies exporters grafana reference tests

# An environment is good for one lock file, one set of entry points and one place; the stamp's name says which.
fingerprint = $(shell { echo "$(CURDIR)"; cat pyproject.toml $(1); } | git hash-object --stdin | cut -c1-16)
RUN_STAMP := $(VENV)/stamp-run-$(call fingerprint,requirements/run.lock)
DEV_STAMP := $(VENV)/stamp-dev-$(call fingerprint,requirements/dev.lock)

# The newest Python that will do; `make PYTHON=/path/to/python run` chooses another.
PYTHON ?= $(shell for name in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	command -v $$name >/dev/null 2>&1 && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& command -v $$name && break; done)

.PHONY: help
help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(RUN_STAMP) ## Start the proxy with its embedded store
	@exec $(VENV)/bin/taximeter serve $(ARGS)

.PHONY: demo
demo: $(RUN_STAMP) ## Start it against the sandbox provider, with live traffic; no key needed
	@exec $(VENV)/bin/taximeter serve --demo $(ARGS)

JS_CLIENT := tests/integration/clickhouse-js

# The official JavaScript client is a client of the store in one test; without npm that test says that it is skipped.
$(JS_CLIENT)/node_modules: $(JS_CLIENT)/package-lock.json
	@if command -v npm >/dev/null; then npm --prefix $(JS_CLIENT) ci --no-audit --no-fund --loglevel=error; fi

.PHONY: test
test: lint $(JS_CLIENT)/node_modules ## Run everything that CI runs
	$(PYTHON_OF_VENV) -m pytest -n 2 -m "not real"
	$(PYTHON_OF_VENV) -m pytest -n 2 --dist loadfile -m real --timeout 300

.PHONY: lint
lint: $(DEV_STAMP) ## Check style, types and the contracts between the rooms
	$(PYTHON_OF_VENV) -m ruff check
	$(PYTHON_OF_VENV) -m ruff format --check
	$(PYTHON_OF_VENV) -m mypy
	$(VENV)/bin/lint-imports

.PHONY: format
format: $(DEV_STAMP) ## Put the sources in their form
	$(PYTHON_OF_VENV) -m ruff check --fix
	$(PYTHON_OF_VENV) -m ruff format

.PHONY: bench
bench: $(DEV_STAMP) ## Measure: direct, nginx and Taximeter, interleaved
	$(PYTHON_OF_VENV) tests/bench/run.py $(ARGS)

.PHONY: bench-store
bench-store: $(DEV_STAMP) ## Measure: a million calls into the embedded store, and the reports from them
	$(PYTHON_OF_VENV) tests/bench/million.py $(ARGS)

.PHONY: bench-recorder
bench-recorder: $(DEV_STAMP) ## Measure: what the recorder costs per call, and how fast it catches up
	$(PYTHON_OF_VENV) tests/bench/recorder.py $(ARGS)

.PHONY: bench-policies
bench-policies: $(DEV_STAMP) ## Measure: what fifty policies and a thousand keys add to a call
	$(PYTHON_OF_VENV) -m tests.bench.governed $(ARGS)

.PHONY: bench-routes
bench-routes: $(DEV_STAMP) ## Measure: what a route adds to a call
	$(PYTHON_OF_VENV) -m tests.bench.routed $(ARGS)

.PHONY: dashboards
dashboards: $(DEV_STAMP) ## Make Grafana's dashboards and alert rules anew
	$(PYTHON_OF_VENV) -m grafana

.PHONY: docs
docs: $(DEV_STAMP) ## Make the references of docs/ anew: configuration keys, policy keys, columns
	$(PYTHON_OF_VENV) -m reference

.PHONY: faults
faults: $(DEV_STAMP) ## Kill, cut, fill and damage: count calls sent against rows; ROUNDS=n makes it longer
	$(PYTHON_OF_VENV) -m tests.faults.run $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS)

.PHONY: overshoot
overshoot: $(DEV_STAMP) ## Spend against caps from processes that are killed: nothing over a cap; ROUNDS=n makes it longer
	OVERSHOOT_ROUNDS=$(or $(ROUNDS),10) OVERSHOOT_SECONDS=$(or $(SECONDS),8) $(PYTHON_OF_VENV) -m pytest \
		tests/integration/test_overshoot.py tests/overshoot $(ARGS)

.PHONY: failover
failover: $(DEV_STAMP) ## Make every fault at every moment in every chat dialect: print what the app got and what it cost
	$(PYTHON_OF_VENV) -m tests.failover.run $(ARGS)

.PHONY: failover-load
failover-load: $(DEV_STAMP) ## Call a provider that fails three calls in ten, by the official SDKs: count good answers
	$(PYTHON_OF_VENV) -m tests.failover.load $(ARGS)

# `make lock` keeps the versions that are there; `make lock UPGRADE=1` takes the newest.
COMPILE = $(TOOLS)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--quiet $(if $(UPGRADE),--upgrade) pyproject.toml requirements/run.in

.PHONY: lock
lock: $(TOOLS)/bin/uv ## Write requirements/*.lock anew
	$(COMPILE) --extra embedded --output-file requirements/run.lock
	$(COMPILE) --extra embedded requirements/dev.in --output-file requirements/dev.lock
	$(COMPILE) --constraint requirements/run.lock --output-file requirements/server.lock

.PHONY: clean
clean: ## Remove what make made; the data folder stays
	rm -rf $(VENV) $(TOOLS) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN_STAMP):
	@$(call install,requirements/run.lock)
	@touch $@

# The development lock holds the other one: what it installs can run as well.
$(DEV_STAMP):
	@$(call install,requirements/dev.lock)
	@touch $@ $(RUN_STAMP)

$(TOOLS)/bin/uv:
	@$(call environment,$(TOOLS))
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv

define install
	$(call environment,$(VENV)) && \
	echo "Installing $(1) into $(VENV) ..." && \
	rm -f $(VENV)/stamp-* && \
	$(PYTHON_OF_VENV) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
		--requirement $(1) && \
	$(PYTHON_OF_VENV) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
endef

# Make an environment, unless there is one that works.
define environment
	$(1)/bin/python -m pip --version >/dev/null 2>&1 || { \
		if [ -z "$(PYTHON)" ]; then \
			echo "Taximeter needs Python 3.11 or newer, and none was found (python3.11 ... python3.14, python3)." >&2; \
			echo "Install one, or name it: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; exit 1; fi; \
		"$(PYTHON)" -m venv --clear $(1) || { rm -rf $(1); \
			echo "$(PYTHON) cannot make environments: its venv or ensurepip is missing." >&2; \
			echo "On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; }
endef
