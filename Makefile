# Everything a person does with this repository. `make` alone prints the list.
#
# Each target says what it does while it does it; what is already there is not done again, and not mentioned.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

ARCH     := $(shell uname -m)
TARGET   := $(ARCH)-unknown-linux-musl
RELEASE  := target/$(TARGET)/release
PROGRAMS := corten ocictl

# `corten` is loaded at every create, start, exec and delete: its size is a promise (docs/decisions.md).
MAX_BYTES := 2000000

DESTDIR ?=
PREFIX  ?= /usr/local
ROUNDS  ?= 30

# Where things are installed.
BINDIR   = $(DESTDIR)$(PREFIX)/bin
SHAREDIR = $(DESTDIR)$(PREFIX)/share
ZSHDIR  ?= $(PREFIX)/share/zsh/site-functions
MANUAL  := target/manual
BASH_COMPLETIONS = $(SHAREDIR)/bash-completion/completions
ZSH_COMPLETIONS  = $(DESTDIR)$(ZSHDIR)
FISH_COMPLETIONS = $(SHAREDIR)/fish/vendor_completions.d
COMPLETIONS      = $(foreach program,$(PROGRAMS),$(BASH_COMPLETIONS)/$(program) $(ZSH_COMPLETIONS)/_$(program) $(FISH_COMPLETIONS)/$(program).fish)

# What demo and tests run: the binary as it is shipped, or a peer by its path, to see what is wrong with a test.
RUNTIME ?= $(CURDIR)/bin/corten
export RUNTIME

# The conformance suite, and what COMPARE=1 puts beside the runtime.
SUITE := target/$(TARGET)/conformance/corten-conformance
BESIDE = $(if $(COMPARE),$(addprefix --compare ,$(shell type -P runc crun || true)))
COMPARE ?=
RUNTIME_TOOLS ?=
CASES ?=
SUITES ?=
OPTIONAL ?=

SAY := printf '==> %s\n'

## help: prints this list
help:
	@printf 'Targets:\n'
	@sed -n 's/^## \([a-z-]*\): /  \1\t/p' Makefile | expand -t 12
.PHONY: help

## setup: installs what building, tests, demo and benchmarks need and this machine lacks
setup:
	@integration/setup.sh build test bench
.PHONY: setup

## build: makes the static release binaries bin/corten and bin/ocictl, and checks their size and linking
build:
	@integration/setup.sh build
	@$(SAY) "building $(PROGRAMS) for $(TARGET)"
	@# One by one: what ocictl asks of a shared crate must not get into corten.
	@for program in $(PROGRAMS); do cargo build --quiet --release --package $$program --bins --locked --target $(TARGET); done
	@mkdir -p bin
	@for program in $(PROGRAMS); do \
	    ln -sfn ../$(RELEASE)/$$program bin/$$program; \
	    integration/check-static.sh $(RELEASE)/$$program; \
	done
	@bytes=$$(stat -Lc %s bin/corten); \
	if (( bytes > $(MAX_BYTES) )); then \
	    echo "bin/corten has $$bytes bytes; the limit is $(MAX_BYTES)" >&2; exit 1; \
	fi
.PHONY: build

## demo: takes a real busybox bundle from spec to delete, and shows what the container is and that nothing is left
demo: build
	@integration/setup.sh demo
	@integration/demo.sh
.PHONY: demo

## test: runs all tests; those that make containers use the release binary (RUNTIME=bin/corten, or a peer)
test: build
	@integration/setup.sh test
	@integration/test.py
	@$(MAKE) --no-print-directory fallbacks package-test
.PHONY: test

# Points at which commands of ocictl are killed, or find the disk full.
POINTS ?= 200

## engine-test: ocictl with real images (Debian, 1 GB; podman, skopeo), killed and on a full disk at POINTS=200 points; as root
engine-test: build
	@integration/setup.sh test engine
	@$(SAY) "real images (the first time makes a Debian: some minutes)"
	@cargo nextest run --package ocictl --locked --no-fail-fast --test real_images --run-ignored only
	@$(SAY) "killed, and on a full disk, at $(POINTS) points of each command"
	@OCICTL_KILL_POINTS=$(POINTS) cargo nextest run --package ocictl --locked --no-fail-fast --test killed --test killed_containers
