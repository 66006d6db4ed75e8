//! Who may depend on whom. Siblings never know each other; only `vswitch` knows them all.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what the tests are helped by fails as they do"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

/// What each crate may call: exactly these of our own.
const CALLS: &[(&str, &[&str])] = &[
    ("guestmem", &[]),
    ("packet", &["guestmem"]),
    ("vhost", &["guestmem", "packet"]),
    ("vswitch", &["guestmem", "packet", "vhost"]),
    // It reads the specification a second time, and so must know nothing of the switch.
    ("fake-frontend", &[]),
];
/// What is built on the switch and may know everything.
const ABOVE: &[&str] = &["qemu-tests", "bench"];

/// Our crates, each with what it depends on of ours: always, and in tests only.
fn crates() -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ours =
        |package: &Value| package["name"].as_str()?.strip_prefix("strowger-").map(str::to_owned);
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let (mut always, mut tests) = (BTreeSet::new(), BTreeSet::new());
            for dependency in package["dependencies"].as_array().unwrap() {
                let Some(name) = ours(dependency) else { continue };
                if dependency["kind"] == "dev" {
                    tests.insert(name)
                } else {
                    always.insert(name)
                };
            }
            (ours(package).expect("packages are named strowger-…"), (always, tests))
        })
        .collect()
}

#[test]
fn siblings_do_not_know_each_other() {
    let crates = crates();
    for (name, (always, tests)) in &crates {
        if ABOVE.contains(&name.as_str()) {
            continue;
        }
        let (_, calls) = CALLS
            .iter()
            .find(|(own, _)| own == name)
            .expect("each crate has its place in this test");
        let calls: BTreeSet<String> = calls.iter().map(ToString::to_string).collect();
        assert_eq!(*always, calls, "{name}");
        // Tests may also use a guest that is played, and nothing else that is above or beside them.
        let mut known = calls;
        known.extend(["fake-frontend".to_owned(), name.clone()]);
        assert!(tests.is_subset(&known), "{name} tests with {tests:?}");
    }
    for (name, _) in CALLS {
        assert!(crates.contains_key(*name), "there is no crate {name}");
    }
}
