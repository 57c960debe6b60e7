//! `GET …/large-rooms/message/:eventId` (reading R35): the commit that an `m.mls.commit` names, or has.

use super::openapi::Endpoint;
use super::{Answer, Authenticated, LARGE_ROOMS_PREFIX, PathParams, Paths, failed, segment, value_of};
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::RoomError;
use axum::extract::State;
use http::Method;
use mimi_linearized::base64;
use mimi_linearized::id::{EventId, ServerName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A commit.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CommitMessage {
    /// In unpadded base64.
    pub message: String,
}

/// The path of the commit of an event. It has an unstable form alone.
#[must_use]
pub fn paths(id: &EventId) -> Paths {
    Paths::stable(format!("{LARGE_ROOMS_PREFIX}/message/{}", segment(id.as_str())))
}

/// Answers with the commit in base64, if the caller may see its event.
///
/// # Errors
/// `M_NOT_FOUND` if there is no such commit, or the caller has nothing to do with it.
pub async fn handle(
    State(node): State<Node>,
    path: PathParams,
    request: Authenticated,
) -> Result<Answer, ApiError> {
    let message = node.serve_commit(&path.event()?, Some(&request.origin)).await?;
    let message = message.ok_or_else(|| ApiError::not_found("no such commit"))?;
    value_of(&CommitMessage { message: base64::encode(&message) }).map(Answer)
}

/// Asks a server for the commit of an event. It is not checked here.
///
/// # Errors
/// [`RoomError`] if the server does not answer with bytes in base64.
pub async fn call(node: &Node, server: &ServerName, id: &EventId) -> Result<Vec<u8>, RoomError> {
    node.client.commit_message(server, id).await.map_err(failed(server))
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    let path = Paths::stable(format!("{LARGE_ROOMS_PREFIX}/message/{{event}}"));
    Endpoint::new::<CommitMessage>(Method::GET, path, "R35", "The commit that an event names, or has")
        .refuses([ApiError::not_found("")])
}
