//! The body of a request: received within its bounds, and read.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, Method, StatusCode, header},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use tokio::time::timeout;

use super::{Api, answer::Failure, json};
use crate::control::server::limits::LARGE_BODY;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON; with PATCH a merge patch (RFC 7396).
    Json,
    /// TOML, as in a configuration file.
    Toml,
}

/// A body that has been received.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) format: Format,
    pub(super) bytes: Bytes,
}

impl FromRequest<Api> for Document {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        let format = format(request.method(), request.headers())?;
        let bytes = receive(request, api).await?;
        Ok(Self { format, bytes })
    }
}

impl Document {
    /// Reads a large document on a thread that others do not wait for.
    pub(super) async fn read<T: Send + 'static>(
        self,
        read: impl FnOnce(&Self) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        if self.bytes.len() <= LARGE_BODY {
            return read(&self);
        }
        match tokio::task::spawn_blocking(move || read(&self)).await {
            Ok(read) => read,
            Err(error) => Err(Failure::of_a_thread(&error)),
        }
    }

    /// Reads it where only JSON is understood.
    pub(super) async fn json(self) -> Result<Value, Failure> {
        if self.format != Format::Json {
            return Err(unsupported("send JSON here, with 'content-type: application/json'"));
        }
        self.read(|document| json::read(&document.bytes)).await
    }
}

/// How a body is written, by its header. It must be there: a page in somebody's browser can make the browser send
/// a body, but not one of these types.
fn format(method: &Method, headers: &HeaderMap) -> Result<Format, Failure> {
    if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(unsupported("send the body as it is, without 'content-encoding'"));
    }
    let value = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let Some(value) = value else {
        let sentence = "the body's type is missing: send 'content-type: application/json'";
        return Err(unsupported(sentence));
    };
    let mut parts = value.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_utf8 = parts.all(|part| part.is_empty() || part.eq_ignore_ascii_case("charset=utf-8"));
    match kind.as_str() {
        "application/json" if is_utf8 => Ok(Format::Json),
        "application/merge-patch+json" if is_utf8 && *method == Method::PATCH => Ok(Format::Json),
        "application/toml" if is_utf8 => Ok(Format::Toml),
        _ => Err(unsupported(&format!(
            "a body of type '{value}' is not understood: send 'content-type: application/json', or application/toml for a whole configuration"
        ))),
    }
}

fn unsupported(sentence: &str) -> Failure {
    Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence).key("content-type")
}

/// Receives a body.
async fn receive(request: Request, api: &Api) -> Result<Bytes, Failure> {
    let most = api.limits.body;
    let too_large = || {
        let sentence = format!("the body is too large: at most {most} bytes are read");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, sentence)
    };
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    // Many large bodies at once are more memory than a switch should need.
    let _turn = if declared.is_some_and(|length| length <= LARGE_BODY as u64) {
        None
    } else {
        // It fails only if it were closed, which nobody does.
        api.large_bodies.acquire().await.ok()
    };
    let body = Limited::new(request.into_body(), most);
    match timeout(api.limits.body_time, body.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(Failure::bad(format!("the body did not arrive whole: {error}"))),
        Err(_) => {
            let seconds = api.limits.body_time.as_secs();
            let sentence = format!("the body did not arrive within {seconds} s");
            Err(Failure::new(StatusCode::REQUEST_TIMEOUT, sentence))
        }
    }
}
