# Everything runs in .venv, which the first target to need it makes.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
BENCH_VENV ?= .venv-bench
BENCH ?=

.PHONY: fit test test-slow bench lint clean

fit: $(VENV)/installed  ## trains a VAE on real digits for three minutes at most, tests it, says where all of it is
	$(BIN)/zoo fit --trainer.max_time=00:00:03:00

test: $(VENV)/installed-dev  ## runs the tests and the examples in docstrings
	$(BIN)/python -m pytest -n 2

test-slow: $(VENV)/installed-dev  ## runs the tests that take minutes
	$(BIN)/python -m pytest -m slow

bench: $(BENCH_VENV)/installed  ## measures the zoo beside its peers; BENCH="--quick vae" for less of it
	$(BENCH_VENV)/bin/python -m benchmarks $(BENCH)

lint: $(VENV)/installed-dev  ## checks style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

$(VENV)/bin/python:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)

# torch by itself first: a constraint alone would let the installer look for another build of it.
$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

$(BENCH_VENV)/installed: pyproject.toml constraints.txt benchmarks/requirements.txt
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet torch==2.13.0
	$(BENCH_VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable .
	$(BENCH_VENV)/bin/python -m pip install --quiet --constraint constraints.txt --requirement benchmarks/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) $(BENCH_VENV) build dist
