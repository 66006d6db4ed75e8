//! The stage of one test: its directories, its names, and what becomes of its logs.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{Error, Result};

/// Lines of each log that are printed when a scene fails.
const TAIL_LINES: usize = 25;

/// One test's directories. Logs are kept, and their ends printed, unless the scene has passed.
pub struct Scene {
    name: String,
    /// Sockets: short paths, since a socket's path has at most 107 bytes.
    sockets: TempDir,
    logs: PathBuf,
    kept: RefCell<Vec<PathBuf>>,
    passed: Cell<bool>,
}

impl Scene {
    /// Sets up the directories of a scene with this name.
    pub fn new(name: &str) -> Result<Scene> {
        let logs = target_dir()?.join("guest-logs").join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&logs).map_err(Error::io(format!("create {}", logs.display())))?;
        let sockets = tempfile::Builder::new()
            .prefix("strowger-")
            .tempdir_in("/tmp")
            .map_err(Error::io("create a directory for sockets in /tmp"))?;
        let (kept, passed) = (RefCell::new(Vec::new()), Cell::new(false));
        Ok(Scene { name: name.to_owned(), sockets, logs, kept, passed })
    }

    /// Plays a test: panics with the error's sentence when it fails.
    pub fn play(name: &str, test: impl FnOnce(&Scene) -> Result) {
        let scene = Scene::new(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Err(error) = test(&scene) {
            panic!("{name}: {error}");
        }
        scene.pass();
    }

    /// All is well: the logs need not be kept.
    pub fn pass(&self) {
        self.passed.set(true);
    }

    /// The scene's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A path for something short-lived, such as a socket. Removed with the scene.
    pub fn path(&self, name: &str) -> PathBuf {
        self.sockets.path().join(name)
    }

    /// The socket path of a vhost-user port.
    pub fn socket(&self, port: &str) -> PathBuf {
        self.path(&format!("{port}.sock"))
    }

    /// A `--port` of the switch on which the switch listens: `vhost-user:NAME=PATH`.
    pub fn server_port(&self, port: &str) -> String {
        format!("vhost-user:{port}={}", self.socket(port).display())
    }

    /// A `--port` of the switch to which the switch connects: `vhost-user-client:NAME=PATH`.
    pub fn client_port(&self, port: &str) -> String {
        format!("vhost-user-client:{port}={}", self.socket(port).display())
    }

    /// Where the logs are.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// The log file of one who plays here.
    pub(crate) fn log(&self, who: &str) -> PathBuf {
        let path = self.logs.join(format!("{who}.log"));
        let mut kept = self.kept.borrow_mut();
        if !kept.contains(&path) {
            kept.push(path.clone());
        }
        path
    }
}

impl Drop for Scene {
    #[expect(
        clippy::print_stderr,
        reason = "a failing test shows where its logs are, and their ends"
    )]
    fn drop(&mut self) {
        if self.passed.get() && !std::thread::panicking() {
            // Best effort: a log that stays behind harms nobody.
            let _ = fs::remove_dir_all(&self.logs);
            return;
        }
        eprintln!("{}: logs are kept in {}", self.name, self.logs.display());
        for log in self.kept.borrow().iter() {
            let tail = tail(log);
            if !tail.is_empty() {
                eprintln!("--- {} ends with:\n{tail}", log.display());
            }
        }
    }
}

/// The last lines of a log file; empty if there is none.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// The target directory: that in which this very executable was built.
pub(crate) fn target_dir() -> Result<PathBuf> {
    Ok(profile_dir()?.parent().unwrap_or(Path::new("/")).to_owned())
}

/// `target/debug` or `target/release`: tests are in `deps` under it, the demo in itself.
pub(crate) fn profile_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe().map_err(Error::io("find the path of this program"))?;
    let dir = exe.parent().unwrap_or(Path::new("/"));
    Ok(if dir.ends_with("deps") { dir.parent().unwrap_or(dir) } else { dir }.to_owned())
}
