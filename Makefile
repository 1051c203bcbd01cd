# make demo   runs the whole product on embedded defaults
# make test   runs every test; it installs what tests need first
# make check  format, vet, staticcheck, imports, shipped settings
# make bench  prints figures of this machine
# make faults kills, cuts and fills what can be, and tells what was lost
# make build  builds bin/linetwin with its pages

SHELL   := /bin/bash
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
DEMO    ?= --listen 127.0.0.1:8080
TOOLS   := $(CURDIR)/.tools
INFLUXD := $(TOOLS)/bin/influxd

UI_SOURCES := $(shell find web/ui -path web/ui/node_modules -prune -o -path web/ui/dist -prune -o -type f -print 2>/dev/null)

.PHONY: build demo test check bench faults ui setup clean

build: bin/linetwin

.PHONY: bin/linetwin
bin/linetwin: web/ui/dist/index.html
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/linetwin

demo: bin/linetwin
	exec ./bin/linetwin demo $(DEMO)

ui: web/ui/dist/index.html

web/ui/node_modules/.installed: web/ui/package-lock.json
	cd web/ui && npm ci --no-audit --no-fund --loglevel=error
	touch $@

web/ui/dist/index.html: web/ui/node_modules/.installed $(UI_SOURCES)
	cd web/ui && npm run --silent build

$(INFLUXD):
	GOBIN=$(TOOLS)/bin $(GO) install github.com/influxdata/influxdb/cmd/influxd@v1.8.10

# Foreign programs of other makers that tests talk to.
PEERS     := sparkplug-payload@1.0.3 sparkplug-client@3.2.4 modbus-serial@8.0.25 node-opcua@2.165.1
NPM_PEERS := $(TOOLS)/npm/.installed

$(NPM_PEERS): Makefile
	npm install --prefix $(TOOLS)/npm --ignore-scripts --no-audit --no-fund --loglevel=error $(PEERS)
	touch $@

# Debian's programs that tests talk to. Without root they must be there, or
# their tests are skipped and named at the end.
setup: $(INFLUXD) $(NPM_PEERS) web/ui/dist/index.html
	@.ci/packages chromium mosquitto socat fonts-noto-cjk python3-pymodbus python3-serial

test: setup
	@.ci/test

check:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not formatted:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) tool -modfile=tools.mod staticcheck ./...
	$(GO) test -count=1 .
	$(GO) run ./cmd/linetwin check --without-secrets configs/*.yaml configs/profiles/*.yaml

bench: setup
	@.ci/bench

faults: setup
	@.ci/faults

clean:
	rm -rf bin web/ui/dist/assets web/ui/dist/index.html .tools
