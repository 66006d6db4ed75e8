//! A switch that is asked by TCP with TLS.

use std::process::{Command, Output};

use crate::authority::Authority;

/// The program with these words, as one whom the authority vouches for.
fn ask(authority: &Authority, address: &str, words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strowger"));
    command.args(words.split_whitespace()).args(["--connect", address]);
    for (flag, file) in
        [("--ca", "ca.pem"), ("--certificate", "client.pem"), ("--key", "client.key")]
    {
        command.arg(flag).arg(authority.file(file));
    }
    command.output().unwrap()
}

#[test]
fn a_switch_far_away_is_asked_with_a_certificate() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (scene, address) = authority.scene();
    let address = address.to_string();
    let output = ask(&authority, &address, "bridge list");
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("br0"));
    let output = ask(&authority, &address, "port set vm1 tag=12");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "~ port vm1: tag 10 → 12\n");
    // Whom the switch does not know.
    let output = ask(&other, &address, "bridge list");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.starts_with("error: no trust between ") && error.lines().count() == 1, "{error}");
    drop(scene);
    let output = ask(&authority, &address, "status");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("no switch listens at "), "{error}");
    let output = ask(&authority, "nowhere", "status");
    assert!(String::from_utf8_lossy(&output.stderr).contains("'nowhere' is no HOST:PORT"));
}
