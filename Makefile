# Tandem. `make run` starts a working switch; `make test` shows that it works.
export CGO_ENABLED ?= 0
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
# The same for the binary, vet and the tests: with flags of its own each would compile all packages once more. Nobody reads DWARF here.
export GOFLAGS := $(GOFLAGS) -trimpath -gcflags=all=-dwarf=false
FUZZTIME ?= 20s

.PHONY: all build run quick test check fuzz bench soak fmt peers clean

all: build quick

# The one file to copy. A compiler that collects its garbage less often needs a quarter less time and some more memory (GOGC=100 make
# build: as usual).
build:
	GOGC=$${GOGC:-400} go build -ldflags '$(LDFLAGS)' -o bin/tandem ./cmd/tandem

# A switch with two extensions and numbers to dial; it prints what a phone needs. Ctrl-C stops it.
run: build
	./bin/tandem demo

# Everything that needs no other program.
quick:
	go test -short ./...

# All that CI runs: the rooms, and the built binary called by foreign phones (test/peers.sh installs those). A hundred calls a
# second come last and alone: beside a browser SIPp would be the one that loses them.
test: peers build
	go vet ./...
	TANDEM_BINARY=$(CURDIR)/bin/tandem go test -timeout 12m $$(go list ./... | grep -v '/test/load$$')
	TANDEM_BINARY=$(CURDIR)/bin/tandem go test -timeout 12m ./test/load

peers:
	@sh test/peers.sh

# Before a release: format, lint, arrows, races in random order, known vulnerabilities.
check: build
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo "gofmt would change these files: run make fmt"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go test ./test/house
	CGO_ENABLED=1 go test -short -race -shuffle=on ./...
	sh test/vulnerable.sh

fmt:
	gofmt -w .

# Every fuzz target for FUZZTIME each.
fuzz:
	sh test/fuzz.sh $(FUZZTIME)

# CPU per unit of work, beside kamailio and rtpengine in the same run; a pair beside a single node (as root); ten thousand routes beside as many regular expressions;
# least cost over a hundred thousand prefixes.
bench: build
	sh test/bench/run.sh
	./bin/bench -tandem bin/tandem -only pair -json bin/pair.json $${QUICK:+-quick}
	go test -run '^$$' -bench 'BesideRegexps|Route10000|LeastCost100000' -benchtime 1s ./dialplan
	go test -run '^$$' -bench Register -benchtime 10000x ./cmd/tandem/node

# An hour of calls, then a pair: what it promises at full size, two hours of faults at random among them; SOAK=10m shortens both. Then
# carriers: a registration kept for ten minutes, 200 calls a second for one. Then 500 kills with a ledger, and a start with a hundred thousand
# registrations and a thousand calls.
soak: peers build
	TANDEM_BINARY=$(CURDIR)/bin/tandem TANDEM_SOAK=$${SOAK:-1h} go test -timeout 26h -run Soak -v ./test/soak
	TANDEM_BINARY=$(CURDIR)/bin/tandem TANDEM_SOAK=$${SOAK:-2h} go test -timeout 26h -v ./test/cluster
	TANDEM_BINARY=$(CURDIR)/bin/tandem TANDEM_SOAK=$${SOAK:-1h} go test -timeout 1h -run 'UnderLoad|RegistrationSurvives' -v ./test/trunk
	TANDEM_BINARY=$(CURDIR)/bin/tandem TANDEM_SOAK=$${SOAK:-1h} go test -timeout 1h -run 'Ledger|StartWith' -v ./test/recover

clean:
	rm -rf bin
