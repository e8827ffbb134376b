# One word for each thing that is done often. `make` alone lists them.
.PHONY: help install test quick slow lint types docs exp ci

help:
	@echo "make install      the package with all that its tests need, editable"
	@echo "make test         the default tests, under five minutes on two idle cores"
	@echo "make quick        the tests of what changed since the last commit"
	@echo "make slow         the long tests"
	@echo "make lint         ruff and pyright"
	@echo "make docs         docs/experiments.md from docstrings and records"
	@echo "make exp NAME=x   one experiment at its quick size"
	@echo "make ci           everything, in fresh environments"

install:
	python -m pip install -e ".[test]"

test:
	pytest

quick:
	pytest $$(git diff --name-only HEAD -- 'tests/*.py' | grep '/test_' || echo tests/test_architecture.py)

slow:
	pytest -m slow

lint:
	ruff check .
	ruff format --check .
	pyright

docs:
	python -m experiments --markdown docs/experiments.md

exp:
	python -m experiments $(NAME) --quick

ci:
	bash .ci/run
