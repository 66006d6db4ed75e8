"""Holds licences against an allow-list and lock files against a checked-in list of RUSTSEC advisories.

No network is needed once cargo has the sources. `--self-test` plants faults and fails unless each is caught;
it runs before every check as well, since a check that cannot fail is worth nothing.
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

import versions

ROOT = pathlib.Path(__file__).resolve().parent.parent
ADVISORIES = ROOT / "audit" / "advisories.toml"
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
# The platform that the switch runs on: crates for others are in the lock file and never downloaded.
PLATFORM = "x86_64-unknown-linux-gnu"

# Licences under which a binary may be passed on together with MIT or Apache-2.0 code by naming them.
ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "NCSA",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}
OWN = "MIT OR Apache-2.0"


def licence_allowed(expression):
    """Whether an SPDX expression can be met from the allow-list; ValueError if it cannot be read."""
    # Crates of before 2019 wrote a slash for OR.
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    at = 0

    def take(wanted):
        nonlocal at
        if at < len(tokens) and tokens[at] == wanted:
            at += 1
            return True
        return False

    def any_of():
        met = all_of()
        while take("OR"):
            met = all_of() or met
        return met

    def all_of():
        met = one()
        while take("AND"):
            met = one() and met
        return met

    def one():
        nonlocal at
        if take("("):
            met = any_of()
            if not take(")"):
                raise ValueError(f"a bracket is open in {expression!r}")
            return met
        if at >= len(tokens) or tokens[at] in ("OR", "AND", "WITH", ")"):
            raise ValueError(f"a licence is missing in {expression!r}")
        name = tokens[at]
        at += 1
        if take("WITH"):
            if at >= len(tokens):
                raise ValueError(f"an exception is missing in {expression!r}")
            name = f"{name} WITH {tokens[at]}"
            at += 1
        return name in ALLOWED

    met = any_of()
    if at != len(tokens):
        raise ValueError(f"{tokens[at]!r} is too much in {expression!r}")
    return met


def licence_faults(packages):
    """What is wrong with the licences of `cargo metadata`'s packages, a sentence each."""
    for package in packages:
        name = f"{package['name']} {package['version']}"
        expression = package.get("license")
        if not expression:
            yield f"{name} names no licence"
            continue
        try:
            if not licence_allowed(expression):
                yield f"{name} is under {expression}, which the allow-list of audit/check.py does not meet"
        except ValueError as error:
            yield f"{name}: {error}"
        if package.get("source") is None and expression != OWN:
            yield f"{name} is ours and must be under {OWN}, not {expression}"


def lock_faults(lock, advisories):
    """What is wrong with a lock file: sources other than crates.io, and packages that an advisory concerns."""
    by_package = {}
    for advisory in advisories["advisory"]:
        by_package.setdefault(advisory["package"], []).append(advisory)
    accepted = {entry["id"] for entry in advisories.get("accepted", [])}
    for package in lock.get("package", []):
        name, version, source = package["name"], package["version"], package.get("source")
        if source is None:
            continue
        if source != REGISTRY:
            yield f"{name} {version} comes from {source}, not from crates.io"
        elif not package.get("checksum"):
            yield f"{name} {version} has no checksum"
        for advisory in by_package.get(name, []):
            fine = advisory["patched"] + advisory["unaffected"]
            if advisory["id"] in accepted or any(versions.meets(version, each) for each in fine):
                continue
            yield (
                f"{name} {version}: {advisory['id']} ({advisory['kind']}): {advisory['title']}; "
                f"mended in {', '.join(advisory['patched']) or 'no version'}"
            )


def list_faults(advisories):
    """What is wrong with the list of advisories itself."""
    seen = set()
    for advisory in advisories["advisory"]:
        name = advisory.get("id", "an advisory without id")
        if name in seen:
            yield f"{name} is listed twice"
        seen.add(name)
        if missing := {"id", "package", "kind", "title", "patched", "unaffected"} - advisory.keys():
            yield f"{name} lacks {', '.join(sorted(missing))}"
            continue
        for requirement in advisory["patched"] + advisory["unaffected"]:
            try:
                versions.meets("1.0.0", requirement)
            except ValueError as error:
                yield f"{name}: {error}"
    for entry in advisories.get("accepted", []):
        if entry.get("id") not in seen:
            yield f"accepted {entry.get('id')} is not in the list any more: remove it"
        if not entry.get("reason"):
            yield f"accepted {entry.get('id')} says no reason"


