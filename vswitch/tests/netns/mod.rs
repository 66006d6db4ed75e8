//! Network namespaces for tests, and waiting for what will surely come.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod raw;

use std::{
    fs::File,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::{Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::thread::{
    LinkNameSpaceType, UnshareFlags, gettid, move_into_link_name_space, unshare_unsafe,
};

/// Far longer than anything takes on the slowest machine. Interfaces and namespaces come and go one at a time in the
/// whole kernel: on a machine with forty times more work than cores a minute was seen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);

/// Asks until there is an answer.
///
/// # Panics
/// If there is none before the deadline.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "still not after {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The kernel's version, its first two numbers: what is not in older ones is not asked of them.
pub(crate) fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// A name that no other test has.
pub(crate) fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

type Work = Box<dyn FnOnce() + Send>;

/// A network namespace, held by a thread that does inside what it is given. It is gone when this is dropped or
/// the test ends in whatever way, for nothing but that thread holds it; a named one is removed in `drop`.
#[derive(Debug)]
pub(crate) struct Namespace {
    path: PathBuf,
    name: Option<String>,
    work: Option<Sender<Work>>,
    thread: Option<JoinHandle<()>>,
}

impl Namespace {
    /// One without a name, known by its path in /proc.
    pub(crate) fn new() -> Self {
        Self::held(None)
    }

    /// One that `ip netns` knows.
    pub(crate) fn named() -> Self {
        let name = unique("strowger-");
        ip(&["netns", "add", &name]);
        Self::held(Some(name))
    }

    fn held(name: Option<String>) -> Self {
        let (work, todo) = channel::<Work>();
        let (tell, told) = channel();
        let enter = name.as_ref().map(|name| Path::new("/run/netns").join(name));
        let thread = std::thread::spawn(move || {
            match enter {
                Some(path) => {
                    let file = File::open(path).unwrap();
                    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                        .unwrap();
                }
                // SAFETY: only the network namespace is unshared, the table of descriptors is not.
                None => unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.unwrap(),
            }
            tell.send(gettid().as_raw_nonzero()).unwrap();
            for work in todo {
                work();
            }
        });
        let held = told.recv().expect("the thread enters its namespace");
        let path = format!("/proc/{}/task/{held}/ns/net", std::process::id()).into();
        Self { path, name, work: Some(work), thread: Some(thread) }
    }

    /// Its file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What `--port tap:NAME@` takes: its name if it has one.
    pub(crate) fn argument(&self) -> &str {
        self.name.as_deref().unwrap_or(self.path.to_str().unwrap())
    }

    /// Does something inside: sockets made there belong to it.
    pub(crate) fn within<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = channel();
        let work: Work = Box::new(move || {
            // The test has ended if nobody listens.
            let _ended = tell.send(work());
        });
        self.work.as_ref().unwrap().send(work).expect("the namespace's thread lives");
        told.recv().expect("what was done inside did not panic")
    }

    /// Runs `ip` inside.
    pub(crate) fn ip(&self, words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        self.within(move || ip(&words))
    }

    /// The names of the interfaces in it.
    pub(crate) fn interfaces(&self) -> Vec<String> {
        let list = self.ip(&["-o", "link"]);
        list.lines()
            .filter_map(|line| Some(line.split(": ").nth(1)?.split('@').next()?.to_owned()))
            .collect()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.work.take());
        if let Some(thread) = self.thread.take() {
            // A panic inside has failed the test already.
            let _panicked = thread.join();
        }
        if let Some(name) = self.name.take() {
            // Not `ip`, which panics: this may run while a test fails.
            let _left = Command::new("ip").args(["netns", "del", &name]).status();
        }
    }
}

/// Runs `ip` where the calling thread is.
#[track_caller]
pub(crate) fn ip<S: AsRef<std::ffi::OsStr> + std::fmt::Debug>(words: &[S]) -> String {
    let output = Command::new("ip").args(words).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Namespace {
    /// Joins this namespace and another one by a pair of interfaces, both set up, without IPv6 at the far end so that it
    /// says nothing by itself.
    pub(crate) fn join(&self, near: &str, other: &Self, far: &str) {
        // `ip` finds a namespace by the number of a process or thread in it.
        let thread = other.thread_number();
        self.ip(&["link", "add", near, "type", "veth", "peer", "name", far, "netns", &thread]);
        let quiet = format!("/proc/sys/net/ipv6/conf/{far}/disable_ipv6");
        other.within(move || std::fs::write(quiet, "1").unwrap());
        other.ip(&["link", "set", far, "up"]);
        self.ip(&["link", "set", near, "up"]);
    }

    /// The number of the thread that holds it.
    pub(crate) fn thread_number(&self) -> String {
        let path = self.path.to_str().unwrap();
        path.split('/').nth(4).unwrap().to_owned()
    }

    /// What a file says to whoever is inside.
    pub(crate) fn read(&self, path: &str) -> String {
        let path = path.to_owned();
        self.within(move || std::fs::read_to_string(path).unwrap()).trim().to_owned()
    }
}
