//! The routes of the configuration as a whole.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use serde_json::Value;

use super::{
    answer::{Answer, Failure, TOML, json, with_type},
    body::{Document, Format},
    call::{Call, etag},
    json,
    responses::{Changing, Reading},
};
use crate::{
    config::{Config, file},
    control::object::Changes,
};

/// The running configuration
///
/// As JSON, or as a file for `strowger run` with `accept: application/toml`.
#[utoipa::path(get, path = "/v1/config", tag = "config", operation_id = "get_config",
    params(("accept" = Option<String>, Header, description = "`application/toml` for a file.")),
    responses((status = 200, description = "The configuration.", content((Config = "application/json"), (String = "application/toml")), headers(("etag" = String, description = "For `if-match`."))), Reading))]
pub(super) async fn show(call: Call) -> Answer {
    call.words(&[])?;
    let wants_toml = call.header(header::ACCEPT).is_some_and(|accept| accept.contains(TOML));
    let shown = call.read(move |control| {
        let config = control.config();
        let mut answer = if wants_toml {
            with_type(StatusCode::OK, TOML, file::write(&config))
        } else {
            json(StatusCode::OK, &config)?
        };
        answer.headers_mut().extend(etag(&config).map(|(name, value)| (Some(name), value)));
        Ok(answer)
    });
    shown.await
}

/// Replace the configuration
///
/// The switch becomes what the body says; only what differs is touched. If anything is wrong, nothing changes.
#[utoipa::path(put, path = "/v1/config", tag = "config", operation_id = "put_config",
    params(("dry-run" = Option<bool>, Query, description = "Only say what would be done."), ("if-match" = Option<String>, Header, description = "Change it only if its `etag` is still this.")),
    request_body(content((Config = "application/json"), (String = "application/toml")), description = "All of it, as JSON or as a configuration file."),
    responses((status = 200, description = "What was done.", body = Changes), Changing))]
pub(super) async fn replace(call: Call, body: Document) -> Answer {
    let dry_run = call.words(&["dry-run"])?.is_set("dry-run")?;
    let condition = call.condition()?;
    let wanted = Arc::new(body.read(read).await?);
    let changes = call.change(dry_run, move |running| {
        condition.check("the configuration", running)?;
        running.clone_from(&wanted);
        Ok(())
    });
    json(StatusCode::OK, &Changes { dry_run, changes: changes.await? })
}

fn read(body: &Document) -> Result<Config, Failure> {
    match body.format {
        Format::Json => {
            let value: Value = json::read(&body.bytes)?;
            Ok(Config::from_json(&value)?)
        }
        Format::Toml => {
            let text = std::str::from_utf8(&body.bytes)
                .map_err(|error| Failure::bad(format!("the body is no UTF-8 text: {error}")))?;
            file::read(text).map_err(|error| {
                let failure = Failure::bad(error.to_string());
                if error.key.is_empty() { failure } else { failure.key(error.key) }
            })
        }
    }
}
