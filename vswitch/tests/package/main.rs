//! The Debian package, installed: in a throw-away copy of this machine that boots with systemd, so that the service
//! runs there as it does for whoever installs it. And `make install` and `make uninstall` into a directory.
//!
//! `boot.sh` makes the copy, `inside.sh` is what is done in it; each of its steps is a line of [`STEPS`].

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what the tests are helped by fails as they do"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What must be so, in this order.
const STEPS: &[&str] = &[
    "installs",
    "user_is_there",
    "pages_and_completions_are_there",
    "unit_is_right",
    "unit_is_tight",
    "runs_as_a_service",
    "has_its_capabilities_and_no_more",
    "log_is_in_the_journal",
    "reload_applies_the_file",
    "carries_frames_between_taps",
    "carries_frames_to_an_interface",
    "a_wrong_file_changes_nothing",
    "changes_survive_a_restart",
    "a_switch_that_hangs_is_started_anew",
    "namespaces_need_the_drop_in",
    "runs_as_nobody_without_interfaces",
    "nobody_is_told_what_a_tap_needs",
    "goes_when_removed",
    "leaves_nothing_when_purged",
];

fn root() -> PathBuf {
    fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).unwrap()
}

/// Runs a script of the repository; what it printed.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.current_dir(root()).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}{error}", output.status);
    said
}

fn build_package(into: &Path) -> PathBuf {
    let mut command = Command::new("scripts/build-deb.sh");
    let said = run(command.arg(env!("CARGO_BIN_EXE_strowger")).arg(into));
    PathBuf::from(said.lines().last().expect("it says where the package is"))
}

#[test]
fn the_package_installs_runs_confined_and_goes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let package = build_package(path);
    fs::rename(package, path.join("strowger.deb")).unwrap();
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/package");
    for file in ["inside.sh", "frames.py"] {
        fs::copy(Path::new(own).join(file), path.join(file)).unwrap();
    }
    // A mount namespace of its own: whatever happens, the overlay goes with it.
    let booted = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .args([&format!("{own}/boot.sh"), path.to_str().unwrap()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let read = |name: &str| {
        let text = fs::read(path.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    };
    let results = read("results");
    let expected: String = STEPS.iter().map(|step| format!("ok {step}\n")).collect();
    if results != expected + "end\n" {
        println!("{}", String::from_utf8_lossy(&booted.stderr));
        println!("the console:\n{}\nwhat was done:\n{}", read("console"), read("log"));
        panic!("not all steps went well:\n{results}");
    }
}

/// All files below a directory, by their paths from there.
fn files(directory: &Path) -> BTreeSet<String> {
    let listed = run(Command::new("find").arg(directory).args(["-type", "f", "-printf", "%P\n"]));
    listed.lines().map(str::to_owned).collect()
}

fn make(target: &str, into: &Path) {
    let binary = env!("CARGO_BIN_EXE_strowger");
    let mut command = Command::new("make");
    command.args(["--no-print-directory", target, &format!("BINARY={binary}")]);
    command.env("DESTDIR", into).env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    run(command.args(["PREFIX=/usr/local", "SYSCONFDIR=/etc"]));
}

#[test]
fn make_install_puts_everything_in_its_place_and_make_uninstall_takes_it_away() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    make("install", path);
    let installed = files(path);
    for file in [
        "etc/strowger/strowger.toml",
        "usr/local/bin/strowger",
        "usr/local/lib/systemd/system/strowger.service",
        "usr/local/lib/sysusers.d/strowger.conf",
        "usr/local/lib/tmpfiles.d/strowger.conf",
        "usr/local/share/bash-completion/completions/strowger",
        "usr/local/share/zsh/site-functions/_strowger",
        "usr/local/share/fish/vendor_completions.d/strowger.fish",
        "usr/local/share/man/man1/strowger.1",
        "usr/local/share/man/man1/strowger-run.1",
        "usr/local/share/doc/strowger/example.toml",
        "usr/local/share/doc/strowger/grafana/strowger.json",
        "usr/local/share/doc/strowger/namespaces.conf",
        "usr/local/share/doc/strowger/reference/metrics.md",
    ] {
        assert!(installed.contains(file), "{file} is not among {installed:?}");
    }
    for file in &installed {
        let text = fs::read(path.join(file)).unwrap();
        let stays = |word: &str| text.windows(word.len()).any(|part| part == word.as_bytes());
        let script = file.starts_with("usr/local/lib/") || file.starts_with("etc/");
        assert!(!script || !stays("@"), "{file} has a word that was not replaced");
    }
    let unit =
        fs::read_to_string(path.join("usr/local/lib/systemd/system/strowger.service")).unwrap();
    assert!(unit.contains(
        "\nExecStart=/usr/local/bin/strowger run --config /etc/strowger/strowger.toml\n"
    ));

    // What the administrator wrote stays.
    let config = path.join("etc/strowger/strowger.toml");
    fs::write(&config, "# mine\n").unwrap();
    make("install", path);
    assert_eq!(fs::read_to_string(&config).unwrap(), "# mine\n");
    make("uninstall", path);
    assert_eq!(files(path), BTreeSet::from(["etc/strowger/strowger.toml".to_owned()]));
}

#[test]
fn two_packages_of_one_program_are_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let build = |name: &str| {
        let into = directory.path().join(name);
        fs::create_dir(&into).unwrap();
        fs::read(build_package(&into)).unwrap()
    };
    assert!(build("one") == build("two"));
}
