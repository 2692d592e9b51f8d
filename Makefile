# Everything a developer, CI or a curious visitor runs. `make demo` and `make test` set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.setup-done
PROGRAMS := $(VENV)/.programs-done
ISAACLAB := $(VENV)/isaaclab/.setup-done
ISAACLAB3 := $(VENV)/.isaaclab3-done
export NO_MKDOCS_2_WARNING := 1
# Where it is set, each of the hundreds of processes that tests start compiles our modules again.
unexport PYTHONDONTWRITEBYTECODE
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: setup test-setup isaaclab3 demo demo-ant test test-all test-long test-isaaclab3 test-image sbom shuffle faults fuzz lint docs format bench wheel update deploy clean

setup: $(SETUP)

# What tests need beside it.
test-setup: $(SETUP) $(ISAACLAB) $(ISAACLAB3) $(PROGRAMS)

$(SETUP): requirements.txt constraints.txt package.json package-lock.json pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.txt -c constraints.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable . --editable device
	npm ci --silent --no-audit --no-fund
	@touch $@

# Isaac Lab's wheel is made for one Python on one platform, but holds nothing that is compiled.
$(ISAACLAB): requirements-isaaclab.txt $(SETUP)
	rm -rf $(@D)
	$(BIN)/python -m pip install --quiet --no-deps --ignore-requires-python --python-version 3.11 \
		--platform manylinux_2_35_x86_64 --target $(@D) -r requirements-isaaclab.txt
	@touch $@

# The simulator isaaclab-3; where it does not run, this says why in a sentence, and everything else works.
isaaclab3: $(ISAACLAB3)

$(ISAACLAB3): requirements-isaaclab3.txt gaitway/local/isaaclab3.py $(SETUP)
	$(BIN)/python -m gaitway.local.isaaclab3
	@touch $@

$(PROGRAMS): tests/install_programs.sh $(SETUP)
	tests/install_programs.sh
	@touch $@

demo: setup $(ISAACLAB3)
	gaitway demo

# A robot that walks: some minutes on two cores.
demo-ant: setup $(ISAACLAB3)
	gaitway demo --ant

# Three at a time on two cores, since many wait; in the order of the folders, since the longest must not come last.
test: test-setup
	pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not slow"

test-all: test-setup
	pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not long"

# Too long for CI beside everything else: what each back end of runs does alike, the acceptance check of each, the ant.
test-long: test-setup
	pytest -n 2 --dist loadfile -m long

# The same in another order, with other random ids: what depends on either fails with some seed, and again with the same.
shuffle: test-setup
	export GAITWAY_TEST_SEED=$${GAITWAY_TEST_SEED:-$$(date +%s)}; echo "GAITWAY_TEST_SEED=$$GAITWAY_TEST_SEED"; \
		pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not slow"

# What has Isaac Lab 3 in it, for another Python: `make test-isaaclab3 VENV=.venv-3.12 PYTHON=python3.12`.
test-isaaclab3: setup $(ISAACLAB3)
	pytest tests/unit/simulators/isaaclab3 tests/unit/test_isaaclab3_installation.py tests/unit/test_image_isaaclab3.py

# The files of the image `isaaclab-3`, by its Dockerfile, in a virtual environment below build (3.2 GB the first time).
test-image: setup
	GAITWAY_IMAGE_PYTHON=$${GAITWAY_IMAGE_PYTHON:-python3.12} pytest tests/local/test_image_tree.py

sbom: setup
	python -m container.sbom build/sbom-isaaclab-3.cdx.json

faults: setup
	python -m tests.faults --write docs/reliability.md

fuzz: setup
	GAITWAY_FUZZ_EFFORT=30 pytest -n 2 --timeout 0 tests/fuzz tests/local/test_odd_requests.py

# Each of these is a hook of .pre-commit-config.yaml, too.
LINTERS := lint-python lint-types lint-imports lint-machines lint-image lint-scripts lint-templates lint-docs
.PHONY: $(LINTERS)
lint: $(LINTERS)

lint-python: setup
	ruff check .
	ruff format --check .

lint-types: setup
	mypy

lint-imports: setup
	lint-imports

lint-machines: setup
	python -m statemachines build/lint/statemachines
	asl-validator $$(printf -- '--json-path %s ' build/lint/statemachines/*.json)

lint-image: setup
	hadolint container/Dockerfile
	python -m container.pin_isaaclab3 --check

lint-scripts: setup
	shellcheck .ci/run $$(git ls-files '*.sh')

lint-templates: setup
	cdk synth --quiet --output build/lint -c acceptNvidiaEula=true
	python -m tests.infra.deployments build/lint/settings
	cfn-lint

lint-docs: setup
	mkdocs build --strict --quiet

docs: setup
	mkdocs build --strict

format: setup
	ruff format .
	ruff check --fix .

bench: setup
	python -m bench

# From the sources alone: what an earlier build left in build/lib would be in the wheel, too.
wheel: setup
	rm -rf build/lib build/bdist.* dist/gaitway-*.whl
	pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# Raises pins as far as pyproject.toml allows, installs them, and writes what follows from them.
update: setup
	python -m container.update_pins
	$(MAKE) setup
	python -m container.pin_requirements
	python -m handbook.reference

deploy: setup
	cdk deploy --all

clean:
	rm -rf $(VENV) node_modules cdk.out build dist
