# Everything here needs Go and nothing else, except: race wants a C compiler, interop and leak want root, Linux and Debian's
# name servers, clients and browsers (.ci/run installs them all). Tools are built once, at the versions below, into .tools.

GOLANGCI_LINT := v2.15.0
GOFUMPT       := v0.12.0
BENCHSTAT     := v0.0.0-20260908200009-22c9c6c9d4da
PEBBLE        := v2.8.0

TOOLS     ?= $(CURDIR)/.tools
FUZZTIME  ?= 10s
BENCH     ?= .
BENCHTIME ?= 100ms
COUNT     ?= 6
PKG       ?= ./...

lint_bin  := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT)/golangci-lint
fumpt_bin := $(TOOLS)/gofumpt-$(GOFUMPT)/gofumpt
stat_bin  := $(TOOLS)/benchstat-$(BENCHSTAT)/benchstat
pebble_bin := $(TOOLS)/pebble-$(PEBBLE)/pebble
h2spec_bin := $(TOOLS)/h2spec/h2spec
managers   := $(TOOLS)/managers
updaters   := $(TOOLS)/updaters
oblivious  := $(TOOLS)/oblivious

resolved_dir := $(TOOLS)/systemd-resolved
resolved_bin := $(resolved_dir)/lib/systemd/systemd-resolved

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help build test race fuzz abuse bench lint fmt generate generated interop leak testclock check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/tacit, static
	CGO_ENABLED=0 go build -trimpath -o bin/tacit ./cmd/tacit

test: ## run the tests; needs Go and nothing else
	go test -shuffle=on $(PKG)

race: ## run the tests under the race detector; needs a C compiler
	CGO_ENABLED=1 go test -race -shuffle=on $(PKG)

fuzz: ## run every fuzz target for FUZZTIME (10s); PKG=./internal/wire narrows it
	@.ci/fuzz "$(FUZZTIME)" $(PKG)

abuse: ## abuse the clients' side over loopback, and print what that leaves behind; Linux, 3 minutes
	go test -tags abuse -run '^TestAbuse' -count=1 -parallel 4 -v -timeout 8m ./transports

bench: $(stat_bin) ## run the benchmarks; REF=main compares with that commit, BENCH and PKG narrow it, COUNT and BENCHTIME last longer
	@BENCHSTAT=$(stat_bin) .ci/bench "$(BENCH)" "$(BENCHTIME)" "$(COUNT)" "$(PKG)" "$(REF)"

lint: $(lint_bin) $(fumpt_bin) ## run golangci-lint and gofumpt
	$(lint_bin) run ./...
	@out=$$($(fumpt_bin) -l .) || exit 1; test -z "$$out" || { echo "gofumpt would change:" $$out; exit 1; }

fmt: $(fumpt_bin) ## format the code
	$(fumpt_bin) -w .

generate: ## write the generated files: reference manual, example file, schema, lint rules
	go generate ./...

generated: ## check that generating changes nothing
	@before=$$($(sums)); $(MAKE) --no-print-directory generate || exit 1; after=$$($(sums)); \
	test "$$before" = "$$after" || { echo "make generate changed files: commit them"; exit 1; }

interop: build $(pebble_bin) $(h2spec_bin) $(resolved_bin) $(managers) $(updaters) $(oblivious) ## servers, resolvers, clients and browsers in a network namespace; needs root and Linux
	PEBBLE_BIN=$(abspath $(pebble_bin)) go test -tags interop -count=1 -v -timeout 5m -run TestOrder ./certificate
	TACIT_BIN=$(CURDIR)/bin/tacit TACIT_INTEROP_RESOLVED=$(abspath $(resolved_dir)) \
	TACIT_INTEROP_H2SPEC=$(abspath $(h2spec_bin)) TACIT_INTEROP_MANAGERS=$(abspath $(managers)) \
	TACIT_INTEROP_UPDATERS=$(abspath $(updaters)) TACIT_INTEROP_OBLIVIOUS=$(abspath $(oblivious)) PEBBLE_BIN=$(abspath $(pebble_bin)) \
	go test -tags interop -count=1 -v -timeout 20m ./internal/interop

leak: build ## the leak test: marked names and clients, and all places where they may not be found; needs root, Linux and 4 minutes
	CGO_ENABLED=0 go build -trimpath -tags leaktest -o bin/tacit-leaktest ./cmd/tacit
	CGO_ENABLED=0 go build -trimpath -tags leaky -o bin/tacit-leaky ./cmd/tacit
	TACIT_BIN=$(CURDIR)/bin/tacit TACIT_LEAK_PANICS=$(CURDIR)/bin/tacit-leaktest TACIT_LEAK_LEAKY=$(CURDIR)/bin/tacit-leaky \
	go test -tags leak -count=1 -v -timeout 4m ./internal/leak

testclock: ## build with the clock that scripted scenarios move
	CGO_ENABLED=0 go build -trimpath -tags testclock -o bin/tacit-testclock ./cmd/tacit

check: lint generated race testclock fuzz abuse interop leak ## everything that continuous integration runs

clean: ## remove what was built here, the tools too
	rm -rf bin .tools

sums = find . \( -name .git -o -name .tools -o -name bin \) -prune -o -type f -exec cksum {} + | sort -k 3

$(lint_bin):
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)

$(fumpt_bin):
	GOBIN=$(@D) go install mvdan.cc/gofumpt@$(GOFUMPT)

$(managers): $(wildcard internal/interop/cloudflare/*) # Cloudflare's clients of the management API
	mkdir -p $@
	cp internal/interop/cloudflare/*.mjs internal/interop/cloudflare/*.json $@
	npm ci --prefix $@ --no-audit --no-fund
	cd internal/interop/cloudflare && go build -o $(abspath $@)/cloudflare .
	touch $@

$(updaters): $(wildcard internal/interop/updaters/* internal/interop/updaters/*/*) # lego, libdns and external-dns
	mkdir -p $@
	cd internal/interop/updaters && CGO_ENABLED=0 go build -o $(abspath $@)/ ./lego ./libdns ./externaldns
	touch $@

$(oblivious): $(wildcard internal/interop/oblivious/* internal/interop/oblivious/*/*) # a client, a proxy and a target made of odoh-go
	mkdir -p $@
	cd internal/interop/oblivious && CGO_ENABLED=0 go build -o $(abspath $@)/ ./stranger
	touch $@

$(pebble_bin): # the ACME authority of tests
	GOBIN=$(@D) go install github.com/letsencrypt/pebble/v2/cmd/pebble@$(PEBBLE)

# Its author has pinned nothing: .ci/h2spec does.
$(h2spec_bin): .ci/h2spec/go.mod .ci/h2spec/go.sum
	cd .ci/h2spec && CGO_ENABLED=0 go build -o $(abspath $@) github.com/summerwind/h2spec/cmd/h2spec

$(stat_bin):
	GOBIN=$(@D) go install golang.org/x/perf/cmd/benchstat@$(BENCHSTAT)

# Installed, it would become the resolver of this machine.
$(resolved_bin):
	mkdir -p $(resolved_dir)
	cd $(resolved_dir) && apt-get download systemd-resolved libsystemd-shared && \
	for package in *.deb; do dpkg -x "$$package" . && rm "$$package" || exit 1; done