.PHONY: engine-test

## conformance: a test for each clause of the specification (RUNTIME=..., COMPARE=1: runc and crun beside it, CASES="WORD...")
conformance: build conformance-suite
	@integration/setup.sh conformance $(if $(COMPARE),bench)
	@mkdir -p target/conformance
	@$(SUITE) --tap target/conformance/results.tap --junit target/conformance/results.xml \
	    $(BESIDE) $(CASES)
.PHONY: conformance

# The static suite alone.
conformance-suite:
	@integration/setup.sh build
	@$(SAY) "building the conformance suite"
	@cargo build --quiet --profile conformance --locked -p corten-conformance --target $(TARGET)
.PHONY: conformance-suite

## conformance-runtime-tools: runtime-tools' validation programs from RUNTIME_TOOLS=CHECKOUT (RUNTIME=..., COMPARE=1, HOST=no); as root
conformance-runtime-tools: build
	@integration/setup.sh runtime-tools $(if $(COMPARE),bench)
	@test -n "$(RUNTIME_TOOLS)" || { echo "RUNTIME_TOOLS=CHECKOUT names a checkout of opencontainers/runtime-tools" >&2; exit 2; }
	@conformance/runtime_tools.py $(RUNTIME_TOOLS) $(BESIDE) $(addprefix --only ,$(CASES)) \
	    $(if $(CASES)$(filter no,$(HOST)),,--host)
.PHONY: conformance-runtime-tools

## fallbacks: runs the tests of mounts, namespaces, filters and hooks without openat2, the new mount API, clone3, pidfds ...
fallbacks: build
	@$(SAY) "integration/fallbacks.py"
	@integration/fallbacks.py
.PHONY: fallbacks

## flags: takes one flag after the other away from the command line: its test (docs/flags.md) must notice
flags: build
	@integration/setup.sh test
	@integration/flags.py
.PHONY: flags

## checklist: every row of the specification with its tests and their results on this machine (docs/spec-conformance.md)
checklist: build
	@integration/setup.sh test
	@integration/checklist.py
.PHONY: checklist

## differential: the same bundles under corten, Debian's runc and crun, and a summary (docs/differences.md); as root
differential: build
	@integration/setup.sh test
	@cargo test --quiet --locked --test differential -- --nocapture
.PHONY: differential

## host-test: runs tests and conformance on a host of its own (user-mode Linux): systemd, cgroup v2 alone, AppArmor; SELinux; v1; as root
host-test: build
	@integration/host/run.sh $(if $(OPTIONAL),--optional) $(SUITES)
.PHONY: host-test

## integration: real clients (podman, containerd ...) with corten and, beside it, runc and crun (CLIENTS="podman", PEERS=none); as root
integration: build
	@integration/setup.sh clients
	@integration/clients/run.py $(if $(PEERS),--peers $(PEERS)) $(CLIENTS)
.PHONY: integration

## newcomer: registers corten with podman and containerd by README's words alone, in a fresh Debian; as root
newcomer: build
	@integration/setup.sh clients newcomer
	@integration/clients/newcomer.py
.PHONY: newcomer

## check: formatting, lints, sizes of files and functions
check:
	@integration/setup.sh check
	@$(SAY) "cargo fmt --check"
	@cargo fmt --all --check
	@$(SAY) "cargo clippy -D warnings"
	@cargo clippy --quiet --workspace --lib --bins --locked -- -D warnings
	@cargo clippy --quiet --workspace --all-targets --locked -- -D warnings -A clippy::disallowed_methods
	@$(SAY) "sizes: a file ends at 800 lines, a function at 100"
	@integration/sizes.py
	@if cargo deny --version >/dev/null 2>&1; then \
	    $(MAKE) --no-print-directory deny; \
	    echo "check: 4 passed, 0 failed, 0 skipped"; \
	else \
	    echo "note: cargo-deny is not installed; 'make deny' builds it (some minutes) and checks the licences"; \
	    echo "check: 3 passed, 0 failed, 1 skipped (licences)"; \
	fi
