# Everything runs in a private .venv made from requirements-dev.lock: Python >= 3.11 and make are all it takes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RESOLVE := --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint style types suite format docs screenshots bench fuzz faults wheel lock audit clean

help: ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

setup: $(READY) ## make .venv with every locked dependency

$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "dealcast needs Python >= 3.11; say which: make PYTHON=python3.12 setup"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked dependencies into $(VENV) (a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q expectations flows deployments
	@touch $@

demo: $(READY) ## the whole chain on a shipped export, against a sandbox that it starts
	@$(BIN)/dealcast demo

test: style ## lint, types, and the whole suite
	@$(MAKE) --no-print-directory --jobs 2 types suite

lint: style types ## ruff and mypy, as CI runs them

style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

suite: $(READY)
	$(BIN)/python -m pytest -n auto --dist loadfile

format: $(READY) ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## write the parts of the documentation that are made from the code
	$(BIN)/python -m tests.make_docs --demo

screenshots: $(READY) ## write deployments/screenshots from a real `dealcast up`, in Chromium
	@$(BIN)/python -m tests.make_screenshots

bench: $(READY) ## benchmarks against their yardsticks; N= deals, PART= some of them, PART=--write keeps the table
	$(BIN)/python -m tests.benchmarks $(PART)

fuzz: $(READY) ## the differential test of the gate, the fuzzing of the sandbox and all other random examples, at full budget
	DEALCAST_FUZZ=full $(BIN)/python -m pytest $$(grep -rlE "from hypothesis|environ.*DEALCAST_FUZZ" tests --include="test_*.py")

faults: $(READY) ## the whole crash and fault matrix, its other axes, 300 random scenarios, and the tests too slow for each commit
	$(BIN)/python -m tests.faults matrix
	$(BIN)/python -m tests.faults axes
	$(BIN)/python -m tests.faults scenarios --count 300
	$(BIN)/python -m tests.faults contest
	$(BIN)/python -m tests.faults.dead_workers
	DEALCAST_FAULTS=full $(BIN)/python -m pytest tests/faults tests/flows/test_durability.py tests/flows/ledger/test_on_disk.py tests/flows/test_guarded_sync.py tests/flows/test_resync.py tests/flows/test_secrets.py
	$(BIN)/python -m pytest -m slow -n auto --dist loadfile

wheel: $(READY) ## build a wheel into dist/
	@rm -rf build dist
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

lock: ## resolve both locks again: what develops dealcast, and the part of it that runs it (needs uv)
	uv pip compile $(RESOLVE) --all-extras --output-file requirements-dev.lock pyproject.toml
	uv pip compile $(RESOLVE) --extra s3 --extra gs --extra sftp --extra postgres --extra build --constraint requirements-dev.lock --output-file requirements.lock pyproject.toml

audit: ## ask for known vulnerabilities in what runs it (needs pip-audit, and its data within reach)
	pip-audit --requirement requirements.lock --require-hashes --disable-pip

clean: ## remove .venv and everything made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
