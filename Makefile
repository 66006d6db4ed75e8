# `make demo` shows the switch at work, `make test` runs every test, `make bench` measures.
# Each does its own set-up on a Debian machine that has Rust.

export CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TERM_PROGRESS_WHEN ?= never

.PHONY: help demo test bench guest

help:
	@echo "make demo    two virtual machines and a container talk through the switch"
	@echo "make test    every test: style, units, properties, fuzz smoke, real guests"
	@echo "make bench   forwarding rates beside Open vSwitch with DPDK, and each stage alone"
	@echo "make guest   only the guest image of demo and test, in target/guest"

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
