# Python 3.11 to 3.13 and make are enough: each target makes the environment it needs in .venv.
# `make help` lists the targets. Variables:
#
#   PYTHON=/path/to/python3   the Python to make .venv with; else the newest that fits
#   DATA=/path/to/ferplus     for demo: train on FER+ instead of on drawn faces
#   ARGS="..."                for test: passed on to pytest

VENV := .venv
BIN := $(VENV)/bin
# Errors alone are shown.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet

# JAX and PyTorch live apart, so that the other tests see what users of TensorFlow have.
BACKENDS := .venv-backends
ON_ANY_BACKEND := tests/contract tests/layers tests/augmentation \
	tests/test_fixup_training.py tests/test_initializers.py tests/test_metrics.py \
	tests/losses tests/models/test_architectures.py tests/models/test_googlenet.py \
	tests/test_axis_metrics.py tests/test_ensembles.py

# Set in an environment once all it needs is installed: an interrupted install leaves no stamp.
RUNS := $(VENV)/.stamp-runs
DEVELOPS := $(VENV)/.stamp-develops
# TensorFlow Addons is past its end of life, and runs beside no TensorFlow of today.
PARITY := build/parity

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install develop demo test test-backends lint wheel bench parity clean distclean FORCE

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

install: $(RUNS)  ## Install the package with TensorFlow and face detection
	@echo "make: ready: $(BIN)/keras-affect --help"

develop: $(DEVELOPS)  ## Install what tests and lint need too, and the commit hooks
	@if [ -e .git ]; then $(BIN)/pre-commit install; fi

demo: $(RUNS)  ## Train, export and read a face, under five minutes; DATA=PATH/TO/FERPLUS for FER+
	$(BIN)/keras-affect demo $(if $(DATA),--data "$$DATA")

test: $(DEVELOPS)  ## Run the tests; ARGS="-k litert" for some of them
	$(BIN)/python -m pytest $(ARGS)

test-backends: $(BACKENDS)/.stamp  ## Run the tests of what is no backend's own, on JAX and on PyTorch
	KERAS_BACKEND=jax $(BACKENDS)/bin/python -m pytest $(ON_ANY_BACKEND) $(ARGS)
	KERAS_BACKEND=torch $(BACKENDS)/bin/python -m pytest $(ON_ANY_BACKEND) $(ARGS)

lint: $(DEVELOPS)  ## Check style and types; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: $(BIN)/python  ## Build the wheel into dist/
	$(PIP) wheel --no-deps --wheel-dir dist .
	@ls dist/*.whl

bench: $(RUNS)  ## Time the import of keras_affect.runtime beside that of keras
	$(BIN)/python tests/benchmarks/import_time.py

parity: $(PARITY)/.stamp  ## Write tests/parity/fixtures with TensorFlow Addons; needs Python 3.11, 1.3 GB
	TF_CPP_MIN_LOG_LEVEL=3 $(PARITY)/bin/python -W ignore tools/parity/write_fixtures.py tests/parity/fixtures

clean:  ## Remove what tests, lint and wheel leave; runs/, demo/ and .venv stay
	rm -rf dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean  ## Remove the environments too
	rm -rf $(VENV) $(BACKENDS)

# With PYTHON= the environment is looked at each time, and made anew if another Python made it.
$(BIN)/python: $(if $(PYTHON),FORCE)
	@sh tools/make_venv.sh $(VENV) "$(PYTHON)"

$(RUNS): pyproject.toml $(BIN)/python
	@echo "make: installing keras_affect, TensorFlow and OpenCV into $(VENV): about 2 GB, some minutes"
	@$(PIP) install --editable '.[tensorflow,faces]'
	@touch $@

$(PARITY)/.stamp: tools/parity/requirements.txt
	@sh tools/make_venv.sh $(PARITY) python3.11
	@$(PARITY)/bin/python -m pip --disable-pip-version-check -qq install --requirement $<
	@touch $@

# What tests need includes what a demo needs, so both stamps are set.
$(DEVELOPS): pyproject.toml $(BIN)/python
	@echo "make: installing keras_affect and all that its tests need into $(VENV): about 2 GB, some minutes"
	@$(PIP) install --editable '.[dev]'
	@touch $(RUNS) $@

$(BACKENDS)/bin/python: $(if $(PYTHON),FORCE)
	@sh tools/make_venv.sh $(BACKENDS) "$(PYTHON)"

$(BACKENDS)/.stamp: pyproject.toml $(BACKENDS)/bin/python
	@echo "make: installing keras_affect, JAX and PyTorch into $(BACKENDS): about 1.5 GB, some minutes"
	@$(BACKENDS)/bin/python -m pip --disable-pip-version-check --quiet --quiet install \
		--editable '.[test-backends]'
	@touch $@
