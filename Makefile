# Everything a person does with this repository. `make build`, `make demo` and `make test` need Go, git and make; the rest
# also builds the tools pinned in tools/go.mod, once.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Time given to each fuzz target by `make fuzz`.
FUZZTIME ?= 10s
# Packages that golden, race and bench work on.
PKGS ?= ./...

TOOL := go tool -modfile=tools/go.mod

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/spate, and bin/rollup, the example's model
	go build -o bin/ ./cmd/spate ./examples/reinsurance/rollup

.PHONY: demo
demo: build ## See Spate work: sandbox, controller, workers and four runs on this machine
	bin/spate demo

.PHONY: test
test: ## Run all tests
	go test ./...

.PHONY: conformance
conformance: ## Check what Spate relies on against servers that others wrote, which it installs; -update: CONFORMANCE=-update
	go run ./test/conformance $(CONFORMANCE)

.PHONY: race
race: ## Run the tests of packages under the race detector, the long ones shortened
	go test -race -short $$(go list $(PKGS) | grep -v '^spate/test/e2e')

.PHONY: bench
bench: ## Run the benchmarks
	go test -run '^$$' -bench . -benchmem $(PKGS)

.PHONY: mutate
mutate: ## Take each limit that the sandbox models away and see the test that misses it (some minutes)
	go test -C test/mutation -count=1 -timeout 60m -run TestEachLimitIsMissedByItsTest -mutate

.PHONY: mutate-cache
mutate-cache: ## Take each precaution of the output cache away and count the random histories that miss it (some minutes)
	go test -C test/mutation -count=1 -timeout 60m -run TestEachMutationOfTheCacheIsMissed -mutate

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (10s)
	@grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's|/[^/]+:func | |' | sort -u | \
	while read -r dir target; do \
		echo "== $$dir $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1000x "$$dir"; \
	done

.PHONY: golden
golden: ## Rewrite golden files with what the code says now; read the diff before committing it
	@for dir in $$(grep -rl --include='*_test.go' -F 'flag.Bool("update"' . | xargs -r dirname | sort -u); do \
		go test -count=1 "$$dir" -update; \
	done
	@for dir in $$(grep -rl --include='*_test.go' -F '"github.com/cockroachdb/datadriven"' . | xargs -r dirname | sort -u); do \
		go test -count=1 "$$dir" -rewrite; \
	done

.PHONY: lint
lint: ## Run the linters
	$(TOOL) golangci-lint run ./...

.PHONY: fmt
fmt: ## Format the code
	$(TOOL) golangci-lint fmt ./...

.PHONY: generate
generate: ## Write the generated files, such as docs/config.schema.json
	go generate ./...

.PHONY: check
check: ## Everything CI runs: format, vet, lint, generated files, race and end-to-end tests; names what it skipped
	@.ci/check
