//! `GET /_matrix/federation/v1/state_ids/:roomId` (LM-04 §12.6.3): the ids of the state before an event.
//!
//! What is required of it: `LM-04/12.6.3/1` to `LM-04/12.6.3/4`.

use axum::extract::State;
use http::Method;
use mimi_linearized::id::{EventId, RoomId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::openapi::Endpoint;
use super::serve::{Member, RawAnswer};
use super::{Authenticated, PathParams, Paths, QueryParams, segment, state};
use crate::error::ApiError;
use crate::node::Node;

/// The path of the ids of the state before an event.
#[must_use]
pub fn path(room_id: &RoomId, at: &EventId) -> String {
    let (room_id, at) = (segment(room_id.as_str()), segment(at.as_str()));
    format!("/_matrix/federation/v1/state_ids/{room_id}?event_id={at}")
}

/// The ids of a room's state.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StateIds {
    /// Those of what the state cites, directly or not.
    pub auth_chain_ids: Vec<String>,
    /// Those of the state events.
    pub pdu_ids: Vec<String>,
}

/// Answers with the ids of what [`state::handle`] answers with.
///
/// # Errors
/// As there.
pub async fn handle(
    State(node): State<Node>,
    path: PathParams,
    query: QueryParams,
    request: Authenticated,
) -> Result<RawAnswer, ApiError> {
    let at = state::find(&node, &path, &query, &request).await?;
    let chain: Vec<_> = at.chain.iter().map(|(id, _)| id).collect();
    let state: Vec<_> = at.state.iter().map(|(id, _)| id).collect();
    Ok(RawAnswer::of_members(&[("auth_chain_ids", Member::Ids(&chain)), ("pdu_ids", Member::Ids(&state))]))
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    let path = Paths::stable("/_matrix/federation/v1/state_ids/{room}".to_owned());
    Endpoint::new::<StateIds>(Method::GET, path, "12.6.3", "The ids of the state before an event")
        .query::<String>("event_id", "The event's id.")
        .refuses([ApiError::not_found(""), ApiError::wrong_server("")])
}
