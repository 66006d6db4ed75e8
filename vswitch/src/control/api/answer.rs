//! Answers and what clients are told when there is none.

use axum::{
    body::Body,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{config::ConfigError, control::Refusal};

/// What a handler has.
pub(super) type Answer = Result<Response, Failure>;

/// Why a request was not answered. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What is wrong, and what to do, in a sentence.
    pub error: String,
    /// The key of the configuration, of the body or of the query that is wrong.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(example = "ports.vm1.tag")]
    pub key: Option<String>,
}

/// A [`Problem`] and its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) problem: Problem,
}

impl Failure {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, problem: Problem { error: error.into(), key: None } }
    }

    pub(super) fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// For what a thread did not finish.
    pub(super) fn of_a_thread(error: &tokio::task::JoinError) -> Self {
        if error.is_panic() {
            tracing::error!("an answer of the API ended by a panic: {error}");
            let sentence = "the switch failed where it should not; its log says where";
            return Self::new(StatusCode::INTERNAL_SERVER_ERROR, sentence);
        }
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the switch is ending")
    }

    pub(super) fn key(mut self, key: impl Into<String>) -> Self {
        self.problem.key = Some(key.into());
        self
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let failure = Self::bad(error.to_string());
        if error.key.is_empty() { failure } else { failure.key(error.key) }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status());
        Self {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            problem: Problem {
                key: refusal.key().map(ToOwned::to_owned),
                error: refusal.to_string(),
            },
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.problem).unwrap_or_default();
        with_type(self.status, JSON, body)
    }
}

pub(super) const JSON: &str = "application/json";
pub(super) const TOML: &str = "application/toml";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
/// As Prometheus calls its text format.
pub(super) const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// As registered for pcapng.
pub(super) const PCAPNG: &str = "application/x-pcapng";

/// A body with its type. Answers show a moment: nobody may keep them.
pub(super) fn with_type(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body.into()).into_response()
}

/// A document as JSON.
pub(super) fn json(status: StatusCode, document: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(document).map_err(|error| {
        let sentence = format!("the answer cannot be written: {error}");
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, sentence)
    })?;
    Ok(with_type(status, JSON, body))
}

/// For a path that leads nowhere.
pub(super) async fn no_such_path(uri: Uri) -> Failure {
    let path = uri.path();
    let sentence = format!("there is nothing at {path}; /openapi.json lists what there is");
    Failure::new(StatusCode::NOT_FOUND, sentence)
}

/// For a path that does not do what it is asked for. Which methods it has is in the header `allow`.
pub(super) async fn no_such_method(method: Method, uri: Uri) -> Failure {
    let path = uri.path();
    let sentence = format!("{path} has no {method}; /openapi.json lists what there is");
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, sentence)
}
