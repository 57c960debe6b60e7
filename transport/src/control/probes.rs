//! What whoever watches a server asks: whether it lives, whether it takes work, and its numbers.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use serde_json::json;

use crate::node::Node;

/// The media type of OpenMetrics' text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// These endpoints stand beside the control API: nothing that drives a server needs them.
pub(super) fn router() -> Router<Node> {
    Router::new().route("/health", get(health)).route("/ready", get(ready)).route("/metrics", get(metrics))
}

/// The server lives, or there would be no answer.
async fn health() -> Response {
    answer(StatusCode::OK, &json!({"status": "alive"}))
}

/// 200 if the server takes work, 503 with the reason otherwise.
async fn ready(State(node): State<Node>) -> Response {
    match node.ready().await {
        Ok(()) => answer(StatusCode::OK, &json!({"status": "ready"})),
        Err(why) => {
            tracing::warn!(%why, "not ready");
            answer(
                StatusCode::SERVICE_UNAVAILABLE,
                &json!({"status": "not ready", "reason": why.to_string()}),
            )
        }
    }
}

async fn metrics(State(node): State<Node>) -> Response {
    match node.scrape().await {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the queues cannot be counted");
            answer(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "failed", "reason": error.to_string()}))
        }
    }
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
