//! `GET /_matrix/federation/v1/state/:roomId` (LM-04 §12.6.2): the state before an event.
//!
//! What is required of it: `LM-04/12.6.2/1` to `LM-04/12.6.2/10`.

use std::sync::Arc;

use axum::extract::State;
use http::Method;
use mimi_linearized::id::{EventId, RoomId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::openapi::Endpoint;
use super::serve::{Member, RawAnswer};
use super::shapes::Pdu;
use super::{Authenticated, PathParams, Paths, QueryParams, segment};
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::StateAt;

/// The path of the state before an event.
#[must_use]
pub fn path(room_id: &RoomId, at: &EventId) -> String {
    let (room_id, at) = (segment(room_id.as_str()), segment(at.as_str()));
    format!("/_matrix/federation/v1/state/{room_id}?event_id={at}")
}

/// The state of a room.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RoomState {
    /// What the state cites, directly or not.
    pub auth_chain: Vec<Pdu>,
    /// The state events.
    pub pdus: Vec<Pdu>,
}

/// Answers with the state and what it cites.
///
/// # Errors
/// `M_BAD_JSON` without `event_id`, `M_NOT_FOUND` for what is unknown or not the caller's business, `M_WRONG_SERVER` if
/// this server is not the hub.
pub async fn handle(
    State(node): State<Node>,
    path: PathParams,
    query: QueryParams,
    request: Authenticated,
) -> Result<RawAnswer, ApiError> {
    let at = find(&node, &path, &query, &request).await?;
    let bytes = |events: &[(EventId, Arc<[u8]>)]| -> Vec<Arc<[u8]>> {
        events.iter().map(|(_, bytes)| Arc::clone(bytes)).collect()
    };
    Ok(RawAnswer::of_members(&[
        ("auth_chain", Member::Events(&bytes(&at.chain))),
        ("pdus", Member::Events(&bytes(&at.state))),
    ]))
}

/// The state that a request for it, or for its ids, asks for.
pub(super) async fn find(
    node: &Node,
    path: &PathParams,
    query: &QueryParams,
    request: &Authenticated,
) -> Result<StateAt, ApiError> {
    query.required("event_id")?;
    let room_id = path.room()?;
    node.hub_cell(&room_id).await?;
    let at = node.serve_state(&room_id, &query.event("event_id")?, &request.origin).await?;
    at.ok_or_else(|| ApiError::not_found("no such event in the room"))
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    let path = Paths::stable("/_matrix/federation/v1/state/{room}".to_owned());
    Endpoint::new::<RoomState>(Method::GET, path, "12.6.2", "The state before an event")
        .query::<String>("event_id", "The event's id.")
        .refuses([ApiError::not_found(""), ApiError::wrong_server("")])
}
