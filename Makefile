# `make train` and `make test` set everything up by themselves; `make help` lists the rest. What the commands do is in
# src/labbook/setup.py; without make: `python scripts/make.py COMMAND`.
PYTHON ?= $(or $(wildcard .venv/bin/python),python3)
COMMANDS := help setup train test test-slow lint format lock docs new-project new-model new-module new-data new-loss \
	new-callback completion benchmark stress tensorboard clean

UNKNOWN := $(filter-out ARGS NAME PYTHON EXTRAS TORCH,$(foreach v,$(.VARIABLES),$(if $(filter command%,$(origin $v)),$v)))
ifneq ($(UNKNOWN),)
$(error $(UNKNOWN): settings are given in ARGS, as in make train ARGS="model=alexnet epochs=1")
endif

.PHONY: $(COMMANDS)
$(COMMANDS):
	@$(PYTHON) scripts/make.py $@ $(if $(filter command%,$(origin NAME)),NAME="$(NAME)") $(ARGS)
