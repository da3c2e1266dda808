# Everything runs in its own virtual environment, which the first target that needs it creates.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Compiled modules and rewritten tests are kept: a suite that starts many processes would make them again in each.
unexport PYTHONDONTWRITEBYTECODE
# Tests run in as many processes as there are cores. Each begins with its own contiguous share and, when done, takes half of what
# another has left: so tests of one file mostly stay together, with the networks and runs that they share.
PARALLEL ?= --numprocesses auto --dist worksteal

# How long `make fuzz` runs, and the seed from which it draws its cases.
FUZZ_SECONDS ?= 900
FUZZ_SEED    ?= $(shell date +%s)

.PHONY: demo quick lint format suite test fuzz drill zoo soak bench evidence schema pictures findings networks clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(VENV)/installed  ## install, build a real network, check every layer against torch, draw it, train one
	$(BIN)/resnet-spec build specs/resnet34.yaml --check-shape 3x224x224
	$(BIN)/resnet-spec check specs/*.yaml specs/variants/*.yaml
	mkdir -p demo-out
	$(BIN)/resnet-spec draw specs/resnet34.yaml -o demo-out/resnet34.svg
	rm -rf demo-out/run
	$(BIN)/resnet-spec train specs/cifar_resnet20.yaml --data synthetic --recipe quick --out demo-out/run

quick: $(VENV)/installed  ## what takes under a minute: nothing is trained, no process is started
	$(BIN)/python -m pytest $(PARALLEL) -q -m 'not slow and not training and not subprocess and not drill and not zoo'

lint: $(VENV)/installed  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed  ## style, put right where a tool can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

suite: $(VENV)/installed  ## every test but the drills and the table of the zoo
	$(BIN)/python -m pytest $(PARALLEL)

test: $(VENV)/installed  ## lint and the whole suite, beside each other
	$(MAKE) --no-print-directory --jobs=2 lint suite

fuzz: $(VENV)/installed  ## inputs that are almost right, of every kind: FUZZ_SECONDS=900, FUZZ_SEED=N; counts are printed, failures written
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED)

drill: $(VENV)/installed  ## interrupt and kill processes, at random steps and in writes, and resume them; measure how work grows
	$(BIN)/python -m pytest $(PARALLEL) -m drill

zoo: $(VENV)/installed  ## compare every shipped network of other people with its reference, in numbers, and print a table
	$(BIN)/python -m tests.networks.table

soak: $(VENV)/installed  ## the same 200 times
	DRILLS=200 $(BIN)/python -m pytest $(PARALLEL) -m drill tests/training

# The long runs. CIFAR=DIR and POKEMON=DIR are the folders of the data. Each run continues where it was stopped.
evidence: $(VENV)/installed  ## he2015-cifar and cifar-fast to their ends, three seeds, bf16 beside fp32; pokemon
	@test -n "$(CIFAR)" || { echo "CIFAR-10 is needed: make evidence CIFAR=DIR [POKEMON=DIR]"; exit 2; }
	set -e; train() { run=evidence/$$1; shift; \
	  if [ -e $$run/run.json ]; then $(BIN)/resnet-spec train --resume $$run; \
	  else $(BIN)/resnet-spec train "$$@" --out $$run; fi; }; \
	for seed in 0 1 2; do for precision in fp32 bf16; do for recipe in cifar-fast he2015-cifar; do \
	  train $$recipe-$$precision-$$seed specs/cifar_resnet20.yaml --data cifar10:$(CIFAR) --recipe $$recipe \
	    --seed $$seed --precision $$precision; \
	done; done; done; \
	if [ -n "$(POKEMON)" ]; then train pokemon specs/pokemon_resnet18.yaml --data folder:$(POKEMON); fi

bench: $(VENV)/installed  ## benchmarks: ratios within one run
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m tests.benchmarks
	$(BIN)/python -m tests.benchmarks reading $(POKEMON)
	$(BIN)/python -m tests.benchmarks listing
	$(BIN)/python -m tests.benchmarks exports
	$(BIN)/python -m tests.benchmarks training $(if $(CIFAR),cifar10:$(CIFAR))

schema: $(VENV)/installed  ## regenerate the checked-in JSON Schema
	$(BIN)/resnet-spec schema > spec.schema.json.new
	mv spec.schema.json.new resnet_spec/language/spec.schema.json

pictures: $(VENV)/installed  ## regenerate the pictures of README and docs from the shipped specs
	mkdir -p docs/pictures
	$(BIN)/resnet-spec draw resnet50 -o docs/pictures/resnet50.svg
	$(BIN)/resnet-spec draw resnet18 --detail block --direction right -o docs/pictures/resnet18-block.svg
	$(BIN)/resnet-spec draw cifar_resnet1202 -o docs/pictures/cifar_resnet1202.svg
	$(BIN)/resnet-spec draw resnet18 --heat params -o docs/pictures/resnet18-heat.svg
	$(BIN)/resnet-spec draw resnet50 --set blocks.bottleneck.branch.se=squeeze_excite -o docs/pictures/seresnet50.svg

findings: $(VENV)/installed  ## regenerate the page of findings, docs/findings.md
	$(BIN)/resnet-spec explain --format markdown > docs/findings.md

networks: $(VENV)/installed  ## regenerate the figures that `list` shows, and the page of networks, docs/networks.md
	$(BIN)/python -m tests.networks.figures
	$(BIN)/resnet-spec list --format markdown > docs/networks.md

clean:
	rm -rf $(VENV) build dist demo-out .pytest_cache .mypy_cache .ruff_cache .hypothesis
