# Everything here sets itself up in .venv; nothing needs to be activated.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -qq
SETUP  := pyproject.toml constraints.txt $(wildcard requirements/*.txt)
CODE   := executor scripts tests benchmarks docs/tutorial
EXTRAS := $(addprefix tests/,integration/test_trainings.py integration/test_notify.py unit/monitoring/metrics/test_tensorboard.py \
            unit/monitoring/probes/test_checkpoints.py) \
          $(wildcard tests/scripts/test_lm_*.py tests/scripts/test_tinker_*.py tests/scripts/test_tuning*.py \
            tests/scripts/test_debtags_*.py tests/scripts/test_tracking*.py)  # what make test skips without torch

COVER  := tests/unit tests/integration tests/golden    # make coverage COVER=tests/unit/plan

.DELETE_ON_ERROR:
.PHONY: help run check test test-deep coverage acceptance lint format bench cast training tinker clean
help:
	@echo "make run        run the open steps of the plan here"
	@echo "make check      unit tests and linters, under a minute: while you work"
	@echo "make test       the test suite; make test-deep: the long fuzzing and killing"
	@echo "make acceptance NAME=kills   one long run; its figures go into docs/reference/acceptance.md"
	@echo "make coverage   the test suite, and which branches of the executor it took"
	@echo "make lint       ruff, mypy, shellcheck, the architecture test"
	@echo "make format     put the code in its form"
	@echo "make training   search the hyperparameters of a classifier: the plan of plans/training (minutes)"
	@echo "make tinker     a base model (minutes, once), a local Tinker service on 127.0.0.1 (PORT=8317)"
	@echo "make bench      start-up, steps and resume beside other runners; writes docs/reference/performance.md"
	@echo "make cast       run the tutorial in a terminal and record it in docs/tutorial/first-plan.cast"
	@echo "make clean      remove .venv and caches; what runs wrote stays"

run: $(VENV)/.stamp-pipeline
	@$(BIN)/do-tasks --continue

check: $(VENV)/.stamp-dev
	@$(BIN)/ruff check -q --output-format concise $(CODE)
	@$(BIN)/ruff format -q --check $(CODE)
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not deep and not live" tests/unit tests/test_architecture.py
	@$(BIN)/mypy

test: $(VENV)/.stamp-dev
	@$(BIN)/python -m pytest -q -n 3 --dist worksteal -m "not deep and not live"

test-deep: $(VENV)/.stamp-deep
	@$(MAKE) -s .venv-cookbook/tinker-cookbook-0.6.1 || echo "make: tinker-cookbook could not be installed: its tests are skipped" >&2
	@HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest -q -n 3 --dist worksteal -m "deep and not live" tests/unit tests/integration tests/golden
	@HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest -q -m "deep and not live" tests/scripts tests/test_architecture.py
	@$(BIN)/python -m pytest -q -m "not deep and not live" $(EXTRAS)

# An environment of its own: the hook that follows processes would start coverage in each process of .venv.
coverage: .venv-coverage
	@rm -f .coverage .coverage.*
	@-.venv-coverage/bin/python -m coverage run -m pytest -q -n 2 --dist worksteal -m "not deep and not live" $(COVER)
	@.venv-coverage/bin/python -m coverage combine -q
	@.venv-coverage/bin/python -m coverage report --skip-covered

.venv-coverage: $(SETUP)
	@echo "setting up $@ (about a minute, once)"
	@$(PYTHON) -m venv $@ && $@/bin/python -m pip --disable-pip-version-check -qq install -c constraints.txt -r requirements/dev.txt || \
	  { rm -rf $@; exit 1; }
	@touch $@

acceptance: $(VENV)/.stamp-$(if $(filter budget training,$(NAME)),deep,dev)
	@$(BIN)/python -m tests.acceptance $(NAME)

lint: $(VENV)/.stamp-dev
	@$(BIN)/ruff check -q --output-format concise $(CODE)
	@$(BIN)/ruff format -q --check $(CODE)
	@$(BIN)/mypy
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run; else echo "shellcheck: not installed, skipped"; fi
	@$(BIN)/python -m pytest -q tests/test_architecture.py

format: $(VENV)/.stamp-dev
	@$(BIN)/ruff check -q --fix $(CODE) || true
	@$(BIN)/ruff format -q $(CODE)

bench: $(VENV)/.stamp-dev
	@$(BIN)/python benchmarks/bench.py --write docs/reference/performance.md

cast: $(VENV)/.stamp-run
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python docs/tutorial/record.py
	@$(BIN)/python docs/tutorial/picture.py

.venv-cookbook:
	@echo "setting up $@ for tinker-cookbook (about a minute, once)"
	@$(PYTHON) -m venv $@ && $@/bin/python -m pip --disable-pip-version-check -qq install \
	  torch==2.13.0 tinker==0.38.0 tinker-cookbook==0.5.8 || { rm -rf $@; exit 1; }

# 0.6.1 names a release of tml-renderers that no registry has, and imports it only for models of that renderer.
.venv-cookbook/tinker-cookbook-%: | .venv-cookbook
	@.venv-cookbook/bin/python -m pip --disable-pip-version-check -qq install --no-deps --target $@ tinker-cookbook==$* || \
	  { rm -rf $@; exit 1; }

training: $(VENV)/.stamp-training
	@$(BIN)/do-tasks --project plans/training --all

tinker: $(VENV)/.stamp-pipeline
	@$(BIN)/python scripts/make_base_model.py
	@$(BIN)/python scripts/serve_tinker.py --port $(or $(PORT),8317)

clean:
	@rm -rf $(VENV) .venv-cookbook .venv-coverage .coverage* .ruff_cache .mypy_cache .pytest_cache .hypothesis build dist
	@find executor scripts tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(1)' || \
	  { echo "make: do-tasks needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "make: no venv module: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.stamp-run: $(SETUP) | $(BIN)/python
	@echo "setting up $(VENV) (about a minute, once)"
	@$(PIP) install -c constraints.txt -r requirements/run.txt
	@touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp-run
	@$(PIP) install -c constraints.txt -r requirements/dev.txt
	@touch $@

$(VENV)/.stamp-pipeline: $(VENV)/.stamp-run
	@echo "adding torch for the pipeline (a minute or two, once)"
	@$(PIP) install -c constraints.txt torch==2.13.0 -r requirements/demo.txt
	@touch $@

$(VENV)/.stamp-training: $(VENV)/.stamp-run
	@echo "adding torch, Optuna and trackers (a minute or two, once)"
	@$(PIP) install -c constraints.txt torch==2.13.0 -r requirements/training.txt
	@touch $@

$(VENV)/.stamp-deep: $(VENV)/.stamp-dev
	@echo "adding torch for the real trainings (about a minute, once)"
	@$(PIP) install -c constraints.txt torch==2.13.0 -r requirements/deep.txt && touch $@ || \
	  echo "make: torch could not be installed: the tests that need it are skipped" >&2
