//! `GET …/large-rooms/tree/:eventId` (reading R35): the ratchet tree after an `m.mls.commit`.

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

/// A ratchet tree.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CommitTree {
    /// In unpadded base64.
    pub ratchet_tree: String,
}

/// The path of the tree after an event. It has an unstable form alone.
#[must_use]
pub fn paths(id: &EventId) -> Paths {
    Paths::stable(format!("{LARGE_ROOMS_PREFIX}/tree/{}", segment(id.as_str())))
}

/// Answers with the tree in base64, if the caller may see its event.
///
/// # Errors
/// `M_NOT_FOUND` if there is no such tree any more, or the caller has nothing to do with it.
pub async fn handle(
    State(node): State<Node>,
    path: PathParams,
    request: Authenticated,
) -> Result<Answer, ApiError> {
    let tree = node.serve_tree(&path.event()?, Some(&request.origin)).await?;
    let tree = tree.ok_or_else(|| ApiError::not_found("no such tree"))?;
    value_of(&CommitTree { ratchet_tree: base64::encode(&tree) }).map(Answer)
}

/// Asks a server for the tree after a commit event. It is not checked here.
///
/// # Errors
/// [`RoomError`] if the server does not answer with bytes in base64.
pub async fn call(node: &Node, server: &ServerName, id: &EventId) -> Result<Vec<u8>, RoomError> {
    node.client.commit_tree(server, id).await.map_err(failed(server))
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    let path = Paths::stable(format!("{LARGE_ROOMS_PREFIX}/tree/{{event}}"));
    Endpoint::new::<CommitTree>(Method::GET, path, "R35", "The ratchet tree after a commit")
        .refuses([ApiError::not_found("")])
}
