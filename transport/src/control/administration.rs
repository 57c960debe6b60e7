//! What an administrator tells a server that runs.

use axum::extract::State;
use serde_json::json;

use crate::api::Answer;
use crate::error::ApiError;
use crate::node::Node;

/// Puts a new signing key in the place of the one in use.
pub(super) async fn rotate_key(State(node): State<Node>) -> Result<Answer, ApiError> {
    let told = node.rotate_key(|rotation| {
        tracing::info!(new = %rotation.new.id(), old = %rotation.old, "the signing key was replaced");
        let retired = json!({"key_id": rotation.old, "expired_ts": rotation.retired.expired_ts});
        json!({"key_id": rotation.new.id(), "retired": retired})
    });
    told.await.map(Answer).map_err(|error| {
        tracing::error!(%error, "the signing key cannot be replaced");
        ApiError::unknown(error.to_string())
    })
}
