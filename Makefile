# `make` lists the targets. A target downloads what it needs through the Go module proxy.

GO       ?= go
BUILD    := build
FUZZTIME ?= 10s
SOAK     ?= 15m

# Everything is built without cgo, like the functions, so that each package is compiled only once. Only the race detector
# needs cgo.
export CGO_ENABLED := 0

# Builds a function for this machine, with the flags of the tests, so that each package is compiled only once.
# infra/bundle builds the packages for Lambda. They have the same bytes in every checkout.
FUNCTION_BUILD := $(GO) build -buildvcs=false -tags lambda.norpc -ldflags="-s -w -buildid="

.PHONY: help demo test test-busy arm64 race tools build functions sandbox invoke lint vuln release release-snapshot docs spelling picture generate fuzz soak soak-commands soak-sweeps soak-values bench clean go

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { \
	  line = sprintf("  make %-16s", $$1); n = split($$2, words, " "); \
	  for (i = 1; i <= n; i++) { \
	    if (length(line " " words[i]) > 80) { print line; line = sprintf("%23s", "") } \
	    line = line " " words[i] \
	  } \
	  print line }' $(MAKEFILE_LIST)

demo: $(BUILD)/noathena/quilt-sandbox ## Show the life of a key in a sandbox: rotated under load, held, revoked
	@$< demo --functions $(BUILD)

test: go ## Check the format and run all tests of both modules (make lint runs go vet)
	@$(UNFORMATTED)
	@$(MAKE) --no-print-directory -j2 tools node
	@scripts/test

test-busy: go tools node ## Run the tests while two busy loops per core run beside them
	@scripts/test -busy

# make test does not run these tests, because the packages take a minute to compile for arm64.
arm64: go ## Build the functions' packages for Lambda (arm64) in two folders and compare them, and run an arm64 function with qemu-user
	cd infra && $(GO) test ./bundle ./proof -run 'Same|Package|TheApp' -arm64 -count=1
	$(GO) test ./internal/sandbox/awslambda -run Foreign -arm64 -count=1

race: go tools ## Run the tests with the race detector (needs a C compiler, takes minutes)
	@if [ "$$(env -u CGO_ENABLED $(GO) env CGO_ENABLED)" != 1 ]; then echo "the race detector needs a C compiler: install gcc or clang" >&2; exit 1; fi
	@CGO_ENABLED=1 NO_INFRA=1 scripts/test -race

# The format check needs only Go.
UNFORMATTED = files=$$(find . -name node_modules -prune -o -name '*.go' -print | xargs $$($(GO) env GOROOT)/bin/gofmt -l); \
	if [ -n "$$files" ]; then echo "not formatted; run: gofmt -w" $$files >&2; exit 1; fi

build: $(BUILD)/quilt-rotate $(BUILD)/quilt-sandbox ## Build both functions for this machine, and both commands, into build/

# The version of a command contains the revision, unless git refuses to read the checkout because it belongs to another
# user. The demo and the events do not need Athena, whose database takes a third of the time to compile.
$(BUILD)/quilt-rotate $(BUILD)/quilt-sandbox $(BUILD)/noathena/quilt-sandbox: functions
	@echo "building $(@F)" >&2
	@vcs=$$(git status >/dev/null 2>&1 && echo auto || echo false); \
	$(GO) build -buildvcs=$$vcs -tags "$(filter noathena,$(notdir $(@D)))" -ldflags="-s -w" -o $@ ./cmd/$(@F)

functions: go
	@echo "building the functions" >&2
	@$(FUNCTION_BUILD) -o $(BUILD)/rotate/bootstrap ./functions/rotate
	@$(FUNCTION_BUILD) -o $(BUILD)/revoke/bootstrap ./functions/revoke

sandbox: build ## Run Secrets Manager, Lambda and a Quilt registry on loopback, to try things by hand
	@$(BUILD)/quilt-sandbox serve

invoke: $(BUILD)/noathena/quilt-sandbox ## Run a function on an event: make invoke EVENT=events/create-secret.json (RAW=1: its whole log)
	@if [ -z "$(EVENT)" ]; then echo "name an event: make invoke EVENT=<one of $$(echo events/*.json)>" >&2; exit 2; fi
	@$< invoke --functions $(BUILD) $(if $(RAW),--raw) "$(EVENT)"

