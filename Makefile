# `make demo` shows the switch at work, `make test` runs every test, `make bench` measures.
# Each does its own set-up on a Debian machine that has Rust.
# `make install` and `make deb` put a switch on a machine; BINARY says which, if it is built already.

export CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TERM_PROGRESS_WHEN ?= never

export DESTDIR PREFIX SYSCONFDIR
BINARY ?=
# Beside Rust a build needs a C compiler, for the linker and one library.
RELEASE = $(CARGO_TARGET_DIR)/release/strowger

.PHONY: help demo test bench guest build install uninstall deb

help:
	@echo "make demo    two virtual machines and a container talk through the switch"
	@echo "make test    every test: style, units, properties, fuzz smoke, real guests"
	@echo "make bench   forwarding rates beside Open vSwitch with DPDK, and each stage alone"
	@echo "make guest   only the guest image of demo and test, in target/guest"
	@echo
	@echo "make build      the switch, as a release"
	@echo "make install    the switch, its service, man pages and completions, into PREFIX (/usr/local)"
	@echo "make uninstall  takes it away again; configuration and state stay"
	@echo "make deb        a Debian package, in target/"
	@echo "                all of them take DESTDIR, PREFIX, SYSCONFDIR, and BINARY for a switch that is built already"

guest:
	scripts/setup.sh test
	scripts/guest-image.sh

demo:
	scripts/setup.sh demo
	scripts/guest-image.sh
	cargo build --release -p strowger-vswitch -p strowger-qemu-tests --bins
	"$$CARGO_TARGET_DIR"/release/demo

# The runner of the tests comes last, so that its closing line is the end of the output.
test: guest
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	scripts/check-licences.sh
	cargo build -p strowger-vswitch --bins
	cargo test --workspace --doc
	scripts/fuzz-smoke.sh
	cargo nextest run --workspace

bench:
	scripts/setup.sh bench
	bench/run.sh

build:
	cargo build --release -p strowger-vswitch --bin strowger

# `make build` as yourself, then `sudo make install`: root needs no Rust if it is built of these sources.
install: $(if $(BINARY),,$(RELEASE))
	@scripts/install.sh install "$(or $(BINARY),$(RELEASE))"

$(RELEASE): $(wildcard Cargo.* */Cargo.toml) $(shell find guestmem packet vhost vswitch -path '*/src/*' -type f)
	$(MAKE) build
	@touch $@

uninstall:
	@scripts/install.sh uninstall

deb: $(if $(BINARY),,build)
	@scripts/build-deb.sh "$(or $(BINARY),$(RELEASE))" "$(CARGO_TARGET_DIR)"
