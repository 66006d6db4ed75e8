//! A process that ends with its owner.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

use crate::scene::tail;
use crate::wait::until_some;
use crate::{DEADLINE, Error, Result, Scene};

/// A child process whose output goes to a log of the scene. Killed when this value goes.
///
/// It also dies with the *thread* that started it (Linux's parent-death signal, by `setpriv`), so
/// that a test killed by its runner leaves nothing behind: start it from the thread that uses it.
pub(crate) struct Process {
    who: String,
    child: Mutex<Child>,
    log: PathBuf,
}

impl Process {
    /// Starts a program; its standard error, and its standard output unless that is piped, go to
    /// the log `who`.
    pub(crate) fn start<A: AsRef<OsStr>>(
        scene: &Scene,
        who: &str,
        program: &OsStr,
        args: &[A],
    ) -> Result<Process> {
        let log = scene.log(who);
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(Error::io(format!("open {}", log.display())))?;
        let output = file.try_clone().map_err(Error::io("share a log"))?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(file)
            .spawn()
            .map_err(Error::io(format!("start {}", program.display())))?;
        Ok(Process { who: who.to_owned(), child: Mutex::new(child), log })
    }

    /// How it ended, if it has.
    pub(crate) fn status(&self) -> Result<Option<ExitStatus>> {
        self.child().try_wait().map_err(Error::io(format!("wait for {}", self.who)))
    }

    /// An error if the process has ended.
    pub(crate) fn check(&self) -> Result {
        match self.status()? {
            None => Ok(()),
            Some(status) => Err(Error::Ended {
                who: self.who.clone(),
                status: status.to_string(),
                log: tail(&self.log),
            }),
        }
    }

    /// What it wrote so far.
    pub(crate) fn output(&self) -> String {
        // No log yet reads as an empty one.
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child().id()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(&self) -> Result<ExitStatus> {
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        if let (Some(pid), None) = (pid, self.status()?) {
            kill_process(pid, Signal::TERM)
                .map_err(|error| Error::io(format!("end {}", self.who))(error.into()))?;
        }
        until_some(&format!("{} ends after SIGTERM", self.who), || self.status())
    }

    /// Ends it at once.
    pub(crate) fn kill(&self) {
        let mut child = self.child();
        // It may have ended already: then there is nothing to do.
        let _ = child.kill();
        let _ = child.wait();
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a program of the host to its end, which has the deadline of all waits.
pub(crate) fn call<A: AsRef<OsStr>>(program: &str, args: &[A]) -> Result<String> {
    let output = Command::new("timeout")
        .args(["-s", "KILL", &DEADLINE.as_secs().to_string(), program])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io(format!("start {program}")))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let args: Vec<_> = args.iter().map(|arg| arg.as_ref().to_string_lossy()).collect();
    Err(Error::Command {
        who: "host".to_owned(),
        command: format!("{program} {}", args.join(" ")),
        code: exit_code(output.status),
        output: text(&output.stdout) + &text(&output.stderr),
    })
}

/// The exit code as a shell counts it: a signal is 128 and its number.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
