//! Why there is no answer, for the person who asked.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens at the socket.
    #[error(
        "no switch runs at {path}: start one with `strowger run`, or name the directory of another with --rundir",
        path = path.display()
    )]
    NoSwitch {
        /// The control socket.
        path: PathBuf,
    },
    /// The socket's mode does not let us.
    #[error(
        "you may not talk to the switch at {path}: its socket is for {who}; become one of them, or have api.socket-group and api.socket-mode changed",
        path = path.display()
    )]
    Denied {
        /// The control socket.
        path: PathBuf,
        /// Whom it is for.
        who: String,
    },
    /// There is no connection, for another reason.
    #[error("cannot connect to {place}: {error}")]
    NotConnected {
        /// Which switch.
        place: String,
        /// What the system said.
        error: io::Error,
    },
    /// Nobody listens at the address.
    #[error(
        "no switch listens at {place}: its configuration has to say api.listen, and the way to it must be open ({error})"
    )]
    NobodyThere {
        /// The address.
        place: String,
        /// What the system said.
        error: io::Error,
    },
    /// The other side is not whom we want, or does not want us.
    #[error("no trust between {place} and us: {error}")]
    Distrust {
        /// The address.
        place: String,
        /// Who objects to what.
        error: String,
    },
    /// An argument is not what it should be.
    #[error("{0}")]
    Argument(String),
    /// What is to be sent cannot be.
    #[error("the request cannot be written: {0}")]
    Unwritten(String),
    /// The connection ended before the answer.
    #[error(
        "the connection to {place} was lost before the answer came ({error}): look whether the switch runs, and what became of the request"
    )]
    Lost {
        /// Which switch.
        place: String,
        /// What happened.
        error: String,
    },
    /// It takes too long.
    #[error("{place} did not answer within {seconds} s")]
    Slow {
        /// Which switch.
        place: String,
        /// How long was waited.
        seconds: u64,
    },
    /// More than is kept.
    #[error("the answer of {place} is too long")]
    TooLong {
        /// Which switch.
        place: String,
    },
    /// The switch refused, and nothing has changed.
    #[error("{error}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The switch's own sentence.
        error: String,
        /// The key that is wrong.
        key: Option<String>,
    },
    /// Another version answered something else.
    #[error(
        "the switch at {place} is of version {version} and this program of {own}, and they do not understand each other here ({error}): use the program that came with the switch"
    )]
    OtherVersion {
        /// Which switch.
        place: String,
        /// Its version.
        version: String,
        /// Ours.
        own: &'static str,
        /// What was not understood.
        error: String,
    },
    /// The answer is none of ours.
    #[error("the answer of {place} is not understood: {error}")]
    NotUnderstood {
        /// Which switch.
        place: String,
        /// What is wrong with it.
        error: String,
    },
    /// Who answers is no switch.
    #[error("who answers at {place} is no Strowger switch: {error}")]
    Stranger {
        /// Where.
        place: String,
        /// What is wrong.
        error: String,
    },
    /// The system refused what a client needs.
    #[error("cannot ask the switch: {0}")]
    Start(io::Error),
}

impl ClientError {
    /// The key that the switch found wrong.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Refused { key, .. } => key.as_deref(),
            _ => None,
        }
    }

    /// The HTTP status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}
