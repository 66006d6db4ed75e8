//! A daemon under test.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::channel,
};

use rustix::process::{Pid, Signal, kill_process};
use strowger_vswitch::control::{Drop as DropReport, Port, Status};
use tempfile::TempDir;

use crate::netns::{DEADLINE, eventually};

/// Runs the binary to its end.
pub(crate) fn strowger(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_strowger")).args(words).stdin(Stdio::null()).output().unwrap()
}

/// A running switch and the directory that it has for itself. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    directory: TempDir,
}

impl Daemon {
    /// Starts a switch with a bridge `br0` and these ports, and waits until it is ready. `{}` in a port is the
    /// switch's own directory.
    #[track_caller]
    pub(crate) fn start<S: AsRef<str>>(ports: &[S]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), ports)
    }

    /// The same in a directory that was used before.
    #[track_caller]
    pub(crate) fn start_in<S: AsRef<str>>(directory: TempDir, ports: &[S]) -> Self {
        let words = ports.iter().flat_map(|port| ["--port", port.as_ref()]);
        Self::start_with(
            directory,
            &["--bridge", "br0"].into_iter().chain(words).collect::<Vec<_>>(),
        )
    }

    /// The same with these words after `run`.
    #[track_caller]
    pub(crate) fn start_with<S: AsRef<str>>(directory: TempDir, words: &[S]) -> Self {
        let own = directory.path().to_str().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_strowger"));
        command.args(["run", "--rundir"]).arg(directory.path().join("run"));
        command.args(words.iter().map(|word| word.as_ref().replace("{}", own)));
        let log = File::create(directory.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.env("STROWGER_LOG", "debug").spawn().unwrap();
        let (tell, told) = channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut line = String::new();
            // An error is a line that is not `ready`.
            let _read = BufReader::new(stdout).read_line(&mut line);
            // The test has failed already if nobody listens.
            let _ended = tell.send(line);
        });
        let daemon = Self { child, directory };
        assert_eq!(told.recv_timeout(DEADLINE).expect("the switch says something"), "ready\n");
        daemon
    }

    /// A path in its directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn ask(&self, question: &str) -> Vec<u8> {
        let rundir = self.path("run");
        let output = strowger(&[question, "-o", "json", "--rundir", rundir.to_str().unwrap()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// What `strowger status` says.
    pub(crate) fn status(&self) -> Status {
        serde_json::from_slice(&self.ask("status")).unwrap()
    }

    /// One port of the status.
    #[track_caller]
    pub(crate) fn port(&self, name: &str) -> Port {
        self.status()
            .ports
            .into_iter()
            .find(|port| port.name == name)
            .expect("there is such a port")
    }

    /// What `strowger drops` says.
    pub(crate) fn drops(&self) -> Vec<DropReport> {
        serde_json::from_slice(&self.ask("drops")).unwrap()
    }

    /// Waits until a port is up or down.
    #[track_caller]
    pub(crate) fn wait_for_link(&self, name: &str, up: bool) {
        eventually("the port's link", || (self.port(name).up == up).then_some(()));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; gives its directory back.
    pub(crate) fn wait(mut self) -> (ExitStatus, TempDir) {
        let status = eventually("the switch ends", || self.child.try_wait().unwrap());
        (status, std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap()))
    }

    /// Ends it in order.
    #[track_caller]
    pub(crate) fn stop(self) -> TempDir {
        self.signal(Signal::TERM);
        let (status, directory) = self.wait();
        assert_eq!((status.code(), status.signal()), (Some(0), None), "{}", log(directory.path()));
        directory
    }
}

fn log(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("log")).unwrap_or_default()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        if std::thread::panicking() {
            println!("the switch's log:\n{}", log(self.directory.path()));
        }
    }
}
