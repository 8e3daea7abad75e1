# Everything a person types here. Each target needs no other step first; `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)
export CARGO_TARGET_DIR ?= $(HOME)/.cache/lacre/target

.PHONY: help demo demo-erase demo-stop test build release lint format bench docs deny

help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'

demo: ## watch a real database be backed up, checked, destroyed and restored
	@tests/support/install.sh demo
	@cargo build --release --locked --package lacre
	@LACRE_BIN="$$CARGO_TARGET_DIR/release/lacre" tests/demo/run.sh

demo-erase: ## watch one person leave thirty nights, and every copy of them
	@tests/support/install.sh demo
	@cargo build --release --locked --package lacre
	@LACRE_BIN="$$CARGO_TARGET_DIR/release/lacre" tests/demo/erase.sh

demo-stop: ## stop the demo's database and remove ./demo-data
	@tests/demo/stop.sh

test: ## install what is missing, then run the whole suite
	@tests/support/gate.sh

build: ## build for development
	@cargo build --workspace --locked

release: ## build the program: $CARGO_TARGET_DIR/release/lacre
	@cargo build --release --locked --package lacre
	@echo "$$CARGO_TARGET_DIR/release/lacre"

lint: ## check format and lints
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --locked -- -D warnings

format: ## format the code
	@cargo fmt --all

bench: ## compare with pg_dump and the tools found here (INSTALL=1 installs restic and borg)
	@INSTALL=$(INSTALL) tests/support/install.sh bench
	@cargo build --release --locked --package lacre
	@LACRE_BIN="$$CARGO_TARGET_DIR/release/lacre" bench/run.py $(ARGS)

docs: ## build the code's documentation
	@RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked
	@echo "$$CARGO_TARGET_DIR/doc/lacre/index.html"

deny: ## check licences, sources and advisories of all dependencies (installs cargo-deny)
	@cargo deny --version >/dev/null 2>&1 || env -u CARGO_TARGET_DIR cargo install cargo-deny --locked --quiet
	@cargo deny --log-level error check
