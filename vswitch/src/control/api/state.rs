//! The routes of what the switch does and remembers.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    answer::{Answer, Failure, json},
    body::Document,
    call::Call,
    responses::{Changing, Reading},
};
use crate::control::{Drop, Queue, Station, Status, Worker};

/// What forwards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Workers {
    /// One for each forwarding core.
    pub workers: Vec<Worker>,
    /// The rx queues that they poll.
    pub queues: Vec<Queue>,
}

/// What was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Flushed {
    /// Stations that were remembered.
    pub stations: usize,
}

/// What is logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogLevel {
    /// `off`, `error`, `warn`, `info`, `debug` or `trace`, also by module as in `info,strowger_vhost=debug`.
    #[schema(example = "info,strowger_vhost=debug")]
    pub level: String,
}

/// Everything at this moment
///
/// Counters only grow while the daemon lives: who wants rates asks twice.
#[utoipa::path(get, path = "/v1/status", tag = "state", operation_id = "get_status",
    responses((status = 200, description = "The state.", body = Status), Reading))]
pub(super) async fn status(call: Call) -> Answer {
    call.words(&[])?;
    call.read(|control| json(StatusCode::OK, &control.status())).await
}

/// Frames dropped, by port and reason
///
/// Each with what the reason means and what to do.
#[utoipa::path(get, path = "/v1/drops", tag = "state", operation_id = "list_drops",
    params(("port" = Option<String>, Query, description = "Only those of this port.")),
    responses((status = 200, description = "What was dropped, if anything.", body = Vec<Drop>), Reading))]
pub(super) async fn drops(call: Call) -> Answer {
    let port = call.words(&["port"])?.one("port")?.map(ToOwned::to_owned);
    let drops = call.read(move |control| {
        let mut status = control.status();
        if let Some(port) = port {
            status.ports.retain(|found| found.name == port);
            if status.ports.is_empty() {
                return Err(no_port(&port));
            }
        }
        json(StatusCode::OK, &status.drops())
    });
    drops.await
}

/// The workers and their queues
#[utoipa::path(get, path = "/v1/workers", tag = "state", operation_id = "list_workers",
    responses((status = 200, description = "What forwards.", body = Workers), Reading))]
pub(super) async fn workers(call: Call) -> Answer {
    call.words(&[])?;
    let workers = call.read(|control| {
        let Status { workers, queues, .. } = control.status();
        json(StatusCode::OK, &Workers { workers, queues })
    });
    workers.await
}

/// Stations that bridges remember
#[utoipa::path(get, path = "/v1/stations", tag = "stations", operation_id = "list_stations",
    params(("bridge" = Option<String>, Query, description = "Only those of this bridge."), ("port" = Option<String>, Query, description = "Only those behind this port.")),
    responses((status = 200, description = "The stations.", body = Vec<Station>), Reading))]
pub(super) async fn stations(call: Call) -> Answer {
    let (bridge, port) = place(&call)?;
    let stations = call.read(move |control| {
        if let Some(port) = &port
            && !control.config().ports.contains_key(port)
        {
            return Err(no_port(port));
        }
        let mut stations = control.stations(bridge.as_deref())?;
        if let Some(port) = port {
            stations.retain(|station| station.port == port);
        }
        json(StatusCode::OK, &stations)
    });
    stations.await
}

/// Forget stations
///
/// They are learned anew from their next frame; until then what is sent to them is flooded.
#[utoipa::path(delete, path = "/v1/stations", tag = "stations", operation_id = "flush_stations",
    params(("bridge" = Option<String>, Query, description = "Only those of this bridge."), ("port" = Option<String>, Query, description = "Only those behind this port.")),
    responses((status = 200, description = "How many there were.", body = Flushed), Changing))]
pub(super) async fn flush(call: Call) -> Answer {
    let (bridge, port) = place(&call)?;
    let flushed = call.read(move |control| {
        let stations = control.flush_stations(bridge.as_deref(), port.as_deref())?;
        json(StatusCode::OK, &Flushed { stations })
    });
    flushed.await
}

/// What is logged
#[utoipa::path(get, path = "/v1/log", tag = "log", operation_id = "get_log",
    responses((status = 200, description = "The level.", body = LogLevel), Reading))]
pub(super) async fn log(call: Call) -> Answer {
    call.words(&[])?;
    call.read(|control| json(StatusCode::OK, &LogLevel { level: control.log_level() })).await
}

/// Log something else
///
/// From now on, until the daemon ends or is told again; the configuration keeps its own word.
#[utoipa::path(put, path = "/v1/log", tag = "log", operation_id = "put_log",
    request_body(content = LogLevel, description = "The level."),
    responses((status = 200, description = "The level now.", body = LogLevel), Changing))]
pub(super) async fn set_log(call: Call, body: Document) -> Answer {
    call.words(&[])?;
    let wanted: LogLevel = serde_json::from_value(body.json().await?).map_err(|error| {
        Failure::bad(format!("the body has to be {{\"level\": \"info\"}}, for example: {error}"))
            .key("level")
    })?;
    let set = call.read(move |control| {
        control.set_log_level(&wanted.level)?;
        json(StatusCode::OK, &LogLevel { level: control.log_level() })
    });
    set.await
}

/// The bridge and the port of a query.
fn place(call: &Call) -> Result<(Option<String>, Option<String>), Failure> {
    let words = call.words(&["bridge", "port"])?;
    let [bridge, port] = [words.one("bridge")?, words.one("port")?];
    Ok((bridge.map(ToOwned::to_owned), port.map(ToOwned::to_owned)))
}

fn no_port(name: &str) -> Failure {
    let sentence = format!(
        "there is no port {}; `strowger port list` shows those that there are",
        name.escape_debug()
    );
    Failure::new(StatusCode::NOT_FOUND, sentence).key("port")
}
