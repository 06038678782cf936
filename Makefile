# One-word tasks. Each sets up what it needs: a Python from 3.11 on with venv, git and make are all that must be there.

PYTHON ?= python3
SEEDS  ?= 0:100000
BIN    := .venv/bin
# A process for each core; each takes over half of what another has left. A process has to be told -bb again.
PYTEST := $(BIN)/python -bb -m pytest --tx "$$(getconf _NPROCESSORS_ONLN)*popen//python=$(BIN)/python -bb" --dist worksteal
LOCK   := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help setup demo test check model simulate removals torture storm bench format vectors lock clean

help:      ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 18

setup: .venv/installed ## build .venv from the lock, once

demo: setup ## run the whole story on real parts
	$(BIN)/invoke-log demo

test: setup verifier/node_modules/.installed tests/upstreams/node_modules/.installed ## run the tests, on all cores
	$(PYTEST)

check: setup ## lint, types, import contracts, vectors as generated; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python vectors/generate/run.py --check

model: setup ## search every state of the protocol's model, and lead 10,000 of its lives through the real rules
	$(BIN)/python -m docs.model.run
	INVOKE_LOG_MODEL=1 $(BIN)/python -bb -m pytest -o faulthandler_timeout=7200 tests/model

simulate: setup ## 100,000 seeds of the real code in a world that fails, and each seeded bug found; SEEDS=0:2000 for some
	$(BIN)/python -bb -m tests.simulation.broken
	$(BIN)/python -bb -m tests.simulation.run --seeds $(SEEDS)

removals: setup ## take each rule of SPEC.md out of the code and see a test fail; ONLY=EVT for some
	$(BIN)/python -bb tests/removals/run.py $(ONLY)

torture: setup ## faults, power cuts, damage and tampering at full size, on all cores, for half an hour or more; needs strace
	INVOKE_LOG_TORTURE=1 $(PYTEST) -o faulthandler_timeout=7200 tests/faults tests/audit/test_tampering.py

storm: setup ## 300 effects in foul weather under kill -9, three rounds; then providers' ledgers against replay; SEED=2
	$(BIN)/python -bb -m tests.storm $(if $(SEED),--seed $(SEED))

bench: setup ## figures against floors of the same run, as a table and as JSON
	$(BIN)/python -m bench.run

format: setup ## let ruff rewrite the sources
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

vectors: setup ## rewrite vectors/ from its generators
	$(BIN)/python vectors/generate/run.py

lock: setup ## resolve pyproject.toml into requirements/ again
	$(LOCK) pyproject.toml -o requirements/run.txt
	$(LOCK) pyproject.toml --all-extras -c requirements/run.txt -o requirements/dev.txt

clean:     ## remove what these tasks made
	rm -rf .venv verifier/node_modules tests/upstreams/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find src tests vectors -name __pycache__ -type d -prune -exec rm -rf {} +

# Everything comes by hash from the lock, the build backend too, so that nothing else is fetched. An interrupted run leaves no stamp.
.venv/locked: requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "error: Python is %d.%d, want 3.11 or later; try make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

.venv/installed: .venv/locked pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The second reader's three packages, and the MCP servers that tests put behind the gateway, by hash from locks of their own; npm and
# Node are those of .venv. npm ci begins with an empty node_modules. No script of a package runs.
%/node_modules/.installed: %/package.json %/package-lock.json .venv/locked
	cd $* && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent --ignore-scripts
	@touch $@