def metadata():
    """The packages of the workspace and everything that it is built from."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", PLATFORM]
    # Without the network first; a clean clone has nothing yet, and the build that follows needs it anyway.
    for extra in (["--offline"], []):
        done = subprocess.run(command + extra, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return json.loads(done.stdout)["packages"]
    raise SystemExit(f"check-licences: cargo metadata failed:\n{done.stderr.strip()}")


def self_test(advisories):
    """Plants faults; returns those that nobody caught."""
    missed = []

    def expect(what, caught):
        if not caught:
            missed.append(what)

    for text, met in {
        "MIT": True,
        "MIT/Apache-2.0": True,
        "GPL-2.0-only OR MIT": True,
        "Apache-2.0 WITH LLVM-exception": True,
        "(MIT OR Apache-2.0) AND Unicode-3.0": True,
        "MIT OR Apache-2.0 AND GPL-3.0-only": True,  # AND binds closer
        "(MIT OR Apache-2.0) AND GPL-3.0-only": False,
        "AGPL-3.0-only": False,
        "Apache-2.0 WITH Another-exception": False,
        "mit": False,
    }.items():
        expect(f"licence {text}", licence_allowed(text) is met)
    for text in ("", "MIT OR", "(MIT", "MIT)", "MIT Apache-2.0", "Apache-2.0 WITH"):
        try:
            licence_allowed(text)
            missed.append(f"unreadable licence {text!r}")
        except ValueError:
            pass

    def package(**fields):
        return {"name": "p", "version": "1.0.0", "source": REGISTRY, "license": "MIT"} | fields

    expect("a sound package", not list(licence_faults([package()])))
    for fault in ({"license": None}, {"license": "GPL-3.0-only"}, {"license": "MIT OR"}, {"source": None}):
        expect(f"package with {fault}", list(licence_faults([package(**fault)])))

    for version, requirement, met in (
        ("1.2.3", ">= 1.2.3", True),
        ("1.2.3-rc.1", ">= 1.2.3", False),
        ("1.2.3-rc.10", "> 1.2.3-rc.9", True),
        ("1.10.0", "> 1.9.0", True),
        ("1.2.3", ">= 1.0, < 1.2.3", False),
        ("0.2.9", "^0.2.3", True),
        ("0.3.0", "^0.2.3", False),
        ("0.0.4", "^0.0.3", False),
        ("2.0.0", "1", False),
        ("1.3.0", "~1.2", False),
        ("1.2.9", "~1.2", True),
        ("1.2.3", "= 1.2.3", True),
    ):
        expect(f"{version} against {requirement}", versions.meets(version, requirement) is met)

    planted = {
        "advisory": [
            {
                "id": "TEST-1",
                "package": "p",
                "kind": "vulnerability",
                "title": "planted",
                "patched": [">= 1.1.0"],
                "unaffected": ["< 0.9.0"],
            }
        ]
    }

    def locked(**fields):
        return {"package": [{"name": "p", "version": "1.1.0", "source": REGISTRY, "checksum": "x"} | fields]}

    expect("a sound list", not list(list_faults(planted)))
    for fine in ({}, {"version": "0.8.0"}, {"source": None, "version": "1.0.0"}):
        expect(f"sound lock {fine}", not list(lock_faults(locked(**fine), planted)))
    for fault in (
        {"version": "1.0.9"},
        {"version": "0.9.0"},
        {"version": "1.1.0-rc.1"},
        {"source": "git+https://example.invalid/p"},
        {"checksum": None},
    ):
        expect(f"lock with {fault}", list(lock_faults(locked(**fault), planted)))
    accepted = planted | {"accepted": [{"id": "TEST-1", "reason": "planted"}]}
    expect("an accepted advisory", not list(lock_faults(locked(version="1.0.9"), accepted)))
    for fault in (
        {"advisory": planted["advisory"] * 2},
        {"advisory": [{"id": "TEST-2"}]},
        {"advisory": [planted["advisory"][0] | {"patched": ["newer"]}]},
        planted | {"accepted": [{"id": "TEST-9", "reason": "gone"}]},
        planted | {"accepted": [{"id": "TEST-1"}]},
    ):
        expect(f"list with {str(fault)[:60]}", list(list_faults(fault)))
    # The real list must catch a real case: thread_local below 1.1.4.
    old = locked(name="thread_local", version="1.1.3")
    expect("RUSTSEC-2022-0006", any("RUSTSEC-2022-0006" in fault for fault in lock_faults(old, advisories)))
    return missed


def main():
    """Runs the self-test, and the check itself unless only the former was asked for."""
    if unknown := [word for word in sys.argv[1:] if word != "--self-test"]:
        raise SystemExit(f"check-licences: unknown argument {unknown[0]}")
    advisories = tomllib.loads(ADVISORIES.read_text())
    if missed := self_test(advisories):
        raise SystemExit("check-licences: planted and not caught:\n  " + "\n  ".join(missed))
    if "--self-test" in sys.argv[1:]:
        print("check-licences: every planted fault was caught")
        return
    faults = list(list_faults(advisories))
    packages = metadata()
    faults += licence_faults(packages)
    locks = [ROOT / "Cargo.lock", *sorted(ROOT.glob("*/fuzz/Cargo.lock"))]
    for path in locks:
        lock = tomllib.loads(path.read_text())
        faults += (f"{path.relative_to(ROOT)}: {fault}" for fault in lock_faults(lock, advisories))
    if faults:
        raise SystemExit("check-licences:\n  " + "\n  ".join(faults))
    print(
        f"check-licences: {len(packages)} packages under allowed licences; "
        f"{len(locks)} lock files clear of {len(advisories['advisory'])} advisories (as of {advisories['as_of']})"
    )


if __name__ == "__main__":
    main()
