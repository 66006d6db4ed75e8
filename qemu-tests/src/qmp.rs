//! QEMU's control protocol, as little of it as is needed: one command, one answer.

use std::os::unix::net::UnixStream;
use std::time::Instant;

use serde_json::{Value, json};

use crate::channel::Lines;
use crate::process::Process;
use crate::{DEADLINE, Error, Result};

/// A QMP session past its greeting.
pub(crate) struct Qmp(Lines);

impl Qmp {
    pub(crate) fn new(stream: UnixStream, qemu: &Process) -> Result<Qmp> {
        let mut qmp = Qmp(Lines::new(stream));
        qmp.execute("qmp_capabilities", qemu)?;
        Ok(qmp)
    }

    /// Runs a command without arguments; greeting and events in between are skipped.
    pub(crate) fn execute(&mut self, command: &str, qemu: &Process) -> Result<Value> {
        self.0.send(format!("{}\n", json!({ "execute": command })).as_bytes())?;
        let end = Instant::now() + DEADLINE;
        loop {
            let line = self.0.line(qemu, end)?;
            let mut answer: Value = serde_json::from_str(&line).map_err(|error| {
                Error::Wrong(format!("QEMU said {line:?}, which is no JSON: {error}"))
            })?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                return Err(Error::Wrong(format!("QEMU refused `{command}`: {error}")));
            }
        }
    }
}
