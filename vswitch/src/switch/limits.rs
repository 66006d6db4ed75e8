//! File descriptors: as many as the system lets the process have, and a few that ports do not get.

use std::os::fd::OwnedFd;

use rustix::{
    event::{EventfdFlags, eventfd},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use tracing::warn;

/// Descriptors that a change leaves for clients of the API, guests that connect, and the log.
pub const SPARE: usize = 64;

/// Raises the limit of open files to what the system allows.
pub(super) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    let highest = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, highest)
    {
        warn!("cannot raise the limit of open files: {error}");
    }
}

/// How many files the process may open; `None` for as many as it likes.
pub(super) fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Whether there are [`SPARE`] descriptors left.
pub(super) fn has_spare() -> bool {
    let spare: Result<Vec<OwnedFd>, _> =
        (0..SPARE).map(|_| eventfd(0, EventfdFlags::CLOEXEC)).collect();
    spare.is_ok()
}

/// What is said when there are not.
pub(super) fn sentence() -> String {
    let may = open_files().map_or_else(String::new, |files| format!(" ({files})"));
    format!(
        "the process has too few file descriptors for that: raise its limit of open files{may}, LimitNOFILE= of a service or `ulimit -n` of a shell"
    )
}