lint: $(BUILD)/tools/golangci-lint spelling ## Run golangci-lint on both modules (the first run builds it, which takes minutes), and codespell
	$(abspath $<) run ./...
	cd infra && $(abspath $<) run --config ../.golangci.yml ./...

vuln: $(BUILD)/tools/govulncheck ## Search both modules for known vulnerabilities (skipped if the database cannot be reached)
	@scripts/vuln

release: $(BUILD)/tools/goreleaser $(BUILD)/tools/cyclonedx-gomod ## Build a release into dist/, without publishing it: make release VERSION=v1.2.3
	@scripts/release "$(VERSION)"

release-snapshot: $(BUILD)/tools/goreleaser $(BUILD)/tools/cyclonedx-gomod ## Build the current commit as a release in two folders below build/snapshot and compare them
	@scripts/release -snapshot $(BUILD)/snapshot

# Tools are built outside the modules, so that their dependencies do not become ours.
tools: $(BUILD)/tools/gotestsum

$(BUILD)/tools/gotestsum: TOOL := gotest.tools/gotestsum@v1.13.0
$(BUILD)/tools/golangci-lint: TOOL := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
$(BUILD)/tools/govulncheck: TOOL := golang.org/x/vuln/cmd/govulncheck@v1.9.0
$(BUILD)/tools/goreleaser: TOOL := github.com/goreleaser/goreleaser/v2@v2.15.1
$(BUILD)/tools/goreleaser: export GOTOOLCHAIN = $(shell sed -n "s/^toolchain //p" go.mod)
$(BUILD)/tools/cyclonedx-gomod: TOOL := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

$(addprefix $(BUILD)/tools/,gotestsum golangci-lint govulncheck goreleaser cyclonedx-gomod): Makefile | go
	@echo "building $(@F)" >&2
	@GOBIN=$(abspath $(@D)) GOFLAGS= $(GO) install $(TOOL)

docs: go spelling ## Check the handbook: links, pages of alarms and errors, pictures (npm ci in docs/testdata/mermaid), commands, spelling
	$(GO) test ./docs/...
	$(GO) test ./cmd/quilt-rotate -run 'Pages|README|Named|ScriptsOf' -parallel 8 -exhaustive
	$(GO) test ./cmd/quilt-sandbox -run 'Named|Picture' -parallel 8

# scripts/words.txt lists words that are not plain English. codespell refuses them in text and in Go files.
spelling:
	@if command -v codespell >/dev/null; then \
	  codespell -D - -D scripts/words.txt *.md docs infra/README.md --skip node_modules,*.svg,package-lock.json && \
	  git ls-files '*.go' | grep -v '\.gen\.go$$' | xargs codespell -D scripts/words.txt; \
	else echo "SKIPPED: spelling: codespell is not installed (apt-get install codespell)" >&2; fi

picture: $(BUILD)/noathena/quilt-sandbox ## Draw the README's picture of the demo again
	@CLICOLOR_FORCE=1 TERM=xterm-256color $< demo --functions $(BUILD) >$(BUILD)/demo.ansi && $(GO) run ./docs/handbook/picture <$(BUILD)/demo.ansi >docs/demo.svg

generate: go ## Generate the registry client from its .graphql files
	$(GO) generate ./...

fuzz: go ## Run every fuzz target for a while: make fuzz FUZZTIME=1m
	@for package in $$($(GO) list ./...); do \
	  targets=$$($(GO) test -list '^Fuzz' $$package) || { echo "$$targets" >&2; exit 1; }; \
	  for target in $$(echo "$$targets" | grep '^Fuzz'); do \
	    echo "$$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
	  done; \
	done

# These tests allocate much and keep little, so they run faster with fewer garbage collections.
soak: export GOGC = 1000
soak: go ## Test every crash point, and random sequences of rotations, sweeps, faults and edits: make soak SOAK=1h
	@$(MAKE) --no-print-directory -j2 soak-commands soak-sweeps soak-values

