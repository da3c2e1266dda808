# Everything runs in a virtual environment of its own, made by the first target that needs it.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test lint bench schema clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(VENV)/installed  ## install, build a real network, and check every layer against torch
	$(BIN)/resnet-spec build specs/resnet34.yaml --check-shape 3x224x224
	$(BIN)/resnet-spec check specs/*.yaml

lint: $(VENV)/installed  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint  ## the whole suite
	$(BIN)/python -m pytest

bench: $(VENV)/installed  ## benchmarks: ratios within one run
	$(BIN)/python -m tests.benchmarks

schema: $(VENV)/installed  ## make the checked-in JSON Schema anew
	$(BIN)/resnet-spec schema > spec.schema.json.new
	mv spec.schema.json.new resnet_spec/frontend/spec.schema.json

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
