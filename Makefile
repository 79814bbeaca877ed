# Needs Python 3.11 or newer, git and make; everything else is fetched into the checkout.
# Options: make PYTHON=/path/to/python3.12 ..., make demo KEEP=1, make test ARGS="-k graph", make test JOBS=4

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

UV_VERSION := 0.13.9
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,$(call modern,$(name))))
modern = $(shell $(1) -c 'import sys; sys.version_info >= (3, 11) and print(sys.executable)' 2>/dev/null)
define python-is-modern
"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
  echo "innominatus needs Python 3.11 or newer: install it, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
endef
UV ?= $(or $(shell command -v uv 2>/dev/null),.tools/uv/bin/uv)
PY := .venv/bin/python
# One worker more than processors, up to four: tests wait as much as they compute. Each starts its own PostgreSQL.
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); [ $$n -lt 4 ] && echo $$((n + 1)) || echo 4)
ARGS ?=

# The environment is this checkout's own, whatever the caller has set up for other projects.
export UV_PROJECT_ENVIRONMENT := .venv
export UV_COMPILE_BYTECODE := 1
export UV_PYTHON_DOWNLOADS := never
# What the machine tells pip holds for uv too, which does not ask pip.
ifdef PIP_CERT
export SSL_CERT_FILE ?= $(PIP_CERT)
endif
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH

.PHONY: help
help: ## Explain the targets
	@echo "innominatus: a platform orchestrator. Try \`make demo\`."
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: .venv/.ready ## Watch a Score spec become a database, a cache and a workload (KEEP=1 leaves it serving)
	@$(PY) -m cli.demo $(if $(filter-out 0 no false,$(KEEP)),--keep)

.PHONY: test
test: .venv/.ready ## Run every test; PostgreSQL and Valkey come along (ARGS="-k graph" chooses)
	@$(PY) -m pytest -n $(JOBS) --dist worksteal $(ARGS)

.PHONY: chaos
chaos: .venv/.ready ## Break workers, databases and Redis on purpose for a while (SEED=7 repeats one, ARGS="-k redis" chooses)
	@CHAOS=long $(PY) -m pytest -s tests/chaos $(ARGS)

.PHONY: check
check: lint test ## All that must hold before a commit: format, lint, types, layers, tests

.PHONY: lint check-format check-style check-types check-layers
lint: check-format check-style check-types check-layers ## Check format, style, types and layers, without the tests
check-format: .venv/.ready
	@echo "== format"; $(PY) -m ruff format --check --quiet --diff .
check-style: .venv/.ready
	@echo "== style"; $(PY) -m ruff check --quiet .
check-types: .venv/.ready
	@echo "== types"; $(PY) -m basedpyright
check-layers: .venv/.ready
	@echo "== layers"; .venv/bin/lint-imports --no-logo

.PHONY: format
format: .venv/.ready ## Format the code and repair what a tool can
	@$(PY) -m ruff check --fix --quiet . || true
	@$(PY) -m ruff format .

.PHONY: bench
bench: .venv/.ready ## Print one table of figures
	@$(PY) -m benchmarks

.PHONY: docs
docs: .venv/.ready ## Write docs/reference anew from the code
	@$(PY) -m cli.reference

.PHONY: build
build: .venv/.ready ## Build the wheel into dist/
	@$(UV) build --wheel --out-dir dist

.PHONY: mcpb
mcpb: .venv/.ready ## Build the bundle for Claude Desktop into dist/ (needs npx)
	@$(PY) -m desktop.bundle

.PHONY: conformance
conformance: .venv/.ready ## Put the MCP door to the official conformance suites (needs npx)
	@$(PY) -m tests.conformance

.PHONY: compose-env
compose-env: ## Write .env for docker-compose.yml: passwords and keys made here, once
	@$(python-is-modern)
	@"$(PYTHON)" containers/compose_env.py

.PHONY: env
env: .venv/.ready ## Only prepare the environment (.venv)
	@echo "The environment is ready. Put its programs on the path: . .venv/bin/activate"

.PHONY: clean
clean: ## Remove everything that make has made
	@[ ! -d .demo ] || [ ! -x $(PY) ] || $(PY) -m cli.server local purge --yes --data-dir .demo
	rm -rf .venv .tools .demo dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.ready: pyproject.toml uv.lock | $(filter .tools/%,$(UV))
	@$(python-is-modern)
	@echo "Preparing .venv ..."
	@$(UV) sync --frozen --extra local --dev --quiet --python "$(PYTHON)"
	@touch $@

.tools/uv/bin/uv:
	@$(python-is-modern)
	@echo "Fetching uv $(UV_VERSION) into .tools ..."
	@"$(PYTHON)" -m venv .tools/uv || { echo "Python's venv module is missing (Debian: apt install python3-venv)" >&2; exit 1; }
	@.tools/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
