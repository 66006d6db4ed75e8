//! The routes of mirrors.

use super::{
    answer::Answer,
    body::Document,
    call::{Call, Name},
    objects,
    responses::{Changing, Reading},
};
use crate::{
    config::MirrorConfig,
    control::object::{Changes, MirrorItem, MirrorPatch, NewMirror},
};

/// All mirrors
///
/// In the order of the configuration, each with its keys and its state.
#[utoipa::path(get, path = "/v1/mirrors", tag = "mirrors", operation_id = "list_mirrors",
    responses((status = 200, description = "All mirrors.", body = Vec<MirrorItem>), Reading))]
pub(super) async fn list(call: Call) -> Answer {
    objects::list::<MirrorConfig>(call).await
}

/// One mirror
///
/// The `etag` of the answer is that of its keys alone; its state may change under the same one.
#[utoipa::path(get, path = "/v1/mirrors/{name}", tag = "mirrors", operation_id = "get_mirror",
    params(("name" = String, Path, description = "The mirror's name.")),
    responses((status = 200, description = "The mirror.", body = MirrorItem, headers(("etag" = String, description = "For `if-match`."))), Reading))]
pub(super) async fn show(call: Call, name: Name) -> Answer {
    objects::show::<MirrorConfig>(call, name).await
}

/// Add a mirror
///
/// What is changed takes effect before the answer comes.
#[utoipa::path(post, path = "/v1/mirrors", tag = "mirrors", operation_id = "add_mirror",
    params(("dry-run" = Option<bool>, Query, description = "Only say what would be done.")),
    request_body(content = NewMirror, description = "Its name and its keys."),
    responses((status = 201, description = "It was made; `location` has its path.", body = Changes), (status = 200, description = "It would be made (a dry run).", body = Changes), Changing))]
pub(super) async fn create(call: Call, body: Document) -> Answer {
    objects::create::<MirrorConfig>(call, body).await
}

/// Change a mirror
///
/// Only the keys that are sent change; null takes one away.
#[utoipa::path(patch, path = "/v1/mirrors/{name}", tag = "mirrors", operation_id = "change_mirror",
    params(("name" = String, Path, description = "The mirror's name."), ("dry-run" = Option<bool>, Query, description = "Only say what would be done."), ("if-match" = Option<String>, Header, description = "Change it only if its `etag` is still this.")),
    request_body(content = MirrorPatch, description = "The keys that change. `application/merge-patch+json` is understood as well."),
    responses((status = 200, description = "What was done.", body = Changes), Changing))]
pub(super) async fn change(call: Call, name: Name, body: Document) -> Answer {
    objects::change::<MirrorConfig>(call, name, body).await
}

/// Remove a mirror
///
/// Copies end with it.
#[utoipa::path(delete, path = "/v1/mirrors/{name}", tag = "mirrors", operation_id = "remove_mirror",
    params(("name" = String, Path, description = "The mirror's name."), ("dry-run" = Option<bool>, Query, description = "Only say what would be done."), ("if-match" = Option<String>, Header, description = "Remove it only if its `etag` is still this.")),
    responses((status = 200, description = "What was done.", body = Changes), Changing))]
pub(super) async fn remove(call: Call, name: Name) -> Answer {
    objects::remove::<MirrorConfig>(call, name).await
}
