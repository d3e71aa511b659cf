# make run      the demo: simulated registries, harvested and served on http://127.0.0.1:8000/, or the next free port
# make check    linters, types, and the fast tests of what was changed
# make test     the tests that run in process, the conformance suites, and one of each kind that starts a program
# make nightly  all other tests, in three parts of half an hour: PART=1, 2 or 3 for one of them
# make lint     the linters and the types
# make chaos    kills, full disks, cut networks, flipped bytes and clocks that jump, for MINUTES=60, chosen by SEED=1
# make bench    the benchmarks       make lock    requirements.lock from pyproject.toml
# make golden   the golden files of all answers, written again; it shows what differs, address by address
# make docs     the documentation site, in publisher/static/docs; the server shows it at /docs/
# make audit    known vulnerabilities of the locked packages    make dist    the wheel, its bill of materials and their digests
# make install  the virtual environment .venv, with all that is locked

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?=
MINUTES ?= 60
SEED ?= 1
PART ?= 123

# Hundreds of processes of the tests would compile every module anew.
export PYTHONDONTWRITEBYTECODE =

BIN := .venv/bin
INSTALLED := .venv/.installed

# A browser; Java and Jena, an independent reader of our patches; a database, and network namespaces for the workers; a second RDF store;
# a reader of the offline edition.
TEST_PACKAGES := chromium default-jre-headless libapache-jena-java postgresql iproute2 virtuoso-opensource kiwix-tools zim-tools

SITE := publisher/static/docs/index.html
PAGES := CHANGELOG.md stocktake.py \
	$(shell find docs vocab shapes harvesters publisher command_line -name "*.md" -o -path "docs/site/*" -type f -o -name "*.py" -o -name "*.ttl" -o -name "*.toml")

PYTEST = $(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder
PROGRAM := vocab shapes journal languages web harvesters publisher demo command_line stocktake.py

# Sources of the query page's scripts.
QUERY_PAGE := $(wildcard publisher/web/* publisher/web/src/*)

COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-config --quiet

.PHONY: run install check test nightly chaos lint audit dist bench golden docs lock

run: $(INSTALLED) $(SITE)
	$(BIN)/stocktake demo --host $(HOST) $(if $(PORT),--port $(PORT))

install: $(INSTALLED)

test: $(INSTALLED)
	@.ci/packages $(TEST_PACKAGES) || echo "Continuing without them: the tests that need them are skipped, with the reason."
	$(PYTEST) $(ARGS)

nightly: $(INSTALLED)
	@.ci/packages $(TEST_PACKAGES) || echo "Continuing without them: the tests that need them are skipped, with the reason."
	$(PYTEST) -m nightly -o faulthandler_timeout=0 --part "$(PART)" $(ARGS)

chaos: $(INSTALLED)
	@.ci/packages postgresql libfaketime || echo "Continuing without them: no workers are disturbed, or no clocks."
	PYTHONPATH=.:tests/support $(BIN)/python tests/chaos/chaos.py --minutes $(MINUTES) --seed $(SEED)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PROGRAM)
	$(PYTEST) --changed $(ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Known vulnerabilities of what is run. A package that the database does not answer for fails the check too.
audit: $(INSTALLED)
	$(BIN)/python .ci/audit $(ARGS)

# The wheel, what it is made of and needs, and their digests; signed with an SSH key if SIGNING_KEY names one.
dist: $(SITE)
	rm -rf dist
	$(BIN)/hatchling build --target wheel --directory dist
	cp requirements-run.lock dist/
	$(BIN)/cyclonedx-py requirements requirements-run.lock --pyproject pyproject.toml --output-reproducible --output-file dist/sbom.cdx.json
	cd dist && sha256sum * >SHA256SUMS
	$(if $(SIGNING_KEY),ssh-keygen -Y sign -f $(SIGNING_KEY) -n file dist/SHA256SUMS)

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks $(ARGS)

golden: $(INSTALLED)
	$(BIN)/python -m pytest -n 0 -q tests/golden --renew $(ARGS)

docs: $(SITE)

# Strict: a warning is an error, and so is a link to nothing. Built from nothing, since a page that became a redirect and the tables of a
# changed program (docs/generated.py) would stay as they were.
$(SITE): $(PAGES) | $(INSTALLED)
	@echo "Building the documentation ..."
	rm -rf publisher/static/docs build/doctrees
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --builder html --doctree-dir build/doctrees docs publisher/static/docs
	@touch $@

# requirements.lock is for working here; the image is built with requirements-build.lock and runs requirements-run.lock. Tests install
# tests/validators.lock into an environment of their own.
# They name no package index and no path, so that they work with any index.
lock: $(INSTALLED)
	$(COMPILE) pyproject.toml --all-extras --upgrade --output-file requirements.lock
	$(COMPILE) pyproject.toml --extra postgresql --extra dask --extra s3 --extra age --extra topics --extra tracing --extra zim --constraint requirements.lock --no-annotate --output-file requirements-run.lock
	printf '%s\n' cyclonedx-bom hatchling sphinx sphinxext-rediraffe furo myst-parser | $(COMPILE) - --constraint requirements.lock --no-annotate --output-file requirements-build.lock
	echo roc-validator | $(COMPILE) - --no-annotate --output-file tests/validators.lock

# Without npm, the query page is a plain form.
$(INSTALLED): requirements.lock tests/data.lock pyproject.toml hatch_build.py .ci/install .ci/data $(QUERY_PAGE) | $(BIN)/pip
	@command -v npm >/dev/null || .ci/packages nodejs npm || echo "Continuing without npm: the query page will be a plain form."
	.ci/install
	@touch $@

# On Debian, the module venv is in a package of its own.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || .ci/packages python3-venv
	$(PYTHON) -m venv .venv
