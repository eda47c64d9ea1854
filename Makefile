# Two commands matter: `make run` (a demo server in the foreground) and `make test` (the whole suite).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
# Most tests wait for servers: one worker more than there are processors. A file's tests stay together, in order.
JOBS ?= $(shell cpus=$$(nproc 2>/dev/null || echo 2); echo $$((cpus < 8 ? cpus + 1 : 8)))
PARALLEL := -n $(JOBS) --dist loadfile --no-loadscope-reorder

.PHONY: run test check bench rpm rpm-el7 clean

# A stamp a purpose: run needs the server alone, test adds pytest, check adds the linters.
$(VENV)/.run: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --use-pep517 --disable-pip-version-check -e .
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --use-pep517 --disable-pip-version-check -e '.[test]'
	touch $@

$(VENV)/.check: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --use-pep517 --disable-pip-version-check -e '.[check]'
	touch $@

run: $(VENV)/.run
	@exec $(BIN)/pydovecot demo

test: $(VENV)/.test
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

check: $(VENV)/.check
	$(BIN)/ruff check pydovecot tests libexec
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.test
	$(BIN)/python -m tests.bench $(BENCH_ARGS)

# A package with this machine's interpreter, in seconds; and the one for RHEL 7 and later, in minutes (docs/install.md).
rpm:
	@PYTHON=$(PYTHON) packaging/rpm/build.sh host $(RELEASE)

EL ?= el7
rpm-el7:
	@PYTHON=$(PYTHON) packaging/rpm/release.sh $(EL)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
