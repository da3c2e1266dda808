# Everything runs in a virtual environment of its own, made by the first target that needs it.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test lint bench schema pictures findings clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(VENV)/installed  ## install, build a real network, check every layer against torch, draw it
	$(BIN)/resnet-spec build specs/resnet34.yaml --check-shape 3x224x224
	$(BIN)/resnet-spec check specs/*.yaml specs/variants/*.yaml
	mkdir -p demo-out
	$(BIN)/resnet-spec draw specs/resnet34.yaml -o demo-out/resnet34.svg

lint: $(VENV)/installed  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint  ## the whole suite
	$(BIN)/python -m pytest

bench: $(VENV)/installed  ## benchmarks: ratios within one run
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m tests.benchmarks

schema: $(VENV)/installed  ## make the checked-in JSON Schema anew
	$(BIN)/resnet-spec schema > spec.schema.json.new
	mv spec.schema.json.new resnet_spec/frontend/spec.schema.json

pictures: $(VENV)/installed  ## the pictures of README and docs, from the shipped specs
	mkdir -p docs/pictures
	$(BIN)/resnet-spec draw resnet50 -o docs/pictures/resnet50.svg
	$(BIN)/resnet-spec draw resnet18 --detail block --direction right -o docs/pictures/resnet18-block.svg
	$(BIN)/resnet-spec draw cifar_resnet1202 -o docs/pictures/cifar_resnet1202.svg
	$(BIN)/resnet-spec draw resnet18 --heat params -o docs/pictures/resnet18-heat.svg
	$(BIN)/resnet-spec draw resnet50 --set blocks.bottleneck.branch.se=squeeze_excite -o docs/pictures/seresnet50.svg

findings: $(VENV)/installed  ## the page of findings
	$(BIN)/resnet-spec explain --format markdown > docs/findings.md

clean:
	rm -rf $(VENV) build dist demo-out .pytest_cache .mypy_cache .ruff_cache .hypothesis
