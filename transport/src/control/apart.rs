//! Commits and trees that stand apart from their events (reading R35).

use axum::extract::State;
use mimi_linearized::base64;
use serde_json::json;

use super::finish;
use crate::api::upload_commit::{answer, message_of};
use crate::api::{Answer, JsonBody, PathParams};
use crate::error::ApiError;
use crate::node::Node;

/// `POST /unstable/org.mimi-interop.large-rooms/rooms/{room}/message`
pub(super) async fn hand_in(
    State(node): State<Node>,
    path: PathParams,
    JsonBody(body): JsonBody,
) -> Result<Answer, ApiError> {
    let (room_id, message) = (path.room()?, message_of(&body)?);
    let digest = finish(async move { Ok(node.hand_in_commit(&room_id, message).await?) }).await?;
    Ok(answer(&digest))
}

/// `GET /unstable/org.mimi-interop.large-rooms/message/{event}`
pub(super) async fn message(State(node): State<Node>, path: PathParams) -> Result<Answer, ApiError> {
    let message = node.serve_commit(&path.event()?, None).await?;
    let message = message.ok_or_else(|| ApiError::not_found("no such commit"))?;
    Ok(Answer(json!({"message": base64::encode(&message)})))
}

/// `GET /unstable/org.mimi-interop.large-rooms/tree/{event}`
pub(super) async fn tree(State(node): State<Node>, path: PathParams) -> Result<Answer, ApiError> {
    let tree = node.serve_tree(&path.event()?, None).await?;
    let tree = tree.ok_or_else(|| ApiError::not_found("no such tree"))?;
    Ok(Answer(json!({"ratchet_tree": base64::encode(&tree)})))
}
