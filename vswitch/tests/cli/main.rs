//! The built program asks a served switch that only has a configuration: every command's text and JSON, its exit code
//! and its sentences, on pipes and on terminals.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what the tests are helped by fails as they do"
)]

mod answers;
#[path = "../api/authority.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod authority;
#[path = "../api/fake.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod fake;
mod files;
mod terminal;
mod terminals;
mod tls;

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use fake::Scene;

/// The program with these words, and the switch that it is to ask.
fn program(scene: &Scene, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strowger"));
    command.args(words.split_whitespace()).arg("--rundir").arg(scene.dir.path());
    command.env_remove("NO_COLOR").env_remove("STROWGER_LOG");
    command
}

fn run(scene: &Scene, words: &str) -> Output {
    program(scene, words).stdin(Stdio::null()).output().unwrap()
}

/// What it says when it works.
#[track_caller]
fn said(scene: &Scene, words: &str) -> String {
    let output = run(scene, words);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(0) && error.is_empty(), "{words}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it says, in words, line by line.
#[track_caller]
fn table(scene: &Scene, words: &str) -> Vec<Vec<String>> {
    let split = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    said(scene, words).lines().map(split).collect()
}

#[track_caller]
fn json(scene: &Scene, words: &str) -> serde_json::Value {
    serde_json::from_str(&said(scene, &format!("{words} -o json"))).unwrap()
}

/// Its one line of error, and its exit code.
#[track_caller]
fn refused(scene: &Scene, words: &str) -> (String, i32) {
    let output = run(scene, words);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout.is_empty(), "{words}: {}", String::from_utf8_lossy(&output.stdout));
    assert!(error.starts_with("error: "), "{words}: {error}");
    (error, output.status.code().unwrap())
}

/// What it says with a text on its standard input.
fn fed(scene: &Scene, words: &str, text: &str) -> Output {
    let mut child = program(scene, words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}
