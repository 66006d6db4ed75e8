//! The routes for machines that look after the switch.

use std::sync::OnceLock;

use axum::{
    body::Bytes,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{
    answer::{Answer, Failure, JSON, METRICS, TEXT, with_type},
    call::Call,
    responses::Reading,
};
use crate::metrics;

/// Metrics for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "service", operation_id = "get_metrics",
    responses((status = 200, description = "In the text format of Prometheus.", body = String, content_type = "text/plain"), Reading))]
pub(super) async fn metrics(call: Call) -> Answer {
    call.words(&[])?;
    let text = call.read(|control| Ok(metrics::render(&control.status()))).await?;
    Ok(with_type(StatusCode::OK, METRICS, text))
}

/// Whether the daemon lives
///
/// It answers even while a long change is made.
#[utoipa::path(get, path = "/healthz", tag = "service", operation_id = "get_health",
    responses((status = 200, description = "It does: `ok`.", body = String, content_type = "text/plain")))]
pub(super) async fn health() -> Response {
    with_type(StatusCode::OK, TEXT, "ok\n")
}

/// Whether it forwards
///
/// It does not until all that it was started with is open.
#[utoipa::path(get, path = "/readyz", tag = "service", operation_id = "get_readiness",
    responses((status = 200, description = "It does: `ready`.", body = String, content_type = "text/plain"), Reading))]
pub(super) async fn readiness(call: Call) -> Response {
    if call.api.control.is_ready() {
        return with_type(StatusCode::OK, TEXT, "ready\n");
    }
    Failure::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the switch is not ready: it is starting or ending",
    )
    .into_response()
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "service", operation_id = "get_openapi",
    responses((status = 200, description = "OpenAPI 3.1.", body = serde_json::Value)))]
pub(super) async fn document() -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| super::document_text().into());
    with_type(StatusCode::OK, JSON, document.clone())
}
