# scry: `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GO ?= go
TOOL := $(GO) tool -modfile=tools/go.mod
BUF := bin/buf

# Programs are rebuilt by the Go tool, which knows what changed.
.PHONY: build
build: ## Build bin/scryd and bin/scry
	@mkdir -p bin
	$(GO) build -o bin/scryd ./cmd/scryd
	CGO_ENABLED=0 $(GO) build -o bin/scry ./cmd/scry

.PHONY: setup
setup: ## Fetch ONNX Runtime and rebuild the large weights; does nothing when all is there
	@scripts/setup.sh

.PHONY: setup-extra
setup-extra: ## Set up, and rebuild the weights that not everybody needs: safe search, faces, text in pictures
	@scripts/setup.sh extra

.PHONY: demo
demo: setup build ## Set up, serve the starter models, and show what they answer
	@scripts/demo.sh

.PHONY: run
run: setup build ## Serve in the foreground on ./data; Ctrl-C drains
	@exec bin/scryd --store data --import models

.PHONY: test
test: check ## All checks and all tests, with the race detector
	python3 -m unittest discover -s scripts/setup -b
	SCRY_REQUIRE_ORT=1 $(GO) test -race -timeout 30m ./...
	$(GO) test -run Sweep ./tokenizer # too slow under the race detector

.PHONY: check
check: setup generate-check lint vet tidy-check vuln ## Everything that needs no test run

.PHONY: lint
lint: $(BUF) ## buf lint, breaking changes against main, formatting
	$(BUF) lint
	$(BUF) format --diff --exit-code proto
	scripts/check-breaking.sh $(BUF)
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }

.PHONY: vet
vet: ## go vet, staticcheck, and what go fix would change
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	@scripts/check-fix.sh

.PHONY: tidy-check
tidy-check: ## go.mod and go.sum are as `go mod tidy` leaves them
	$(GO) mod tidy -diff

.PHONY: vuln
vuln: ## Known vulnerabilities in what is called
	@scripts/check-vuln.sh

.PHONY: generate
generate: $(BUF) ## Generate Go from proto/
	$(BUF) generate

.PHONY: generate-check
generate-check: generate ## The generated code is current
	@git diff --exit-code --stat -- proto || { echo "proto/: the generated code is not current; commit what make generate wrote"; exit 1; }

.PHONY: bench
bench: setup build $(if $(findstring -short,$(BENCH_FLAGS)),,bench-models) ## What the daemon serves beside what the machine can do (BENCH_FLAGS="-short", "-run texts", "-write docs")
	@$(GO) run ./scripts/bench $(BENCH_FLAGS)

.PHONY: bench-peers
bench-peers: setup build bench-models ## Mixed texts beside other servers of the same file, those that can be installed
	@scripts/bench/peers/install.sh
	@$(GO) run ./scripts/bench -run peers $(BENCH_FLAGS)

.PHONY: bench-models
bench-models: ## Fetch the benchmark's text model, and what tokeniser and decoder are compared with
	@python3 scripts/setup/minilm.py .bench/minilm
	@scripts/differential/install.sh

.PHONY: fuzz
fuzz: ## Every fuzz target for a minute
	@scripts/fuzz.sh 1m

.PHONY: differential
differential: setup ## Compare tokenizer and pixel with Hugging Face tokenizers and Pillow on random inputs (SEED=N repeats)
	@scripts/differential/run.sh

.PHONY: soak
soak: setup build ## Kill the server 500 times during uploads, commits and activations
	SCRY_KILLS=500 $(GO) test -run Kill -timeout 60m ./modelstore ./cmd/scryd

.PHONY: million
million: ## Score a million rows by `scry score`, killed and resumed, at constant memory
	SCRY_ROWS=1000000 $(GO) test -run TestResume -v -timeout 20m ./cmd/scry

.PHONY: tritonclient
tritonclient: setup ## Test the tensor protocol with Triton's own Python client
	scripts/inference/tritonclient.sh

.PHONY: python-test
python-test: setup build $(BUF) ## Test the Python client against the real server, and that its stubs are current
	@client/python/venv.sh
	cd client/python && .venv/bin/python generate.py --check
	cd client/python && .venv/bin/mypy
	cd client/python && .venv/bin/python -W ignore -m unittest

.PHONY: hf-test
hf-test: setup ## Compare what scry answers for exports of Hugging Face with Python's pipelines
	@scripts/hf-test.sh

.PHONY: python-generate
python-generate: $(BUF) ## Generate the Python client's stubs from proto/
	@client/python/venv.sh
	cd client/python && .venv/bin/python generate.py

.PHONY: python-wheel
python-wheel: ## Build bin/scry_client-*.whl
	@client/python/venv.sh
	rm -rf client/python/build bin/scry_client-*.whl
	python3 -m pip --python client/python/.venv/bin/python wheel --quiet --no-deps --no-build-isolation --wheel-dir bin client/python

.PHONY: clean
clean: ## Remove what make built
	rm -rf bin

.PHONY: clean-setup
clean-setup: clean ## Remove what set-up fetched, too
	rm -rf .runtime .venv .bench client/python/.venv

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | awk -F'\t' '{printf "  %-16s %s\n", $$1, $$2}'

# buf is published on PyPI as a wheel that holds the program.
$(BUF): scripts/setup/buf.py
	@python3 scripts/setup/buf.py $@ && touch $@
