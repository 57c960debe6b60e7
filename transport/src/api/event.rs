//! `GET /_matrix/federation/v2/event/:eventId` (LM-04 §12.6.1): one event.
//!
//! What is required of it: `LM-04/12.6.1/1` to `LM-04/12.6.1/6`.

use axum::extract::State;
use http::Method;
use mimi_linearized::id::{EventId, ServerName};
use mimi_linearized::json::Object;

use super::openapi::Endpoint;
use super::shapes::Pdu;
use super::{Authenticated, PathParams, Paths, failed, segment};
use crate::api::serve::RawAnswer;
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::RoomError;

/// The paths of an event.
#[must_use]
pub fn paths(id: &EventId) -> Paths {
    Paths::both("/_matrix/federation/v2", &format!("/event/{}", segment(id.as_str())))
}

/// Answers with the event as far as the caller may see it.
///
/// # Errors
/// `M_NOT_FOUND` if there is no such event, or the caller has nothing to do with it.
pub async fn handle(
    State(node): State<Node>,
    path: PathParams,
    request: Authenticated,
) -> Result<RawAnswer, ApiError> {
    let event = node.serve_event(&path.event()?, &request.origin).await?;
    event.map(|event| RawAnswer::of_event(&event)).ok_or_else(|| ApiError::not_found("no such event"))
}

/// Asks a server for an event. It is not checked here.
///
/// # Errors
/// [`RoomError`] if the server does not answer with an object.
pub async fn call(node: &Node, server: &ServerName, id: &EventId) -> Result<Object, RoomError> {
    node.client.event(server, id).await.map_err(failed(server))
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    let paths = Paths::both("/_matrix/federation/v2", "/event/{event}");
    Endpoint::new::<Pdu>(Method::GET, paths, "12.6.1", "One event").refuses([ApiError::not_found("")])
}
