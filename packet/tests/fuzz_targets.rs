//! Every module that reads what others sent has a fuzz target, and every fuzz target has seeds.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Modules that read no bytes of a frame, each with the reason why it needs no target.
const NO_PARSER: &[(&str, &str)] = &[
    ("batch", "holds frames"),
    ("checksum", "sums bytes, whatever they mean; held against the RFC's code by its own tests"),
    ("counters", "counts"),
    ("drop", "names"),
    ("egress", "writes headers that `key` has read"),
    ("frame", "holds bytes"),
    ("gso", "writes headers that `key` has read"),
    ("ip", "numbers that `ipv4` and `ipv6` share"),
    ("layers", "offsets that `key` fills"),
    ("offload", "says what is left to do"),
    ("options", "lists that `ipv4` and `tcp` share, and whose targets read them"),
    ("port", "a number"),
    ("wire", "what all views are made of"),
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The modules that lib.rs declares.
fn modules() -> BTreeSet<String> {
    read("src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod "))
        .filter_map(|rest| rest.strip_suffix(';'))
        .map(str::to_owned)
        .collect()
}

/// The targets that the fuzz crate's manifest declares.
fn targets() -> BTreeSet<String> {
    read("fuzz/Cargo.toml")
        .split("[[bin]]")
        .skip(1)
        .filter_map(|bin| bin.split_once("name = \"")?.1.split_once('"'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[test]
fn every_parser_has_a_fuzz_target() {
    let (modules, targets) = (modules(), targets());
    for (module, reason) in NO_PARSER {
        assert!(modules.contains(*module), "{module} ({reason}) is no module any more");
        assert!(!targets.contains(*module), "{module} has a target although it {reason}");
    }
    let parsers: BTreeSet<_> = modules
        .into_iter()
        .filter(|module| NO_PARSER.iter().all(|(other, _)| module != other))
        .collect();
    assert!(parsers.len() > 10, "lib.rs was not understood: {parsers:?}");
    assert_eq!(parsers, targets, "left: modules that parse; right: fuzz targets");
}

#[test]
fn every_fuzz_target_has_a_file_and_seeds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for target in targets() {
        assert!(root.join(format!("fuzz_targets/{target}.rs")).is_file(), "{target} has no file");
        let seeds = fs::read_dir(root.join("seeds").join(&target)).map_or(0, Iterator::count);
        assert!(seeds > 0, "{target} has no seeds");
    }
}
