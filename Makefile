# The front door. `make` alone says what there is.
# Needs Node >= 20, npm and make; everything else is fetched, in locked versions, by `npm ci`.

.DEFAULT_GOAL := help
SHELL := /bin/sh
NODE := node_modules/.bin/node
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

SOURCES := $(shell find packages services scripts -name node_modules -prune -o -type f \
	\( -name '*.ts' -o -name '*.lua' -o -name 'package.json' \) ! -name '*.test.ts' -print 2>/dev/null)
# `x.stack.test.ts` needs real servers: `make test-stack`.
UNIT_TESTS := "packages/*/src/**/!(*.stack).test.ts" "services/*/src/**/!(*.stack).test.ts"
E2E_TESTS := $(sort $(wildcard tests/e2e/*.test.ts))
# What the version before wrote, and what callers of it expect.
COMPATIBILITY_TESTS := $(sort $(wildcard tests/compatibility/*.test.ts))
FAULT_TESTS := tests/faults/crash-rounds.test.ts tests/faults/growth.test.ts
JUDGE_TESTS := $(sort $(wildcard tests/judges/*.test.ts))
# Each alert by its cause, beside Prometheus's own rules (Go) and as root.
ALERT_TESTS := $(sort $(wildcard tests/alerts/*.test.ts))
# What needs root or a while.
ROOT_TESTS := tests/faults/disk.test.ts tests/soak/memory.test.ts tests/soak/timing-isolation.test.ts \
	$(sort $(wildcard tests/replicas/*.test.ts))
# The pages' own commands: curl, bash and redis-cli are on the machine.
DOCS_TESTS := $(sort $(wildcard tests/docs/*.test.ts))
HELM_TESTS := $(sort $(wildcard tests/helm/*.test.ts))
# One cluster for all of them, in one process.
KUBERNETES_TESTS := $(sort $(wildcard tests/kubernetes/*.test.ts))
TEST := $(NODE) --test --test-concurrency=1

.PHONY: help
help: ## Say what there is
	@echo "Memplane: a memory plane for fleets of AI agents. First: make run, or make demo."
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Start the standalone plane (Ctrl-C ends it); MEMPLANE_DATA_DIR moves its data
	@exec dist/memplane run

.PHONY: demo
demo: build ## A story in under a minute: events, views, recall, the past, a crash, counters
	@exec dist/memplane demo

.PHONY: test
test: build ## Unit, contract, end-to-end and crash tests; nothing but Node and npm is needed
	@$(NODE) --test --test-concurrency=2 $(UNIT_TESTS); units=$$?; \
		$(TEST) $(COMPATIBILITY_TESTS) $(E2E_TESTS) $(FAULT_TESTS) && exit $$units

.PHONY: test-dialogues
test-dialogues: build ## Real dialogues (MEMPLANE_DIALOGUES, default ../shared/data) against their answer sheet
	@exec $(TEST) tests/dialogues/dialogues.test.ts

.PHONY: test-docs
test-docs: build ## Every command block of the documentation, as a reader would run it
	@exec $(TEST) $(DOCS_TESTS)

.PHONY: test-extra
test-extra: lint test-dialogues ## What test-all adds: dialogues, the pages' commands, judges of others (needs Go, Java, Maven, Python)
	@exec $(TEST) $(DOCS_TESTS) $(ALERT_TESTS) $(ROOT_TESTS) $(JUDGE_TESTS)

.PHONY: test-stack
test-stack: build ## Drivers on real servers, then the whole plane (needs Java, Maven, Go, Python)
	@$(NODE) packages/stack/src/test-stack.ts $(FILES); drivers=$$?; \
		$(if $(FILES),,$(NODE) tests/stack/run.ts &&) exit $$drivers

.PHONY: test-plane
test-plane: build ## The whole distributed plane alone: dialogues, faults, outsiders, other teams' agents
	@exec $(NODE) tests/stack/run.ts $(FILES)

.PHONY: test-helm
test-helm: build ## The chart and the images, as far as no cluster is needed (needs Go, Java, Maven)
	@exec $(NODE) --test --test-concurrency=2 $(HELM_TESTS)

.PHONY: test-kubernetes
test-kubernetes: build ## The chart on a real API server, with nodes that kwok plays (needs Go, Maven; first time: builds for minutes)
	@exec $(NODE) --test --test-isolation=none $(KUBERNETES_TESTS)

# Not in `.ci/run`, for its time; `make soak` runs it.
.PHONY: test-upgrade
test-upgrade: build ## The version before, replaced pod by pod and as one process, under load (needs git, Go, Java, Maven; builds that version once)
	@exec $(NODE) --test --test-isolation=none tests/upgrade/rolling.test.ts
	@exec $(NODE) --test tests/upgrade/standalone.test.ts

STACK := $(NODE) packages/stack/src/stack.ts

.PHONY: stack-up
stack-up: build ## Build and start the servers of the distributed plane (first time: up to half an hour)
	@exec $(STACK) up

.PHONY: stack-down
stack-down: install ## End what stack-up started; CLEAN=1 removes its data too
	@CLEAN=$(CLEAN) exec $(STACK) down

.PHONY: stack-status
stack-status: install ## A table: part, pid, port, health, version, memory
	@exec $(STACK) status

.PHONY: stack-logs
stack-logs: install ## The last lines of every log, or of PART=...
	@exec $(STACK) logs $(PART)

.PHONY: stack-env
stack-env: install ## eval "$$(make -s stack-env)" lets an agent reach the plane; OPERATOR=1 an operator too
	@OPERATOR=$(OPERATOR) exec $(STACK) env

.PHONY: test-all
test-all: test test-extra test-helm test-stack ## Everything that this machine can run

.PHONY: soak
soak: build ## The same tests at their full counts; the report goes to docs/reports/
	@exec $(NODE) tests/soak/run.ts

.PHONY: bench-stack
bench-stack: build ## Against real servers: Kafka Streams, bare Milvus, a replay (needs Java, Maven, Go)
	@exec $(NODE) benchmarks/run.ts --report bench-stack ingest-kafka consume cold-node \
		search-milvus restart-stack visible-stack sidecar-price read-your-writes-stack \
		two-materializers

.PHONY: bench
bench: build ## Every goal measured, and one table: met or missed (about ten minutes)
	@exec $(NODE) benchmarks/run.ts

# One name a line: each is a file of benchmarks/.
BENCH_CRDT := \
	crdt-joins \
	crdt-large-set \
	crdt-redis \
	gossip-detection \
	gossip-starved

.PHONY: bench-crdt
bench-crdt: build ## Replicated types, Redis and membership against their peers (needs Go, Java, Maven)
	@exec $(NODE) benchmarks/run.ts --report bench-crdt $(BENCH_CRDT)

# One name a line: each is a file of benchmarks/.
BENCH_ZONES := \
	strong-standalone \
	strong-etcd \
	leases \
	sealing \
	admission

.PHONY: bench-zones
bench-zones: build ## Strong appends and leases against eventual ones, etcd and its mutex (needs Go, Java, Maven)
	@exec $(NODE) benchmarks/run.ts --report bench-zones $(BENCH_ZONES)

# One name a line: each is a file of benchmarks/. An upgrade under load is measured by `make test-upgrade`.
BENCH_OPS := \
	backup \
	gossip-members \
	grow

.PHONY: bench-ops
bench-ops: build ## Backup and restoration against cp and sha256sum; gossip of 1,000 members; growth
	@exec $(NODE) benchmarks/run.ts --report bench-ops $(BENCH_OPS)

.PHONY: lint
lint: install ## Format, lint and types
	@biome check --diagnostic-level=error .
	@tsc --noEmit -p tsconfig.json

.PHONY: verify
verify: lint build ## Format, lint, types, build, unit tests: under 2 minutes
	@MEMPLANE_RETENTION_RUNS=8 MEMPLANE_TEST_CRDT_SIMULATION_SEEDS=300 MEMPLANE_TEST_REPLICA_CHAOS_RUNS=15 exec $(NODE) --test --test-concurrency=2 \
		$(UNIT_TESTS) tests/compatibility/contracts.test.ts

.PHONY: build
build: dist/.built ## Bundle the plane, the command and the client into dist/

dist/.built: $(SOURCES) package-lock.json | install
	@$(NODE) scripts/build.ts
	@touch $@

# Installs when the lock file is another one than that of the last installation, by content.
.PHONY: install
install: ## Fetch the locked packages, if they are not there yet
	@cmp -s package-lock.json node_modules/.memplane-lock || $(MAKE) --no-print-directory reinstall

.PHONY: reinstall
reinstall:
	@command -v node >/dev/null || { echo "Memplane needs Node.js 20 or newer: https://nodejs.org" >&2; exit 1; }
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || \
		{ echo "Memplane needs Node.js 20 or newer; this is $$(node --version)" >&2; exit 1; }
	@echo "Installing the locked packages and Node 24 (about a minute, only this once)..."
	@npm ci --loglevel=error --no-audit --no-fund
	@$(NODE) -e 'process.exit(parseInt(process.versions.node) < 24 ? 1 : 0)' || \
		{ echo "The local Node 24 was not installed; were install scripts refused?" >&2; exit 1; }
	@cp package-lock.json node_modules/.memplane-lock

.PHONY: clean
clean: ## Remove what was built and installed; data stays
	@rm -rf dist node_modules
