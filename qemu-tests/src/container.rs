//! A container: a network namespace around a TAP port of the switch.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::guest::image_dir;
use crate::process::{call, exit_code};
use crate::{DEADLINE, Error, Machine, Output, Result, Scene};

const PREFIX: &str = "strowger-guests-";

/// A network namespace with commands in it. Its processes and itself go when this value goes.
pub struct Container {
    name: String,
    namespace: String,
    home: PathBuf,
    runs: AtomicU32,
}

impl Container {
    /// Makes a namespace. The switch makes the TAP in it: see [`Container::port`].
    pub fn new(scene: &Scene, name: &str) -> Result<Container> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        remove_stale();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("{PREFIX}{}-{number}", std::process::id());
        call("ip", &["netns", "add", &namespace])?;
        let home = scene.path(&format!("{name}-home"));
        let container =
            Container { name: name.to_owned(), namespace, home, runs: AtomicU32::new(0) };
        // The same commands as in a guest: busybox's.
        let bin = container.home.join("bin");
        fs::create_dir_all(&bin).map_err(Error::io(format!("create {}", bin.display())))?;
        call("busybox", &["--install", "-s", &bin.to_string_lossy()])?;
        let datagrams = image_dir()?.join("datagrams");
        fs::copy(&datagrams, bin.join("datagrams"))
            .map_err(Error::io(format!("copy {}", datagrams.display())))?;
        container
            .run("ip link set lo up; sysctl -q -w net.ipv6.conf.default.accept_dad=0 || true")?;
        Ok(container)
    }

    /// A `--port` of the switch: a TAP interface in this namespace.
    pub fn port(&self, interface: &str) -> String {
        format!("tap:{interface}@{}", self.namespace)
    }

    /// The namespace's name.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Gives an interface an address and sets it up.
    pub fn address(&self, interface: &str, address: &str) -> Result {
        self.run(&format!(
            "ip link set {interface} up && ip addr replace {address} dev {interface}"
        ))
        .map(drop)
    }
}

impl Machine for Container {
    fn name(&self) -> &str {
        &self.name
    }

    fn try_run(&self, command: &str) -> Result<Output> {
        // To a file, not a pipe: what a command leaves running may hold its output open.
        let path = self.home.join(format!("output-{}", self.runs.fetch_add(1, Ordering::Relaxed)));
        let doing = || format!("write {}", path.display());
        let file = File::create(&path).map_err(Error::io(doing()))?;
        let same = file.try_clone().map_err(Error::io(doing()))?;
        // The namespace's environment is set inside: outside, `ip` is iproute2's.
        let status = Command::new("ip")
            .args(["netns", "exec", &self.namespace, "env"])
            .arg(format!("HOME={}", self.home.display()))
            .arg(format!("PATH={}", self.home.join("bin").display()))
            .args(["timeout", "-s", "KILL", &DEADLINE.as_secs().to_string(), "sh", "-c", command])
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(same)
            .status()
            .map_err(Error::io(format!("run a command in {}", self.name)))?;
        let text = fs::read(&path).map_err(Error::io(format!("read {}", path.display())))?;
        Ok(Output { code: exit_code(status), text: String::from_utf8_lossy(&text).into_owned() })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        remove(&self.namespace);
    }
}

/// Ends the processes in a namespace, by their ids, and removes it.
fn remove(namespace: &str) {
    // Best effort all along: this runs in drops, and what stays behind is removed by a later run.
    for pid in call("ip", &["netns", "pids", namespace]).unwrap_or_default().split_whitespace() {
        let _ = call("kill", &["-KILL", pid]);
    }
    let _ = call("ip", &["netns", "delete", namespace]);
}

/// Removes the namespaces of runs that were killed.
fn remove_stale() {
    let Ok(entries) = fs::read_dir("/run/netns") else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if let Some(owner) = owner.and_then(|pid| pid.parse::<u32>().ok())
            && !PathBuf::from(format!("/proc/{owner}")).exists()
        {
            remove(&name);
        }
    }
}
