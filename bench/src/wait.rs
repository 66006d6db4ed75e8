//! Waits that end when the user interrupts.

use std::{
    path::Path,
    sync::{Arc, LazyLock, atomic::AtomicBool, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::{Error, Result};

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From here on SIGINT, SIGTERM and SIGHUP end the wait under way, and so the run, with its guards dropped.
///
/// # Errors
/// If the system takes no handler.
pub fn catch_signals() -> Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, INTERRUPTED.clone())
            .map_err(Error::system("catch signals"))?;
    }
    Ok(())
}

/// Asks for an end if the user did.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn check() -> Result<()> {
    if INTERRUPTED.load(Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
}

/// Lets time pass: the length of a measurement.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn pass(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// Asks again and again until there is an answer; `what` and `log` are for the error.
///
/// # Errors
/// [`Error::Late`] after `seconds`, [`Error::Interrupted`], or what `ask` fails with.
pub fn until<T>(
    what: &str,
    log: &Path,
    seconds: u64,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() >= end {
            return Err(Error::Late { what: what.to_owned(), seconds, log: log.to_owned() });
        }
        pass(Duration::from_millis(20))?;
    }
}
