//! The asking side.

use std::{
    io,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::de::DeserializeOwned;
use thiserror::Error;

use super::{Refused, Request};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most bytes of an answer.
const MAX_ANSWER: u64 = 64 << 20;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no switch answers at {path} ({error}); is it running with another --rundir?", path = path.display())]
    NoDaemon {
        /// The control socket.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// The connection failed.
    #[error("the switch at {path} did not answer: {error}", path = path.display())]
    Failed {
        /// The control socket.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// The answer is none of ours.
    #[error(
        "the switch gave an answer that this program does not understand ({0}); are both of one version?"
    )]
    NotUnderstood(serde_json::Error),
    /// The switch refused.
    #[error("the switch refused: {0}")]
    Refused(String),
}

/// Asks the switch behind a control socket.
///
/// # Errors
/// If there is none, it does not answer in time, it refuses, or its answer is not a `T`.
pub fn ask<T: DeserializeOwned>(path: &Path, request: Request) -> Result<T, AskError> {
    let answer = exchange(path, request)?;
    serde_json::from_slice(&answer).map_err(|error| match serde_json::from_slice(&answer) {
        Ok(Refused { error }) => AskError::Refused(error),
        Err(_) => AskError::NotUnderstood(error),
    })
}

fn exchange(path: &Path, request: Request) -> Result<Vec<u8>, AskError> {
    let failed = |error| AskError::Failed { path: path.to_owned(), error };
    let mut socket = UnixStream::connect(path)
        .map_err(|error| AskError::NoDaemon { path: path.to_owned(), error })?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    socket.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut line = serde_json::to_vec(&request).map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    socket.write_all(&line).map_err(failed)?;
    let mut answer = Vec::new();
    socket.take(MAX_ANSWER).read_to_end(&mut answer).map_err(failed)?;
    Ok(answer)
}
