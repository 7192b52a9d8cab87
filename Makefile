# The world of this project on one machine. `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.set-up
RUNS := $(VENV)/.runs
PROCESSES ?= 4
# The time of what is made of a commit, so that it is the same whenever it is made.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null)
export SOURCE_DATE_EPOCH

# Without bytecode each of the hundreds of processes of a test run would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL: # what is first in a line makes what the next one needs

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps

# Installs lock files, and what is here, into a fresh environment. Python compiles what is imported, and only that.
define install
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15) and "Python 3.11 to 3.14 is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) --no-compile --require-hashes $(1:%=--requirement %)
	$(PIP) --no-build-isolation --editable . --editable local
endef

$(SETUP): requirements-dev.lock pyproject.toml local/pyproject.toml
	$(call install,$<)
	@touch $@

# What runs the product and the stand-ins: a part of the above, for whoever wants to see the demo, and no more.
$(RUNS): requirements-local.lock requirements-build.lock pyproject.toml local/pyproject.toml
	@if [ -e $(SETUP) ]; then $(MAKE) --silent $(SETUP); else $(MAKE) --no-print-directory runs; fi
	@touch $@

.PHONY: runs
runs:
	$(call install,requirements-local.lock requirements-build.lock)

.PHONY: setup
setup: $(SETUP) ## install what the project's work needs into .venv

.PHONY: programs
programs: $(RUNS) # etcd, kube-apiserver and kubectl: found, downloaded or built (about 6 minutes, once)
	@$(BIN)/python -m fulfillment_local.programs >/dev/null

.PHONY: chart-programs
chart-programs: $(RUNS) # helm, Prometheus and what else tries the chart: found or built (about 6 minutes, once)
	@$(BIN)/python -m fulfillment_local.programs --chart >/dev/null

.PHONY: demo
demo: programs ## play every kind of order on this machine; ONCE=1 ends after the last one
	@$(BIN)/fulfillment demo $(if $(ONCE),--once)

# Tests wait more than they compute, so there are more processes than cores.
PYTEST = $(BIN)/pytest --numprocesses=$(PROCESSES) --dist=loadgroup --durations=5 --durations-min=5

.PHONY: test
test: $(SETUP) programs ## run every test that needs neither Helm nor a cluster with nodes; TESTS=tests/unit runs some
	$(PYTEST) $(if $(TESTS),$(TESTS),tests/unit tests/integration)

.PHONY: coverage
coverage: $(SETUP) programs ## run these tests, and list the lines and branches that none takes
	$(PYTEST) --cov --cov-report=term tests/unit tests/integration

.PHONY: test-chart
test-chart: $(SETUP) programs chart-programs ## run the tests of the chart and of its alerts
	$(PYTEST) tests/chart tests/monitoring

.PHONY: test-page
test-page: $(SETUP) programs ## try the order page in a browser; skipped where /usr/bin/chromium or npm is missing
	@if ! [ -x /usr/bin/chromium ] || ! command -v npm >/dev/null; then echo "The order page is not tried in a browser: there is no /usr/bin/chromium, or no npm."; else \
	npm ci --prefix tests/page --ignore-scripts --no-audit --no-fund && $(BIN)/pytest $(if $(TESTS),$(TESTS),tests/page); fi

.PHONY: test-kubernetes
test-kubernetes: $(SETUP) programs chart-programs ## run the tests that meet an API server on an older one: VERSION=1.31, 1.34
	@assets=$$($(BIN)/python -m fulfillment_local.programs --kubernetes $(VERSION)) && "$$assets/kube-apiserver" --version && \
	KUBEBUILDER_ASSETS=$$assets $(PYTEST) $(if $(TESTS),$(TESTS),tests/integration tests/chart)

.PHONY: sbom
sbom: $(SETUP) ## write the image's bill of materials (CycloneDX): dist/sbom.cdx.json
	@$(BIN)/python -m fulfillment_local.sbom dist/sbom.cdx.json

# A build that uses no cache, and so has to make all of it again.
BUILDAH ?= buildah
BUILD = $(BUILDAH) build --no-cache --timestamp $(SOURCE_DATE_EPOCH) $(IMAGE_OPTIONS)

.PHONY: image-twice
image-twice: ## build the image twice by buildah, and compare the digests
	@mkdir -p dist
	$(BUILD) --iidfile dist/image-1 .
	$(BUILD) --iidfile dist/image-2 .
	@cat dist/image-1 && echo && cat dist/image-2 && echo
	@cmp dist/image-1 dist/image-2

.PHONY: interop-programs
interop-programs: # GitOps tools' own judges, and receivers in Go and JavaScript: built (about 3 minutes, once)
	npm ci --prefix tests/interop/node --ignore-scripts --no-audit --no-fund
	go -C tests/interop/go build -trimpath -o bin/ ./...

