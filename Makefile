# `make train` and `make test` set everything up by themselves; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=

# EXTRAS are added to those that are installed; an empty EXTRAS takes all of them away.
OPTIONAL := wandb mlflow joblib ray submitit optuna export serve photos datasets timm
INSTALLED := $(filter $(OPTIONAL),$(shell cat $(VENV)/.extras 2>/dev/null))
ifneq ($(filter-out $(OPTIONAL),$(EXTRAS)),)
$(error $(filter-out $(OPTIONAL),$(EXTRAS)) is not an extra; EXTRAS takes $(OPTIONAL))
endif
ifeq ($(origin EXTRAS),undefined)
WANTED := $(INSTALLED)
else
WANTED := $(if $(strip $(EXTRAS)),$(sort $(INSTALLED) $(EXTRAS)))
endif
EXTRA_LOCKS := $(WANTED:%=requirements-%.lock)

CHECK_PYTHON := 'import sys; (3, 11, 4) <= sys.version_info < (3, 14) or sys.exit("error: \
	Labbook needs Python 3.11.4 to 3.13, and $(PYTHON) is %d.%d.%d: make setup PYTHON=python3.12" % sys.version_info[:3])'

export UV_COMPILE_BYTECODE = 1

.PHONY: help setup train test test-slow lint format lock new-project new-model new-module new-data new-loss new-callback completion benchmark stress tensorboard clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(STAMP)  ## environment in .venv; EXTRAS="joblib wandb" adds what is optional, EXTRAS= takes all of it away

# The locks are installed to the letter; again only when they, pyproject.toml or the extras changed.
$(STAMP): requirements.lock pyproject.toml $(EXTRA_LOCKS) $(if $(filter-out $(words $(INSTALLED)),$(words $(WANTED))),FORCE)
	@test -x $(BIN)/python || $(PYTHON) -c $(CHECK_PYTHON)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock $(EXTRA_LOCKS)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@echo '$(WANTED)' > $(VENV)/.extras
	touch $@

.PHONY: FORCE
FORCE:

train: $(STAMP)  ## train the default, or ARGS="model=alexnet data=cifar10"
	$(BIN)/python train.py $(ARGS)

test: $(STAMP)  ## all quick tests, or ARGS="tests/cli/test_command_line.py -k help"
	$(BIN)/python -m pytest $(ARGS)

test-slow: $(STAMP)  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: $(STAMP)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)  ## mend the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-emit-index-url \
	--prerelease if-necessary-or-explicit --custom-compile-command "make lock"
lock:  ## newest versions that pyproject.toml allows, into the locks
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(COMPILE) --upgrade --extra dev --output-file requirements.lock pyproject.toml
	for extra in $(OPTIONAL); do \
		$(COMPILE) --upgrade --extra $$extra --constraints requirements.lock \
			--output-file requirements-$$extra.lock pyproject.toml || exit 1; \
	done

new-project: $(STAMP)  ## a project of your own that uses this one: NAME=../mylab
	@$(BIN)/python scripts/new_project.py "$(NAME)"

new-model:     ## two files for a network of your own: NAME=my_net
new-module:    ## for a LightningModule with steps of its own: NAME=my_module
new-data:      ## for a data set of your own: NAME=my_set
new-loss:      ## for a loss of your own: NAME=my_loss
new-callback:  ## for a callback of your own: NAME=my_callback
new-model new-module new-data new-loss new-callback: $(STAMP)
	@$(BIN)/python scripts/new.py $(@:new-%=%) "$(NAME)"

completion: $(STAMP)  ## TAB completes train.py's settings (bash, zsh, fish); ARGS=--remove takes it away
	@$(BIN)/python scripts/completion.py $(ARGS)

benchmark: $(STAMP)  ## what the program costs, into benchmarks/RESULTS.md (half an hour on an idle machine)
	$(BIN)/python tools/measure_speed.py --write benchmarks/RESULTS.md $(ARGS)

stress: $(STAMP)  ## kills, full disks, bad input: what it promises to survive, into docs/reliability.md (half an hour)
	$(BIN)/python tools/stress_test.py --write docs/reliability.md $(ARGS)

tensorboard: $(STAMP)  ## all runs in logs/, in the browser of this machine
	$(BIN)/tensorboard --logdir logs --host localhost $(ARGS)

clean:  ## environment and caches; never logs/ or data/
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build src/*.egg-info
