# Everything that a newcomer types; each target sets up what is missing first.
.DEFAULT_GOAL := help
.PHONY: help setup demo test chaos fuzz check bench clean

BIN := .venv/bin

help:  ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## install what is missing: broker, TimescaleDB, Python environment
	@bash deploy/setup.sh

demo: setup  ## a live province: broker, database, ingest, API, simulator (ARGS="--for 60s")
	@$(BIN)/shudao demo $(ARGS)

test: setup  ## all tests, with a real broker and a real TimescaleDB (ARGS="-k registry")
	@$(BIN)/pytest $(ARGS)

chaos: setup  ## ten minutes of faults: kills, cuts, restarts; nothing lost, nothing twice
	@SHUDAO_CHAOS=long $(BIN)/pytest tests/faults $(ARGS)

fuzz: setup  ## a million broken payloads, guided by coverage: each decoded or refused
	@$(BIN)/pip install -q -e '.[fuzz]'
	@$(BIN)/python -m tests.fuzz.decode -runs=1000000 $(ARGS)

check: setup  ## lint, formatting, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: setup  ## how fast messages become committed samples (ARGS="--source all --baseline")
	@$(BIN)/shudao bench ingest $(ARGS)

clean:  ## stop the private services, delete their data and what was built here
	@if [ -x $(BIN)/shudao ]; then for home in .shudao/bench .shudao/test .shudao; do \
		SHUDAO_HOME=$$home $(BIN)/shudao local down --delete-data; done; fi
	@rm -rf .venv .shudao build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
