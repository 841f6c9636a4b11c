# Everything from a fresh machine with Python 3.11 or newer, Node.js with npm, and make.
# A target is re-done only when what it is made of has changed.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

# Without bytecode, each of the many commands that the tests start would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

# The interpreter of the environment: the first suitable one, unless given (make PYTHON=… test).
PYTHON ?=
UV_VERSION := 0.13.9
# For `make lock`: LOCK_ARGS=--upgrade moves every pin, LOCK_ARGS='--upgrade-package tornado' one.
LOCK_ARGS ?=

venv := .venv
bin := $(venv)/bin
pip := $(bin)/python -m pip --disable-pip-version-check
interpreter := $(venv)/.interpreter
requirements := $(venv)/.requirements
installed := $(venv)/.installed

npm_stamp := node_modules/.package-lock.json
country_package := node_modules/@ip-location-db/geo-whois-asn-country-mmdb
country := plugins/geography/data/geo-whois-asn-country.mmdb
tracker := clients/js
tracker_sources := $(wildcard $(tracker)/src/*.js)
scripts := adapters/http/tracker/scripts
scripts_built := $(scripts)/.built
frameworks := tests/browser/frameworks
frameworks_stamp := $(frameworks)/node_modules/.package-lock.json
# Each is a script of that folder's package.json.
frameworks_built := $(patsubst %,$(frameworks)/%/dist/.built,astro managers next package react svelte turbo vue)
assets := $(country) $(scripts_built)

.PHONY: help setup ready assets run test frameworks faults breakages check fuzz bench wheel npm lock format clean

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

setup: ready ## make the environment (.venv) with everything in it, and the assets
	@echo "Ready: $$($(bin)/catchment --version) in $(venv), with the map of countries and the tracker's scripts."
	@echo "Next: make run (a demonstration), make test (the tests), or $(bin)/catchment --help."

ready: $(installed) $(assets)

run: ready ## start a server with a demonstration website, on the embedded database
	$(bin)/catchment demo

# Processes that run tests side by side; JOBS=0 is one process, for a debugger. The tests wait more than they compute, so
# there are more processes than cores. The tests of a file stay together, as they share its servers; so do those of a browser.
JOBS ?= 4

test: ready ## run the tests (ARGS='…' is handed to pytest; JOBS=0: in one process)
	$(bin)/pytest --numprocesses $(JOBS) --dist loadscope --no-loadscope-reorder $(ARGS)

frameworks: $(frameworks_built) ## build the pages in real frameworks that the browsers' tests visit (they do it themselves)

# How often the fault suite kills PostgreSQL, and how often the server: KILLS=20 is its reduced form.
KILLS ?= 200

faults: ready ## kill, freeze, cut and fill up what there is, under load (KILLS=20: the reduced form)
	CATCHMENT_FAULTS_KILLS=$(KILLS) $(bin)/pytest -m faults tests/faults tests/strangers $(ARGS)

breakages: ready ## break the code on purpose, in copies, and expect the tests to notice (ARGS=--quick: for CI)
	$(bin)/python -m tests.breakages $(ARGS)

check: ready ## check style, types, the walls between the folders, the packaging, and what the tracker weighs
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/lint-imports
	$(bin)/pytest tests/test_packaging.py tests/clients/python/test_packaging.py
	node_modules/.bin/tsc --project $(tracker)
	node $(tracker)/size.js $(scripts)

fuzz: ready ## look for bytes that break the decoder (ARGS='--seconds 60'); what it finds goes into the corpus
	$(bin)/python -m tests.bad_input.fuzz $(ARGS)

bench: ready ## measure, in ratios taken in one run (needs wrk; ARGS='single batches': some of it; ARGS=--smoke: for CI)
	$(bin)/python -m tests.bench $(ARGS)

format: $(requirements) ## put the code into its form
	$(bin)/ruff check --fix
	$(bin)/ruff format

# setuptools takes whatever an earlier build left in build/ into the wheel.
wheel: $(requirements) $(assets) ## build the wheels, the server's and the Python client's, into dist/
	rm -rf build dist clients/python/build
	$(bin)/python -m build --wheel --no-isolation
	$(bin)/python -m build --wheel --no-isolation --outdir dist clients/python

npm: $(npm_stamp) ## pack the tracker's npm package into dist/
	mkdir -p dist
	npm pack --offline --silent --pack-destination dist ./$(tracker)

assets: $(assets) ## fetch and build the data and scripts that are shipped in the wheel

lock: .lock-venv/.uv-$(UV_VERSION) ## write the locks anew from setup.cfg, requirements/dev.in and package.json
	$(call compile,run) setup.cfg --all-extras
	$(call compile,dev) setup.cfg --all-extras requirements/dev.in --constraints requirements/run.txt
	npm install --package-lock-only --ignore-scripts
	cd $(frameworks) && npm install --package-lock-only --ignore-scripts

clean: ## remove everything that make has made
	rm -rf $(venv) .lock-venv node_modules build dist catchment.egg-info $(country) $(scripts)/*.js $(scripts_built)
	cd $(frameworks) && rm -rf node_modules $(addprefix */,dist node_modules .astro .next .svelte-kit)
	rm -rf clients/python/build clients/python/src/catchment_client.egg-info
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- how it is made ---

$(interpreter):
	@for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
		if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "$$python -m venv $(venv)" && $$python -m venv --clear $(venv) && touch $@; exit; \
		fi; \
	done; \
	echo "make: Catchment needs Python 3.11 or newer with its venv module; found none (try: make PYTHON=/path/to/python3)" >&2; \
	exit 1

$(requirements): requirements/dev.txt $(interpreter)
	$(pip) install --quiet --require-hashes -r $<
	@touch $@

$(installed): setup.cfg pyproject.toml clients/python/pyproject.toml $(requirements)
	$(pip) install --quiet --no-deps --no-build-isolation --editable . --editable clients/python
	@touch $@

$(npm_stamp): package.json package-lock.json .npmrc
	npm ci --ignore-scripts
	@touch $@

$(country): $(npm_stamp)
	@mkdir -p $(@D)
	cp $(country_package)/$(@F) $@

$(scripts_built): $(npm_stamp) $(tracker)/build.js $(tracker_sources)
	node $(tracker)/build.js $(scripts)
	@touch $@

$(frameworks_stamp): $(addprefix $(frameworks)/,package.json package-lock.json .npmrc)
	cd $(frameworks) && npm ci --ignore-scripts
	@touch $@

$(frameworks)/package/dist/.built: $(tracker)/index.js $(tracker_sources)

.SECONDEXPANSION:
$(frameworks_built): $(frameworks)/%/dist/.built: $(frameworks_stamp) \
		$$(shell find $(frameworks)/$$* -type f -not -path '*/.*' -not -path '*/dist/*' -not -path '*/node_modules/*')
	rm -rf $(@D)
	cd $(frameworks) && NEXT_TELEMETRY_DISABLED=1 ASTRO_TELEMETRY_DISABLED=1 npm run $*
	@touch $@

# No machine's pip settings and no index address may get into a lock.
define compile
env -u UV_INDEX -u UV_FIND_LINKS .lock-venv/bin/uv --no-config pip compile --quiet --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	--constraints requirements/constraints.in --custom-compile-command 'make lock' $(LOCK_ARGS) --output-file requirements/$(1).txt
endef

.lock-venv/.uv-$(UV_VERSION): $(requirements)
	$(bin)/python -m venv --clear .lock-venv
	.lock-venv/bin/python -m pip install --quiet uv==$(UV_VERSION)
	@touch $@
