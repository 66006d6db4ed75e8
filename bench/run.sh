#!/bin/bash
# Everything that is measured, in about a quarter of an hour: each stage alone, then the switch beside others, then
# with many ports, then idle. Does its own set-up. Arguments go to the comparison, for instance `bench/run.sh --rounds 1`;
# `cargo run --release -p strowger-bench -- --help` names them. Results: target/bench/.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
out=$CARGO_TARGET_DIR/bench
say() { printf '\033[1m==>\033[0m %s\n' "$*"; }

scripts/setup.sh bench
# The guests of the idle switch.
scripts/setup.sh demo
scripts/guest-image.sh

say "building in release"
cargo build --release -p strowger-vswitch -p strowger-bench --bins
cargo build --release -p strowger-vhost --example ceiling
cargo bench -p strowger-bench --bench stages --no-run
mkdir -p "$out"

say "each stage alone, on core 1 (ns an item; one item is a frame)"
taskset -c 1 cargo bench -q -p strowger-bench --bench stages 2>&1 | tee "$out/stages.txt"

say "beside the others"
"$CARGO_TARGET_DIR"/release/bench --out "$out" --rounds 3 --scale 1000,10000 --capture 2 --idle 10 "$@"
say "results: $out/bench.md, $out/bench.json, $out/stages.txt"
