# One command per intention; each sets up first where that is needed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.complete
PORT   ?= 8000
export IRGAN_RELEASES ?= releases

.PHONY: help setup demo demo-search rehearsal serve test soak lint format check bench clean

help:           ## this list
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | expand -t 12

setup: $(STAMP) ## a virtual environment with everything, at pinned versions

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "irgan needs Python 3.11 or newer; try make PYTHON=python3.11" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[experiments,postgres,s3,tracing,train,dev]'
	@touch $@

demo: $(STAMP)  ## ratings to answers over HTTP: fetch, train, compare, publish, ask
	$(BIN)/python -m tests.e2e.demo

demo-search: $(STAMP)  ## documents to answers over HTTP: index, search in three ways
	$(BIN)/python -m tests.e2e.demo_search

rehearsal: $(STAMP)  ## an experiment from the first release to the report, with people who click
	$(BIN)/python -m tests.e2e.rehearsal

serve: $(STAMP) ## keep the service up on PORT with the releases in IRGAN_RELEASES
	$(BIN)/irgan serve --port $(PORT) --releases $(IRGAN_RELEASES)

test: $(STAMP)  ## every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadscope

soak: $(STAMP)  ## what takes long: load while releases change, full disks, stores that go away, mutated requests (some 25 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m soak --timeout 3600 tests

lint: $(STAMP)  ## style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(STAMP) ## mend the style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: $(STAMP) ## types and the arrows between rooms
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(STAMP) ## every figure of docs/results.md, measured anew (about six hours on 2 cores)
	$(BIN)/python -m tests.bench.results

clean:          ## remove what the commands made; the virtual environment stays
	rm -rf .demo bundles runs reports build dist .pytest_cache .mypy_cache .ruff_cache
