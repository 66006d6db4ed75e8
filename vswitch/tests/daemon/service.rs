//! What a service manager hears of the real binary.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    netns::{DEADLINE, eventually, unique},
    running::strowger,
};

/// A service manager with one service: the switch.
struct Manager {
    directory: TempDir,
    socket: UnixDatagram,
    switch: Child,
}

impl Manager {
    /// Starts a switch that is watched, if a watchdog's time is given in microseconds.
    fn start(watchdog: Option<u32>, words: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_strowger"));
        command.args(["run", "--rundir"]).arg(directory.path().join("run")).args(words);
        command.env("NOTIFY_SOCKET", &path).env_remove("WATCHDOG_PID").env_remove("WATCHDOG_USEC");
        if let Some(bound) = watchdog {
            command.env("WATCHDOG_USEC", bound.to_string());
        }
        let switch = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        Self { directory, socket, switch }
    }

    /// The next that the switch says; a line each.
    #[track_caller]
    fn hear(&self) -> Vec<String> {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("the switch says something");
        String::from_utf8(message[..length].to_vec()).unwrap().lines().map(str::to_owned).collect()
    }

    /// Everything that it says up to a line that fits, and that line.
    #[track_caller]
    fn hear_until(&self, fits: impl Fn(&str) -> bool) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            heard.extend(self.hear());
            if heard.last().is_some_and(|line| fits(line)) {
                return heard;
            }
        }
    }

    fn terminate(&self) {
        let pid = Pid::from_raw(self.switch.id().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        eventually("the switch ends", || self.switch.try_wait().unwrap())
    }

    /// The thread of its worker.
    fn worker(&self) -> i32 {
        let tasks = format!("/proc/{}/task", self.switch.id());
        let is_worker = |task: &fs::DirEntry| {
            fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name == "worker-0\n")
        };
        let task = fs::read_dir(tasks).unwrap().map(Result::unwrap).find(is_worker);
        task.expect("it has a worker").file_name().to_str().unwrap().parse().unwrap()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.switch.kill();
        let _ended = self.switch.wait();
    }
}

#[test]
fn a_service_manager_hears_that_the_switch_forwards_and_that_it_ends() {
    let port = format!("tap:{}", unique("sd"));
    let mut manager = Manager::start(None, &["--bridge", "br0", "--port", &port]);
    let heard = manager.hear();
    assert_eq!(heard, ["READY=1", "STATUS=forwarding: 1 bridge, 1 port, 1 worker"]);
    // It is what it says.
    let rundir = manager.directory.path().join("run");
    let status = strowger(&["status", "-o", "json", "--rundir", rundir.to_str().unwrap()]);
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));

    manager.terminate();
    assert_eq!(manager.hear(), ["STOPPING=1", "STATUS=ending"], "nothing else in between");
    assert_eq!(manager.wait().code(), Some(0));
}

#[test]
fn a_switch_that_does_not_start_never_says_that_it_is_ready() {
    let mut manager =
        Manager::start(None, &["--bridge", "br0", "--port", "tap:x@no-such-namespace"]);
    assert_eq!(manager.wait().code(), Some(1));
    manager.socket.set_nonblocking(true).unwrap();
    assert!(manager.socket.recv(&mut [0; 64]).is_err(), "it has said nothing");
}

#[test]
fn the_watchdog_hears_of_a_worker_that_moves_and_of_one_that_sleeps() {
    for poll in ["busy", "adaptive"] {
        let manager = Manager::start(Some(900_000), &["--bridge", "br0", "--poll", poll]);
        assert_eq!(manager.hear()[0], "READY=1");
        for _ in 0..3 {
            manager.hear_until(|line| line == "WATCHDOG=1");
        }
    }
}

#[test]
fn the_watchdog_hears_nothing_of_a_worker_that_hangs() {
    let mut manager = Manager::start(Some(900_000), &["--bridge", "br0", "--poll", "busy"]);
    manager.hear_until(|line| line == "WATCHDOG=1");

    let worker = Stopped::stop(manager.worker());
    let heard = manager.hear_until(|line| line.contains("does not move"));
    assert!(heard.last().unwrap().starts_with("STATUS=the worker of core "), "{heard:?}");

    // Not a word from here until the worker moves.
    worker.go_on();
    let heard = manager.hear_until(|line| line == "WATCHDOG=1");
    assert_eq!(heard, ["STATUS=forwarding: 1 bridge, 0 ports, 1 worker", "WATCHDOG=1"]);
    manager.terminate();
    assert_eq!(manager.wait().code(), Some(0));
}

/// One thread of another process that stands still.
struct Stopped(i32);

impl Stopped {
    #[allow(unsafe_code, reason = "nothing else stops one thread of a process and no other")]
    fn stop(thread: i32) -> Self {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: seizing and interrupting a thread of a child takes no memory of ours.
        let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, thread, none, none) };
        assert_eq!(seized, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: as above.
        let interrupted = unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, thread, none, none) };
        assert_eq!(interrupted, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: waitpid may be given no place for the status.
        let waited = unsafe { libc::waitpid(thread, std::ptr::null_mut(), libc::__WALL) };
        assert_eq!(waited, thread, "{}", std::io::Error::last_os_error());
        Self(thread)
    }

    #[allow(unsafe_code, reason = "as in stop")]
    fn go_on(self) {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: letting a thread go that this thread has seized takes no memory of ours.
        let gone_on = unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, none, none) };
        assert_eq!(gone_on, 0, "{}", std::io::Error::last_os_error());
    }
}
