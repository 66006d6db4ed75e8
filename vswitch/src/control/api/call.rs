//! One request: what it asks for beside its body, and how the switch is asked for it.

use std::{
    hash::{DefaultHasher, Hasher},
    sync::Arc,
};

use axum::{
    extract::{FromRequestParts, Path},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::{Api, answer::Failure};
use crate::{
    config::{Config, plan::Change},
    control::{Control, Refusal, server::Busy, server::Place, server::limits::MAX_CALLS},
};

/// Who may ask the switch at this moment. One thread is for changes, which wait for each other anyway: a long one
/// does not keep those who only look from theirs.
#[derive(Debug)]
pub(super) struct Turns {
    change: Arc<Semaphore>,
    read: Arc<Semaphore>,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            change: Arc::new(Semaphore::new(1)),
            read: Arc::new(Semaphore::new(MAX_CALLS.saturating_sub(1).max(1))),
        }
    }
}

/// A request without its body.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) api: Api,
    place: Option<Place>,
    query: Vec<(String, String)>,
    headers: HeaderMap,
}

impl FromRequestParts<Api> for Call {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        let query = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| Failure::bad(format!("the query is not understood: {error}")))?;
        Ok(Self {
            api: api.clone(),
            place: parts.extensions.get().cloned(),
            query: query.0,
            headers: parts.headers.clone(),
        })
    }
}

/// The `{name}` of a path.
pub(super) struct Name(pub(super) String);

impl FromRequestParts<Api> for Name {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        match Path::from_request_parts(parts, api).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(error) => Err(Failure::bad(format!("the name is not understood: {error}"))),
        }
    }
}

impl Call {
    /// The query, of these keys and no others.
    pub(super) fn words(&self, known: &[&str]) -> Result<Words<'_>, Failure> {
        for (key, _) in &self.query {
            if !known.contains(&key.as_str()) {
                let these = match known {
                    [] => "it takes none".to_owned(),
                    known => format!("the keys are {}", known.join(", ")),
                };
                return Err(Failure::bad(format!("'{key}' is no key of this query; {these}"))
                    .key(key.as_str()));
            }
        }
        Ok(Words(&self.query))
    }

    /// All keys of the query with their values, in order.
    pub(super) fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// What a header says, if it is text.
    pub(super) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Keeps the connection's place until it is dropped.
    pub(super) fn busy(&self) -> Option<Busy> {
        self.place.as_ref().map(Place::busy)
    }

    /// Asks the switch for something that changes nothing.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn Control) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.on_a_thread(&self.api.turns.read, ask).await
    }

    /// Asks the switch for something that waits for changes under way. Only one does so at a time: those who look find
    /// a thread all the same.
    pub(super) async fn alone<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn Control) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.on_a_thread(&self.api.turns.change, ask).await
    }

    async fn on_a_thread<T: Send + 'static>(
        &self,
        turns: &Arc<Semaphore>,
        ask: impl FnOnce(&dyn Control) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let _busy = self.busy();
        // It fails only if it were closed, which nobody does.
        let turn = Arc::clone(turns).acquire_owned().await.ok();
        let control = Arc::clone(&self.api.control);
        let asked = tokio::task::spawn_blocking(move || {
            let answer = ask(control.as_ref());
            // Given back here and not by who waits, who may be gone before the switch is done.
            drop(turn);
            answer
        });
        match asked.await {
            Ok(answer) => answer,
            Err(error) => Err(Failure::of_a_thread(&error)),
        }
    }

    /// Changes the configuration, unless the query asks for a dry run or the request for another version.
    pub(super) async fn change(
        &self,
        dry_run: bool,
        mut edit: impl FnMut(&mut Config) -> Result<(), Failure> + Send + 'static,
    ) -> Result<Vec<Change>, Failure> {
        self.alone(move |control| {
            // What the closure says is more than what a refusal can.
            let mut failure = None;
            let changed = control.change(dry_run, &mut |config| {
                edit(config).map_err(|said| {
                    let refusal = Refusal::Failed(said.problem.error.clone());
                    failure = Some(said);
                    refusal
                })
            });
            changed.map_err(|refusal| failure.unwrap_or_else(|| refusal.into()))
        })
        .await
    }

    /// What the request says of the version that it wants to change.
    pub(super) fn condition(&self) -> Result<Condition, Failure> {
        let Some(value) = self.headers.get(header::IF_MATCH) else { return Ok(Condition(None)) };
        let wrong = || {
            let sentence = "the header if-match is not understood: it has the etag of an answer, quotes included, or *";
            Failure::bad(sentence).key("if-match")
        };
        let text = value.to_str().map_err(|_| wrong())?;
        let tags: Vec<_> = text.split(',').map(|tag| tag.trim().to_owned()).collect();
        let fits = |tag: &String| {
            tag == "*" || tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"')
        };
        if tags.iter().all(fits) { Ok(Condition(Some(tags))) } else { Err(wrong()) }
    }
}

/// The keys and values of a query.
pub(super) struct Words<'a>(&'a [(String, String)]);

impl<'a> Words<'a> {
    /// The value of a key that is given once at most.
    pub(super) fn one(&self, key: &str) -> Result<Option<&'a str>, Failure> {
        let mut values = self.all(key);
        let value = values.next();
        if values.next().is_some() {
            return Err(Failure::bad(format!("'{key}' is given twice")).key(key));
        }
        Ok(value)
    }

    /// The values of a key that may be given several times.
    pub(super) fn all(&self, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let key = key.to_owned();
        self.0.iter().filter(move |(found, _)| *found == key).map(|(_, value)| value.as_str())
    }

    /// Whether a key is there, or says `true`.
    pub(super) fn is_set(&self, key: &str) -> Result<bool, Failure> {
        match self.one(key)? {
            None | Some("false") => Ok(false),
            Some("" | "true") => Ok(true),
            Some(other) => {
                Err(Failure::bad(format!("'{other}' is neither true nor false")).key(key))
            }
        }
    }
}

/// The versions that a change is meant for; any if there is none.
#[derive(Clone, Debug)]
pub(super) struct Condition(Option<Vec<String>>);

impl Condition {
    /// Whether what is about to be changed is what the client saw.
    pub(super) fn check(&self, what: &str, now: &impl Serialize) -> Result<(), Failure> {
        let Some(tags) = &self.0 else { return Ok(()) };
        let now = version(now);
        if tags.iter().any(|tag| tag == "*" || *tag == now) {
            return Ok(());
        }
        let sentence = format!(
            "{what} is no longer as it was when you saw it: look again, and change what is there now"
        );
        Err(Failure::new(StatusCode::PRECONDITION_FAILED, sentence).key("if-match"))
    }
}

/// What tells one state of something from another while the daemon lives: the value of an `etag`.
pub(super) fn version(of: &impl Serialize) -> String {
    let mut hasher = DefaultHasher::new();
    // What cannot be written is not answered either.
    hasher.write(&serde_json::to_vec(of).unwrap_or_default());
    format!("\"{:016x}\"", hasher.finish())
}

/// The header that goes with an answer that shows `of`.
pub(super) fn etag(of: &impl Serialize) -> [(header::HeaderName, HeaderValue); 1] {
    let value = HeaderValue::from_str(&version(of));
    [(header::ETAG, value.unwrap_or(HeaderValue::from_static("\"\"")))]
}
