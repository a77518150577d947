# Set-up is part of every target: `make demo` and `make test` work on a fresh clone with
# Python >= 3.11, Go >= 1.26 and Node >= 18.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PYTEST ?= $(BIN)/pytest
SOAK_MINUTES ?= 10
# Tests wait more than they work: three processes, each with a cluster of its own (1.2 GB), keep two
# cores busy. A file's tests stay together.
TEST_PROCESSES ?= 3

.PHONY: help demo test check bench bench-quick soak matrix controlplane browser lock format clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

demo: $(READY) controlplane ## run everything on this machine; Ctrl-C ends it
	$(BIN)/kzproxy demo

test: $(READY) controlplane browser ## all tests, against real components
	$(PYTEST) --require-cluster --numprocesses $(TEST_PROCESSES) --dist loadfile

check: $(READY) ## format, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint Dockerfile

bench: $(READY) controlplane ## measure beside nginx and other proxies, into docs/performance.md
	@bench/install_nginx.sh
	@$(BIN)/python -m compileall -q kzproxy  # as pip does with what it installs
	$(BIN)/python -m bench.run

bench-quick: $(READY) ## measure beside nginx alone, in under a minute
	@bench/install_nginx.sh
	@$(BIN)/python -m compileall -q kzproxy  # as pip does with what it installs
	$(BIN)/python -m bench.run --quick

soak: $(READY) controlplane ## ten minutes of everything at once, and a verdict; SOAK_MINUTES=2 is shorter
	$(BIN)/python -m soak.run --minutes $(SOAK_MINUTES)

matrix: $(READY) controlplane ## each fact turned under each kind of stream, and how fast it was ended
	$(PYTEST) --require-cluster -q tests/matrix

controlplane: ## build the real control plane once; prints its directory
	@$(PYTHON) tests/cluster/build.py

browser: ## install the Chromium that the sign-in tests drive
	@command -v chromium >/dev/null || tests/install_chromium.sh

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'kzproxy needs Python 3.11 or later: make PYTHON=/path/to/python3.11 ...' >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock: $(READY) ## resolve the dependencies anew into requirements/
	$(BIN)/python -m pip install --quiet uv==0.13.8
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
	  --extra server --extra dev pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --extra server -c requirements/dev.txt pyproject.toml -o requirements/server.txt
	echo hatchling==1.33.0 | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-header -c requirements/dev.txt - -o requirements/build.txt

format: $(READY) ## rewrite the code as ruff wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove what can be made again
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	find . -name __pycache__ -prune -exec rm -rf {} +