soak-commands:
	$(GO) test ./internal/cli/operations -run TestEveryCrash -timeout 0 -exhaustive

soak-sweeps:
	$(GO) test ./internal/revocation -run 'TestEveryCrash|TestMachine' -v -timeout 0 -exhaustive -soak=$(SOAK) -rapid.seed=0

# In make test the property tests use the same values in each run. Here they use new ones.
soak-values:
	$(GO) test ./internal/apikey ./internal/cli/audit ./internal/cli/managed ./internal/redact ./internal/settings ./internal/vault -rapid.seed=0 -rapid.checks=2000

BENCH ?= .
COUNT ?= 1
TIMES ?= # runs of each benchmark except Crowd and Fleet, such as 1x; default: 60x or 5x
FLAGS ?= # of the benchmarks: -function-memory 128

# go test passes if no benchmark matches, so this is checked first.
bench: go ## Measure speed, memory and size, compared with the smallest function (docs/performance.md): make bench BENCH=ColdStart COUNT=6 for benchstat
	@bench='$(BENCH)'; names=$$($(GO) test ./internal/sandbox/bench -list "$${bench%%/*}") || { echo "$$names" >&2; exit 1; }; \
	echo "$$names" | grep -q '^Benchmark' || { echo "no benchmark matches $$bench" >&2; exit 1; }
	$(GO) test ./internal/sandbox/bench -run '^$$' -bench '$(BENCH)' -skip 'Instructions|Zip|ManyKeys|Demo|Crowd|Fleet' -benchtime $(or $(TIMES),60x) -count $(COUNT) -timeout 1h $(FLAGS)
	$(GO) test ./internal/sandbox/bench -run '^$$' -bench '$(BENCH)' -skip '^BenchmarkColdStart$$|Rotation|Idle|Memory|Crowd|Fleet' -benchtime $(or $(TIMES),5x) -count $(COUNT) -timeout 1h $(FLAGS)
	$(GO) test ./internal/sandbox/bench -run '^$$' -bench '$(BENCH)' -skip 'Cold|Zip|Rotation|Idle|Memory|ManyKeys|Demo' -benchtime 1x -count $(COUNT) -timeout 1h $(FLAGS)

clean: ## Remove what was built
	rm -rf $(BUILD)

go:
	@command -v $(GO) >/dev/null || { echo "Go is not installed: get version 1.26 or later from https://go.dev/dl" >&2; exit 1; }
	@version=$$($(GO) env GOVERSION 2>&1); \
	case "$$version" in \
	  go1.2[6-9]*|go1.[3-9][0-9]*|go[2-9]*|devel*) ;; \
	  *) echo "Go 1.26 or later is needed: get it from https://go.dev/dl (here: $$version)" >&2; exit 1;; \
	esac

# The deployment is a separate Go module. CONFIG is its file (infra/README.md). ARGS are more arguments for the cdk command.

CONFIG ?= infra/config.yaml
ARGS   ?=
# The app compresses the functions' packages. Another toolchain may compress them to other bytes, so the app is built with
# the same toolchain as the functions.
CDK     = cd infra && CDK_DISABLE_CLI_TELEMETRY=true GOTOOLCHAIN=$$(sed -n 's/^toolchain //p' go.mod) npx cdk

.PHONY: synth diff deploy acceptance golden node need-node

synth: go need-node infra/node_modules ## Check a configuration and write its template into infra/cdk.out: make synth CONFIG=prod.yaml
	@$(CDK) synth --quiet -c config=$(abspath $(CONFIG)) $(ARGS)

diff: go need-node infra/node_modules ## Compare a configuration with its deployed stack: make diff CONFIG=prod.yaml
	@$(CDK) diff -c config=$(abspath $(CONFIG)) $(ARGS)

deploy: go need-node infra/node_modules ## Deploy a configuration; without a terminal: make deploy CONFIG=prod.yaml ARGS="--require-approval never"
	@$(CDK) deploy -c config=$(abspath $(CONFIG)) $(ARGS)

