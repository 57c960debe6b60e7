//! `GET /_matrix/federation/v2/backfill/:roomId` (LM-04 §12.6.4): an event and those before it.
//!
//! What is required of it: `LM-04/12.6.4/1` to `LM-04/12.6.4/12`.

use std::num::NonZeroU32;

use axum::extract::State;
use http::Method;
use mimi_linearized::id::{EventId, RoomId, ServerName};
use mimi_linearized::json::Object;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::openapi::Endpoint;
use super::serve::{Member, RawAnswer};
use super::shapes::Pdu;
use super::{Authenticated, PathParams, Paths, QueryParams, failed, segment};
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::RoomError;

/// A stretch of a room's list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Stretch {
    /// The events, oldest first.
    pub pdus: Vec<Pdu>,
}

/// The most events in one answer.
pub const MAX_EVENTS: usize = 100;

/// The paths of a request for the events up to `v`.
#[must_use]
pub fn paths(room_id: &RoomId, v: &EventId, limit: usize) -> Paths {
    let rest = format!("/backfill/{}?v={}&limit={limit}", segment(room_id.as_str()), segment(v.as_str()));
    Paths::both("/_matrix/federation/v2", &rest)
}

/// Answers with `v` and the events before it, oldest first.
///
/// # Errors
/// `M_BAD_JSON` without `v` and `limit`, `M_NOT_FOUND` for what is unknown or not the caller's business.
pub async fn handle(
    State(node): State<Node>,
    path: PathParams,
    query: QueryParams,
    request: Authenticated,
) -> Result<RawAnswer, ApiError> {
    query.required("v")?;
    let limit = query.required("limit")?.parse::<usize>().ok().filter(|limit| *limit > 0);
    let limit =
        limit.ok_or_else(|| ApiError::bad_json("`limit` must be a positive integer"))?.min(MAX_EVENTS);
    let (room_id, v) = (path.room()?, query.event("v")?);
    let events = node.serve_history(&room_id, &v, limit, &request.origin).await?;
    let events = events.ok_or_else(|| ApiError::not_found("no such event in the room"))?;
    Ok(RawAnswer::of_members(&[("pdus", Member::Events(&events))]))
}

/// Asks a server for `v` and the events before it. They are not checked here.
///
/// # Errors
/// [`RoomError`] if the server does not answer with an array of objects.
pub async fn call(
    node: &Node,
    server: &ServerName,
    room_id: &RoomId,
    v: &EventId,
    limit: usize,
) -> Result<Vec<Object>, RoomError> {
    node.client.backfill(server, room_id, v, limit).await.map_err(failed(server))
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    let paths = Paths::both("/_matrix/federation/v2", "/backfill/{room}");
    Endpoint::new::<Stretch>(Method::GET, paths, "12.6.4", "An event and those before it")
        .query::<String>("v", "The id of the last event that is wanted.")
        .query::<NonZeroU32>("limit", "The most events that are wanted; an answer never has more than 100.")
        .refuses([ApiError::not_found("")])
}
