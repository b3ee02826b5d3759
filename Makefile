# Everything is set up in .venv from python3 (3.11 or later) with venv and pip.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: search test test-all lint clean

# Memory comes in huge pages where glibc can: docs/training.md, speed.
search: export GLIBC_TUNABLES := glibc.malloc.hugetlb=1
search: .venv/installed  ## shared weights on the digits, searched by NAO and LaNAS, and what they found trained alone
	$(BIN)/python -m launch.search_images

test: .venv/installed  ## the tests, slow ones left out
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-all: .venv/installed  ## the slow tests too
	$(BIN)/python -m pytest -n 2 --dist loadfile --run-slow

lint: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/installed: setup.py constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf .venv build *.egg-info
