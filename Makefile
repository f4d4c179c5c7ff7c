# make run    build and start the server      make test   every test, the published SDKs included
# make lint   format, clippy, layers          make deps   install what is missing and nothing else
# make package     a Debian package, in ~/.cache/weir/package
# make run-redis     a private Redis and two nodes on it, for a tour
# make bench  the server beside others at the same work: load/results.json, load/results.svg and a table; seven minutes
# make bench-parts   the parts by themselves, in time; make bench-instructions   in instructions and allocations; PARTS=fanout names some
# make bench-store   what the file store costs          make bench-redis   what several nodes on one Redis cost
# make soak   an hour of mixed load with faults, or SOAK_SECONDS of it
# make fuzz   every reader of foreign bytes for FUZZ_SECONDS each; needs nightly and cargo-fuzz
#
# Everything that is built lands outside the tree, so that a fresh clone does not compile its dependencies again.

CACHE            ?= $(HOME)/.cache/weir
CARGO_TARGET_DIR ?= $(CACHE)/target
WEIR_SDK_TARGET  ?= $(CACHE)/sdk
WEIR_SDK_BIN      = $(WEIR_SDK_TARGET)/debug
export CARGO_TARGET_DIR WEIR_SDK_BIN

# One profile for run and test: nothing is compiled twice.
PROFILE = --release --locked
CONFIG ?=
SDK     = tests/sdk
VENVS   = 0.10.0 0.25.0

SOAK_SECONDS ?= 3600
PARTS        ?=
FUZZ_SECONDS ?= 300
FUZZ_TARGETS ?= config frames ops redis subscriber worker
CARGO_FUZZ    = rustup run nightly cargo fuzz

# Tests run beside each other; a minute of load has the machine to itself.
E2E = cargo test $(PROFILE) --workspace --test e2e --
.PHONY: run run-redis test soak bench deps-bench bench-store bench-redis bench-parts bench-instructions deps-instructions fuzz lint package deps deps-build deps-package deps-packaging deps-redis deps-test sdk-node sdk-python sdk-rust browser

run: deps-build
	cargo run $(PROFILE) -- $(if $(CONFIG),--config $(CONFIG))

run-redis: deps-build deps-redis
	cargo build $(PROFILE)
	tests/run-redis $(CARGO_TARGET_DIR)/release/weir

test: deps-test deps-packaging
	cargo test $(PROFILE) --workspace --doc
	cargo test $(PROFILE) --workspace --lib --bins
	cargo test $(PROFILE) --workspace --test join_while_writing --test long_reads --test readme --test docs --test public_api --test file_store --test redis --test routes --test streams --test pages --test sqlite
	cargo test $(PROFILE) --workspace --test fuzz_corpus corpus
	$(E2E) --test-threads 4
	packaging/check $(CARGO_TARGET_DIR)/release/weir
	cargo test $(PROFILE) --workspace --test scenarios
	$(E2E) --ignored soak

soak: deps-build
	WEIR_SOAK_SECONDS=$(SOAK_SECONDS) $(E2E) --ignored --nocapture soak

# Yardsticks that are missing are skipped.
bench: deps-bench
	cargo build $(PROFILE) --workspace
	PATH="$(CURDIR)/load/.venv/bin:$$PATH" $(CARGO_TARGET_DIR)/release/weir-load bench --json load/results.json --svg load/results.svg

bench-store: deps-build
	cargo build $(PROFILE)
	cargo run $(PROFILE) --example bench_store

bench-redis: deps-build deps-redis
	cargo build $(PROFILE)
	cargo run $(PROFILE) --example bench_redis

# The profile differs from `release` in how our own crate is compiled: all else is there already.
BENCH_PARTS = cargo bench --locked --workspace --bench parts --

bench-parts: deps-build
	$(BENCH_PARTS) '$(PARTS)'

# Says how each part differs from the last run, so run it at both commits, one after the other.
bench-instructions: deps-build deps-instructions
	$(BENCH_PARTS) --instructions '$(PARTS)'

