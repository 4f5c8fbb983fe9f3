# Every command of the project. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help run test check format bench docs lock wheel clean

PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv

# A stamp a lock: what is locked is installed once, with its hashes checked.
.venv/.runtime: requirements.lock pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.runtime
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

run: .venv/.runtime ## Run the hub on http://127.0.0.1:8000
	@exec $(BIN)/backend-hub serve

test: .venv/.dev ## Run every test on the embedded PostgreSQL (or TEST_DATABASE_URL)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

check: .venv/.dev ## Format, lint, types, layers, migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.check_migrations

format: .venv/.dev ## Format the code and sort its imports
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

bench: .venv/.dev ## Compare the hub with its peers (ARGS="--works W1 --peers hub,raw")
	$(BIN)/python -m bench $(ARGS)

docs: .venv/.dev ## Write the generated pages of docs/
	$(BIN)/backend-hub settings > docs/settings.md

lock: .venv/.dev ## Resolve the dependencies anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --extra embedded --extra telemetry --upgrade -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --extra embedded --extra telemetry --group dev \
		--constraint requirements.lock -o requirements-dev.lock pyproject.toml

wheel: .venv/.dev ## Build the wheel, migrations and catalogue inside
	$(BIN)/uv build --wheel --quiet --out-dir dist

clean: ## Remove what was built and installed; the data in .hub stays
	rm -rf .venv .cache dist build .mypy_cache .ruff_cache .pytest_cache
