//! The routes of ports.

use super::{
    answer::Answer,
    body::Document,
    call::{Call, Name},
    objects,
    responses::{Changing, Reading},
};
use crate::{
    config::PortConfig,
    control::object::{Changes, NewPort, PortItem, PortPatch},
};

/// All ports
///
/// In the order of the configuration, each with its keys and its state.
#[utoipa::path(get, path = "/v1/ports", tag = "ports", operation_id = "list_ports",
    responses((status = 200, description = "All ports.", body = Vec<PortItem>), Reading))]
pub(super) async fn list(call: Call) -> Answer {
    objects::list::<PortConfig>(call).await
}

/// One port
///
/// The `etag` of the answer is that of its keys alone; its state may change under the same one.
#[utoipa::path(get, path = "/v1/ports/{name}", tag = "ports", operation_id = "get_port",
    params(("name" = String, Path, description = "The port's name.")),
    responses((status = 200, description = "The port.", body = PortItem, headers(("etag" = String, description = "For `if-match`."))), Reading))]
pub(super) async fn show(call: Call, name: Name) -> Answer {
    objects::show::<PortConfig>(call, name).await
}

/// Add a port
///
/// It is opened before the answer comes: a socket listens, an interface is there.
#[utoipa::path(post, path = "/v1/ports", tag = "ports", operation_id = "add_port",
    params(("dry-run" = Option<bool>, Query, description = "Only say what would be done.")),
    request_body(content = NewPort, description = "Its name and its keys."),
    responses((status = 201, description = "It was made; `location` has its path.", body = Changes), (status = 200, description = "It would be made (a dry run).", body = Changes), Changing))]
pub(super) async fn create(call: Call, body: Document) -> Answer {
    objects::create::<PortConfig>(call, body).await
}

/// Change a port
///
/// Only the keys that are sent change; null takes one away.
/// Counters and guests' connections stay, unless the kind, the socket, the interface or the queues change.
#[utoipa::path(patch, path = "/v1/ports/{name}", tag = "ports", operation_id = "change_port",
    params(("name" = String, Path, description = "The port's name."), ("dry-run" = Option<bool>, Query, description = "Only say what would be done."), ("if-match" = Option<String>, Header, description = "Change it only if its `etag` is still this.")),
    request_body(content = PortPatch, description = "The keys that change. `application/merge-patch+json` is understood as well."),
    responses((status = 200, description = "What was done.", body = Changes), Changing))]
pub(super) async fn change(call: Call, name: Name, body: Document) -> Answer {
    objects::change::<PortConfig>(call, name, body).await
}

/// Remove a port
///
/// It goes only when no mirror needs it.
#[utoipa::path(delete, path = "/v1/ports/{name}", tag = "ports", operation_id = "remove_port",
    params(("name" = String, Path, description = "The port's name."), ("dry-run" = Option<bool>, Query, description = "Only say what would be done."), ("if-match" = Option<String>, Header, description = "Remove it only if its `etag` is still this.")),
    responses((status = 200, description = "What was done.", body = Changes), Changing))]
pub(super) async fn remove(call: Call, name: Name) -> Answer {
    objects::remove::<PortConfig>(call, name).await
}
