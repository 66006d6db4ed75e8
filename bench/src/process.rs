//! A program that runs beside us and never outlives us.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Error, Result, wait};

/// How long a program may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// A running program. Dropping it ends the program: SIGTERM, then SIGKILL after [`GRACE`].
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program`, what it prints going to `log`. The kernel kills it should we die without our guards.
    ///
    /// Call it from the main thread only: the kernel counts the end of the calling *thread*.
    ///
    /// # Errors
    /// If it cannot be started or the log cannot be written.
    pub fn start(
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        environment: &[(&str, &Path)],
        log: PathBuf,
    ) -> Result<Self> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let start = || -> io::Result<Child> {
            let file = File::create(&log)?;
            // Both keep the process id; a line is to be read as soon as it is printed. A group of its own:
            // ctrl-c is for us, who then end it in order.
            Command::new("setpriv")
                .args(["--pdeathsig", "KILL", "--", "stdbuf", "-oL", "-eL"])
                .arg(program)
                .args(arguments)
                .envs(environment.iter().copied())
                .stdin(Stdio::piped())
                .stdout(file.try_clone()?)
                .stderr(file)
                .process_group(0)
                .spawn()
        };
        let child = start().map_err(Error::system(format!("start {name}")))?;
        Ok(Self { name, child, log })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its output goes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Everything that it has printed up to now.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn printed(&self) -> Result<String> {
        let bytes = std::fs::read(&self.log)
            .map_err(Error::system(format!("read {}", self.log.display())))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Its standard input.
    ///
    /// # Errors
    /// If it has none any more.
    pub fn input(&mut self) -> Result<&mut ChildStdin> {
        let (name, log) = (&self.name, &self.log);
        self.child.stdin.as_mut().ok_or_else(|| Error::Unexpected {
            what: format!("{name} takes no input any more"),
            log: log.clone(),
        })
    }

    /// Fails if it has ended.
    ///
    /// # Errors
    /// [`Error::Unexpected`] with how it ended.
    pub fn alive(&mut self) -> Result<()> {
        match self.child.try_wait().map_err(Error::system(format!("wait for {}", self.name)))? {
            None => Ok(()),
            Some(status) => Err(Error::Unexpected {
                what: format!("{} ended ({status}){}", self.name, last_line(&self.printed()?)),
                log: self.log.clone(),
            }),
        }
    }

    /// Waits until `ask` has an answer, as long as the program lives.
    ///
    /// # Errors
    /// As [`wait::until`], and if the program ends.
    pub fn until<T>(
        &mut self,
        what: &str,
        seconds: u64,
        mut ask: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let log = self.log.clone();
        wait::until(what, &log, seconds, || {
            self.alive()?;
            ask()
        })
    }

    /// Waits until `enough` of what it has printed after the first `from` bytes.
    ///
    /// # Errors
    /// As [`until`](Self::until); what it printed before its end still counts.
    pub fn until_printed(
        &mut self,
        from: usize,
        seconds: u64,
        what: &str,
        mut enough: impl FnMut(&str) -> bool,
    ) -> Result<()> {
        let log = self.log.clone();
        wait::until(what, &log, seconds, || {
            // Asked first: what was printed up to an end is read after it.
            let alive = self.alive();
            if enough(self.printed()?.get(from..).unwrap_or_default()) {
                return Ok(Some(()));
            }
            alive.map(|()| None)
        })
    }

    /// Asks it to end, waits, and gives everything that it has printed.
    ///
    /// # Errors
    /// If its log cannot be read.
    pub fn finish(mut self) -> Result<String> {
        self.end();
        self.printed()
    }

    fn end(&mut self) {
        let ended = |child: &mut Child| !matches!(child.try_wait(), Ok(None));
        // Closing its input is enough for some.
        drop(self.child.stdin.take());
        if ended(&mut self.child) {
            return;
        }
        if let Some(id) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended meanwhile; it is not waited for yet, so the id is still its own.
            let _ = kill_process(id, Signal::TERM);
        }
        let end = Instant::now() + GRACE;
        while Instant::now() < end {
            if ended(&mut self.child) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        // Errors mean that it has ended; nobody is left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs a short program to its end and gives what it printed.
///
/// # Errors
/// If it cannot be started or does not end well.
pub fn run(
    program: &Path,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    environment: &[(&str, &Path)],
) -> Result<String> {
    wait::check()?;
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
    let Output { status, stdout, stderr } =
        command.output().map_err(Error::system(format!("start {}", program.display())))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&stderr);
    Err(Error::Unsuitable(format!("{command:?} failed ({status}){}", last_line(&said))))
}

/// Where a program is: a path as given, a name looked up in PATH and the places of system programs.
///
/// # Errors
/// [`Error::Missing`] with the package that has it.
pub fn find(tool: &str, package: &'static str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    // Joining an absolute path gives that path.
    places
        .map(|place| place.join(tool))
        .find(|path| path.is_file())
        .ok_or_else(|| Error::Missing { tool: tool.to_owned(), package })
}

fn last_line(text: &str) -> String {
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .map_or_else(String::new, |line| format!(": {}", line.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str, dir: &Path) -> Process {
        let shell = find("sh", "dash").unwrap();
        Process::start(&shell, ["-c", script], &[], dir.join("log")).unwrap()
    }

    #[test]
    fn a_dropped_process_is_gone_even_if_it_ignores_the_request() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = start("trap '' TERM; echo up; while :; do sleep 1; done", dir.path());
        process.until_printed(0, 60, "up", |text| text.contains("up")).unwrap();
        let id = process.id();
        drop(process);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn an_end_is_told_with_the_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = start("echo no such device; exit 3", dir.path());
        let error = process.until_printed(0, 60, "it", |_| false).unwrap_err().to_string();
        assert!(error.contains("no such device") && error.contains('3'), "{error}");
    }

    #[test]
    fn a_missing_tool_names_its_package() {
        let error = find("no-such-tool-anywhere", "its-package").unwrap_err().to_string();
        assert!(error.contains("no-such-tool-anywhere") && error.contains("its-package"));
    }
}
