#!/bin/sh
# Holds every package's licence against the allow-list, and every lock file against the checked-in advisories.
# Needs python3 (3.11 or later) and what cargo has already downloaded; no network once that is there.
#   scripts/check-licences.sh [--self-test]
set -eu
cd "$(dirname "$0")/.."
command -v python3 >/dev/null || { echo "check-licences: python3 is not installed" >&2; exit 1; }
exec python3 -B audit/check.py "$@"
