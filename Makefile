# Papo's commands; `make help` lists them. Nothing is needed beforehand but Python 3.11 or newer, make and an index.

PY := .venv/bin/python
PIP := $(PY) -m pip install -qq --disable-pip-version-check --require-hashes --no-deps

.DEFAULT_GOAL := help
.PHONY: help run install test test-long prod-smoke faults soak abuse audit lint format bench lighthouse screenshots bundle messages lock clean programs
.DELETE_ON_ERROR:

# A copied or half-made environment is made again.
ifeq ($(shell $(PY) -c 'import pip' 2>/dev/null && echo works),)
$(shell rm -rf .venv)
endif

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' Makefile | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

run: .venv/.runtime ## serve the shop: the first start installs everything, the next ones take seconds
	@exec $(PY) manage.py serve

install: .venv/.runtime ## only the virtual environment

test: programs lint ## the whole suite, on SQLite in memory and again on PostgreSQL and Redis
	$(PY) manage.py makemigrations --check --dry-run
	$(PY) -m pytest --fail-on-skip -m 'not long'
	$(PY) -m tests.services $(PY) -m pytest --fail-on-skip -m 'not long and not browser'

test-long: programs ## what does not fit into `make test`
	$(PY) -m pytest --fail-on-skip -m long
	$(PY) -m tests.services $(PY) -m pytest --fail-on-skip -m 'long and not browser'

prod-smoke: programs ## nginx, two workers, PostgreSQL and Redis as they are deployed, hurt in every way; 6 minutes
	$(PY) -m pytest --fail-on-skip -m long tests/production

lint: .venv/.development ## style, types, arrows between the apps, templates
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy .
	$(PY) -c "from importlinter.cli import lint_imports_command as lint; lint()" --no-cache
	$(PY) -m djlint --quiet --lint templates

format: .venv/.development ## put the code into shape
	$(PY) -m ruff check --fix-only
	$(PY) -m ruff format

faults: programs ## break the whole shop in every way, for up to two hours; goes on where it was stopped
	@sh tools/need.sh faketime || echo "The faults of clocks are left out."
	$(PY) -m tests.faults.rig
	$(PY) -m tests.faults.many

soak: programs ## an hour of customers, with something breaking every few minutes: is everything given back?
	$(PY) -m tests.faults.soak

abuse: programs ## send some 75,000 bad inputs to running servers, for up to an hour; goes on where it was stopped
	$(PY) -m tests.abuse

audit: .venv/.development ## ask whether a locked package has a known hole; needs the network
	$(PY) -m pip_audit --strict --disable-pip --require-hashes --requirement requirements.txt

bench: programs ## measure, each ratio beside the floor of the same run; 20 minutes
	$(PY) -m bench

lighthouse: programs ## let Lighthouse judge the payment page; needs Node and npm
	$(PY) -m tools.lighthouse

screenshots: programs ## draw the README's pictures anew
	$(PY) -m tools.screenshots

bundle: .venv/.runtime ## write the one script that pages load
	$(PY) tools/bundle.py

messages: .venv/.runtime ## collect what is to be translated and compile what is; needs gettext
	$(PY) manage.py makemessages --locale sw --no-location --no-wrap --ignore .venv --ignore var --ignore tests
	$(PY) manage.py compilemessages --ignore .venv

lock: .venv/.development ## write both lock files anew
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--output-file requirements.txt requirements.in
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--constraint requirements.txt --output-file requirements-dev.txt requirements-dev.in

clean: ## remove everything that can be made again; the database and .env stay
	rm -rf .venv var/static var/static.sources .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

programs: .venv/.development
	@sh tools/need.sh

.venv/bin/python:
	@sh tools/venv.sh

.venv/.runtime: requirements.txt | .venv/bin/python
	@echo "Installing Papo's packages into .venv; about half a minute, once ..."
	@$(PIP) -r requirements.txt
	@touch $@

.venv/.development: requirements-dev.txt | .venv/bin/python
	@echo "Installing Papo's packages and the tools of its tests into .venv; about a minute, once ..."
	@$(PIP) -r requirements-dev.txt
	@touch .venv/.runtime $@
