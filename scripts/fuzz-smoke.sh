#!/bin/bash
# Runs every fuzz target of every crate for a short time, from its seeds: scripts/fuzz-smoke.sh [RUNS]
#
# Each */fuzz/Cargo.toml is a crate of targets; each of its targets is built once, then run RUNS times (default
# 50000) with a fixed seed. What is found on the way stays in the target directory; a crash fails the script,
# and its input belongs into seeds/TARGET/ of that crate with the fix, so that it is replayed ever after.
# CARGO_TARGET_DIR is honoured. For hours instead of seconds: cargo fuzz run --fuzz-dir packet/fuzz TARGET.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
runs=${1:-50000}
seconds=20 # the bound of one target, however slow the machine
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
mkdir -p "$CARGO_TARGET_DIR"
CARGO_TARGET_DIR=$(cd "$CARGO_TARGET_DIR" && pwd)
# Coverage instrumentation has unstable flags; a stable toolchain is all that is asked for.
export RUSTC_BOOTSTRAP=1
# Without a sanitizer: the parsers have no unsafe code, guest memory is not what a sanitizer can watch, and
# overflow checks and debug assertions are on.
sanitizer=none

tools=$CARGO_TARGET_DIR/tools
export PATH=$tools/bin:$HOME/.cargo/bin:$PATH
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz-smoke: installing cargo-fuzz into $tools"
    # Unoptimised: it only starts cargo.
    env -u RUSTC_BOOTSTRAP CARGO_TARGET_DIR="$CARGO_TARGET_DIR/tools-build" \
        cargo install --quiet cargo-fuzz --version 0.13.2 --locked --debug --root "$tools"
    rm -rf "$CARGO_TARGET_DIR/tools-build"
fi

host=$(rustc -vV | sed -n 's/^host: //p')
work=$CARGO_TARGET_DIR/fuzz-smoke
rm -rf "$work"
count=0
failed=()
for manifest in */fuzz/Cargo.toml; do
    [ -e "$manifest" ] || continue
    crate=${manifest%/Cargo.toml}
    echo "fuzz-smoke: building $crate"
    cargo fuzz build --fuzz-dir "$crate" --sanitizer "$sanitizer"
    for target in $(cargo fuzz list --fuzz-dir "$crate"); do
        count=$((count + 1))
        corpus=$work/$crate/$target/corpus
        log=$work/$crate/$target/log
        mkdir -p "$corpus"
        seeds=()
        [ ! -d "$crate/seeds/$target" ] || seeds=("$crate/seeds/$target")
        if "$CARGO_TARGET_DIR/$host/release/$target" "$corpus" "${seeds[@]}" \
            -runs="$runs" -max_total_time="$seconds" -seed=1 -max_len=2048 -timeout=60 \
            -artifact_prefix="$work/$crate/$target/" >"$log" 2>&1; then
            echo "fuzz-smoke: $crate $target: $(tail -1 "$log")"
        else
            failed+=("$crate $target")
            echo "fuzz-smoke: $crate $target FAILED, the end of $log:" >&2
            tail -30 "$log" >&2
        fi
    done
done

if [ "$count" = 0 ]; then
    echo "fuzz-smoke: no fuzz target found" >&2
    exit 1
fi
if [ ${#failed[@]} != 0 ]; then
    echo "fuzz-smoke: ${#failed[@]} of $count targets failed: ${failed[*]}" >&2
    exit 1
fi
echo "fuzz-smoke: $count targets, no crash"
