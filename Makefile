# Python 3.11 to 3.13 and make are enough: each target makes the environment it needs in .venv.
# `make help` lists the targets. Variables:
#
#   PYTHON=/path/to/python3   the Python to make .venv with; else the newest that fits
#   DATA=/path/to/ferplus     for demo: train on FER+ instead of on drawn faces
#   ARGS="..."                for test and bench: passed on to pytest

VENV := .venv
BIN := $(VENV)/bin
# Errors alone are shown.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet

# A process for each core, of 2 GB; a file's tests stay together, as they share what it makes.
IN_PARALLEL := -n auto --maxprocesses 4 --dist loadfile

# JAX and PyTorch live apart, so that the other tests see what users of TensorFlow have.
BACKENDS := .venv-backends
ON_ANY_BACKEND := tests/contract tests/layers tests/augmentation tests/parity \
	tests/test_fixup_training.py tests/test_initializers.py tests/test_metrics.py \
	tests/losses tests/models/test_architectures.py tests/models/test_batch_normalization.py \
	tests/models/test_mirroring.py tests/models/test_temporal.py tests/models/test_freezing.py \
	tests/test_axis_metrics.py tests/test_ensembles.py tests/evaluation/test_occlusion.py \
	tests/training/test_distillation.py tests/training/test_quantization_aware.py \
	tests/training/test_frequencies.py tests/training/test_temperature.py \
	tests/training/test_widening.py tests/training/test_deepening.py

# Set in an environment once all it needs is installed: an interrupted install leaves no stamp.
RUNS := $(VENV)/.stamp-runs
DEVELOPS := $(VENV)/.stamp-develops
# What test-edge needs beside .venv: a target for each device, added to EDGE_TOOLS.
EDGE := build/edge
EDGE_TOOLS := edge-debian $(EDGE)/mediapipe/.stamp $(EDGE)/arm64/.stamp
EDGE_PACKAGES := gcc libc6-dev qemu-user-static
# TensorFlow Addons is past its end of life, and runs beside no TensorFlow of today.
PARITY := build/parity
# The web page: where its sources are and where it is built.
WEB := export/web
PAGE := keras_affect/demo/web_files
NODE := sh tools/with_node.sh

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install develop demo test test-backends test-edge lint web wheel bench parity clean distclean
.PHONY: test-edge-devices test-edge-web FORCE

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

install: $(RUNS)  ## Install the package with TensorFlow and face detection
	@echo "make: ready: $(BIN)/keras-affect --help"

develop: $(DEVELOPS)  ## Install what tests and lint need too, and the commit hooks
	@if [ -e .git ]; then $(BIN)/pre-commit install; fi

demo: $(RUNS)  ## Train, export and read a face, under five minutes; DATA=PATH/TO/FERPLUS for FER+
	$(BIN)/keras-affect demo $(if $(DATA),--data "$$DATA")

test: $(DEVELOPS)  ## Run the tests; ARGS="-k litert" for some of them
	$(BIN)/python -m pytest $(IN_PARALLEL) $(ARGS)

test-backends: $(BACKENDS)/.stamp  ## Run the tests of what is no backend's own, on JAX and on PyTorch
	KERAS_BACKEND=jax $(BACKENDS)/bin/python -m pytest $(IN_PARALLEL) $(ON_ANY_BACKEND) $(ARGS)
	KERAS_BACKEND=torch $(BACKENDS)/bin/python -m pytest $(IN_PARALLEL) $(ON_ANY_BACKEND) $(ARGS)

test-edge: test-edge-devices test-edge-web  ## Run exported files where they are used: ARM, C, MediaPipe, Chromium

test-edge-devices: $(DEVELOPS) $(EDGE_TOOLS)
	KERAS_AFFECT_EDGE=$(EDGE) $(BIN)/python -m pytest tests/edge \
		--ignore tests/edge/test_page_in_wheel.py $(ARGS)

test-edge-web: $(DEVELOPS)
	sh tools/edge_packages.sh $(BIN)/python
	$(MAKE) web
	cd $(WEB) && sh ../../tools/with_node.sh npm run check
	cd $(WEB) && sh ../../tools/with_node.sh npm run unit
	$(BIN)/python -m tests.edge.browser_fixtures build/edge/browser
	$(BIN)/python -m tests.edge.streaming_fixtures build/edge/browser
	cd $(WEB) && sh ../../tools/with_node.sh npm run browser
	$(BIN)/python -m pytest tests/edge/test_page_in_wheel.py

lint: $(DEVELOPS)  ## Check style and types; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

web: $(BIN)/python  ## Build the web page, for keras-affect demo --web; needs Node
	@$(NODE) true
	$(BIN)/python tools/fetch_face_detector.py build/face_detector
	cd $(WEB) && sh ../../tools/with_node.sh npm ci --no-audit --no-fund --loglevel=error
	cd $(WEB) && sh ../../tools/with_node.sh npm run build

wheel: $(BIN)/python  ## Build the wheel into dist/, with the web page where Node is
	@# The removal stands by itself: a line that holds $$(MAKE) runs under `make -n` too.
	@$(NODE) --check || { rm -rf $(PAGE); \
		echo "make: no Node 20.19 or later is here: this wheel is without the web page"; }
	@if $(NODE) --check; then $(MAKE) web; fi
	$(PIP) wheel --no-deps --wheel-dir dist .
	@ls dist/*.whl

bench: $(DEVELOPS)  ## Time layers, augmentation and imports beside others': ratios, on an idle machine
	$(BIN)/python -m pytest tests/benchmarks $(ARGS)

parity: $(PARITY)/.stamp  ## Write tests/parity/fixtures with TensorFlow Addons; needs Python 3.11, 1.3 GB
	TF_CPP_MIN_LOG_LEVEL=3 $(PARITY)/bin/python -W ignore tools/parity/write_fixtures.py tests/parity/fixtures

clean:  ## Remove what tests, lint and wheel leave; runs/, demo/ and .venv stay
	rm -rf dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf $(PAGE) $(WEB)/public $(WEB)/node_modules
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
	@echo "make: installing TensorFlow 2.15 and TensorFlow Addons into $(PARITY): about 1.3 GB, a minute"
	@$(PARITY)/bin/python -m pip --disable-pip-version-check -qq install --requirement $<
	@touch $@

.PHONY: edge-debian
edge-debian:
	@sh tools/edge/install_debian.sh $(EDGE_PACKAGES)

$(EDGE)/mediapipe/.stamp: tools/edge/mediapipe_requirements.txt
	@sh tools/make_venv.sh $(EDGE)/mediapipe "$(PYTHON)"
	@echo "make: installing MediaPipe into $(EDGE)/mediapipe: about 650 MB, a minute"
	@$(EDGE)/mediapipe/bin/python -m pip --disable-pip-version-check -qq install --requirement $<
	@touch $@

$(EDGE)/arm64/.stamp: tools/edge/make_arm64_root.sh tools/edge/arm64_requirements.txt | $(BIN)/python
	@echo "make: unpacking an arm64 Debian with LiteRT into $(EDGE)/arm64: 170 MB, a minute"
	@sh tools/edge/make_arm64_root.sh $(EDGE)/arm64 $(BIN)/python
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
