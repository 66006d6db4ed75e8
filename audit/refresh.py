"""Writes audit/advisories.toml anew from a checkout of https://github.com/rustsec/advisory-db.

    git clone https://github.com/rustsec/advisory-db /somewhere
    python3 -B audit/refresh.py /somewhere

Takes the facts (id, package, kind, title, versions) of every advisory on a package that one of the lock files
names or that WATCHED names. What is under [[accepted]] stays.
"""

import json
import pathlib
import subprocess
import sys
import tomllib

import check

# Crates of the kind that a switch like this comes to use; listed before they are, so that adding one is checked.
WATCHED = """
anyhow arbitrary bytemuck bytes crossbeam-channel crossbeam-deque crossbeam-epoch crossbeam-queue crossbeam-utils
dashmap hashbrown imbl indexmap io-uring libfuzzer-sys lock_api log loom memmap memmap2 memoffset mio nix
parking_lot parking_lot_core rand rand_core serde_yaml shuttle slab smallvec socket2 time tokio vhost
vhost-user-backend virtio-queue vm-memory vmm-sys-util wasmtime wasmtime-wasi zerocopy
""".split()

HEAD = """\
# RUSTSEC advisories on the crates that we use or may come to use: facts only, from the public-domain database
# https://github.com/rustsec/advisory-db. Written by audit/refresh.py (its head says how), read by audit/check.py.
# To live with an advisory, add its id and the reason: [[accepted]] id = "RUSTSEC-…", reason = "…".
"""


def names():
    """Every package of every lock file, and the watched ones."""
    found = set(WATCHED)
    for path in [check.ROOT / "Cargo.lock", *check.ROOT.glob("*/fuzz/Cargo.lock")]:
        found |= {p["name"] for p in tomllib.loads(path.read_text())["package"] if p.get("source")}
    return sorted(found)


def read(path):
    """An advisory's facts; None if it was withdrawn."""
    text = path.read_text()
    facts, _, body = text.removeprefix("```toml\n").partition("\n```")
    facts = tomllib.loads(facts)
    if "withdrawn" in facts["advisory"]:
        return None
    title = next(line for line in body.splitlines() if line.startswith("# "))
    return {
        "id": facts["advisory"]["id"],
        "package": facts["advisory"]["package"],
        "kind": facts["advisory"].get("informational", "vulnerability"),
        "title": title.removeprefix("# ").strip(),
        "patched": facts["versions"].get("patched", []),
        "unaffected": facts["versions"].get("unaffected", []),
    }


def main():
    """Reads the checkout, writes the list."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__.strip())
    checkout = pathlib.Path(sys.argv[1])
    date = subprocess.run(
        ["git", "-C", checkout, "log", "-1", "--format=%cs"], capture_output=True, text=True, check=True
    ).stdout.strip()
    accepted = []
    if check.ADVISORIES.exists():
        accepted = tomllib.loads(check.ADVISORIES.read_text()).get("accepted", [])
    found = []
    for name in names():
        found += filter(None, map(read, sorted((checkout / "crates" / name).glob("RUSTSEC-*.md"))))
    lines = [HEAD, f'as_of = "{date}"']
    for kind, entries in (("advisory", found), ("accepted", accepted)):
        for entry in entries:
            lines.append(f"\n[[{kind}]]")
            lines += (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items())
    check.ADVISORIES.write_text("\n".join(lines) + "\n")
    print(f"{len(found)} advisories on {len({entry['package'] for entry in found})} packages, as of {date}")


if __name__ == "__main__":
    main()
