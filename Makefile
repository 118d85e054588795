# Everything a developer types. Each target installs what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO      ?= go
APP     := build/app
NODE    := emulator/node_modules/.package-lock.json
BICEP   := tools/infra/node_modules/.package-lock.json
STACK   := build/devstack
SOURCES := $(shell find handler functions internal infra queries -name '*.go' -not -name '*_test.go') $(wildcard infra/kql/*.kql queries/*.kql) go.mod go.sum
WORKSHOP := $(shell find emulator -name '*.go' -not -name '*_test.go' -not -path '*/node_modules/*')

# A value as the shell takes it for one word, blanks and quotes included.
quoted = '$(subst ','\'',$(1))'

# The race detector needs a C compiler; without one the tests run without it.
RACE := $(shell if command -v $${CC:-cc} >/dev/null 2>&1; then echo -race; fi)

# The race detector makes a test up to ten times as slow, so by day it watches where
# something runs side by side, and at night everything. Of two packages whose tests are
# mostly KQL or arithmetic the tests named below run with it, too. The stack goes first:
# it waits for leases of 15 s while others compute.
RACED          := /handler$$\|/handler/app$$\|/internal/\(blobstore\|credential\|host\|queue\|quota\|rowpath\|state\)$$\|/emulator/\(azurite\|chaos\|funchost\)$$
RACED_ADX      := 'Sink|Stage|Staging|Ingest|Capacity|Deliver|Client'
RACED_PIPELINE := 'Calls|Places|Outbox|Attendant|Scenario_O|Scenario_X'
GOTEST         := $(GO) test -p 3 -parallel 12 -vet=off -timeout 15m

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %s%-10s%s %s\n", on, $$1, off, $$2}' \
		$$(test -t 1 && printf 'on=\033[36m off=\033[0m') $(MAKEFILE_LIST)

.PHONY: demo
demo: $(APP)/handler $(STACK) $(NODE) ## Watch a sample tenant move into ADX (DATA=dir serves your own <Table>.jsonl files; INSTANCES=2 for several tenants)
	@$(STACK) demo --app $(APP) $(if $(DATA),--data $(call quoted,$(DATA))) $(if $(SCALE),--scale $(SCALE)) $(if $(SEED),--seed $(SEED)) $(if $(INSTANCES),--instances $(INSTANCES))

.PHONY: start
start: $(APP)/handler $(STACK) $(NODE) ## Run the whole local stack until Ctrl-C (DATA=dir; HOST=func uses Core Tools; IDENTITY=1 storage by token)
	@HOST=$(HOST) $(STACK) up --app $(APP) $(if $(DATA),--data $(call quoted,$(DATA))) $(if $(IDENTITY),--identity)

# Each line is a make command. The tests come last: what reads the outcome of a
# run reads its closing lines.
define PARTS
lint
cross
infra
kql
bench SHORT=1 ONLY=rowpath,memory,quota,plan,coldstart,export
chaos N=12 SEED=100 HOSTEVERY=0
witness SHORT=1
demo SCALE=0.1
test
endef
export PARTS

.PHONY: check
check: $(NODE) ## What CI runs, part by part with its seconds
	@MAKE="$(MAKE)" tools/check.sh <<< "$$PARTS"

# Tests and mutants are short-lived processes: they trade memory for time.
test mutants: export GOGC := 400

.PHONY: test
test: $(NODE) ## Run every test, with the race detector where it counts (SHORT=1 without it and without the long ones; NIGHT=1 plays all at full length, all with it)
	@$(if $(RACE),true,echo "no C compiler found: running without the race detector")
ifdef NIGHT
	D2A_NIGHT=1 $(GO) test $(RACE) -parallel 6 -timeout 60m ./...
else ifdef SHORT
	RAPID_CHECKS=10 $(GOTEST) -short ./...
else
	RAPID_CHECKS=25 $(GOTEST) ./emulator/stack $$($(GO) list ./... | grep -v '/emulator/stack$$$(if $(RACE),\|$(RACED))')
	$(if $(RACE),RAPID_CHECKS=25 $(GOTEST) $(RACE) $$($(GO) list ./... | grep '$(RACED)'))
	$(if $(RACE),RAPID_CHECKS=25 $(GOTEST) $(RACE) -run $(RACED_ADX) ./internal/adx)
	$(if $(RACE),RAPID_CHECKS=25 $(GOTEST) $(RACE) -run $(RACED_PIPELINE) ./internal/pipeline)
endif

.PHONY: mutants
mutants: $(NODE) ## Put known bugs in one at a time: the tests must catch each (ONLY=text for some)
	@$(GO) run ./emulator/cmd/devstack mutants $(if $(ONLY),--only $(ONLY))

.PHONY: chaos
chaos: $(APP)/handler $(NODE) ## Break everything by seeded schedules (N=200 SEED=1 HOSTEVERY=20 INSTANCES=2) and compare by content
	@$(GO) run ./emulator/cmd/devstack chaos --n $(or $(N),200) --seed $(or $(SEED),1) --host-every $(or $(HOSTEVERY),20) $(if $(INSTANCES),--instances $(INSTANCES)) --app $(APP)

.PHONY: bench
bench: $(APP)/handler $(NODE) ## Measure: one line a figure (ONLY=name for some, SHORT=1 only shows that it works)
	@$(GO) run ./emulator/cmd/devstack bench --app $(APP) $(if $(SHORT),--short) $(if $(ONLY),--only $(ONLY))

.PHONY: witness
witness: $(STACK) $(NODE) $(if $(SHORT),,$(APP)/handler) build/witness/$(if $(SHORT),short,full).installed ## Run other people's clients against the emulators, and docs/analyst.ipynb (SHORT=1: Python SDK and curl; UPDATE=1 stores what its cells print)
	@build/witness/venv/bin/python emulator/witness/witness.py $(STACK) $(if $(SHORT),,--node build/witness/node --handler $(APP)/handler $(if $(UPDATE),--update))

# The short form needs two packages and what they need, all at the pinned versions.
build/witness/short.installed: emulator/witness/requirements.txt
	@mkdir -p build/witness
	python3 -m venv build/witness/venv
	build/witness/venv/bin/pip install --quiet --disable-pip-version-check --constraint $< azure-identity azure-kusto-data
	@touch $@

build/witness/full.installed: build/witness/short.installed emulator/witness/package-lock.json
	build/witness/venv/bin/pip install --quiet --disable-pip-version-check --requirement emulator/witness/requirements.txt
	@mkdir -p build/witness/node && cp emulator/witness/package.json emulator/witness/package-lock.json build/witness/node/
	npm ci --prefix build/witness/node --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

.PHONY: kql
kql: $(NODE) ## Check all KQL with Microsoft's parser (HUNTING=file.jsonl binds hunting queries to the views)
	@$(GO) run ./emulator/cmd/devstack kql $(if $(HUNTING),--hunting $(call quoted,$(HUNTING)))

.PHONY: fuzz
fuzz: ## Fuzz everything that reads foreign bytes, FUZZTIME (1m) for each target
	@grep -rlE '^func Fuzz' --include='*_test.go' internal emulator functions handler | grep -v node_modules | while read f; do \
		for t in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+).*/\1/p' $$f); do \
			echo "fuzz: $$t in $$(dirname $$f)"; \
			$(GO) test -run '^$$' -fuzz "^$$t\$$" -fuzztime $(or $(FUZZTIME),1m) ./$$(dirname $$f) || exit 1; \
		done; done

.PHONY: scale
scale: $(NODE) ## Move 5 million rows over many invocations with kills between them (ROWS=n)
	D2A_SCALE_ROWS=$(or $(ROWS),5000000) $(GO) test ./emulator/stack -count=1 -timeout 60m -run 'TestScale|TestScenario_R5' -v

.PHONY: cross
cross: ## Build the handler for macOS as releases do, without cgo: what only Linux has must not be needed
	CGO_ENABLED=0 GOOS=darwin $(GO) build -o /dev/null ./handler

.PHONY: lint
lint: ## Check format, vet, and the rules of .golangci.yml
	$(GO) vet ./...
	GOLANGCI_LINT_CACHE="$(CURDIR)/build/lint" $(GO) tool -modfile=tools/lint.mod golangci-lint run

.PHONY: infra
infra: $(BICEP) ## Check templates, settings files and workflows, each known mistake planted once (uses `bicep`, if there is one)
	@node tools/infra/check.mjs
	@node --test --test-reporter=dot tools/infra/
	@for f in infra/*.sh infra/hooks/*.sh tools/*.sh; do sh -n $$f || bash -n $$f || exit 1; done
	@$(GO) tool -modfile=tools/lint.mod actionlint

.PHONY: package
package: ## Build build/app and the deployable build/defender2adx.zip (linux/amd64)
	@rm -rf $(APP) build/defender2adx.zip
	@GOOS=linux GOARCH=amd64 GOAMD64=v1 $(MAKE) --no-print-directory $(APP)/handler
	@$(GO) run ./tools/package notices $(APP)/THIRD-PARTY-NOTICES.txt
	@$(GO) run ./tools/package $(APP) build/defender2adx.zip

.PHONY: release
release: ## Build build/release: the zip, the handler for five platforms, licences, checksums (VERSION=1.2.3, which CHANGELOG.md must have)
	@VERSION=$(call quoted,$(VERSION)) MAKE="$(MAKE)" GO="$(GO)" tools/release.sh

.PHONY: node
node: $(NODE) ## Install the node packages of the emulators (every target that needs them does so)

.PHONY: build
build: $(APP)/handler ## Build build/app, the folder that is deployed

.PHONY: clean
clean: ## Remove what was built
	rm -rf build

$(APP)/handler: $(SOURCES) host.json LICENSE $(wildcard functions/*/function.json)
	@mkdir -p $(APP)
	@echo "building $@"
	@CGO_ENABLED=0 GOOS=$${GOOS:-$$($(GO) env GOOS)} GOARCH=$${GOARCH:-$$($(GO) env GOARCH)} \
		$(GO) build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o $@ ./handler
	@cp host.json LICENSE $(APP)/
	@rm -rf $(APP)/queries && mkdir -p $(APP)/queries && cp queries/*.kql $(APP)/queries/
	@for f in functions/*/function.json; do d=$(APP)/$$(basename $$(dirname $$f)); mkdir -p $$d && cp $$f $$d/; done

$(STACK): $(SOURCES) $(WORKSHOP)
	@mkdir -p build
	@echo "building $@"
	@$(GO) build -o $@ ./emulator/cmd/devstack

$(NODE): emulator/package-lock.json
	@echo "installing the node packages of the emulators"
	@npm ci --prefix emulator --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

$(BICEP): tools/infra/package-lock.json
	npm ci --prefix tools/infra --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@