.PHONY: test-interop
test-interop: $(SETUP) programs interop-programs ## try orders with GitOps tools' own judges, and with receivers in Go and JavaScript
	$(PYTEST) tests/interop

.PHONY: images
images: ## build both images, and load them into the cluster at hand (kind, k3d, minikube, …)
	@sh packaging/images.sh $(TAG)

.PHONY: release
release: ## publish image and chart as OCI artifacts: REGISTRY=ghcr.io/acme; PLATFORMS=…, IMAGE_OPTIONS=…
	@REGISTRY=$(REGISTRY) sh packaging/release.sh

.PHONY: e2e
e2e: $(SETUP) images chart-programs ## try the installed chart on the cluster at hand, with both images
	$(BIN)/pytest --exitfirst --timeout=600 $(if $(TESTS),$(TESTS),tests/cluster)

.PHONY: bench
bench: programs ## measure what docs/performance.md lists, in ten minutes; BASE=<commit> ROWS=intake,settle FULL=1
	@$(BIN)/python -m benchmarks

.PHONY: bench-docs
bench-docs: $(SETUP) # write what the last `make bench` measured into docs/performance.md
	@$(BIN)/python -m benchmarks.page

.PHONY: faults
faults: $(SETUP) programs ## play what can fail, and show that no order is lost or doubled; CASES=baseline,… ORDERS=2000 TOGETHER=1
	@$(BIN)/python -m faults

.PHONY: faults-mutations
faults-mutations: $(SETUP) programs # switch off what keeps each promise, and show that `make faults` notices
	@$(BIN)/python -m faults.mutations

.PHONY: faults-docs
faults-docs: $(SETUP) # write what the last `make faults` found into docs/reliability.md
	@$(BIN)/python -m faults.page

FUZZING := $(VENV)/.fuzzing

$(FUZZING): requirements-fuzz.lock $(SETUP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements-fuzz.lock
	@touch $@

.PHONY: fuzz
fuzz: $(FUZZING) programs ## look for inputs and orders of events that break a promise; MINUTES=10 TARGETS=signature,event EXAMPLES=100
	PYTHONPATH=tests $(BIN)/python -m fuzz
	MACHINE_EXAMPLES=$(or $(EXAMPLES),100) $(BIN)/pytest --timeout=0 tests/integration/test_whatever_happens.py

.PHONY: check
check: $(SETUP) ## lint, format, types, import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy api runtime service operator page cli local monitoring tests benchmarks faults fuzz
	$(BIN)/lint-imports

.PHONY: lock
lock: $(SETUP) ## resolve the dependencies again, for Python 3.11 to 3.14, with hashes
	$(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip install --quiet uv
	$(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" pyproject.toml --output-file requirements.lock
	$(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --no-emit-package checkout-fulfillment local/pyproject.toml --constraint requirements.lock --output-file requirements-local.lock
	$(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --no-emit-package checkout-fulfillment pyproject.toml local/pyproject.toml --group dev --constraint requirements-local.lock --output-file requirements-dev.lock
	$(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --group fuzz --output-file requirements-fuzz.lock
	$(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --group docs --output-file requirements-docs.lock
	grep "^hatchling==" requirements-dev.lock | cut -d" " -f1 | $(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" - --constraint requirements-dev.lock --output-file requirements-build.lock

# The site's generator has an environment of its own: it is no part of what is tested and shipped.
DOCS := $(VENV)/docs/.set-up
$(DOCS): requirements-docs.lock $(SETUP)
	$(PYTHON) -m venv --clear $(VENV)/docs
	$(VENV)/docs/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements-docs.lock
	@touch $@

.PHONY: docs
docs: $(DOCS) ## build the documentation as a site, with search, into site/
	$(VENV)/docs/bin/zensical build --strict --clean

.PHONY: reference
reference: $(SETUP) ## write the reference pages of docs/ from the code and the chart
	@$(BIN)/python -m fulfillment_local.reference

.PHONY: chart-docs
chart-docs: chart-programs ## write the chart's README.md from its values.yaml
	"$$($(BIN)/python -m fulfillment_local.programs --chart | grep '/helm-docs$$')" --log-level=warning --sort-values-order=file --chart-search-root=charts/checkout-fulfillment

.PHONY: crd
crd: $(SETUP) ## write the chart's CustomResourceDefinition from the typed model
	$(BIN)/fulfillment crd > charts/checkout-fulfillment/files/crd.yaml

.PHONY: order-schema
order-schema: $(SETUP) ## write the JSON Schema of the order document from its types
	$(BIN)/python -m fulfillment_operator.backends.document_schema > docs/order-document.schema.json

.PHONY: monitoring
monitoring: $(SETUP) ## write the chart's alert rules and dashboard from their source
	PYTHONPATH=monitoring $(BIN)/python -m fulfillment_monitoring charts/checkout-fulfillment/files
