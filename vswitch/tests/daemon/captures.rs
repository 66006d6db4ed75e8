//! `strowger capture` of containers that talk: into files, into tshark, and what goes wrong.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    containers::Container,
    netns::{DEADLINE, eventually, raw::Raw},
    running::{Daemon, strowger},
};

/// Two containers, left at 10.0.0.1 and right at 10.0.0.2, that have talked.
fn scene() -> (Daemon, Container, Container) {
    let (mut left, mut right) = (Container::new(), Container::new());
    let daemon = Daemon::start(&[left.port("left"), right.port("right")]);
    left.set_address("left", 1);
    right.set_address("right", 2);
    left.ping(&right);
    (daemon, left, right)
}

/// A capture that runs. Killed when dropped.
struct Capture(Child);

impl Capture {
    /// Starts one, and waits until it has begun. Its standard output goes where it is told.
    #[track_caller]
    fn start<S: AsRef<OsStr>>(daemon: &Daemon, words: &[S], output: Stdio) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strowger"));
        command.arg("capture").args(words).arg("--rundir").arg(daemon.path("run"));
        let mut child =
            command.stdin(Stdio::null()).stdout(output).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert!(line.starts_with("capturing ") && line.ends_with("; Ctrl-C ends it\n"), "{line}");
        child.stderr = Some(stderr.into_inner());
        Self(child)
    }

    fn interrupt(&self) {
        let pid = Pid::from_raw(self.0.id().cast_signed()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
    }

    /// What it says at its end, which is a good one.
    #[track_caller]
    fn wait(mut self) -> String {
        let status = eventually("the capture ends", || self.0.try_wait().unwrap());
        let mut said = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(status.success(), "{status}: {said}");
        said
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// Runs a program of the Debian packages to its end.
#[track_caller]
fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|_| panic!("scripts/setup.sh test installs {program}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Some fields of each frame in a file.
#[track_caller]
fn frames(file: &Path, fields: &[&str]) -> Vec<Vec<String>> {
    let mut words = vec!["-r", file.to_str().unwrap(), "-Tfields", "-Eseparator=;"];
    words.extend(fields.iter().flat_map(|field| ["-e", field]));
    let text = run("tshark", &words);
    text.lines().map(|line| line.split(';').map(str::to_owned).collect()).collect()
}

fn capture(daemon: &Daemon, words: &[&str]) -> Output {
    let rundir = daemon.path("run");
    let mut all = vec!["capture", "--rundir", rundir.to_str().unwrap()];
    all.extend(words);
    strowger(&all)
}

#[test]
fn a_ping_goes_both_ways_through_a_pipe_into_tshark() {
    let (daemon, left, right) = scene();
    let mut tshark = Command::new("tshark")
        .args(["-l", "-r", "-", "-Tfields", "-Eseparator=;"])
        .args(["-e", "frame.interface_name", "-e", "frame.packet_flags_direction"])
        .args(["-e", "ip.src", "-e", "icmp.type"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("scripts/setup.sh test installs tshark");
    let pipe = tshark.stdin.take().unwrap();
    let words = ["left", "-w", "-", "--filter", "icmp and host 10.0.0.2", "--count", "2"];
    let capture = Capture::start(&daemon, &words, pipe.into());
    left.ping(&right);
    let said = capture.wait();
    let mut text = String::new();
    tshark.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(tshark.wait().unwrap().success());
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines, ["left;0x00000001;10.0.0.1;8", "left;0x00000002;10.0.0.2;0"]);
    assert!(
        said.starts_with("2 frames captured, 0 of them dropped by the switch; 0 lost"),
        "{said}"
    );
    daemon.stop();
}

#[test]
fn a_capture_ends_in_order_and_says_what_it_has() {
    let (daemon, left, right) = scene();
    let file = daemon.path("all.pcapng");
    let words = [OsStr::new("-w"), file.as_os_str()];
    let capture = Capture::start(&daemon, &words, Stdio::null());
    left.ping(&right);
    capture.interrupt();
    let said = capture.wait();
    let rows =
        frames(&file, &["frame.interface_name", "frame.packet_flags_direction", "icmp.type"]);
    let has = |port: &str, direction: &str, kind: &str| {
        rows.iter().any(|row| row[..] == [port, direction, kind])
    };
    // Each frame where it came in and where it went out.
    for (port, direction, kind) in [
        ("left", "0x00000001", "8"),
        ("right", "0x00000002", "8"),
        ("right", "0x00000001", "0"),
        ("left", "0x00000002", "0"),
    ] {
        assert!(has(port, direction, kind), "{port} {direction} {kind}: {rows:?}");
    }
    assert!(said.starts_with(&format!("{} frames captured, ", rows.len())), "{said}");
    let info = run("capinfos", &[file.to_str().unwrap()]);
    let info = info.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(info.contains("Name = left Description = tap port on bridge br0"), "{info}");
    assert!(info.contains("Number of stat entries = "), "{info}");
    daemon.stop();
}

#[test]
fn a_drop_is_shown_with_its_reason() {
    let (daemon, left, _right) = scene();
    let file = daemon.path("drops.pcapng");
    let words = ["--drops-only", "--count", "1", "--direction", "rx", "-w", file.to_str().unwrap()];
    let capture = Capture::start(&daemon, &words, Stdio::null());
    let raw = Raw::open(&left.namespace, "left");
    // From a group address, which nobody has.
    let mut frame = vec![2, 0, 0, 0, 0, 9, 3, 0, 0, 0, 0, 7, 0x88, 0xb5];
    frame.resize(60, 0);
    raw.send(&frame);
    let said = capture.wait();
    assert!(said.starts_with("1 frames captured, 1 of them dropped by the switch; "), "{said}");
    let rows = frames(&file, &["frame.interface_name", "eth.src", "frame.comment"]);
    let comment =
        "dropped: bad_source: The source address is a group address or zero, which no station has.";
    assert_eq!(rows, [["left", "03:00:00:00:00:07", comment].map(str::to_owned)]);
    let counted = daemon.drops();
    assert!(counted.iter().any(|drop| drop.port == "left" && drop.reason == "bad_source"));
    daemon.stop();
}

#[test]
fn a_ring_of_files_keeps_the_last_ones_each_of_them_complete() {
    const BYTES: usize = 12 << 20;
    let (daemon, left, right) = scene();
    let directory = daemon.path("ring");
    fs::create_dir(&directory).unwrap();
    let file = directory.join("x.pcapng");
    let words = ["left", "--file-size", "1", "--files", "3", "-w", file.to_str().unwrap()];
    let capture = Capture::start(&daemon, &words, Stdio::null());
    let listener = right.namespace.within(|| TcpListener::bind("10.0.0.2:7000").unwrap());
    let taker = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap()
    });
    let mut stream = left.namespace.within(|| TcpStream::connect("10.0.0.2:7000").unwrap());
    stream.write_all(&vec![7; BYTES]).unwrap();
    drop(stream);
    assert_eq!(taker.join().unwrap(), BYTES);
    capture.interrupt();
    let said = capture.wait();
    let mut names: Vec<PathBuf> =
        fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert_eq!(names.len(), 3, "{names:?}");
    // Lost frames make fewer files; there are more than stay in any case.
    let count: usize =
        said.split("; ").find_map(|part| part.split(" files").next()?.parse().ok()).unwrap();
    assert!(count > 3, "{said}");
    assert_eq!(names[2], directory.join(format!("x-{count:05}.pcapng")));
    for name in &names {
        assert!(fs::metadata(name).unwrap().len() < (1 << 20) + (128 << 10));
        let rows = frames(name, &["frame.interface_name", "tcp.port"]);
        assert!(!rows.is_empty() && rows.iter().all(|row| row[0] == "left"), "{name:?}");
    }
    daemon.stop();
}

#[test]
fn what_cannot_be_captured_is_a_sentence_and_costs_no_file() {
    let (daemon, left, right) = scene();
    let file = daemon.path("none.pcapng");
    let name = file.to_str().unwrap();
    for (words, code, part) in [
        (&["nobody", "-w", name][..], 1, "there is no port 'nobody'"),
        (
            &["left", "-w", name, "--filter", "tcp port http"],
            1,
            "'http' (character 10): a port is a number",
        ),
        (&["left", "-w", "/nowhere/x.pcapng"], 1, "cannot make /nowhere/x.pcapng: No such file"),
        (&["left", "-w", "/dev/full"], 1, "cannot write /dev/full: No space left on device"),
        (&["left"], 2, "--write <FILE>"),
    ] {
        let output = capture(&daemon, words);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(part), "{words:?}: {said}");
    }
    assert!(!file.exists());
    // A terminal is asked for what it is.
    let command = format!("{} capture left -w -", env!("CARGO_BIN_EXE_strowger"));
    let terminal = Command::new("script").args(["-qec", &command, "/dev/null"]).output().unwrap();
    let said = String::from_utf8_lossy(&terminal.stdout);
    assert_eq!(terminal.status.code(), Some(2), "{said}");
    assert!(said.contains("a capture is no text for a terminal"), "{said}");
    left.ping(&right);
    daemon.stop();
}

#[test]
fn who_has_read_enough_of_a_pipe_ends_the_capture_quietly() {
    let (daemon, left, right) = scene();
    let rundir = daemon.path("run");
    let script = format!(
        "set -o pipefail; {} capture left -q -w - --rundir {} | head -c 100 | wc -c",
        env!("CARGO_BIN_EXE_strowger"),
        rundir.display()
    );
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "100");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    left.ping(&right);
    daemon.stop();
}

#[test]
fn a_capture_ends_with_its_switch() {
    let (daemon, left, right) = scene();
    let file = daemon.path("x.pcapng");
    let words = ["all", "-w", file.to_str().unwrap()];
    let capture = Capture::start(&daemon, &words, Stdio::null());
    left.ping(&right);
    let _directory = daemon.stop();
    let said = capture.wait();
    assert!(said.contains("the switch has ended the capture"), "{said}");
}
