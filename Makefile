# Everything that is run by hand or by .ci/run, by name. `make` alone prints this list.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO       ?= go
BIN      ?= bin/stampede
FUZZTIME ?= 30s
BENCH    ?= .
BENCHTIME ?= 1s
COUNT    ?= 1
PKG      ?= ./...
IMAGE    ?= stampede
BENCHARGS ?= fanout
KILLS     ?= 50
BLACKOUTS ?= 10
PAUSES    ?= 10
PAUSE     ?= 30
OUTAGE    ?= 60
FOUNDINGS ?= 100
SEED      ?= 0
SEEDS     ?= 2000
TORTURE   ?= ^TestCluster(Founding|Crash|Pause|Outage)
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
FIND_GO  := find . \( -name .git -o -name node_modules \) -prune -o -name

.PHONY: help build test race lint fmt spec floors fuzz interop interop-gostomp interop-stompjs interop-spring interop-browser interop-stomppy interop-plain interop-binaries clients-table soak bench peers cluster-bench cluster-torture sim cover image clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build the static binary bin/stampede
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/stampede

test: ## Run all tests (PKG=./broker/... for some)
	$(GO) test $(PKG)

race: ## Run all tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race $(PKG)

lint: ## Check formatting, go vet, staticcheck
	@unformatted=$$($(FIND_GO) '*.go' -print | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

fmt: ## Format all Go files
	$(FIND_GO) '*.go' -print | xargs gofmt -w

spec: ## List the clauses of the STOMP specification by lines of code and tests; fail where code has a clause without a test
	@{ $(FIND_GO) '*.go' -print | xargs grep -oHE '\[STOMP1[0-2] §[^]]+\]' || true; } | \
	awk '{ at = index($$0, "[STOMP"); file = substr($$0, 1, at - 2); clause = substr($$0, at); seen[clause] = 1; \
	       if (file ~ /_test\.go$$/) tests[clause]++; else code[clause]++ } \
	     END { for (c in seen) printf "%s\t%d\t%d\n", c, code[c], tests[c] }' | sort | \
	awk -F '\t' 'BEGIN { printf "%-48s %5s %6s\n", "clause", "code", "tests" } \
	     { printf "%-48s %5d %6d%s\n", $$1, $$2, $$3, ($$2 && !$$3) ? "   <- no test" : ""; if ($$2 && !$$3) bad++ } \
	     END { if (bad) { printf "%d clauses without a test: give each a subtest that carries its tag\n", bad; exit 1 } }'

floors: ## Print the import graph by floor and check the walls of the house
	$(GO) test -count=1 -v -run '^Test' .

# Go calls it a failure when the time is up in the middle of a run ("context deadline exceeded"); only a failing input is one.
fuzz: ## Run every fuzz target for FUZZTIME in turn (FUZZTIME=30s)
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	{ $(FIND_GO) '*_test.go' -print | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]*' || true; } | sort | \
	while IFS=: read -r file function; do \
		target=$${function#func }; \
		echo "== $$(dirname "$$file") $$target $(FUZZTIME)"; \
		if ! $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" </dev/null 2>&1 | tee "$$log"; then \
			grep -q '^ *context deadline exceeded$$' "$$log" && ! grep -q 'Failing input' "$$log" || exit 1; \
			echo "   the time was up in the middle of a run; no input failed"; \
		fi; \
	done

interop: interop-gostomp interop-stompjs interop-plain interop-stomppy interop-spring interop-browser ## Run all public clients against freshly built brokers

# needs PROGRAM PACKAGE...: says which Debian package a suite lacks.
needs = @command -v $(1) >/dev/null 2>&1 || { echo "$@ needs $(1): install $(2)" >&2; exit 1; }

interop-binaries:
	@$(GO) build -o bin/stampede ./cmd/stampede
	@$(GO) build -o bin/cluster ./interop/cluster

interop-gostomp: ## Run go-stomp (Go) against a freshly built broker
	$(GO) test -count=1 -v ./interop/gostomp/...

interop-stompjs: ## Run stompjs (Node.js) against a freshly built broker
	$(call needs,npm,nodejs and npm)
	cd interop/stompjs && npm ci --no-audit --no-fund --loglevel=error && npm test

ARTIFACTS ?= .ci/out
clients-table: ## Write docs/clients.md from what the suites have left in ARTIFACTS (CHECK=--check only compares)
	$(GO) run ./interop/clientstable $(CHECK) $(ARTIFACTS)

interop-plain: interop-binaries ## Run a client of plain sockets, byte for byte, against the broker (Python)
	interop/plain/run.sh

interop-stomppy: interop-binaries ## Run stomp.py against the broker (Python with venv)
	interop/stomppy/run.sh

interop-spring: interop-binaries ## Run Spring Boot services, Spring's own client and their browsers on a cluster (Java 17, Maven, Node.js)
	$(call needs,java,a JDK of version 17 or later)
	$(call needs,mvn,maven)
	$(call needs,npm,nodejs and npm)
	cd interop/spring && mvn -q -ntp -B -DskipTests package && npm ci --no-audit --no-fund --loglevel=error && npm test

interop-browser: interop-binaries ## Run a page with stompjs in headless Chromium on a cluster (Chromium, Node.js)
	$(call needs,npm,nodejs and npm)
	$(call needs,chromium,chromium)
	cd interop/browser && npm ci --no-audit --no-fund --loglevel=error && npm test

soak: interop-binaries ## Run cluster, Spring instances and clients together, restart them at random, count what is lost (SOAK=30m SEED=)
	$(call needs,java,a JDK of version 17 or later)
	$(call needs,mvn,maven)
	$(call needs,npm,nodejs and npm)
	mvn -q -ntp -B -f interop/spring/pom.xml -DskipTests package
	cd interop/soak && npm ci --no-audit --no-fund --loglevel=error
	node interop/soak/main.js $(SOAKARGS)

bench: ## Run the benchmarks, in the form that benchstat reads (BENCH=, PKG=, COUNT=10)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) -count $(COUNT) $(PKG)

peers: build ## Measure RabbitMQ, ActiveMQ, this broker and a bare fan-out side by side (PEERSARGS="--duration 2s --runs 1")
	interop/peers/run.sh --stampede $(BIN) $(PEERSARGS)

cluster-bench: build ## Measure three nodes on this machine, and NATS JetStream where it is installed (CLUSTERARGS="--duration 2s --runs 1")
	@load=; if PATH=$$PATH:/usr/sbin command -v nats-server >/dev/null; then cd interop/peers/nats && $(GO) build -o ../../../bin/nats-load . && load=bin/nats-load; cd - >/dev/null; fi; \
	interop/peers/cluster.sh --stampede $(BIN) $${load:+--nats-load $$load} $(CLUSTERARGS)

sim: ## Live through simulated clusters, one a seed; 2,000 take half an hour on 2 cores (SEED=0 SEEDS=2000)
	$(GO) test -count=1 -timeout 3h -run 'TestSimulation$$' ./cluster/sim -sim.seed=$(SEED) -sim.seeds=$(SEEDS)

cluster-torture: ## Kill, stop and cut off nodes of clusters at full size, and print what clients felt (KILLS= BLACKOUTS= PAUSES= PAUSE= OUTAGE=)
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; status=0; \
	STAMPEDE_FOUND_ROUNDS=$(FOUNDINGS) STAMPEDE_CLUSTER_KILLS=$(KILLS) STAMPEDE_CLUSTER_BLACKOUTS=$(BLACKOUTS) STAMPEDE_CLUSTER_PAUSES=$(PAUSES) \
	STAMPEDE_CLUSTER_PAUSE=$(PAUSE) STAMPEDE_CLUSTER_OUTAGE=$(OUTAGE) $(GO) test -count=1 -timeout 3h -v -run '$(TORTURE)' ./cmd/stampede >"$$log" 2>&1 || status=$$?; \
	grep -v '^=== ' "$$log" | grep -v '_test.go:[0-9]*: |'; echo; \
	printf '| what | times | p50 s | p99 s | max s |\n|---|---|---|---|---|\n'; sed -n 's/^.*_test\.go:[0-9]*: |/|/p' "$$log"; exit $$status

cover: ## Run all tests with coverage and print it by function; coverage.html shows the lines
	$(GO) test -coverprofile=coverage.out -coverpkg=./... $(PKG)
	$(GO) tool cover -html=coverage.out -o coverage.html
	$(GO) tool cover -func=coverage.out | tail -1

image: ## Build the container image (IMAGE=, BASE_BUILD=, BASE_RUN=)
	docker build -t $(IMAGE):$(VERSION) --build-arg VERSION=$(VERSION) \
		$(if $(BASE_BUILD),--build-arg BASE_BUILD=$(BASE_BUILD)) $(if $(BASE_RUN),--build-arg BASE_RUN=$(BASE_RUN)) .

clean: ## Remove what was built, and nothing else
	rm -rf bin coverage.out coverage.html .ci/out interop/spring/target interop/*/bin interop/*/node_modules
