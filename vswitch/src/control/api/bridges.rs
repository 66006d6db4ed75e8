//! The routes of bridges.

use super::{
    answer::Answer,
    body::Document,
    call::{Call, Name},
    objects,
    responses::{Changing, Reading},
};
use crate::{
    config::BridgeConfig,
    control::object::{BridgeItem, BridgePatch, Changes, NewBridge},
};

/// All bridges
///
/// In the order of the configuration, each with its keys and its state.
#[utoipa::path(get, path = "/v1/bridges", tag = "bridges", operation_id = "list_bridges",
    responses((status = 200, description = "All bridges.", body = Vec<BridgeItem>), Reading))]
pub(super) async fn list(call: Call) -> Answer {
    objects::list::<BridgeConfig>(call).await
}

/// One bridge
///
/// The `etag` of the answer is that of its keys alone; its state may change under the same one.
#[utoipa::path(get, path = "/v1/bridges/{name}", tag = "bridges", operation_id = "get_bridge",
    params(("name" = String, Path, description = "The bridge's name.")),
    responses((status = 200, description = "The bridge.", body = BridgeItem, headers(("etag" = String, description = "For `if-match`."))), Reading))]
pub(super) async fn show(call: Call, name: Name) -> Answer {
    objects::show::<BridgeConfig>(call, name).await
}

/// Add a bridge
///
/// What is changed takes effect before the answer comes.
#[utoipa::path(post, path = "/v1/bridges", tag = "bridges", operation_id = "add_bridge",
    params(("dry-run" = Option<bool>, Query, description = "Only say what would be done.")),
    request_body(content = NewBridge, description = "Its name and its keys."),
    responses((status = 201, description = "It was made; `location` has its path.", body = Changes), (status = 200, description = "It would be made (a dry run).", body = Changes), Changing))]
pub(super) async fn create(call: Call, body: Document) -> Answer {
    objects::create::<BridgeConfig>(call, body).await
}

/// Change a bridge
///
/// Only the keys that are sent change; null takes one away.
#[utoipa::path(patch, path = "/v1/bridges/{name}", tag = "bridges", operation_id = "change_bridge",
    params(("name" = String, Path, description = "The bridge's name."), ("dry-run" = Option<bool>, Query, description = "Only say what would be done."), ("if-match" = Option<String>, Header, description = "Change it only if its `etag` is still this.")),
    request_body(content = BridgePatch, description = "The keys that change. `application/merge-patch+json` is understood as well."),
    responses((status = 200, description = "What was done.", body = Changes), Changing))]
pub(super) async fn change(call: Call, name: Name, body: Document) -> Answer {
    objects::change::<BridgeConfig>(call, name, body).await
}

/// Remove a bridge
///
/// It goes only when no port and no mirror is on it.
#[utoipa::path(delete, path = "/v1/bridges/{name}", tag = "bridges", operation_id = "remove_bridge",
    params(("name" = String, Path, description = "The bridge's name."), ("dry-run" = Option<bool>, Query, description = "Only say what would be done."), ("if-match" = Option<String>, Header, description = "Remove it only if its `etag` is still this.")),
    responses((status = 200, description = "What was done.", body = Changes), Changing))]
pub(super) async fn remove(call: Call, name: Name) -> Answer {
    objects::remove::<BridgeConfig>(call, name).await
}
