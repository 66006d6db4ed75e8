//! The asking side: requests to a running switch, over its socket or by TLS, for callers that wait.
//!
//! A connection carries one request. Errors are sentences for the person at the terminal: whether there is a
//! switch, whether they may talk to it, what it refused.

mod connect;
mod error;

use std::{
    future::Future,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::runtime::{Builder, Runtime};

use super::api::{Problem, SERVER};
use connect::Target;
pub use error::ClientError;

/// How long an answer may take to begin: a change of very many ports takes its time.
const ANSWER_TIME: Duration = Duration::from_secs(180);
/// How long an answer that has begun may pause, if it is not a stream.
const PAUSE_TIME: Duration = Duration::from_secs(30);
/// The most bytes of an answer that is kept whole.
const MAX_ANSWER: usize = 256 << 20;

/// Someone who can ask a switch. Nothing is connected until it is.
#[derive(Clone, Debug)]
pub struct Client {
    target: Target,
}

/// An answer that goes on until the switch ends it. Dropping it ends the connection.
#[derive(Debug)]
pub struct Stream {
    runtime: Runtime,
    body: Incoming,
    rest: Bytes,
    place: String,
}

/// A body to be sent.
#[derive(Clone, Debug)]
enum Body {
    None,
    Json(Vec<u8>),
    Toml(String),
}

impl Client {
    /// A switch on this machine, by its control socket.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self { target: Target::Unix(path.into()) }
    }

    /// A switch at `HOST:PORT`, known by a certificate of the authority in `ca`; it knows us by ours.
    ///
    /// # Errors
    /// If the address or one of the files is not what it should be.
    pub fn tls(
        address: &str,
        ca: &Path,
        certificate: &Path,
        key: &Path,
    ) -> Result<Self, ClientError> {
        Ok(Self { target: Target::tls(address, ca, certificate, key)? })
    }

    /// Asks for what is at a path, as in `/v1/status`.
    ///
    /// # Errors
    /// If nobody answers, the switch refuses, or the answer is no `T`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.answer(Method::GET, path, Body::None)
    }

    /// Asks for a text, such as `/metrics`.
    ///
    /// # Errors
    /// If nobody answers, or the switch refuses.
    pub fn text(&self, path: &str) -> Result<String, ClientError> {
        let (_, bytes) = self.exchange(Method::GET, path, Body::None)?;
        String::from_utf8(bytes.into()).map_err(|error| self.strange("", &error))
    }

    /// Asks for a change with a body.
    ///
    /// # Errors
    /// If nobody answers, the switch refuses, or the answer is no `T`. After a refusal nothing has changed; if the
    /// connection was lost, look.
    pub fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body =
            serde_json::to_vec(body).map_err(|error| ClientError::Unwritten(error.to_string()))?;
        self.answer(method, path, Body::Json(body))
    }

    /// Asks for a change with a configuration file's text.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn send_toml<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        text: &str,
    ) -> Result<T, ClientError> {
        self.answer(method, path, Body::Toml(text.to_owned()))
    }

    /// Asks for a change without a body.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.answer(Method::DELETE, path, Body::None)
    }

    /// Asks for something that goes on, such as `/v1/capture?port=vm1`.
    ///
    /// # Errors
    /// If nobody answers, or the switch refuses.
    pub fn stream(&self, path: &str) -> Result<Stream, ClientError> {
        let runtime = runtime()?;
        let answer = runtime.block_on(self.ask(Method::GET, path, Body::None))?;
        if !answer.status().is_success() {
            let status = answer.status();
            let server = server(&answer);
            let body = runtime.block_on(self.whole(answer.into_body()))?;
            return Err(self.refusal(status, &server, &body));
        }
        let place = self.target.to_string();
        Ok(Stream { runtime, body: answer.into_body(), rest: Bytes::new(), place })
    }

    fn answer<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<T, ClientError> {
        let (server, answer) = self.exchange(method, path, body)?;
        serde_json::from_slice(&answer).map_err(|error| self.strange(&server, &error))
    }

    /// Who answered, and what.
    fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<(String, Bytes), ClientError> {
        let exchange = async {
            let answer = self.ask(method, path, body).await?;
            let (status, server) = (answer.status(), server(&answer));
            let body = self.whole(answer.into_body()).await?;
            if status.is_success() {
                Ok((server, body))
            } else {
                Err(self.refusal(status, &server, &body))
            }
        };
        runtime()?.block_on(exchange)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut connection = self.target.connect().await?;
        let kind = match &body {
            Body::None => None,
            Body::Json(_) if method == Method::PATCH => Some("application/merge-patch+json"),
            Body::Json(_) => Some("application/json"),
            Body::Toml(_) => Some("application/toml"),
        };
        let bytes = match body {
            Body::None => Bytes::new(),
            Body::Json(bytes) => bytes.into(),
            Body::Toml(text) => text.into(),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.target.host())
            .header(header::USER_AGENT, SERVER);
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(Full::new(bytes)).map_err(|error| {
            ClientError::Unwritten(format!("'{path}' is no path of the API: {error}"))
        })?;
        self.in_time(ANSWER_TIME, connection.send_request(request)).await
    }

    async fn whole(&self, mut body: Incoming) -> Result<Bytes, ClientError> {
        let mut whole = Vec::new();
        while let Some(frame) = self.next(&mut body).await? {
            let Ok(data) = frame.into_data() else { continue };
            if whole.len() + data.len() > MAX_ANSWER {
                return Err(ClientError::TooLong { place: self.target.to_string() });
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.into())
    }

    async fn next(
        &self,
        body: &mut Incoming,
    ) -> Result<Option<hyper::body::Frame<Bytes>>, ClientError> {
        let next = async { body.frame().await.transpose() };
        self.in_time(PAUSE_TIME, next).await
    }

    /// What the switch does within a time.
    async fn in_time<T>(
        &self,
        patience: Duration,
        work: impl Future<Output = Result<T, hyper::Error>>,
    ) -> Result<T, ClientError> {
        match tokio::time::timeout(patience, work).await {
            Ok(done) => done.map_err(|error| self.target.lost(&error)),
            Err(_) => Err(ClientError::Slow {
                place: self.target.to_string(),
                seconds: patience.as_secs(),
            }),
        }
    }

    fn refusal(&self, status: StatusCode, server: &str, body: &[u8]) -> ClientError {
        match serde_json::from_slice::<Problem>(body) {
            // A path that is not there is one that only the other version has.
            Ok(problem)
                if status == StatusCode::NOT_FOUND
                    && problem.error.starts_with("there is nothing at ")
                    && server != SERVER =>
            {
                self.strange(server, &problem.error)
            }
            Ok(problem) => ClientError::Refused {
                status: status.as_u16(),
                error: problem.error,
                key: problem.key,
            },
            Err(_) => self.strange(server, &format!("status {status}")),
        }
    }

    fn strange(&self, server: &str, error: &dyn std::fmt::Display) -> ClientError {
        let place = self.target.to_string();
        let error = error.to_string();
        match server.strip_prefix("strowger/") {
            Some(_) if server == SERVER => ClientError::NotUnderstood { place, error },
            Some(version) => {
                let own = env!("CARGO_PKG_VERSION");
                ClientError::OtherVersion { place, version: version.to_owned(), own, error }
            }
            None => ClientError::Stranger { place, error },
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.runtime.block_on(self.body.frame()) {
                None => return Ok(0),
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    let place = &self.place;
                    return Err(io::Error::new(
                        io::ErrorKind::ConnectionAborted,
                        format!("the connection to {place} was lost: {error}"),
                    ));
                }
            }
        }
        let taken = self.rest.split_to(buffer.len().min(self.rest.len()));
        let place = buffer.get_mut(..taken.len()).unwrap_or_default();
        place.copy_from_slice(&taken);
        Ok(taken.len())
    }
}

fn server(answer: &Response<Incoming>) -> String {
    let server = answer.headers().get(header::SERVER);
    server.and_then(|server| server.to_str().ok()).unwrap_or_default().to_owned()
}

fn runtime() -> Result<Runtime, ClientError> {
    Builder::new_current_thread().enable_io().enable_time().build().map_err(ClientError::Start)
}
