# permille. `make` measures this machine; `make test` checks the house.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Two cores have room for five workers: with four, a twentieth of their time was idle, since what
# measures mostly waits. A file's tests share what is slow to set up, and stay on one worker;
# tests/conftest.py has the order of the files.
SUITE  := pytest -n 5 --dist loadfile --no-loadscope-reorder
PYTEST := $(BIN)/python -m $(SUITE)

# The tests start thousands of processes, which compile each module once and not each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := quickstart
.PHONY: quickstart install core static browser check fast test campaigns fuzz ci lint lint-js docs figures audit flips mutants bench release-check clean help

help:            ## what the targets do
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

quickstart: core ## install the core and the quick start's models, measure, print the table
	$(BIN)/permille assets fetch quickstart
	$(BIN)/permille run quickstart

core: $(VENV)/.core
install: $(VENV)/.dev ## .venv with the core, the quick start's models and the test extras

# pip would compile every module of SciPy: of most packages, the checks import a part.
$(VENV)/.check: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --no-compile --editable '.[check]'
	@touch $@

# Once, and not by each of five processes at the same time. What fails here is told by the tests.
$(VENV)/.compiled: $(VENV)/.check
	-@$(BIN)/python -m pytest --collect-only -q > /dev/null
	@touch $@

$(VENV)/.core: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[quickstart]'
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) --editable '.[dev]'
	$(BIN)/python scripts/build_explorer.py
	$(BIN)/permille assets fetch quickstart
	@touch $@

static:          ## build the explorer's page again (make install does it once)
	$(BIN)/python scripts/build_explorer.py

browser:         # the explorer's tests drive Debian's Chromium and Firefox; without one they say that they are skipped
	@for program in chromium-headless-shell firefox-esr; do command -v $$program >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	       && apt-get update -qq && apt-get install -y -qq $$program >/dev/null; } \
	  || command -v $${program%-headless-shell} >/dev/null \
	  || echo "no $$program here: the explorer's tests in it will be skipped"; done

# Side by side: mypy, which uses one core, takes a quarter of a minute in a new clone.
check:           ## a minute: lint, types, import rules, the fast tests; no torch, no browser
	@$(MAKE) --no-print-directory --jobs 2 lint fast

fast: $(VENV)/.compiled # the tests of `make check`, property tests with a fifth of the examples
	$(PYTEST) -n 4 --hypothesis-profile quick -m "not slow and not measuring"

test: install browser $(VENV)/.compiled ## everything, from a clean clone, with the coverage's floor
	mkdir -p build
	$(BIN)/python -m slipcover --json --out build/coverage.json -m $(SUITE) -p tests.line_counts
	$(BIN)/python -m slipcover --merge build/coverage.json --out build/coverage.json --fail-under 86

campaigns: install browser ## the campaigns at their full size: 100 kills, and so on (about ten minutes)
	PERMILLE_CAMPAIGNS=full $(PYTEST) -m campaign

ci: install browser $(VENV)/.compiled ## what .ci/run tests: all but the campaigns, which take long by their numbers
	$(PYTEST) -m "not campaign"

fuzz: install    ## the seams that strangers reach, for longer than the tests do
	FUZZ_EXAMPLES=20000 $(BIN)/python -m pytest tests/faults/test_fuzz.py

lint: $(VENV)/.check ## ruff, mypy, import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --verbose

lint-js: $(VENV)/.check ## types, eslint and prettier for the explorer's JavaScript
	$(BIN)/python scripts/lint_page.py

figures: install ## the quick start's figures in README.md and docs/the-question.md, from a run here
	$(BIN)/python scripts/refresh_quickstart.py

docs: $(VENV)/.check ## the documentation as a site in build/docs, strict about links
	$(BIN)/python scripts/build_reference.py
	$(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

audit: install   ## known vulnerabilities in the locked dependencies (needs the network)
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

flips: install   ## 2,000 flipped bits over a whole store: none may change a figure unsaid
	PERMILLE_FLIPS=2000 $(BIN)/python -m pytest -s tests/faults/test_store_flips.py

mutants: $(VENV)/.check ## change the code of the figures bit by bit: a test must fail (10 minutes)
	$(PIP) --editable '.[mutants]'
	$(BIN)/python scripts/mutants.py

bench: install   ## permille beside its peers, in one run
	$(BIN)/python benchmarks/run.py

release-check: install ## build sdist and wheel, and use the wheel outside of this checkout
	$(PIP) --editable '.[release]'
	$(BIN)/python scripts/release_check.py

clean:           ## remove what the targets made
	rm -rf $(VENV) build dist mutants .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis benchmarks/.envs
	find . -name __pycache__ -prune -exec rm -rf {} +
