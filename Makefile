# make run    a mail server to try out, on loopback (DIR=dev-data PORT_BASE=2000)
# make test   everything the tests need, then all tests
# make test-oldest   the tests again, with the oldest releases of the dependencies that setup.cfg allows
# make check  style, types, documentation, packaging
# make docs   the documentation, into docs/_build/html

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
DIR ?= dev-data
PORT_BASE ?= 2000
JOBS ?= 2
OLDEST := .venv-oldest
# What is tested on PostgreSQL again.
ON_STORES := tests/store tests/smtp tests/pop3 tests/imap tests/queue tests/delivery tests/directory tests/relay tests/auth
# What leans on the dependencies more than on our own code, and takes minutes.
ON_OLDEST := tests/auth tests/cli tests/config tests/dns tests/imap tests/policy/dkim tests/pop3 tests/relay tests/server \
	tests/smtp tests/store tests/web tests/wire
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet

.PHONY: run demo test test-oldest check docs generate clean

run: $(VENV)/.for-run
	@exec $(BIN)/pymailsuite dev --dir $(DIR) --port-base $(PORT_BASE)

demo: $(VENV)/.for-run
	@exec $(BIN)/pymailsuite demo

test: $(VENV)/.for-test
	@failed=0; \
	$(BIN)/pytest -n $(JOBS) --dist worksteal || failed=1; \
	$(BIN)/pytest -n $(JOBS) --dist worksteal --store-url pgserver $(ON_STORES) || failed=1; \
	exit $$failed

test-oldest: $(OLDEST)/.made
	$(OLDEST)/bin/pytest -n $(JOBS) --dist worksteal -m "not slow and not interop" $(ON_OLDEST)

check: $(VENV)/.for-check docs
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy --no-error-summary
	$(BIN)/pytest tests/packaging tests/config tests/test_acceptance_report.py tests/test_rooms.py tests/test_documents.py

docs: $(VENV)/.for-check generate
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

generate: $(VENV)/.for-test
	@$(BIN)/python docs/generate.py

# pip cannot be asked for the oldest releases.
$(OLDEST)/.made: setup.cfg pyproject.toml | $(BIN)/python
	@$(BIN)/python -m venv --clear $(OLDEST)
	@$(OLDEST)/bin/python -m pip --disable-pip-version-check --no-input install --quiet uv
	@$(OLDEST)/bin/uv pip install --quiet --python $(OLDEST)/bin/python --resolution lowest-direct -e '.[test]'
	@touch $@

clean:
	rm -rf build dist *.egg-info docs/_build .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "pymailsuite needs Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

# A stamp for each set of dependencies; it is renewed when the lists of dependencies change.
$(VENV)/.for-run: setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing pymailsuite into $(VENV)"
	@$(PIP) -e .
	@touch $@

$(VENV)/.for-test: setup.cfg pyproject.toml | $(BIN)/python
	@$(PIP) -e '.[test]'
	@touch $@

$(VENV)/.for-check: setup.cfg pyproject.toml | $(BIN)/python
	@$(PIP) -e '.[test,dev]'
	@touch $@
