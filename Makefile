# Everything a contributor runs. `make` prints this list; `make check` is the one to know.

SHELL       := /bin/bash -o pipefail
TOOLS       := $(CURDIR)/.tools/bin
GO          ?= go
TEST_LOG    := .cache/test.log
FUZZTIME    ?= 30s
POSTGRES    := /usr/lib/postgresql/15/bin
# Modules of their own whose packages are the product's: what holds for the root module holds for them. internal/archtest reads this line.
MODULES     := consumer/store/sqlite examples/bikeshare bench/consumer
COMMIT      := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

.DEFAULT_GOAL := help
.PHONY: help build run demo deps test test-race test-nocgo lint generate fuzz bench bench-broker bench-sql bench-consumer accept examples chaos cuts test-clients check fmt clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

build: ## build bin/broadsheet, with the gateway
	CGO_ENABLED=1 $(GO) build -ldflags "-X main.commit=$(COMMIT)" -o bin/broadsheet ./cmd/broadsheet

run: build ## serve on ./data
	bin/broadsheet serve --data-dir ./data

demo: build ## serve, make tables, stream an auction into them, show a SELECT and a SUBSCRIBE
	$(GO) build -o bin/nexmark ./examples/nexmark
	bin/nexmark demo --server bin/broadsheet --data-dir ./data

# Tests start servers of their own: Debian's package is kept from making and starting one.
CREATECLUSTER := /etc/postgresql-common/createcluster.d

deps: ## install the outside programs that some tests need: psql, PostgreSQL, python3, node, curl, jq (Debian, as root), object stores, etcd
	@command -v psql >/dev/null && test -x $(POSTGRES)/initdb || { \
	mkdir -p $(CREATECLUSTER) && echo 'create_main_cluster = false' > $(CREATECLUSTER)/broadsheet.conf && \
	apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql-client-15 postgresql-15; }
	@missing=; for p in python3 node curl jq; do command -v $$p >/dev/null || missing="$$missing $${p/#node/nodejs}"; done; \
	test -z "$$missing" || { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; }
	@psql --version
	@$(MAKE) --no-print-directory $(TOOLS)/versitygw $(TOOLS)/fake-gcs-server $(TOOLS)/azurite-blob $(TOOLS)/etcd

# What runs the real program, whose changes go test's cache doesn't see, is kept from it by the variable. What takes longest is begun first,
# and more at a time than there are processors, as much of it is waiting. Lint vets.
test: ## everything that needs no special machine
	@mkdir -p .cache
	@status=0; BROADSHEET_TEST_RUN=$$$$-$$(date +%s) $(GO) test -v -vet=off -p 3 -parallel 4 ./test/system ./test/sql ./test/wire ./... > $(TEST_LOG) 2>&1 || status=$$?; \
	for m in $(MODULES); do $(GO) test -C $$m -v -count=1 ./... >> $(TEST_LOG) 2>&1 || status=$$?; done; \
	grep -aE '^(ok|FAIL|---[ ]FAIL|panic:|\?)[[:space:]:]' $(TEST_LOG) | grep -v 'no test files'; \
	if [ $$status -ne 0 ]; then echo; echo "What failed (all of it is in $(TEST_LOG)):"; internal/testenv/failures.awk $(TEST_LOG); fi; \
	grep -aohE 'not run: .*' $(TEST_LOG) | sort | uniq -c | sed 's/^ *\([0-9]*\) /\1 tests /' || true; \
	exit $$status

test-race: ## the same under the race detector
	$(GO) test -race -tags invariants ./...
	@for m in $(MODULES); do echo "$$m:"; $(GO) test -C $$m -race -tags invariants ./... || exit 1; done

test-nocgo: ## the static binary builds, and all but the gateway and its views passes without cgo
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/broadsheet-nocgo ./cmd/broadsheet
	CGO_ENABLED=0 $(GO) test $$(CGO_ENABLED=0 $(GO) list -e ./... | grep -v -e /sqlgw -e /views -e /test -e /bench -e /examples)
	@for m in $(filter-out bench/%,$(MODULES)); do echo "$$m:"; CGO_ENABLED=0 $(GO) test -C $$m ./... || exit 1; done

lint: $(TOOLS)/golangci-lint $(TOOLS)/buf ## linters, protocol checks, architecture
	CGO_ENABLED=1 $(TOOLS)/golangci-lint run ./...
	CGO_ENABLED=0 $(TOOLS)/golangci-lint run ./cmd/...
	@for m in $(MODULES); do echo "$$m:"; (cd $$m && $(TOOLS)/golangci-lint run -c $(CURDIR)/.golangci.yml ./...) || exit 1; done
	$(TOOLS)/buf lint
	$(TOOLS)/buf breaking --against protocol/proto/image.json
	$(GO) test -count=1 ./internal/archtest

fmt: $(TOOLS)/golangci-lint ## format the source
	$(TOOLS)/golangci-lint fmt ./...
	@for m in $(MODULES); do (cd $$m && $(TOOLS)/golangci-lint fmt -c $(CURDIR)/.golangci.yml ./...) || exit 1; done

generate: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc ## generate code; fails if that changes a clean tree
	$(TOOLS)/buf generate
	@if [ -n "$$CI" ]; then git diff --exit-code -- '*.go'; fi

