//! What can go wrong on the stage.

use std::io;

use crate::DEADLINE;

/// A result of this crate.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// Why a scene could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine refused something.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// Something that had to happen did not.
    #[error("waited {} s in vain for this: {what}", DEADLINE.as_secs())]
    Deadline {
        /// What had to happen, with what was seen last.
        what: String,
    },
    /// A command in a guest, a container or on the host failed.
    #[error("{who}: `{command}` ended with {code}: {output}")]
    Command {
        /// Where it ran.
        who: String,
        /// What ran.
        command: String,
        /// Its exit code.
        code: i32,
        /// What it said.
        output: String,
    },
    /// A process ended that should run.
    #[error("{who} has ended ({status}); its log says:\n{log}")]
    Ended {
        /// Which.
        who: String,
        /// How.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// Something is not there, or not as it must be.
    #[error("{0}")]
    Wrong(String),
}

impl Error {
    /// For `map_err`: names what was tried.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let doing = doing.into();
        move |source| Error::Io { doing, source }
    }
}
