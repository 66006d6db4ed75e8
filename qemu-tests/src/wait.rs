//! Bounded waiting. Nothing here proves a thing by time: a wait ends when what it waits for is so.

use std::time::{Duration, Instant};

use crate::{Error, Result};

/// How long anything may take. Generous: emulated guests on a busy machine are slow.
pub const DEADLINE: Duration = Duration::from_secs(180);

const STEP: Duration = Duration::from_millis(50);

/// Polls `look` until it gives a value.
pub fn until_some<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= end {
            return Err(Error::Deadline { what: what.to_owned() });
        }
        std::thread::sleep(STEP);
    }
}

/// Polls `look` until it is true.
pub fn until(what: &str, mut look: impl FnMut() -> Result<bool>) -> Result {
    until_some(what, || Ok(look()?.then_some(())))
}