# What it finds beyond the corpus stays outside the tree. An input that breaks something is in fuzz/artifacts.
fuzz:
	@$(CARGO_FUZZ) --version > /dev/null 2>&1 || \
	  { echo 'make fuzz needs: rustup toolchain install nightly --profile minimal && cargo install cargo-fuzz --locked' >&2; exit 1; }
	for target in $(FUZZ_TARGETS); do \
	  mkdir -p $(CACHE)/fuzz/corpus/$$target && \
	  $(CARGO_FUZZ) run --fuzz-dir fuzz --target-dir $(CACHE)/fuzz/target $$target $(CACHE)/fuzz/corpus/$$target fuzz/corpus/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -dict=fuzz/dictionaries/$$target.dict -timeout=10 -max_len=8192 || exit 1; \
	done

lint: deps-build deps-packaging
	cargo fmt --all --check
	cargo clippy $(PROFILE) --workspace --all-targets -- -D warnings
	cargo build $(PROFILE) --package weir-actors --no-default-features
	@echo 'weir-actors without features must not bring actix-web'
	@! cargo tree --locked --package weir-actors --no-default-features --edges normal | grep -E 'actix-web|rocksdb|redis'
	@echo 'weir-actors can be published'
	cargo package --locked --allow-dirty --quiet --package weir-actors
	RUSTDOCFLAGS='-D warnings' cargo doc $(PROFILE) --package weir-actors --all-features --no-deps
	packaging/check

# The one place that tells the server its commit, unless there is more in it than that: everything of the package `weir` is compiled again for it.
package: deps-build deps-package
	WEIR_COMMIT=$$(git diff-index --quiet HEAD 2>/dev/null && git rev-parse HEAD) cargo build $(PROFILE)
	rm -f $(CACHE)/package/*.deb
	packaging/deb/build $(CARGO_TARGET_DIR)/release/weir $(CACHE)/package

deps: deps-build deps-test deps-packaging

# A C compiler links Rust programs; a C++ compiler makes RocksDB, and libclang reads its header files.
deps-build:
	@tests/install cc:build-essential c++:build-essential libclang:libclang-dev cargo:

deps-test: deps-build deps-redis sdk-node sdk-python sdk-rust browser
	@tests/install ip:iproute2 openssl:openssl

deps-package:
	@tests/install dpkg-deb:dpkg dpkg-shlibdeps:dpkg-dev strip:binutils python3:python3

# What holds the packages against what reads them.
deps-packaging: deps-package packaging/.venv/installed
	@tests/install shellcheck:shellcheck systemd-analyze:systemd

deps-redis:
	@tests/install redis-server:redis-server redis-cli:redis-tools

deps-instructions:
	@tests/install valgrind:valgrind

deps-bench: deps-build deps-redis
	-@tests/install mosquitto:mosquitto nginx:nginx nchan:libnginx-mod-nchan
	-@$(MAKE) --no-print-directory load/.venv/installed

load/.venv/installed packaging/.venv/installed: %/.venv/installed: %/requirements.txt
	@tests/install python3:python3 python3-venv:python3-venv
	python3 -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

sdk-node: $(SDK)/node/node_modules/.package-lock.json
sdk-python: $(VENVS:%=$(SDK)/python/.venv/%/installed)

# The workers of its scripts are those of the SDK tests.
browser: sdk-node tests/browser/node_modules/.package-lock.json
	@tests/install chromium:chromium

%/node_modules/.package-lock.json: %/package-lock.json
	@tests/install node:nodejs npm:npm
	cd $* && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

$(SDK)/python/.venv/%/installed: $(SDK)/python/requirements-%.txt
	@tests/install python3:python3 python3-venv:python3-venv
	python3 -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

sdk-rust: deps-build
	for crate in $(SDK)/rust-0.10 $(SDK)/rust-0.11 $(SDK)/rust-0.25 examples/worker; do \
	  CARGO_TARGET_DIR=$(WEIR_SDK_TARGET) cargo build --locked --bins --manifest-path $$crate/Cargo.toml || exit 1; \
	done
