# Everything a developer, CI or a curious visitor runs. `make demo` and `make test` set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.setup-done
BROWSER := $(VENV)/.browser-done
ISAACLAB := $(VENV)/isaaclab/.setup-done
export NO_MKDOCS_2_WARNING := 1
# Where it is set, each of the hundreds of processes that tests start compiles our modules again.
unexport PYTHONDONTWRITEBYTECODE
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: setup demo test faults fuzz lint docs format bench deploy clean

setup: $(SETUP)

$(SETUP): requirements.txt constraints.txt package.json package-lock.json pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.txt -c constraints.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	npm ci --silent --no-audit --no-fund
	@touch $@

# Isaac Lab's wheel is made for one Python on one platform, but holds nothing that is compiled.
$(ISAACLAB): requirements-isaaclab.txt $(SETUP)
	rm -rf $(@D)
	$(BIN)/python -m pip install --quiet --no-deps --ignore-requires-python --python-version 3.11 \
		--platform manylinux_2_35_x86_64 --target $(@D) -r requirements-isaaclab.txt
	@touch $@

$(BROWSER): tests/install_browser.sh $(SETUP)
	tests/install_browser.sh
	@touch $@

demo: setup
	gaitway demo

# Three at a time on two cores, since many wait; in the order of the folders, since the longest must not come last.
test: setup $(ISAACLAB) $(BROWSER)
	pytest -n 3 --dist loadfile --no-loadscope-reorder

faults: setup
	python -m tests.faults --write docs/reliability.md

fuzz: setup
	GAITWAY_FUZZ_EFFORT=30 pytest -n 2 --timeout 0 tests/fuzz tests/local/test_odd_requests.py

lint: setup
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	asl-validator --json-path statemachines/pipeline.asl.json --json-path statemachines/workflow.asl.json
	hadolint container/Dockerfile
	shellcheck .ci/run $$(git ls-files '*.sh')
	cdk synth --quiet --output build/lint -c acceptNvidiaEula=true
	python -m tests.infra.deployments build/lint/settings
	cfn-lint
	mkdocs build --strict --quiet

docs: setup
	mkdocs build --strict

format: setup
	ruff format .
	ruff check --fix .

bench: setup
	python -m bench

deploy: setup
	cdk deploy --all

clean:
	rm -rf $(VENV) node_modules cdk.out build
