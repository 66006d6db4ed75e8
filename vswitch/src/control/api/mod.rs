//! What the API answers: its routes, and the document that describes them.
//!
//! Every handler reads its query, its headers and its body first, then asks the switch on a thread of its own
//! ([`call`]); whatever is wrong is a [`Problem`](answer::Problem) in JSON, and nothing has changed then.

mod answer;
mod body;
mod bridges;
mod call;
mod capture;
mod config;
mod json;
mod mirrors;
mod objects;
mod ports;
mod responses;
mod service;
mod state;

use std::{future::Future, pin::Pin, sync::Arc};

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware::{self, Next},
};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, Paths, tag::TagBuilder},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Control,
    server::limits::{Limits, MAX_LARGE_BODIES},
};
pub use answer::Problem;
use call::Turns;
pub use state::{Flushed, LogLevel, Workers};

/// What answers have in their header `server`, so that a client knows whom it talks to.
pub(super) const SERVER: &str = concat!("strowger/", env!("CARGO_PKG_VERSION"));

/// Resolves when the server stops.
type Stopping = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What all handlers share.
#[derive(Clone)]
struct Api {
    control: Arc<dyn Control>,
    limits: Limits,
    turns: Arc<Turns>,
    large_bodies: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
}

impl Api {
    fn stopping(&self) -> Stopping {
        let mut stopped = self.stopped.clone();
        Box::pin(async move {
            // It fails when the sender is gone, which is the end as well.
            let _ended = stopped.wait_for(|stopped| *stopped).await;
        })
    }
}

/// All routes, answering for `control`.
pub(super) fn router(
    control: Arc<dyn Control>,
    limits: Limits,
    stopped: watch::Receiver<bool>,
) -> Router {
    let api = Api {
        control,
        limits,
        turns: Arc::new(Turns::new()),
        large_bodies: Arc::new(Semaphore::new(MAX_LARGE_BODIES)),
        stopped,
    };
    let (router, _) = described().split_for_parts();
    router
        .fallback(answer::no_such_path)
        .method_not_allowed_fallback(answer::no_such_method)
        .layer(middleware::from_fn(sign))
        .with_state(api)
}

/// The document, as it is served.
#[must_use]
pub fn document_text() -> String {
    let (_, document) = described().split_for_parts();
    // Maps with text as keys, all of them: it can be written.
    let mut document = serde_json::to_value(document).unwrap_or_default();
    tidy(&mut document);
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

/// Where a key's type is shown in place, utoipa says that it has to be of that type and an object: what is meant is
/// that type with what is said of the key. A default of null says nothing.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(tidy),
        Value::Object(object) => {
            object.values_mut().for_each(tidy);
            object.retain(|key, value| key != "default" || !value.is_null());
            let Some([Value::Object(kind), Value::Object(key)]) =
                object.get("allOf").and_then(Value::as_array).map(Vec::as_slice)
            else {
                return;
            };
            let only_says = ["type", "description", "default", "examples"];
            if key.keys().all(|word| only_says.contains(&word.as_str())) {
                let mut kind = kind.clone();
                let says = key.iter().filter(|(word, _)| *word != "type");
                kind.extend(says.map(|(word, said)| (word.clone(), said.clone())));
                *object = kind;
            }
        }
        _ => {}
    }
}

fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(head())
        .routes(routes!(state::status))
        .routes(routes!(config::show, config::replace))
        .routes(routes!(bridges::list, bridges::create))
        .routes(routes!(bridges::show, bridges::change, bridges::remove))
        .routes(routes!(ports::list, ports::create))
        .routes(routes!(ports::show, ports::change, ports::remove))
        .routes(routes!(mirrors::list, mirrors::create))
        .routes(routes!(mirrors::show, mirrors::change, mirrors::remove))
        .routes(routes!(state::stations, state::flush))
        .routes(routes!(state::drops))
        .routes(routes!(state::workers))
        .routes(routes!(state::log, state::set_log))
        .routes(routes!(capture::capture))
        .routes(routes!(service::metrics))
        .routes(routes!(service::health))
        .routes(routes!(service::readiness))
        .routes(routes!(service::document))
}

fn head() -> OpenApi {
    let about = "How a running switch is asked and changed: by the UNIX socket `control.sock` in its run directory, \
        or by TCP with TLS and a client certificate where the configuration says `api.listen`.\n\n\
        Every error is a `Problem`; a request that failed has changed nothing. Requests that change something take \
        effect before their answer comes, one after the other, each as a whole.";
    let info = InfoBuilder::new()
        .title("Strowger")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(about))
        .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").build()))
        .build();
    let tags = [
        ("state", "What the switch does."),
        ("config", "What it is told to be, as a whole."),
        ("bridges", "Bridges, one by one."),
        ("ports", "Ports, one by one."),
        ("mirrors", "Mirrors, one by one."),
        ("stations", "What bridges have learned."),
        ("capture", "Frames, as they come and go."),
        ("log", "What the daemon says of itself."),
        ("service", "For machines that look after it."),
    ];
    let tags = tags.map(|(name, description)| {
        TagBuilder::new().name(name).description(Some(description)).build()
    });
    let mut document = OpenApi::new(info, Paths::new());
    document.tags = Some(tags.into());
    let problem = ComponentsBuilder::new().schema(Problem::name(), Problem::schema());
    document.components = Some(problem.build());
    document
}

/// Says who answers.
async fn sign(request: axum::extract::Request, next: Next) -> axum::response::Response {
    let mut answer = next.run(request).await;
    answer.headers_mut().insert(header::SERVER, HeaderValue::from_static(SERVER));
    answer
}
