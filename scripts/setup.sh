#!/bin/bash
# Installs what `make demo`, `make test` or `make bench` needs and this machine lacks.
# Usage: scripts/setup.sh [demo|test|bench]     (Debian 12, root, Rust there already)
set -euo pipefail

purpose=${1:-test}
say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

case $purpose in
  demo) packages="qemu-system-x86 busybox-static cpio iproute2 kmod procps python3" ;;
  # The shells and groff judge the completions and manual pages.
  test) packages="qemu-system-x86 busybox-static cpio iproute2 kmod procps python3 curl tcpdump tshark zsh fish groff-base" ;;
  bench) packages="dpdk dpdk-dev openvswitch-switch-dpdk iproute2 procps ethtool iperf3 python3" ;;
  *) fail "unknown purpose \`$purpose'; it is demo, test or bench" ;;
esac
# The Debian package is built, and installed in a copy of this machine that boots.
[ "$purpose" != test ] || packages="$packages binutils make systemd systemd-container"

[ "$(id -u)" = 0 ] || fail "run this as root: namespaces, TAP interfaces and packages need it"
command -v cargo >/dev/null || fail "Rust is missing: install it from https://rustup.rs and come again"
command -v cc >/dev/null || packages="$packages build-essential"

missing=
for package in $packages; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
  command -v apt-get >/dev/null || fail "these packages are missing and there is no apt-get here:$missing"
  say "installing with apt:$missing"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -q update >/dev/null || say "apt-get update failed; trying with the lists that are here"
  # shellcheck disable=SC2086 # one word each
  if ! apt-get -q -y --no-install-recommends install $missing >/tmp/strowger-apt.$$ 2>&1; then
    tail -20 "/tmp/strowger-apt.$$" >&2
    fail "apt could not install:$missing (whole output: /tmp/strowger-apt.$$)"
  fi
  rm -f "/tmp/strowger-apt.$$"
fi

if [ "$purpose" = test ] && ! cargo nextest --version >/dev/null 2>&1; then
  say "installing cargo-nextest, the test runner"
  cargo install cargo-nextest --locked
fi

if [ "$purpose" != bench ]; then
  [ -c /dev/net/tun ] || fail "/dev/net/tun is missing: load the kernel's tun module (modprobe tun)"
fi