# The program asks for a confirmation before it changes anything, and asks for a login on the terminal.
acceptance: build need-node infra/node_modules ## Check on your AWS account what no document says, then remove everything: make acceptance CONFIG=test.yaml (docs/acceptance.md)
	@$(GO) build -C infra -o ../$(BUILD)/acceptance-run ./acceptance && cd infra && \
	GOTOOLCHAIN=$$(sed -n 's/^toolchain //p' go.mod) ../$(BUILD)/acceptance-run -config $(abspath $(CONFIG)) $(if $(REMOVE),-remove $(REMOVE)) $(ARGS)

golden: go need-node ## Update the deployment's golden templates, schema and list of alarms; review the diff
	cd infra && $(GO) test ./config ./stack -run 'Golden|Schema|ListOfAlarms' -count=1 -golden

# The deployment needs Node 22. If Node is missing or older, npm installs it into build/node, for this checkout only.
export PATH := $(CURDIR)/$(BUILD)/node/node_modules/.bin:$(PATH)
NODE22 := node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 22 ? 1 : 0)' 2>/dev/null

# Without Node, the tests of the deployment are skipped.
node:
	@$(NODE22) || ! command -v npm >/dev/null || { echo "installing Node 22 into $(BUILD)/node" >&2; \
	  npm install --prefix $(BUILD)/node --no-audit --no-fund --silent node@22; }

need-node: node
	@$(NODE22) || { echo "Node 22 or later is needed: get it from https://nodejs.org" >&2; exit 1; }

infra/node_modules: infra/package-lock.json
	@cd infra && npm ci --no-audit --no-fund --silent && touch node_modules

# Tests of the deployment that need more than Go and Node. If a tool is missing, the test is skipped and names the tool.

TEMPLATES := build/infra/templates

.PHONY: deploy-local acceptance-local nag cfn-lint templates

deploy-local: go need-node ## Deploy to a local AWS, rotate a key there, sweep (needs Node, python3 with moto, the AWS CLI, qemu-user)
	@[ -d infra/node_modules ] || $(MAKE) infra/node_modules
	cd infra && $(GO) test ./proof -run 'TestDeployment|TestThePipelinesRoles' -deploy -count=1 -v -timeout 10m

acceptance-local: go need-node ## Run make acceptance on a local AWS, and test each result on the sandbox (needs the tools of deploy-local)
	@[ -d infra/node_modules ] || $(MAKE) infra/node_modules
	cd infra && $(GO) test ./acceptance -exhaustive -count=1 -timeout 10m
	cd infra && $(GO) test ./proof -run TestAcceptanceRun -acceptance -count=1 -v -timeout 10m

nag: templates infra/nag/node_modules ## Check the templates with cdk-nag (needs Node)
	node infra/nag/nag.js $(TEMPLATES)/*/*.template.json

# W3005 reports dependencies that the CDK writes although a reference implies them. E3601 does not support substitutions in
# the ARNs of a state machine.
cfn-lint: templates ## Check the templates with cfn-lint
	@command -v cfn-lint >/dev/null || { echo "cfn-lint is not installed: pip install cfn-lint" >&2; exit 1; }
	cfn-lint -i W3005 -i E3601 -- $(TEMPLATES)/*/*.template.json $(wildcard docs/tools/*.yaml docs/events/*.yaml) docs/pipeline/roles.yaml

templates: go need-node
	@rm -rf $(TEMPLATES) && mkdir -p $(TEMPLATES) && cd infra && $(GO) build -o ../$(TEMPLATES)/app . && \
	for config in config.example.yaml stack/testdata/*.yaml; do \
	  CDK_OUTDIR=../$(TEMPLATES)/$$(basename $$config .yaml) CDK_CONTEXT_JSON="$$(node -p "JSON.stringify({...require('./cdk.json').context, config: '$$config'})")" CDK_DEFAULT_ACCOUNT=123456789012 CDK_DEFAULT_REGION=us-east-1 \
	  ../$(TEMPLATES)/app || exit 1; \
	done

infra/nag/node_modules: infra/nag/package-lock.json
	@cd infra/nag && npm ci --no-audit --no-fund --silent && touch node_modules
