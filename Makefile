# Everything is set up in .venv from python3 (3.11 or later) with venv and pip.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: search test test-all lint docs clean

# Memory comes in huge pages where glibc can: docs/training.md, speed.
search: export GLIBC_TUNABLES := glibc.malloc.hugetlb=1
search: .venv/installed  ## a network for images that ship with the package, in 7 minutes: a search by LaNAS, and training
	$(BIN)/python -m launch.search_images --dataset=cluttered_digits --minutes=7

test: .venv/installed  ## the tests, slow ones left out
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-all: .venv/installed  ## the slow tests too
	$(BIN)/python -m pytest -n 2 --dist worksteal --run-slow

lint: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/installed: setup.py constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

docs: export NO_MKDOCS_2_WARNING := 1
docs: .venv/installed-docs  ## the documents and the API reference as pages in build/site; any warning is an error
	$(BIN)/mkdocs build --strict

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

clean:
	rm -rf .venv build *.egg-info
