//! Configuration files: applied, checked, shown and written.

use std::fs;

use strowger_vswitch::control::Control;

use crate::{
    fake::{SOME, Scene, some},
    fed, json, refused, run, said,
};

#[test]
fn a_file_is_applied_once_and_changes_nothing_twice() {
    let scene = Scene::new();
    let path = scene.dir.path().join("wanted.toml");
    let wanted = SOME.replace("tag = 10", "tag = 20").replace("[bridges.br1]", "[bridges.br2]");
    fs::write(&path, &wanted).unwrap();
    let words = format!("apply -f {}", path.display());

    let before = scene.fake.config();
    let dry = said(&scene, &format!("{words} --dry-run"));
    assert_eq!(scene.fake.config(), before);
    let lines = ["- bridge br1", "+ bridge br2", "~ port vm1: tag 10 → 20"];
    assert_eq!(dry.lines().collect::<Vec<_>>(), [&lines[..], &["(only said, not done)"]].concat());
    assert_eq!(said(&scene, &words).lines().collect::<Vec<_>>(), lines);
    assert_eq!(scene.fake.config().ports["vm1"].tag, Some(20));
    assert_eq!(said(&scene, &words), "no changes\n");
    assert_eq!(json(&scene, &words)["changes"], serde_json::json!([]));

    // What is shown is what would be applied.
    let shown = scene.dir.path().join("shown.toml");
    assert_eq!(said(&scene, &format!("config show -w {}", shown.display())), "");
    assert_eq!(fs::read_to_string(&shown).unwrap(), said(&scene, "config show"));
    assert_eq!(said(&scene, &format!("apply -f {}", shown.display())), "no changes\n");
    assert_eq!(json(&scene, "config show")["ports"]["vm1"]["tag"], 20);
}

#[test]
fn one_wrong_line_changes_nothing_and_is_named() {
    let scene = Scene::new();
    let path = scene.dir.path().join("wrong.toml");
    let wanted =
        SOME.replace("[bridges.br1]", "[bridges.br2]").replace("native = 5", "native = 5000");
    fs::write(&path, &wanted).unwrap();
    let line = wanted.lines().position(|line| line.starts_with("native")).unwrap() + 1;
    for words in ["apply -f", "apply --dry-run -f"] {
        let (error, code) = refused(&scene, &format!("{words} {}", path.display()));
        let place = format!("error: {}:{line}:1: ports.c1.native: expected", path.display());
        assert!(error.starts_with(&place) && code == 1, "{error}");
        assert_eq!(scene.fake.config(), some());
    }
    // The same words without a switch.
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_strowger"))
        .args(["config", "check"])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains(&format!("wrong.toml:{line}:")));
    let missing = refused(&scene, "apply -f /nowhere/at/all.toml");
    assert!(missing.0.contains("cannot read /nowhere/at/all.toml"), "{missing:?}");
}

#[test]
fn a_good_file_is_said_to_be_good() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_strowger"))
        .args(["config", "check", concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/example.toml")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("example.toml is good: "));
}

#[test]
fn standard_input_is_a_file_too() {
    let scene = Scene::new();
    let output = fed(&scene, "apply -f -", &SOME.replace("tag = 10", "tag = 11"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "~ port vm1: tag 10 → 11\n", "{output:?}");
    let output = fed(&scene, "apply -f -", "[bridges.br0]\nmac-limt = 1\n");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("error: standard input:2:1: "), "{error}");
    assert_eq!(scene.fake.config().ports["vm1"].tag, Some(11));
}

#[test]
fn a_configuration_that_cannot_be_written_leaves_what_was_there() {
    let scene = Scene::new();
    let output = run(&scene, "config show -w /dev/full");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("error: cannot write /dev/full: "), "{error}");
}