.PHONY: check

## deny: licences, duplicates and sources of all crates (builds cargo-deny first if it is missing: some minutes)
deny:
	@if ! cargo deny --version >/dev/null 2>&1; then \
	    $(SAY) "cargo install cargo-deny (some minutes, once)"; \
	    cargo install --quiet --locked cargo-deny; \
	fi
	@$(SAY) "cargo deny check bans licenses sources"
	@cargo deny --log-level error check bans licenses sources
.PHONY: deny

## bench: measures corten, crun and runc interleaved (ROUNDS=30, RUNTIMES="corten crun runc")
bench: build
	@integration/setup.sh bench
	@benches/run.py --rounds $(ROUNDS)
.PHONY: bench

## bench-engine: ocictl beside podman, docker, containerd, skopeo, umoci, with the goals (ROUNDS=5, BENCH="--containers 0"; as root)
bench-engine: build
	@integration/setup.sh bench-engine
	@benches/engine.py --rounds $(if $(filter $(ROUNDS),30),5,$(ROUNDS)) $(BENCH)
.PHONY: bench-engine

## manual: writes the man pages and the completions of bash, zsh and fish to target/manual
manual:
	@integration/setup.sh build
	@$(SAY) "writing man pages and completions to $(MANUAL)"
	@rm -rf $(MANUAL)
	@cargo run --quiet --locked --package manual -- $(MANUAL)
.PHONY: manual

## install: binaries, man pages, completions and the clients' configurations, to DESTDIR/PREFIX (PREFIX=/usr/local)
install: build manual install-files
.PHONY: install

# What was built, and nothing is built.
install-files:
	@$(SAY) "installing to $(DESTDIR)$(PREFIX)"
	@install -d $(BINDIR) $(SHAREDIR)/corten $(SHAREDIR)/man/man1 $(SHAREDIR)/man/man8 $(sort $(dir $(COMPLETIONS)))
	@install -m 0755 $(addprefix $(RELEASE)/,$(PROGRAMS)) $(BINDIR)/
	@install -m 0644 $(MANUAL)/man/man1/*.1 $(SHAREDIR)/man/man1/
	@install -m 0644 $(MANUAL)/man/man8/*.8 $(SHAREDIR)/man/man8/
	@install -m 0644 $(MANUAL)/bash-completion/completions/* $(BASH_COMPLETIONS)/
	@install -m 0644 $(MANUAL)/zsh/site-functions/* $(ZSH_COMPLETIONS)/
	@install -m 0644 $(MANUAL)/fish/vendor_completions.d/* $(FISH_COMPLETIONS)/
	@for file in contrib/*.* contrib/systemd/*; do \
	    sed 's|/usr/local/bin|$(PREFIX)/bin|' $$file >$(SHAREDIR)/corten/$${file##*/}; \
	done
.PHONY: install-files

## uninstall: removes what install has put there (the same DESTDIR and PREFIX)
uninstall:
	@$(SAY) "removing corten from $(DESTDIR)$(PREFIX)"
	@rm -f $(addprefix $(BINDIR)/,$(PROGRAMS)) $(COMPLETIONS) $(SHAREDIR)/man/man8/corten.8 $(SHAREDIR)/man/man8/corten-*.8 \
	    $(SHAREDIR)/man/man1/ocictl.1 $(SHAREDIR)/man/man1/ocictl-*.1
	@rm -rf $(SHAREDIR)/corten
.PHONY: uninstall

## deb: makes a Debian package in target/
deb: build manual
	@integration/setup.sh package
	@$(SAY) "making the package"
	@integration/deb.sh target
.PHONY: deb

## package-test: installs and removes corten below a scratch root, by make and as a Debian package
package-test: build manual
	@integration/setup.sh package
	@integration/package.sh
.PHONY: package-test

## clean: removes everything that was built
clean:
	@$(SAY) "removing target/ and bin/"
	@rm -rf bin
	@cargo clean --quiet
.PHONY: clean
