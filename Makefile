# The front door. `make` alone says what there is.
# Needs Node >= 20, npm and make; everything else is fetched, in locked versions, by `npm ci`.

.DEFAULT_GOAL := help
SHELL := /bin/sh
NODE := node_modules/.bin/node
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

SOURCES := $(shell find packages services scripts -name node_modules -prune -o -type f \
	\( -name '*.ts' -o -name 'package.json' \) ! -name '*.test.ts' -print 2>/dev/null)
UNIT_TESTS := "packages/*/src/**/*.test.ts" "services/*/src/**/*.test.ts"
E2E_TESTS := "tests/e2e/**/*.test.ts"

.PHONY: help
help: ## Say what there is
	@echo "Memplane: a memory plane for fleets of AI agents. First: make run, or make demo."
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Start the standalone plane (Ctrl-C ends it); MEMPLANE_DATA_DIR moves its data
	@exec $(NODE) dist/memplane.js run

.PHONY: demo
demo: build ## A story in under a minute: events, views, recall, the past, a crash, counters
	@exec $(NODE) dist/memplane.js demo

.PHONY: test
test: build ## Unit, contract and end-to-end tests; nothing but Node and npm is needed
	@exec $(NODE) --test $(UNIT_TESTS) $(E2E_TESTS)

.PHONY: verify
verify: build ## Format, lint, types, build, unit tests: under 2 minutes
	@biome check .
	@tsc --noEmit -p tsconfig.json
	@exec $(NODE) --test $(UNIT_TESTS)

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
	@node -e 'process.exit(+process.versions.node.split(".")[0] < 20)' || \
		{ echo "Memplane needs Node.js 20 or newer; this is $$(node --version)" >&2; exit 1; }
	@echo "Installing the locked packages and Node 24 (about a minute, only this once)..."
	@npm ci --loglevel=error --no-audit --no-fund
	@$(NODE) -e 'process.exit(+process.versions.node.split(".")[0] < 24)' || \
		{ echo "The local Node 24 was not installed; were install scripts refused?" >&2; exit 1; }
	@cp package-lock.json node_modules/.memplane-lock

.PHONY: clean
clean: ## Remove what was built and installed; data stays
	@rm -rf dist node_modules
