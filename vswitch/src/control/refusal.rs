//! Why the switch does not do what it was asked for.

use thiserror::Error;

use crate::config::ConfigError;

/// A refusal. Nothing has changed then. Each is one HTTP status.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// What was asked for contradicts itself or cannot be (400).
    #[error("{message}")]
    Invalid {
        /// The key of the configuration or of the request that is wrong, as in `ports.vm1.tag`.
        key: Option<String>,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// What it is about is not there (404).
    #[error("{0}")]
    NotFound(String),
    /// It does not go with what there is now (409).
    #[error("{0}")]
    Conflict(String),
    /// The system would not: a port did not open, memory ran out (500).
    #[error("{0}")]
    Failed(String),
    /// The change could not be kept for the next start, and so was not made (507).
    #[error("{0}")]
    NotKept(String),
}

impl Refusal {
    /// Something wrong with a key.
    #[must_use]
    pub fn invalid(key: &str, message: impl Into<String>) -> Self {
        Self::Invalid { key: Some(key.to_owned()), message: message.into() }
    }

    /// The HTTP status that says it.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Invalid { .. } => 400,
            Self::NotFound(_) => 404,
            Self::Conflict(_) => 409,
            Self::Failed(_) => 500,
            Self::NotKept(_) => 507,
        }
    }

    /// The key that is wrong, where one is.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Invalid { key, .. } => key.as_deref(),
            _ => None,
        }
    }
}

impl From<ConfigError> for Refusal {
    fn from(error: ConfigError) -> Self {
        let message = error.to_string();
        Self::Invalid { key: Some(error.key).filter(|key| !key.is_empty()), message }
    }
}
