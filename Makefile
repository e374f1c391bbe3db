# Two commands: `make demo` and `make test`. Each makes its own virtual environment first.
PYTHON ?= $(shell for python in python3 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
# A process a core; one that is through takes tests over from another.
CORES := --numprocesses=logical --maxprocesses=8 --dist=worksteal

# Tests start many processes, which compile the package's modules once, whatever the machine's habit.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-slow test-browser test-oldest test-newest coverage docs lint types format \
	package licences clean

$(VENV)/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "vicl needs Python 3.11 or 3.12: make ... PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/vicl demo --output out/demo.png

test: lint types
	$(BIN)/python -m pytest -m 'not slow' $(CORES)

# The notebooks and the site, too.
test-slow: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[notebooks,docs]'
	$(BIN)/python -m pytest -m slow $(CORES)

# The app's page in a real browser: Debian's package `chromium`, or VICL_CHROMIUM=path.
test-browser: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[browser]'
	$(BIN)/python -m pytest tests/app -m browser --durations=5

# Apart from `test`, which it makes two fifths slower.
coverage: $(VENV)/installed
	$(BIN)/python -m pytest -m 'not slow' $(CORES) --cov --cov-report=term-missing:skip-covered

# The site of the documentation, in out/site; a broken link or a command that does not parse fails.
docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo out/site/index.html

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/installed
	$(BIN)/mypy

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Wheel and sdist in dist/, tried in clean environments of PYTHON; `only=base,all` tries some.
package: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[release]'
	$(BIN)/python -m release.package --python $(PYTHON) $(if $(only),--only $(only))

# The quick tests on the oldest and the newest that pyproject.toml allows; `torch=torch==2.8`, too.
test-oldest test-newest: test-%: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[release]'
	$(BIN)/python -m release.bounds $* --python $(PYTHON) $(if $(torch),--torch $(torch)) $(tests)

# docs/licences.md, from what is installed.
licences: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[browser,hub,lora]'
	$(BIN)/python -m release.licences

clean:
	rm -rf $(VENV) dist out .mypy_cache .pytest_cache .ruff_cache .hypothesis .grimp_cache \
		.import_linter_cache .coverage
