//! The vhost crate's example `ceiling`: Strowger's rings and copies with no look at any frame. What the switch costs
//! comes on top of it.

use std::path::Path;

use serde_json::{Value, json};

use super::{Figures, Place, Switch};
use crate::{Error, Result, SWITCH_CORE, process::Process};

/// The running example. It prints a line each second.
#[derive(Debug)]
pub(super) struct Ceiling {
    process: Process,
}

/// Whether it was built.
pub(super) fn version(program: &Path) -> Result<String> {
    if program.is_file() {
        return Ok("ring to ring, of the vhost crate's examples".into());
    }
    Err(Error::Unsuitable(format!(
        "{} is not there: cargo build --release -p strowger-vhost --example ceiling",
        program.display()
    )))
}

impl Ceiling {
    /// Starts it; its ports connect when the traffic listens.
    pub(super) fn start(place: &Place) -> Result<Self> {
        let [a, b] = &place.sockets;
        let core = SWITCH_CORE.to_string();
        let arguments = [a.as_os_str(), b.as_os_str(), core.as_ref(), "client".as_ref()];
        let log = place.logs.join("ceiling.log");
        Ok(Self { process: Process::start(&place.ceiling, arguments, &[], log)? })
    }

    fn last(&mut self) -> Result<Option<Line>> {
        self.process.alive()?;
        Ok(self.process.printed()?.lines().rev().find_map(read))
    }
}

impl Switch for Ceiling {
    fn before(&mut self) -> Result<Value> {
        Ok(json!(self.last()?.map_or(0, |line| line.dropped)))
    }

    fn after(&mut self, before: &Value) -> Result<Figures> {
        let line = self.last()?.ok_or_else(|| Error::Unexpected {
            what: "the ceiling printed no figures".into(),
            log: self.process.log().to_owned(),
        })?;
        Ok(Figures {
            dropped: line.dropped.saturating_sub(before.as_u64().unwrap_or_default()),
            batch: Some(line.batch),
            cycles: Some(line.cycles),
        })
    }
}

/// A line of what it prints.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    cycles: f64,
    batch: f64,
    dropped: u64,
}

/// Reads `9.917 Mpps  112.3 cycles/frame  32.0 frames/batch 0 dropped`.
fn read(line: &str) -> Option<Line> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, "Mpps", cycles, "cycles/frame", batch, "frames/batch", dropped, "dropped"] = words[..]
    else {
        return None;
    };
    Some(Line {
        cycles: cycles.parse().ok()?,
        batch: batch.parse().ok()?,
        dropped: dropped.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_others_passed_over() {
        let line = Line { cycles: 112.3, batch: 32.0, dropped: 4 };
        let text = "  9.917 Mpps  112.3 cycles/frame  32.0 frames/batch 4 dropped";
        assert_eq!(read(text), Some(line));
        assert_eq!(read("a front end is connected"), None);
    }
}