# The targets are those that go test lists, package by package, so that a new one is run without being entered here.
fuzz: ## each fuzz target for FUZZTIME (30s): docs/fuzzing.md
	@for p in $$(grep -rlE '^func Fuzz' --include=*_test.go . | xargs -n1 dirname | sort -u); do \
	for name in $$($(GO) test -C $$p . -run '^$$' -list '^Fuzz' | grep '^Fuzz'); do echo "$$p $$name"; \
	$(GO) test -C $$p . -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x -parallel 2 || exit 1; done; done

bench: build ## the load generator beside its limits, and the scan beside DuckDB
	$(GO) run ./bench

bench-broker: ## the brokers' full matrix beside a bare gRPC server and NATS JetStream, and the allocator's plans
	cd bench/peers/nats && $(GO) build -o $(CURDIR)/bin/bench-nats .
	$(GO) build -o bin/bench-broker ./bench/brokers
	bin/bench-broker --nats bin/bench-nats --json bin/bench-broker.json
	$(GO) run ./bench/allocator

bench-sql: ## the gateway beside PostgreSQL 15 and DuckDB alone: statements, connections, COPY, scans, rows, freshness, memory, a dashboard
	$(GO) run ./bench/sql --postgres $(POSTGRES)

bench-consumer: ## hosts of shards: messages with each store beside none, latency, recovery, failover, memory, materialized views
	$(GO) run -C bench/consumer . --postgres $(POSTGRES)

accept: build ## ten million records by gRPC, HTTP and psql, counted exactly through roll, persist and kill -9
	$(GO) run ./test/accept

# Each test is an example, or a language of one. With CI=true one that can't be run for what isn't installed is a failure.
examples: ## run all examples against brokers and hosts that are killed meanwhile, and tell of each how it went
	@mkdir -p .cache
	@status=0; $(GO) test -v -p 1 -count=1 ./examples/... > .cache/examples.log 2>&1 || status=$$?; \
	for m in $(filter examples/%,$(MODULES)); do $(GO) test -C $$m -v -p 1 -count=1 ./... >> .cache/examples.log 2>&1 || status=$$?; done; \
	internal/testenv/examples.awk .cache/examples.log; \
	if [ $$status -ne 0 ]; then echo; echo "What failed (all of it is in .cache/examples.log):"; internal/testenv/failures.awk .cache/examples.log; fi; \
	if [ -n "$$CI" ] && grep -q 'not run:' .cache/examples.log; then echo "Some examples were not run: make deps"; status=1; fi; \
	exit $$status

KILLS ?= 200
LEDGER_KILLS ?= 300
LEDGER_MESSAGES ?= 1000000
chaos: $(TOOLS)/etcd $(TOOLS)/versitygw ## kill brokers KILLS times (200) under load, with other faults, and check that nothing is lost; and gateways under transactions; and LEDGER_KILLS times (300) hosts of shards, too, and check that each effect is there once
	$(GO) test -tags chaos ./test/chaos -run TestChaosLong -count=1 -v -timeout 3h -chaos.kills $(KILLS)
	$(GO) test -tags chaos ./test/chaos -run TestLedgerLong -count=1 -v -timeout 3h -chaos.ledger-kills $(LEDGER_KILLS) -chaos.ledger-messages $(LEDGER_MESSAGES)
	$(GO) test ./test/system -run TestTransactionsSurviveKills -count=1 -v -timeout 3h -atomic.kills $(KILLS)

QUERIES ?= 100000
cuts: ## ask QUERIES queries (100000) while brokers come and go, and check that each reads an exact cut
	$(GO) test ./test/cut -run TestCut -count=1 -v -timeout 3h -cut.queries $(QUERIES)

test-clients: ## install the clients of many languages (Debian, as root; npm) and run them: docs/clients.md
	test/clients/install.sh
	cd test/clients/go && $(GO) build -o clients .
	$(GO) test ./test/clients -count=1 -v -timeout 1h -clients.run | grep -vE '^=== '

check: lint test test-nocgo ## all of it: run this before you send a change

clean: ## remove what was built, not the data
	rm -rf bin .cache

$(TOOLS)/golangci-lint: tools/lint/go.mod
	cd tools/lint && $(GO) build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(TOOLS)/versitygw: tools/servers/versitygw/go.mod
	cd tools/servers/versitygw && $(GO) build -o $@ github.com/versity/versitygw/cmd/versitygw

$(TOOLS)/etcd: tools/servers/etcd/go.mod tools/servers/etcd/main.go
	cd tools/servers/etcd && $(GO) build -o $@ .

$(TOOLS)/fake-gcs-server: tools/servers/fakegcs/go.mod
	cd tools/servers/fakegcs && $(GO) build -o $@ github.com/fsouza/fake-gcs-server

$(TOOLS)/azurite-blob: tools/servers/azurite/package-lock.json
	@mkdir -p .tools/azurite $(TOOLS)
	cp tools/servers/azurite/package.json tools/servers/azurite/package-lock.json .tools/azurite/
	cd .tools/azurite && npm ci --silent --no-audit --no-fund --ignore-scripts
	ln -sf ../azurite/node_modules/.bin/azurite-blob $@

$(TOOLS)/buf: tools/buf/go.mod
	cd tools/buf && $(GO) build -o $@ github.com/bufbuild/buf/cmd/buf

$(TOOLS)/protoc-gen-go: tools/protoc/go.mod
	cd tools/protoc && $(GO) build -o $@ google.golang.org/protobuf/cmd/protoc-gen-go

$(TOOLS)/protoc-gen-go-grpc: tools/protoc/go.mod
	cd tools/protoc && $(GO) build -o $@ google.golang.org/grpc/cmd/protoc-gen-go-grpc
